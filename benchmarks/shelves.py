"""Where a disturbed run keeps its evaluations, looked at from outside: a folder, or a bucket."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from pathlib import Path

from tests.object_store import ObjectStore

_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.json")
PREFIX = "evaluations"
"""Of the evaluations in the bucket."""


class Shelf(ABC):
    """Finished evaluations by name, and what else lies among them."""

    @abstractmethod
    def objects(self) -> set[str]:
        """Names of all that is stored there."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of one; raises where there is none, or the storage is away."""

    def names(self) -> set[str]:
        """Names of the finished evaluations: no leases, nothing that was set aside."""
        return {name for name in self.objects() if _NAME.fullmatch(name)}

    def contents(self) -> dict[str, bytes]:
        """The bytes of all evaluations; they hold the time that they took."""
        return {name: self.read(name) for name in sorted(self.names())}

    def left(self, deaths: int) -> list[str]:
        """Leases that nobody holds any more, and unfinished files, after so many kills of the command."""
        return [name for name in self.objects() if name.startswith("leases/") or name.endswith(".tmp")]


class FolderShelf(Shelf):
    """Evaluations in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def objects(self) -> set[str]:
        """Paths below the folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.glob("*/*")}

    def read(self, name: str) -> bytes:
        """The file."""
        return (self.folder / name).read_bytes()


class BucketShelf(Shelf):
    """Evaluations below a prefix of a bucket."""

    def __init__(self, store: ObjectStore) -> None:
        self.store, self._client = store, store.client()

    def objects(self) -> set[str]:
        """Keys below the prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.store.bucket, Prefix=f"{PREFIX}/"
        )
        return {item["Key"].removeprefix(f"{PREFIX}/") for page in pages for item in page.get("Contents", ())}

    def read(self, name: str) -> bytes:
        """The object."""
        found: bytes = self._client.get_object(Bucket=self.store.bucket, Key=f"{PREFIX}/{name}")[
            "Body"
        ].read()
        return found

    def left(self, deaths: int) -> list[str]:
        """As of any shelf, but for a finished candidate's lease for each kill.

        It stops nobody, and whoever was killed between storing the one and removing the other has left it.
        """
        leases = [name for name in super().left(deaths) if self._is_finished(name)]
        return [name for name in super().left(deaths) if name not in leases[:deaths]]

    def _is_finished(self, lease: str) -> bool:
        key = lease.removeprefix("leases/").removesuffix(".json")
        return f"{key[:2]}/{key}.json" in self.names()

    def write(self, name: str, content: bytes) -> None:
        """Puts another content in its place."""
        self._client.put_object(Bucket=self.store.bucket, Key=f"{PREFIX}/{name}", Body=content)
