"""The file of one evaluation: JSON with a checksum, every field checked when it is read."""

from __future__ import annotations

import dataclasses
import json

from pydantic import TypeAdapter, ValidationError

from star_core.config import digest_json
from star_core.errors import StoreError
from star_core.evaluation import MAX_LOSS, Evaluation
from star_core.storage.files import parse_json

FORMAT = "star-evaluation"
VERSION = 1
MAX_BYTES = 1 << 20
"""An evaluation has about two thousand; what is longer is none."""
_FIELDS = TypeAdapter(Evaluation)


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

    def refuse(rule: str, value: object) -> StoreError:
        fix = f"delete {place}; the candidate is then trained again"
        return StoreError(rule, value=value, place=place, fix=fix)

    record = parse_json(content, place)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise refuse(f"not a {FORMAT} file", record.get("format") if isinstance(record, dict) else record)
    version = record.get("version")
    if type(version) is not int or version != VERSION:  # true equals 1
        raise refuse(f"evaluation format version {VERSION} is read here", version)
    fields = {name: value for name, value in record.items() if name not in ("format", "version", "checksum")}
    try:
        checksum = digest_json(fields)
        _FIELDS.validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors()[0]
        name, message = ".".join(map(str, first["loc"])), first["msg"]
        raise refuse(f"{name}: {message[0].lower()}{message[1:]}", first["input"]) from None
    except (ValueError, RecursionError) as error:  # what JSON can say and a checksum cannot be made of
        raise refuse(f"not an evaluation ({type(error).__name__})", None) from error
    if record.get("checksum") != checksum:
        raise refuse("the content was changed: its checksum differs", record.get("checksum"))
    evaluation = Evaluation(**fields)
    # A probe trains on no token of the corpus.
    loss = evaluation.metrics.get("validation_loss", -1 if evaluation.tokens else 0)
    if evaluation.status == "ok" and not 0 <= loss <= MAX_LOSS:
        rule = f"a finished evaluation has a validation_loss from 0 to {MAX_LOSS:g}"
        raise refuse(rule, evaluation.metrics)
    if evaluation.key != key:
        raise refuse("the evaluation's key is its file name", evaluation.key)
    return evaluation
