"""Stored records that state their own digest: written canonically, refused when anything was changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from star_core.config import digest_json
from star_core.errors import StarError, StoreError
from star_core.storage.files import read_json, write_atomically

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """Something stored in a file: frozen, and nothing unknown in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Sealed(Record):
    """A record that is a file: canonical JSON, so that equal records are equal bytes.

    A subclass has the fields ``format`` and ``version`` and names their values here too.
    """

    FORMAT: ClassVar[str]
    VERSION: ClassVar[int]
    LATER: ClassVar[frozenset[str]] = frozenset()
    """Fields younger than stored files: left out where they are ``None``, so that old files stay whole."""

    @property
    def content(self) -> dict[str, Any]:
        """What is stored, but for the digest."""
        values = self.model_dump(mode="json")
        return {name: value for name, value in values.items() if value is not None or name not in self.LATER}

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the content; stored in the file and checked when it is read."""
        return digest_json(self.content)

    def to_bytes(self) -> bytes:
        """The file."""
        content = {**self.content, "digest": self.digest}
        return (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()

    def write(self, path: Path) -> None:
        """Stores the record: whole or not at all.

        Raises:
            StoreError: It cannot be written; an older file is untouched.
        """
        write_atomically(path, self.to_bytes())

    @classmethod
    def read(cls, path: Path, fix: str) -> Self:
        """Reads and checks a file.

        Raises:
            StoreError: Missing, malformed, of another format or version, or changed; names the file, the
                key, the value and ``fix``.
        """
        place, content = str(path), read_json(path)
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        if found != cls.FORMAT:
            raise StoreError(f"not a {cls.FORMAT} file", value=found, place=place, fix=fix)
        version = content.get("version")
        if type(version) is not int or version != cls.VERSION:  # true equals 1
            raise StoreError(
                f"{cls.FORMAT.removeprefix('star-')} format version {cls.VERSION} is read here",
                value=version,
                place=f"{place}, version",
                fix=fix,
            )
        stated = content.pop("digest", None)
        record = cls._checked(content, place, fix)
        if stated != record.digest:
            raise StoreError(
                f"the content has digest {record.digest[:12]}…, the file states another: it was changed",
                value=stated,
                place=f"{place}, digest",
                fix=fix,
            )
        return record

    @classmethod
    def _checked(cls, content: dict[str, Any], place: str, fix: str) -> Self:
        try:
            return cls.model_validate_json(json.dumps(content))
        except ValidationError as error:
            first = error.errors()[0]
            raise StoreError(
                first["msg"][0].lower() + first["msg"][1:],
                value=first.get("input"),
                place=f"{place}, {'.'.join(map(str, first['loc']))}",
                fix=fix,
            ) from None
        except StarError as error:
            raise error.at(place) from None
