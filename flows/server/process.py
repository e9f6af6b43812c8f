"""One Prefect server for a chain of commands: ``python -m star_flows.server.process dvc repro``.

Each stage of ``dvc repro`` is a process of its own, and without a server at hand each starts one of
its own. Where ``PREFECT_API_URL`` is set, that server is used and none is started.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

from star_core.analysis.terminal.output import say_error, write_anything
from star_core.environment import settle
from star_core.errors import ConfigError, StarError
from star_core.storage.failures import redact

from .parent_death import ending_with_parent

START_SECONDS = 120
_LINES = 100
"""Of what a server says that are kept, in case it does not start."""
_ERROR = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception)\b")
PORT = 4200
"""Where Prefect's own commands and documentation expect a server."""


@contextmanager
def prefect_server(
    environment: Mapping[str, str], port: int | None = None, services: bool = True
) -> Iterator[dict[str, str]]:
    """A server on loopback, and the environment in which commands find it; it ends with this process.

    Args:
        environment: Of the server.
        port: Where it is wanted; where that is taken, or ``None``, it is any free one.
        services: Whether it looks after schedules and late runs; what does writes to the database.

    Raises:
        StarError: It did not answer within ``START_SECONDS``.
    """
    port = _free(port)
    url = api_url(port)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(
        ending_with_parent([*command, *([] if services else ["--no-services"])]),
        env={**environment, "PREFECT_SERVER_UI_API_URL": url},  # else its pages ask at Prefect's own port
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    assert server.stderr is not None
    said = deque[str](maxlen=_LINES)
    listener = threading.Thread(target=_listen, args=(server.stderr, said), daemon=True)
    listener.start()
    try:
        until = time.monotonic() + START_SECONDS
        while not answers(url):
            if server.poll() is not None or time.monotonic() > until:
                listener.join(1 if server.poll() is not None else 0)
                raise StarError(
                    f"the Prefect server did not start ({reason(list(said))})",
                    value=url,
                    place="prefect server start",
                    fix="mend that, make the home folder (or PREFECT_HOME) writable, or set PREFECT_API_URL "
                    "to a server that runs",
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
        listener.join(1)


def _listen(lines: IO[str], said: deque[str]) -> None:
    with lines:
        said.extend(lines)


def reason(said: Sequence[str]) -> str:
    """What a server that ended said of why: its last error, in one line."""
    lines = [line.strip() for line in said if line.strip()]
    errors = [line for line in lines if _ERROR.match(line)]
    return redact((errors or lines or ["it says nothing"])[-1])[:200]


def api_url(port: int = PORT) -> str:
    """The API of a server on this machine."""
    return f"http://127.0.0.1:{port}/api"


def answers(url: str, seconds: float = 1) -> bool:
    """Whether a Prefect server answers there within ``seconds``."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=seconds) as answer:
            return bool(answer.read(8).strip() == b"true")
    except (OSError, ValueError, http.client.HTTPException):
        return False


def _free(wanted: int | None) -> int:
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that just ended is no obstacle
        try:
            free.bind(("127.0.0.1", wanted or 0))
        except OSError:
            free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main() -> None:
    """Runs the command given as arguments and ends with its exit code."""
    command = sys.argv[1:]
    write_anything()
    try:
        settle()
        if "PREFECT_API_URL" in os.environ:
            raise SystemExit(subprocess.run(command, check=False).returncode)
        with prefect_server(os.environ) as environment:
            code = subprocess.run(command, env=environment, check=False).returncode
    except (StarError, OSError) as error:
        say_error(error)
        raise SystemExit(2) from None
    raise SystemExit(code)


if __name__ == "__main__":
    main()


@contextmanager
def server_at_hand(address: str | None = None) -> Iterator[None]:
    """The server Prefect is set up for; if there is none, one on loopback while the block lasts.

    Args:
        address: Of a cluster that was there before, and stays; ``None``: there is none such.

    Raises:
        ConfigError: There is no server for a cluster that is there already. Its workers remember the first
            one they hear of, and cannot reach this machine's loopback.
        StarError: The server does not start.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import PREFECT_API_URL

    if PREFECT_API_URL.value():
        yield
        return
    if address is not None:
        raise ConfigError(
            "the workers of a cluster report to a Prefect server that they reach and that stays",
            value=address,
            place="runtime.address",
            fix="prefect server start --host ADDRESS, then export PREFECT_API_URL=http://ADDRESS:4200/api",
        )
    with prefect_server(os.environ, services=False) as environment:
        os.environ["PREFECT_API_URL"] = environment["PREFECT_API_URL"]
        refresh_global_settings_context()
        try:
            yield
        finally:
            del os.environ["PREFECT_API_URL"]
            refresh_global_settings_context()
