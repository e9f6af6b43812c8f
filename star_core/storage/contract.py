"""Where evaluations and leases are kept: whole objects by name, in a folder, an S3 bucket or elsewhere.

Every method tries once and tells what is away for a while (``StorageAway``) from what is wrong
(``StoreError``); ``patience.Patience`` waits. All are safe in any thread, and in a forked child.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

PLACE = "runtime.storage"


@dataclass(frozen=True, slots=True)
class Found:
    """An object.

    Attributes:
        content: Its bytes; empty if there are more than were asked for.
        size: How many bytes it has.
        tag: Changes whenever the content does.
    """

    content: bytes
    size: int
    tag: str


class Storage(ABC):
    """Objects by name. A name is relative, with ``/`` between its parts."""

    @abstractmethod
    def place(self, name: str) -> str:
        """Where an object is, for people."""

    @abstractmethod
    def read(self, name: str, limit: int) -> Found | None:
        """An object, its content only up to ``limit`` bytes; ``None`` if there is none."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """The bytes of an object as the storage states them without sending it; ``None`` if there is none."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Stores an object, whole or not at all; afterwards it survives a crash."""

    @abstractmethod
    def move(self, name: str, target: str, tag: str) -> bool:
        """Gives the object with ``tag`` another name; false if that is taken. Another object stays."""


class ObjectStorage(Storage):
    """Storage that can change an object only if it is still the one that was seen."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> str | None:
        """Stores a new object; its tag, or ``None`` if there is one of that name."""

    @abstractmethod
    def replace(self, name: str, content: bytes, tag: str) -> str | None:
        """Stores another content; its tag, or ``None`` if the object does not have ``tag`` any more."""

    @abstractmethod
    def delete(self, name: str, tag: str) -> bool:
        """Removes an object; false if it does not have ``tag`` any more."""
