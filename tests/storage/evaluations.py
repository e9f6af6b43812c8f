"""An evaluation, and everything that can be wrong with its file."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from star_core.config import digest_json
from star_core.evaluation import Evaluation
from star_core.storage.evaluation_file import MAX_BYTES, to_bytes

EVALUATION = Evaluation(
    key="a" * 64,
    digest="b" * 64,
    genome="11111",
    status="ok",
    metrics={"validation_loss": 2.0},
    detail="",
    tokens=10,
    flops=20,
    seconds={"total": 1.5},
    limits={},
    machine={"torch": "2"},
    finished_at="now",
)
GOOD = to_bytes(EVALUATION)


def _with(**changes: Any) -> bytes:
    """The file with fields changed by somebody who knows how to seal it."""
    record = {**json.loads(GOOD), **changes}
    content = {name: record[name] for name in Evaluation.__dataclass_fields__}
    return json.dumps({**record, "checksum": digest_json(content)}).encode()


MALFORMED = {
    "empty": b"",
    "truncated": GOOD[: len(GOOD) // 2],
    "a bit flipped": GOOD.replace(b"2.0", b"3.0"),
    "a byte of no text": b"\xff" + GOOD[1:],
    "another's": to_bytes(replace(EVALUATION, key="c" * 64)),
    "another architecture's": to_bytes(replace(EVALUATION, digest="d" * 64)),
    "of an older version": _with(version=0),
    "of a newer version": _with(version=2),
    "not a number": GOOD.replace(b"1.5", b"NaN"),
    "too large a number": GOOD.replace(b"1.5", b"1e999"),
    "too large": GOOD + b" " * MAX_BYTES,
    "too deep": b"[" * 100_000,
    "deep": GOOD.replace(b'"now"', b"[" * 900 + b"]" * 900),
    "something else": b'{"format": "star-generation"}',
    "a loss no model has": _with(metrics={"validation_loss": -1.0}),
}
