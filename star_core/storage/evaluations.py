"""The evaluation store: one small JSON per finished candidate, on local disk or any fsspec URL.

It is a cache. Deleting it costs time, never correctness; having it is what makes a crash cost no
more than the candidates in flight.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from star_core.errors import StorageAway, StoreError
from star_core.evaluation import Evaluation
from star_core.storage.contract import Found
from star_core.storage.evaluation_file import MAX_BYTES, from_bytes, to_bytes
from star_core.storage.files import discard_unfinished
from star_core.storage.folder import Folder
from star_core.storage.open import open_storage
from star_core.storage.patience import Patience

_KEY = re.compile(r"[0-9a-f]{64}")
_READS = 4
"""Times a malformed object is read until two agree; if none do, it is the storage that is at fault."""


@dataclass(frozen=True, slots=True)
class _Damage:
    """An object that is no evaluation: its tag, and what is wrong with it."""

    tag: str
    fault: StoreError


class EvaluationStore:
    """Finished evaluations by key. Any thread may use it, and any process forked from this one.

    Args:
        location: Folder, or fsspec URL such as ``s3://bucket/prefix``. Credentials come from where every
            AWS program looks for them, never from here.
        endpoint: URL of the S3 server; ``None``: the environment's.
        patience: Seconds to wait for storage that is away or full before giving up.
        note: Called with one line about what is being waited for, or was found damaged.

    Raises:
        StoreError: The location is malformed or has credentials in it.
    """

    def __init__(
        self,
        location: str,
        endpoint: str | None = None,
        patience: float = 0.0,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.location = location
        self._storage = open_storage(location, endpoint)
        self._patiently = Patience(patience, note)
        self._note = note

    def path(self, key: str) -> str:
        """Where the evaluation ``key`` is stored.

        Raises:
            StoreError: ``key`` is not the hex digest it should be.
        """
        return self._storage.place(self._name(key))

    def get(self, key: str, digest: str | None = None) -> Evaluation | None:
        """The stored evaluation, or ``None``.

        Args:
            key: Key of the evaluation.
            digest: Digest that its architecture must have, if that is known.

        Raises:
            StorageAway: The storage does not answer.
            StoreError: What is stored is malformed, or not what was asked for; or the storage refuses.
        """
        evaluation, damage = self._examine(key, digest)
        if damage is not None:
            raise damage.fault
        return evaluation

    def find(self, key: str, digest: str | None = None) -> Evaluation | None:
        """The stored evaluation; ``None`` if there is none, or if what is stored is malformed.

        What is malformed is moved aside (``corrupt/`` in the storage); the candidate can be trained again.

        Raises:
            StorageAway: The storage does not answer.
            StoreError: The storage refuses, or what is malformed cannot be moved.
        """
        evaluation, damage = self._examine(key, digest)
        if damage is not None:
            self._set_aside(key, damage)
        return evaluation

    def put(self, evaluation: Evaluation) -> None:
        """Stores an evaluation: after this returns, it survives a crash.

        Raises:
            StorageAway: The storage does not answer, or is full.
            StoreError: The evaluation cannot be written.
        """
        name, content = self._name(evaluation.key), to_bytes(evaluation)
        self._patiently(lambda: self._storage.write(name, content))

    def discard_unfinished(self) -> None:
        """Removes what processes that were killed while writing left in a local folder."""
        if isinstance(self._storage, Folder):
            discard_unfinished(self._storage.root)

    def _name(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise StoreError("an evaluation key is 64 hex digits", value=key, place=self.location)
        return f"{key[:2]}/{key}.json"

    def _examine(self, key: str, digest: str | None) -> tuple[Evaluation | None, _Damage | None]:
        """What is stored, or what is wrong with it: there, and not on its way from there."""
        name = self._name(key)
        found = self._patiently(lambda: self._storage.read(name, MAX_BYTES))
        for _ in range(_READS):
            if found is None:
                return None, None
            try:
                return self._decode(found, key, digest), None
            except StoreError as error:
                fault = error
            again = self._patiently(lambda: self._confirmed(name))
            if again is not None and (again.content, again.size) == (found.content, found.size):
                return None, _Damage(again.tag, fault)
            found = again
        raise StorageAway(
            f"is different each time it is read ({fault.rule})", place=self.path(key), fix="check the network"
        )

    def _confirmed(self, name: str) -> Found | None:
        """The object, read once more and as long as the storage says it is."""
        found, size = self._storage.read(name, MAX_BYTES), self._storage.size(name)
        if found is not None and size is not None and size != found.size:
            raise StorageAway(
                f"cannot be read ({found.size} of {size} bytes arrive)",
                place=self._storage.place(name),
                fix="check the network and the storage",
            )
        return found

    def _decode(self, found: Found, key: str, digest: str | None) -> Evaluation:
        place = self.path(key)
        fix = f"delete {place}; the candidate is then trained again"
        if found.size > MAX_BYTES:
            rule = f"an evaluation has at most {MAX_BYTES} bytes"
            raise StoreError(rule, value=found.size, place=place, fix=fix)
        evaluation = from_bytes(found.content, key, place)
        if digest not in (None, evaluation.digest):
            rule = f"this is the evaluation of architecture {evaluation.digest[:12]}…"
            raise StoreError(rule, value=evaluation.digest[:12], place=place, fix=fix)
        return evaluation

    def _set_aside(self, key: str, damage: _Damage) -> None:
        """Moves a malformed object away, so that its place is free and the evidence kept."""
        targets = (f"corrupt/{key}-{number}.json" for number in count(1))
        try:
            target = next(target for target in targets if self._moved(self._name(key), target, damage.tag))
        except StoreError:
            raise damage.fault from None
        self._note(
            f"{damage.fault.place}: {damage.fault.rule}; kept as {self._storage.place(target)}, and the "
            "candidate is trained again"
        )

    def _moved(self, name: str, target: str, tag: str) -> bool:
        return self._patiently(lambda: self._storage.move(name, target, tag))
