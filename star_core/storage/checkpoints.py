"""Trained weights by way of the storage, for machines that do not share a folder.

STORAGE/checkpoints/KEY.safetensors      put there by who trained, fetched by who wants them
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from star_core.errors import StoreError
from star_core.storage.files import write_atomically
from star_core.storage.folder import Folder
from star_core.storage.open import open_storage
from star_core.storage.patience import Patience
from star_core.storage.weights import checkpoint_key

MAX_BYTES = 5 << 30
"""What S3 takes in one piece."""
_KEY = re.compile(r"[0-9a-f]{64}")


class CheckpointStore:
    """Weights by the key of their evaluation. Where the storage is a folder it holds none.

    Args:
        location: As of the evaluation store.
        endpoint: URL of the S3 server; ``None``: the environment's.
        patience: Seconds to wait for storage that is away.
        note: Called with one line about what is being waited for.
    """

    def __init__(
        self,
        location: str,
        endpoint: str | None = None,
        patience: float = 0.0,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._storage = open_storage(location, endpoint)
        self._patiently = Patience(patience, note)
        self.is_remote = not isinstance(self._storage, Folder)

    def put(self, path: Path, key: str) -> None:
        """Stores the weights of an evaluation, unless they are there.

        Raises:
            StorageAway: The storage does not answer, or is full.
            StoreError: It cannot be written, or ``path`` has not the weights of ``key``.
        """
        name = _name(key)
        if not self.is_remote or self._patiently(lambda: self._storage.size(name)) is not None:
            return
        if checkpoint_key(path) != key:
            raise StoreError("not the weights of this evaluation", value=key, place=str(path))
        content = path.read_bytes()
        self._patiently(lambda: self._storage.write(name, content))

    def fetch(self, key: str, path: Path) -> bool:
        """Brings the weights of an evaluation to ``path``, whole or not at all; whether there are any.

        Raises:
            StorageAway: The storage does not answer.
            StoreError: What is stored is something else, or ``path`` cannot be written.
        """
        if not self.is_remote:
            return False
        name = _name(key)
        found = self._patiently(lambda: self._storage.read(name, MAX_BYTES))
        if found is None:
            return False
        arrived = path.with_name(f".{path.name}.{key[:12]}.tmp")
        try:
            write_atomically(arrived, found.content)
            if checkpoint_key(arrived) != key:
                place = self._storage.place(name)
                raise StoreError("not the weights of this evaluation", place=place, fix=f"delete {place}")
            arrived.replace(path)
        finally:
            arrived.unlink(missing_ok=True)
        return True


def _name(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise StoreError("an evaluation key is 64 hex digits", value=key, place="checkpoints")
    return f"checkpoints/{key}.safetensors"
