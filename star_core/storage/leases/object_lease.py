"""Leases in a bucket: an object that says who holds it and changes as long as that process lives."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from star_core.errors import StoreError
from star_core.storage.contract import Found, ObjectStorage
from star_core.storage.files import parse_json
from star_core.storage.leases.holder import Holder
from star_core.storage.leases.renewal import schedule

FORMAT = "star-lease"
VERSION = 1
MAX_BYTES = 1 << 16
RENEWALS = 3
"""Times a lease is renewed within the time it lives."""
RETRY_SECONDS = 1.0
"""Until a renewal that failed is tried again, at most."""
REMOVAL_SECONDS = 600.0
"""How long a lease that was left is tried to be removed, in the background, from storage that is away."""
_TRIES = 3
"""Against leases that come and go while one is taken."""
_own: set[str] = set()
"""Tokens of this process that are held or being taken."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """What an observer saw of a lease.

    Attributes:
        tag: Of its content.
        at: When it was last looked at, by this process's own clock.
        unchanged: Seconds it was seen to stay the same.
    """

    tag: str
    at: float
    unchanged: float


class ObjectLease:
    """An object with our token in it, renewed in the background until this is left."""

    def __init__(self, storage: ObjectStorage, name: str, seconds: float) -> None:
        self.lost = False
        self.token = secrets.token_hex(16)
        self.name, self._storage, self._seconds = name, storage, seconds
        self._count, self._tag = 0, ""
        self._left: float | None = None
        self._process = os.getpid()
        self._changing = threading.Lock()
        _own.add(self.token)

    def __enter__(self) -> ObjectLease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process != os.getpid():  # a forked child's copy
            return
        with self._changing:
            self._left = time.monotonic()
        schedule(self, self.tend())
        _own.discard(self.token)

    def content(self) -> bytes:
        """The object, other than it was before."""
        self._count += 1
        holder = Holder.here()
        record = {
            "format": FORMAT,
            "version": VERSION,
            "token": self.token,
            "count": self._count,
            "holder": holder and holder.to_json(),
        }
        return (json.dumps(record) + "\n").encode()

    def hold(self, tag: str) -> ObjectLease:
        """Begins to renew it."""
        self._tag = tag
        schedule(self, self._seconds / RENEWALS)
        return self

    def tend(self) -> float | None:
        """Renews the lease, or removes it once it was left; seconds until that is due again."""
        again = self._seconds / RENEWALS
        with self._changing:
            if self.lost:
                return None
            try:
                if self._left is None:
                    self._renew()
                else:
                    self._remove()
            except Exception:
                # Whatever it is, training goes on. What cannot be removed expires in the end.
                given_up = self._left is not None and time.monotonic() - self._left > REMOVAL_SECONDS
                return None if given_up else min(RETRY_SECONDS, again)
            return None if self.lost or self._left is not None else again

    def _renew(self) -> None:
        content = self.content()
        tag = self._storage.replace(self.name, content, self._tag)
        if tag is None:  # renewed, but the answer was lost; or removed; or taken over
            found = self._storage.read(self.name, MAX_BYTES)
            if found is None:
                tag = self._storage.create(self.name, content)
            elif _record(found).get("token") == self.token:
                tag = found.tag
        self.lost = tag is None
        self._tag = tag or ""

    def _remove(self) -> None:
        if self._storage.delete(self.name, self._tag):
            return
        found = self._storage.read(self.name, MAX_BYTES)
        if found is not None and _record(found).get("token") == self.token:
            self._storage.delete(self.name, found.tag)


class ObjectLeases:
    """Leases by evaluation key, in object storage.

    Args:
        storage: Of the evaluations.
        seconds: How long a lease lives without being renewed.
    """

    def __init__(self, storage: ObjectStorage, seconds: float) -> None:
        self._storage, self._seconds = storage, seconds
        self._sights: dict[str, _Sight] = {}

    def take(self, key: str) -> ObjectLease | None:
        """The lease, or ``None`` if it is held."""
        lease = ObjectLease(self._storage, self._name(key), self._seconds)
        tag = None
        try:
            tag = self._won(lease)
        finally:
            if tag is None:
                _own.discard(lease.token)
        return lease.hold(tag) if tag is not None else None

    def is_free(self, key: str) -> bool:
        """Whether nobody holds it."""
        found = self._storage.read(self._name(key), MAX_BYTES)
        return found is None or self._is_abandoned(self._name(key), found)

    def _won(self, lease: ObjectLease) -> str | None:
        """The tag of the object if it is ours now."""
        for _ in range(_TRIES):
            tag = self._storage.create(lease.name, lease.content())
            if tag is not None:
                return tag
            found = self._storage.read(lease.name, MAX_BYTES)
            if found is None:
                continue  # left just now
            if _record(found).get("token") == lease.token:
                return found.tag  # created, but the answer was lost
            if not self._is_abandoned(lease.name, found):
                return None
            return self._storage.replace(lease.name, lease.content(), found.tag)
        return None

    def _is_abandoned(self, name: str, found: Found) -> bool:
        """Whether its holder is known to be gone, or was not seen to do anything for too long."""
        record = _record(found)
        holder = Holder.parse(record.get("holder"))
        if holder is not None:
            # Our own, but forgotten: written by a request whose answer was lost, or not removed in the end.
            forgotten = record.get("token") not in _own and holder == Holder.here()
            if forgotten or holder.is_gone():
                return True
        now, sight = time.monotonic(), self._sights.get(name)
        unchanged = 0.0
        if sight is not None and sight.tag == found.tag:
            # Nobody could renew while the storage was away: a time without looks counts as one renewal's.
            unchanged = sight.unchanged + min(now - sight.at, self._seconds / RENEWALS)
        self._sights[name] = _Sight(found.tag, now, unchanged)
        return unchanged >= self._seconds

    def _name(self, key: str) -> str:
        return f"leases/{key}.json"


def _record(found: Found) -> dict[str, Any]:
    """What a lease says; nothing if it is malformed, which is no reason to wait longer for its end."""
    try:
        record = parse_json(found.content, "")
    except StoreError:
        return {}
    return record if isinstance(record, dict) and record.get("format") == FORMAT else {}
