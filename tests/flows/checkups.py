"""What the tests of `star doctor` look at, and how they ask."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from star_flows.doctor.finding import Check, Finding, Project

from tests.flows.projects import TINY

SECRET = "hunter2-never-to-be-shown"


def empty_project(folder: Path) -> Project:
    """A project folder with tiny parameters and nothing else."""
    (folder / "params.yaml").write_text(yaml.safe_dump(TINY))
    return Project(folder, "params.yaml")


def found(check: Check, place: Project) -> list[Finding]:
    return list(check(place))


def only(check: Check, place: Project) -> Finding:
    (finding,) = found(check, place)
    return finding


def secret_file(path: Path, content: str, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


@contextmanager
def answering(status: int, host: str = "0.0.0.0") -> Iterator[int]:
    """A server, on all addresses by default, that answers every question with a status; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200 if self.path.endswith("/health") else status)
            self.end_headers()
            self.wfile.write(b"true")

        do_GET = do_POST  # noqa: N815 -- the names are http.server's

        def log_message(self, *_: object) -> None:
            pass

    listener = http.server.HTTPServer((host, 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield listener.server_address[1]
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
