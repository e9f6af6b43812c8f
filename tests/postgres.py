"""A real PostgreSQL server for tests, in a folder of its own, on loopback and with a password."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

START_SECONDS = 60


def programs() -> Path | None:
    """The folder of the newest installed server's programs; ``None`` where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


class Postgres:
    """A server with one user and an empty database, started and stopped as a context manager.

    Attributes:
        password: Of the user ``star``.
        url: As Prefect's setting wants it.
    """

    def __init__(self) -> None:
        found = programs()
        assert found is not None, "PostgreSQL is not installed"
        self._programs = found
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
        self.password = secrets.token_hex(16)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"postgresql+asyncpg://star:{self.password}@127.0.0.1:{self.port}/postgres"
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Postgres:
        secret, data = self._folder / "password", self._folder / "data"
        secret.write_text(self.password)
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            shutil.chown(self._folder, "postgres", "postgres")
            shutil.chown(secret, "postgres", "postgres")
        try:
            options = [f"--pgdata={data}", "--username=star", f"--pwfile={secret}", "--auth=scram-sha-256"]
            made = self._start("initdb", *options, "--no-sync", "--encoding=UTF8", "--locale=C")
            assert made.wait() == 0, self._log()
            settings = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories="]
            settings += ["fsync=off", "max_connections=60"]
            told = [part for setting in settings for part in ("-c", setting)]
            self._server = self._start("postgres", "-D", str(data), *told)
            until = time.monotonic() + START_SECONDS
            while not self._answers():
                assert self._server.poll() is None, self._log()
                assert time.monotonic() < until, self._log()
                time.sleep(0.05)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGINT)  # open connections are ended
            try:
                self._server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(self._programs / name), *arguments]
        if os.geteuid() == 0:
            user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
            command = ["setpriv", *user, "--pdeathsig=INT", *command]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log, start_new_session=True)

    def _answers(self) -> bool:
        ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def _log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")
