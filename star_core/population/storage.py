"""Where evaluations and leases are kept: whole objects by name, in a folder, an S3 bucket or elsewhere.

Every method tries once and tells what is away for a while (``StorageAway``) from what is wrong
(``StoreError``); ``patience.Patience`` waits. All are safe in any thread, and in a forked child.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from star_core.errors import StoreError

PLACE = "runtime.storage"
_S3 = ("s3", "s3a")
_LOCAL = ("file", "local")
_ENDPOINT = re.compile(r"https?://[^/\s]+(/\S*)?")


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


def open_storage(location: str, endpoint: str | None = None) -> Storage:
    """The storage at a location; nothing is asked of it yet.

    Args:
        location: A folder, or an fsspec URL such as ``s3://bucket/prefix``.
        endpoint: URL of the S3 server; ``None``: the environment's, else Amazon's.

    Raises:
        StoreError: The location or the endpoint is malformed, or has credentials in it.
    """
    scheme, separator, rest = location.partition("://")
    if not separator:
        from star_core.population.folder import Folder

        return Folder(location)
    _refuse_credentials(location, PLACE)
    if scheme in _LOCAL:
        from star_core.population.folder import Folder

        return Folder(rest)
    if scheme not in _S3:
        from star_core.population.filesystem import Filesystem

        return Filesystem(location)
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise StoreError("names no bucket", value=location, place=PLACE, fix="write s3://bucket/prefix")
    if endpoint is not None:
        _refuse_credentials(endpoint, "runtime.endpoint")
        if not _ENDPOINT.fullmatch(endpoint):
            raise StoreError(
                "not the URL of a server",
                value=endpoint,
                place="runtime.endpoint",
                fix="write http://host:port or https://host",
            )
    from star_core.population.bucket import Bucket

    return Bucket(bucket, prefix.strip("/"), endpoint)


def _refuse_credentials(url: str, place: str) -> None:
    scheme, _, rest = url.partition("://")
    before, at, after = rest.rpartition("@")
    host = rest.partition("/")[0]
    # A user's name alone is none; a bucket has neither name nor port.
    suspect = (at and (":" in before or scheme in _S3)) or (
        scheme in _S3 and ":" in host and not host.startswith("arn:")
    )
    if suspect or "?" in rest or "#" in rest:
        shown = f"{scheme}://…" + (f"@{re.split('[?#]', after)[0]}" if at else "")
        raise StoreError(
            "credentials and options do not belong in a URL, which is logged and stored",
            value=shown,
            place=place,
            fix="write it without what stands before @ or after ?, and set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY or a profile in ~/.aws",
        )
    if "::" in url:
        raise StoreError(
            "chained URLs are not read here: a cache in between would hide what others store",
            value=url,
            place=place,
            fix="name the storage itself",
        )
