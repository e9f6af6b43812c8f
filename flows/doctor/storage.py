"""Where evaluations are kept: an object written, read and removed for real, and a lease taken."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from star_core.errors import StarError
from star_core.storage.contract import ObjectStorage, Storage
from star_core.storage.folder import Folder
from star_core.storage.fsspec_files import Filesystem
from star_core.storage.leases.leases import Leases
from star_core.storage.open import open_storage
from star_core.storage.s3 import Bucket

from .finding import Finding, Project, ok, problem, refused, warning

SUBJECT = "storage"


def storage(project: Project) -> Iterator[Finding]:
    """Whether evaluations can be written, read and removed."""
    runtime = project.params.runtime
    location = runtime.storage if "://" in runtime.storage else str(project.root / runtime.storage)
    shown = location + (f" at {runtime.endpoint}" if runtime.endpoint else "")
    began = time.monotonic()
    try:
        opened = open_storage(location, runtime.endpoint)
        if not (seen := _round_trip(opened)):
            yield problem(SUBJECT, f"{shown}: what is read is not what was written", "use another storage")
            return
        held = _leases(location, runtime.endpoint)
        conditions = not isinstance(opened, Bucket) or _conditions(opened)
    except StarError as error:
        yield refused(SUBJECT, error)
        return
    took = f"{time.monotonic() - began:.1f} s"
    if not held:
        yield problem(
            SUBJECT,
            f"{shown}: a lease can be taken twice, so machines that share it would train candidates twice",
            "use a file system with locks, or an S3 server with conditional writes",
        )
    elif not conditions or isinstance(opened, Filesystem):
        yield warning(
            SUBJECT,
            f"{shown}: {seen} ({took}), but no conditional writes: machines that share it may train a "
            "candidate twice",
            "use a server that knows If-None-Match and If-Match",
        )
    else:
        yield ok(SUBJECT, f"{shown}: {seen}, leases held ({took})")


def _round_trip(opened: Storage) -> str:
    name, content = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(64)
    opened.write(name, content)
    found = opened.read(name, len(content))
    if found is None or found.content != content:
        return ""
    if isinstance(opened, ObjectStorage):
        opened.delete(name, found.tag)
    elif isinstance(opened, Folder):
        path = Path(opened.place(name))
        path.unlink()
        path.parent.rmdir()
    return "written, read and removed" if opened.read(name, 1) is None else ""


def _leases(location: str, endpoint: str | None) -> bool:
    """Whether a lease that is taken cannot be taken again."""
    key = secrets.token_hex(32)
    mine = Leases(location, endpoint, seconds=60).take(key)
    if mine is None:
        return False
    with mine:
        other = Leases(location, endpoint, seconds=60).take(key)
        if other is not None:
            with other:
                return False
        return True


def _conditions(opened: Bucket) -> bool:
    name = f"doctor/{secrets.token_hex(8)}"
    opened.write(name, b"there")
    try:
        return opened.has_conditions(name)
    finally:
        found = opened.read(name, 64)
        if found is not None:
            opened.delete(name, found.tag)
