"""The prepared corpus on machines that do not share the project folder: by way of the run's storage.

STORAGE/tokens/DIGEST/meta.json, train-0000, …, validation-0000, …     put there once, by the run
CACHE/tokens/DIGEST/                                                   fetched once, by each machine

The cache is ``$STAR_CACHE``, or ``~/.cache/star``. What arrives is checked against the digest.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from filelock import FileLock

from star_core.config import Runtime
from star_core.datasets.tokens import META, SPLITS, TokenData, check_meta, load_tokens, token_type
from star_core.errors import DataError
from star_core.evaluation import Job
from star_core.paths import local_path
from star_core.storage.contract import Storage
from star_core.storage.files import parse_json
from star_core.storage.folder import Folder
from star_core.storage.open import open_storage
from star_core.storage.patience import Patience

PART_BYTES = 64 << 20
"""A split travels in parts of this size, so that none is sent twice for long or held in memory."""
_META_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


def publish(data: TokenData, runtime: Runtime) -> None:
    """Puts the corpus where workers on other machines find it; nothing is done if it is there.

    A storage that is a folder is not used: machines that share it can share the project's folder.

    Raises:
        StoreError: It cannot be written.
    """
    storage = open_storage(runtime.storage, runtime.endpoint)
    if runtime.address is None or isinstance(storage, Folder):
        return
    patiently, root = Patience(runtime.patience_seconds), _root(data.digest)
    if patiently(lambda: storage.size(f"{root}/{META}")) is not None:
        return
    for split in SPLITS:
        for name, part in _parts(root, split, data.folder / f"{split}.bin"):
            patiently(partial(storage.write, name, part))
    # With it the corpus is complete.
    patiently(lambda: storage.write(f"{root}/{META}", (data.folder / META).read_bytes()))


def at_hand(job: Job, runtime: Runtime) -> Job:
    """The job with its corpus on this machine: where it says, or in the cache, fetched if need be.

    Raises:
        DataError: It is neither here nor in the storage, or what arrived is something else.
        StoreError: The storage cannot be read.
    """
    if _holds(Path(job.data), job.data_digest):
        return job
    storage = open_storage(job.storage, job.endpoint)
    if isinstance(storage, Folder):
        raise _nowhere(job, storage, "is a folder, through which none travels")
    cache = machine_cache() / "tokens"
    folder = cache / job.data_digest
    try:
        # One process of this machine at a time fetches a corpus.
        with FileLock(cache / f".{job.data_digest}.lock", fallback_to_soft=False):
            if not _holds(folder, job.data_digest):
                _fetch(job, storage, Patience(runtime.patience_seconds), folder)
    except OSError as error:
        raise DataError(
            f"cannot be written ({error.strerror})",
            place=str(cache),
            fix="free disk space, or name another folder in STAR_CACHE",
        ) from error
    return replace(job, data=str(folder))


def machine_cache() -> Path:
    """Where this machine keeps what it fetched for several runs."""
    return Path(local_path(os.environ.get("STAR_CACHE") or "~/.cache/star"))


def _fetch(job: Job, storage: Storage, patiently: Patience, folder: Path) -> None:
    root = _root(job.data_digest)

    def read(name: str, limit: int) -> bytes:
        found = patiently(lambda: storage.read(name, limit))
        if found is None or found.size > limit:
            raise _nowhere(job, storage, "has none of it" if found is None else "has something else")
        return found.content

    prefix, suffix = f".{folder.name}.", ".tmp"
    for left in folder.parent.glob(f"{prefix}*{suffix}"):  # of a process that was killed: this one is alone
        shutil.rmtree(left, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(suffix, prefix, folder.parent))
    try:
        content = read(f"{root}/{META}", _META_BYTES)
        meta = check_meta(parse_json(content, storage.place(root)), storage.place(root))
        (temporary / META).write_bytes(content)
        for split in SPLITS:
            size = meta["splits"][split]["tokens"] * token_type(meta["vocab_size"]).itemsize
            with (temporary / f"{split}.bin").open("wb") as file:
                for number in range(-(-size // PART_BYTES)):
                    file.write(read(_part(root, split, number), PART_BYTES))
                file.flush()
                os.fsync(file.fileno())
        data = load_tokens(temporary)
        data.verify()
        if data.digest != job.data_digest:
            raise DataError("another corpus than its name says", value=data.digest, place=root)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except DataError as error:
        if error.place.startswith(str(temporary)):  # of which nothing is left
            raise DataError(
                error.rule,
                value=error.value,
                place=storage.place(root),
                fix="delete it there; the run puts it there again",
            ) from None
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _parts(root: str, split: str, path: Path) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as file:
        for number in count():
            content = file.read(PART_BYTES)
            if not content:
                return
            yield _part(root, split, number), content


def _part(root: str, split: str, number: int) -> str:
    return f"{root}/{split}-{number:04d}"


def _root(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise DataError("a digest is 64 hex digits", value=digest, place="corpus")
    return f"tokens/{digest}"


def _holds(folder: Path, digest: str) -> bool:
    try:
        return load_tokens(folder).digest == digest
    except DataError:
        return False


def _nowhere(job: Job, storage: Storage, why: str) -> DataError:
    return DataError(
        f"the corpus is not on this machine, and {storage.place(_root(job.data_digest))} {why}",
        value=job.data,
        place=f"worker on {socket.gethostname()}",
        fix="let the machines share the project's folder, or set runtime.storage to an s3:// URL",
    )
