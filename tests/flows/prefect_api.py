"""What a Prefect server says, asked without Prefect's own client."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any


class Api:
    """A server's REST interface."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, path: str, **body: Any) -> Any:
        """The answer to a request with a JSON body."""
        content = json.dumps(body).encode()
        return _ask(urllib.request.Request(self.url + path, content, {"Content-Type": "application/json"}))

    def get(self, path: str) -> Any:
        """The answer to a question."""
        return _ask(urllib.request.Request(self.url + path))

    def flow_runs(self, deployment: str | None = None, **states: list[str]) -> list[dict[str, Any]]:
        """Flow runs, the oldest first; of a deployment, in states of some type."""
        wanted: dict[str, Any] = {}
        if deployment is not None:
            wanted["deployment_id"] = {"any_": [deployment]}
        if states:
            wanted["state"] = {"type": states}
        found = self.post("/flow_runs/filter", flow_runs=wanted, sort="EXPECTED_START_TIME_ASC")
        assert isinstance(found, list)
        return found

    def artifacts(self) -> dict[str, dict[str, Any]]:
        """The newest artifact of each key."""
        return {artifact["key"]: artifact for artifact in self.post("/artifacts/latest/filter")}


def _ask(request: urllib.request.Request) -> Any:
    """The answer; a server whose SQLite is busy says 503, and means that one should ask again."""
    for left in reversed(range(20)):
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code != 503 or not left:
                raise
            time.sleep(0.5)
    raise AssertionError("unreachable")
