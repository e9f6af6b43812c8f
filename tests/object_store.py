"""A real S3 server for tests: SeaweedFS on loopback, which can be killed and started again on its folder."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

KEY, SECRET = "test-access-key", "test-secret-never-to-be-shown"
WEED = Path(sys.executable).parent / "weed"
GRPC_OFFSET = 10_000
"""SeaweedFS answers gRPC on each of its ports plus this."""
_GRACE_SECONDS = 3
_SERVERS = ("master", "filer", "volume", "admin", "s3")
# Waits for the end of its input, which comes when the tests end in whatever way.
_WATCH = "cat; kill -9 $1"


class ObjectStore:
    """An S3 server with one bucket. As a context manager it is started, and stopped at the end.

    Args:
        folder: Where it keeps everything; a second start finds what the first one stored.
        bucket: Made if it is not there.

    Attributes:
        endpoint: URL of the server, the same for its whole life.
        url: Of the bucket, as fsspec reads it.
        environment: Variables that give access, and keep what this machine's user has set out of it.
    """

    def __init__(self, folder: Path, bucket: str = "star") -> None:
        self.folder, self.bucket = folder, bucket
        self.ports = dict(zip(_SERVERS, _free_ports(len(_SERVERS)), strict=True))
        self.endpoint = f"http://127.0.0.1:{self.ports['s3']}"
        self.url = f"s3://{bucket}"
        self.environment = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        self._server: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ObjectStore:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self, seconds: float = 60) -> None:
        """Starts the server and waits until it answers; nothing happens if it is running."""
        if self._server is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._watch = subprocess.Popen(
            ["sh", "-c", _WATCH, "sh", str(self._server.pid)], stdin=subprocess.PIPE, start_new_session=True
        )
        until = time.monotonic() + seconds
        while not self.answers():
            if self._server.poll() is not None or time.monotonic() > until:
                self.kill()
                raise RuntimeError((self.folder / "server.log").read_text()[-2000:])
            time.sleep(0.05)

    def kill(self) -> None:
        """Ends the server as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends the server."""
        self._end(signal.SIGTERM)

    def answers(self) -> bool:
        """Whether it serves the bucket, and stores what is put there."""
        try:
            client = self.client()
            client.put_object(Bucket=self.bucket, Key=".ready", Body=b"")
            client.delete_object(Bucket=self.bucket, Key=".ready")
        except (BotoCoreError, ClientError):
            return False
        return True

    def client(self) -> Any:
        """A plain client, for tests that look at what is stored or damage it."""
        return botocore.session.Session().create_client(
            "s3",
            region_name=self.environment["AWS_DEFAULT_REGION"],
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}),
        )

    def _command(self) -> list[str]:
        ports = [f"-{name}.port={port}" for name, port in self.ports.items()]
        return [
            *(str(WEED), "-logtostderr", "mini", f"-dir={self.folder}", f"-bucket={self.bucket}", *ports),
            # Nothing but loopback, and nothing sent home.
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"),
            # Ready soon after a kill: it is alone, and need not wait for others' votes.
            *("-master.electionTimeout=1s", "-master.heartbeatInterval=100ms"),
            # A bucket that is missing is missing, as on most servers.
            "-s3.autoCreateBucket=false",
            *(f"-{name}.localSocket={self.folder / name}.sock" for name in ("filer", "s3")),
        ]

    def _end(self, number: int) -> None:
        if self._watch is not None and self._watch.stdin is not None:
            self._watch.kill()
            self._watch.wait()
            self._watch.stdin.close()
        if self._server is not None:
            self._server.send_signal(number)
            try:
                self._server.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        self._server = self._watch = None
        for name, port in self.ports.items():  # it leaves them where it is not told to
            Path(f"/tmp/seaweedfs-{name}-grpc-{port + GRPC_OFFSET}.sock").unlink(missing_ok=True)


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, as are those of their gRPC twins, below those the kernel gives to clients."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(10_000, 22_000)
        with suppress(OSError):
            for wanted in (port, port + GRPC_OFFSET):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", wanted))
            if port not in found and port - GRPC_OFFSET not in found and port + GRPC_OFFSET not in found:
                found.append(port)
    return found
