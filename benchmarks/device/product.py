"""The command itself: ``star evolve`` in an empty folder, on the device, with one and with two workers.

The second call goes on with the run of the first. One Prefect server serves both: where the package's
scripts are not installed the command could not start its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.device.project import STAR
from benchmarks.device.results import Measured, Task
from benchmarks.device.setting import Setting, device_name

SECONDS, SERVER_SECONDS, COMMAND_SECONDS = 110.0, 60.0, 80.0
POPULATION, LAST_LINES = 4, 12
NEEDED = ("prefect", "fastapi", "sqlalchemy", "aiosqlite", "pymoo", "typer", "yaml", "uvicorn")


def tasks(setting: Setting) -> Iterator[Task]:
    """One, of two calls."""
    yield Task("star evolve", SECONDS, partial(measure, setting))


def measure(setting: Setting) -> Measured:
    """Generation 1 with one worker, generation 2 with two."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ModuleNotFoundError(f"not installed here: {', '.join(missing)}")
    import yaml

    shown: dict[str, Any] = {}
    more: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as environment:
        folder = Path(name)
        source = setting.source(folder)
        for number, workers in enumerate((1, 2), 1):
            params = {
                "generations": number,
                "data": {"source": source},
                "training": {"steps": setting.steps, "accelerator": setting.kind},
                "evolution": {"population": POPULATION},
                "runtime": {"workers": workers, "memory_mib": 16384},
            }
            (folder / "params.yaml").write_text(yaml.safe_dump(params))
            begin = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", STAR, "evolve"],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )
            seconds = time.perf_counter() - begin
            output = (done.stdout + done.stderr).strip()
            more[f"{workers} at once"] = {"code": done.returncode, "end": output.splitlines()[-LAST_LINES:]}
            if done.returncode:
                raise RuntimeError(f"exit code {done.returncode}: {' '.join(output.split())[-300:]}")
            named = re.search(r"Training: (.*)", done.stdout)
            more["trained on"] = named.group(1) if named else "not said"
            shown["trained on"] = more["trained on"].split(",")[0]
            shown["names the device"] = "yes" if device_name(setting.kind) in output else "no"
            shown[f"{workers}: s in all"] = seconds
            evaluations = stored(folder / ".star")
            fresh = [e for key, e in evaluations.items() if key not in more.setdefault("seen", [])]
            more["seen"] = sorted(evaluations)
            more[f"{workers} at once"]["evaluations"] = fresh
            states = {e["status"] for e in fresh}
            shown[f"{workers}: ended"] = f"{len(fresh)} {'/'.join(sorted(states))}"
            trained = [e["seconds"]["total"] for e in fresh]
            shown[f"{workers}: s each"] = sum(trained) / len(trained) if trained else None
    del more["seen"]
    return Measured(shown, more)


def stored(folder: Path) -> dict[str, Any]:
    """Evaluations by key, in whatever folder they are kept."""
    found = {}
    for path in folder.rglob("*.json"):
        plain = json.loads(path.read_text())
        plain = plain.get("evaluation", plain)
        if isinstance(plain, dict) and "seconds" in plain and "key" in plain:
            found[plain["key"]] = {
                name: plain.get(name) for name in ("status", "detail", "seconds", "machine")
            }
    return found


@contextlib.contextmanager
def server(folder: Path) -> Iterator[dict[str, str]]:
    """A Prefect server on loopback, and the environment in which commands find it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--no-services", "--port", str(port)],
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        until = time.monotonic() + SERVER_SECONDS
        while not answers(f"{url}/health"):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Prefect's server did not start: {log.read_text().strip()[-300:]}")
            time.sleep(0.25)
        yield {**environment, "PREFECT_API_URL": url}
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    """Whether there is a server."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False
