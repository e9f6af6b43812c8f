"""Leases: which candidates are being trained right now, so that machines sharing a store train none twice.

A lease is a promise, not a lock on the evaluation: training twice costs time and yields the same bytes.
What is guaranteed:

- Of any who take a lease at once, one gets it: in a folder by the kernel's file locks, in a bucket by the
  server's conditions. Elsewhere that holds within a process only (``filesystem.py``).
- It ends with the process that holds it: at once for others on its machine, else when nobody has renewed
  it for ``seconds`` by the clock of whoever wants it, while it looked. No wall clock is read, so none that
  jumps matters; and time in which the storage was away hardly counts, since nobody could renew.
- A holder cut off from the storage for longer may be taken over while it still trains: then a candidate is
  trained twice. It goes on, as does a holder whose lease is lost in any other way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from star_core.errors import StoreError
from star_core.storage.contract import ObjectStorage
from star_core.storage.folder import Folder
from star_core.storage.leases.file_lease import FileLeases
from star_core.storage.leases.object_lease import ObjectLeases
from star_core.storage.open import open_storage
from star_core.storage.patience import Patience

_KEY = re.compile(r"[0-9a-f]{64}")


class Lease(Protocol):
    """A candidate that is ours to train until this is left."""

    @property
    def lost(self) -> bool:
        """Whether somebody else has taken it over."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Leases:
    """Leases by evaluation key. Any thread may use them.

    Args:
        location: Of the evaluation store; leases are below it, in ``leases/``.
        endpoint: URL of the S3 server; ``None``: the environment's.
        seconds: How long a lease in a bucket lives without being renewed; renewed three times as often.
        patience: Seconds to wait for storage that is away.
        note: Called with one line about what is being waited for.

    Raises:
        StoreError: The location is malformed.
    """

    def __init__(
        self,
        location: str,
        endpoint: str | None,
        seconds: float,
        patience: float = 0.0,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._location, self._patiently = location, Patience(patience, note)
        storage = open_storage(location, endpoint)
        self._leases: FileLeases | ObjectLeases
        if isinstance(storage, Folder):
            self._leases = FileLeases(storage.root)
        else:
            assert isinstance(storage, ObjectStorage)
            self._leases = ObjectLeases(storage, seconds)

    def take(self, key: str) -> Lease | None:
        """The lease of a candidate; ``None`` if somebody else has it.

        Raises:
            StorageAway: The storage does not answer.
            StoreError: The key is malformed, or the storage refuses.
        """
        self._check(key)
        return self._patiently(lambda: self._leases.take(key))

    def is_free(self, key: str) -> bool:
        """Whether nobody has it. Asking, again and again, is how a holder's end is noticed.

        Raises:
            StorageAway: The storage does not answer.
            StoreError: The key is malformed, or the storage refuses.
        """
        self._check(key)
        return self._patiently(lambda: self._leases.is_free(key))

    def discard_ended(self) -> None:
        """Removes what killed holders left in a folder; in a bucket it is little, and stops nobody."""
        if isinstance(self._leases, FileLeases):
            self._leases.discard_ended()

    def _check(self, key: str) -> None:
        if not _KEY.fullmatch(key):
            raise StoreError("an evaluation key is 64 hex digits", value=key, place=self._location)
