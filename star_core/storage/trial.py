"""Whether a storage does what a run needs of it: tried for real, and left as it was."""

from __future__ import annotations

import secrets
from pathlib import Path

from star_core.errors import StoreError
from star_core.storage.contract import ObjectStorage, Storage
from star_core.storage.folder import Folder
from star_core.storage.fsspec_files import Filesystem
from star_core.storage.leases.leases import Leases
from star_core.storage.open import open_storage
from star_core.storage.s3 import Bucket


def try_storage(location: str, endpoint: str | None) -> bool:
    """Writes, reads and removes an object, and holds a lease.

    Returns:
        Whether machines that share the storage never train a candidate twice.

    Raises:
        StoreError: It cannot be written or read, returns something else, or gives a lease twice.
    """
    opened = open_storage(location, endpoint)
    if not _is_read_as_written(opened):
        raise StoreError("what is read is not what was written", place=location, fix="use another storage")
    if not _holds_leases(location, endpoint):
        raise StoreError(
            "a lease can be taken twice, so machines that share it would train candidates twice",
            place=location,
            fix="use a file system with locks, or an S3 server with conditional writes",
        )
    return not isinstance(opened, Filesystem) and (not isinstance(opened, Bucket) or _has_conditions(opened))


def _is_read_as_written(opened: Storage) -> bool:
    # A folder of its own, which no other trial may remove.
    name, content = f"trial-{secrets.token_hex(8)}/object", secrets.token_bytes(64)
    opened.write(name, content)
    found = opened.read(name, len(content))
    if found is None or found.content != content:
        return False
    if isinstance(opened, ObjectStorage):
        opened.delete(name, found.tag)
    elif isinstance(opened, Folder):
        path = Path(opened.place(name))
        path.unlink()
        path.parent.rmdir()
    return opened.read(name, 1) is None


def _holds_leases(location: str, endpoint: str | None) -> bool:
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


def _has_conditions(opened: Bucket) -> bool:
    name = f"trial-{secrets.token_hex(8)}/object"
    opened.write(name, b"there")
    try:
        return opened.has_conditions(name)
    finally:
        found = opened.read(name, 64)
        if found is not None:
            opened.delete(name, found.tag)
