"""The file of one evaluation: JSON with a checksum, every field checked when it is read."""

from __future__ import annotations

import dataclasses
import json
import math

from star_core.config import digest_json
from star_core.errors import StoreError
from star_core.evaluation import MAX_LOSS, STATUSES, Evaluation
from star_core.storage.files import parse_json

FORMAT = "star-evaluation"
VERSION = 1
MAX_BYTES = 1 << 20
"""An evaluation has about two thousand; what is longer is none."""


def to_bytes(evaluation: Evaluation) -> bytes:
    """The file of an evaluation."""
    content = dataclasses.asdict(evaluation)
    record = {"format": FORMAT, "version": VERSION, **content, "checksum": digest_json(content)}
    return (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()


def from_bytes(content: bytes, key: str, place: str) -> Evaluation:
    """The evaluation in a file.

    Args:
        content: The file.
        key: Key that the evaluation must have.
        place: Where the file is, for the message.

    Raises:
        StoreError: It is malformed, was changed, is of another format version, or another key's.
    """
    record = parse_json(content, place)
    try:
        return _check(record, key, place)
    except (ValueError, RecursionError) as error:  # what JSON can say and a checksum cannot be made of
        raise StoreError(
            f"not an evaluation ({type(error).__name__})", place=place, fix=f"delete {place}"
        ) from error


def _check(record: object, key: str, place: str) -> Evaluation:
    def refuse(rule: str, value: object) -> StoreError:
        return StoreError(
            rule, value=value, place=place, fix=f"delete {place}; the candidate is then trained again"
        )

    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise refuse(f"not a {FORMAT} file", record.get("format") if isinstance(record, dict) else record)
    if record.get("version") != VERSION:
        raise refuse(f"evaluation format version {VERSION} is read here", record.get("version"))
    names = {field.name for field in dataclasses.fields(Evaluation)}
    found = set(record) - {"format", "version", "checksum"}
    if found != names:
        raise refuse("has exactly the fields of an evaluation", sorted(found ^ names))
    if record.get("checksum") != digest_json({name: record[name] for name in names}):
        raise refuse("the content was changed: its checksum differs", record.get("checksum"))
    texts = ("key", "digest", "genome", "status", "detail", "finished_at")
    if not all(isinstance(record[name], str) for name in texts):
        raise refuse(f"{', '.join(texts)} are text", {name: record[name] for name in texts})
    for name in ("metrics", "seconds", "limits", "machine"):
        if not isinstance(record[name], dict):
            raise refuse(f"{name} is a mapping", record[name])
    for name in ("metrics", "seconds", "limits"):
        for value in record[name].values():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise refuse(f"{name} are finite numbers", record[name])
    for name in ("tokens", "flops"):
        if isinstance(record[name], bool) or not isinstance(record[name], int) or record[name] < 0:
            raise refuse(f"{name} is a whole number, 0 or more", record[name])
    if record["status"] not in STATUSES:
        raise refuse(f"the status is one of {', '.join(STATUSES)}", record["status"])
    # A probe trains on no token of the corpus.
    absent = -1 if record["tokens"] else 0
    if record["status"] == "ok" and not 0 <= record["metrics"].get("validation_loss", absent) <= MAX_LOSS:
        raise refuse(f"a finished evaluation has a validation_loss from 0 to {MAX_LOSS:g}", record["metrics"])
    if record["key"] != key:
        raise refuse("the evaluation's key is its file name", record["key"])
    return Evaluation(**{name: record[name] for name in names})
