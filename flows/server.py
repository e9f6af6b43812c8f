"""One Prefect server for a chain of commands: ``python -m flows.server dvc repro``.

Each stage of ``dvc repro`` is a process of its own, and without a server at hand each starts an
embedded one. Where ``PREFECT_API_URL`` is set, that server is used and none is started.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import flows  # noqa: F401 -- sets the environment's defaults for Prefect
from star_core.errors import StarError

START_SECONDS = 120


@contextmanager
def prefect_server(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """A server on loopback, and the environment in which commands find it.

    Raises:
        StarError: It did not answer within ``START_SECONDS``.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    prefect = str(Path(sys.executable).parent / "prefect")
    server = subprocess.Popen(
        [prefect, "server", "start", "--host", "127.0.0.1", "--port", port],
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}/api"
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(url):
            if server.poll() is not None or time.monotonic() > until:
                raise StarError(
                    "the Prefect server did not start",
                    value=url,
                    place="prefect server start",
                    fix="run it by hand to see why, or set PREFECT_API_URL to one that runs",
                )
            time.sleep(0.25)
        yield {**environment, "PREFECT_API_URL": url}
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=1):
            return True
    except OSError:
        return False


def main() -> None:
    """Runs the command given as arguments and ends with its exit code."""
    command = sys.argv[1:]
    if "PREFECT_API_URL" in os.environ:
        raise SystemExit(subprocess.run(command, check=False).returncode)
    with prefect_server(os.environ) as environment:
        code = subprocess.run(command, env=environment, check=False).returncode
    raise SystemExit(code)


if __name__ == "__main__":
    main()
