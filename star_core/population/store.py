"""The evaluation store: one small JSON per finished candidate, on local disk or any fsspec URL.

It is a cache. Deleting it costs time, never correctness; having it is what makes a crash cost no
more than the candidates in flight.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

from star_core.config import digest_json
from star_core.errors import StoreError
from star_core.evaluation import MAX_LOSS, STATUSES, Evaluation
from star_core.population.files import parse_json, write_atomically

FORMAT = "star-evaluation"
VERSION = 1
_FIX = "check that the storage is there and that credentials and endpoint are set"
_KEY = re.compile(r"[0-9a-f]{64}")


class EvaluationStore:
    """Finished evaluations by key.

    Args:
        location: Folder, or fsspec URL such as ``s3://bucket/prefix`` (credentials and endpoint
            come from the environment).
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._remote: Any = None
        if "://" in location:
            import fsspec

            try:
                remote, self._root = fsspec.core.url_to_fs(location)
            except (ValueError, ImportError, OSError) as error:
                raise StoreError(
                    f"no such storage ({error})",
                    value=location,
                    place="runtime.storage",
                    fix="name a folder, or a URL such as s3://bucket/prefix",
                ) from error
            local = "file" in (remote.protocol if isinstance(remote.protocol, tuple) else (remote.protocol,))
            self._remote = None if local else remote
        else:
            self._root = location

    def path(self, key: str) -> str:
        """Where the evaluation ``key`` is stored.

        Raises:
            StoreError: ``key`` is not the hex digest it should be.
        """
        if not _KEY.fullmatch(key):
            raise StoreError("an evaluation key is 64 hex digits", value=key, place=self.location)
        return f"{self._root}/{key[:2]}/{key}.json"

    def get(self, key: str) -> Evaluation | None:
        """The stored evaluation, or ``None``.

        Raises:
            StoreError: What is stored is malformed, or not what was asked for.
        """
        path = self.path(key)
        try:
            content = self._remote.cat_file(path) if self._remote else Path(path).read_bytes()
        except FileNotFoundError:
            return None
        except Exception as error:  # each file system has exceptions of its own
            raise StoreError(f"cannot be read ({_reason(error)})", place=path, fix=_FIX) from error
        return _decode(parse_json(content, path), key, path)

    def put(self, evaluation: Evaluation) -> None:
        """Stores an evaluation: after this returns, it survives a crash.

        Raises:
            StoreError: It cannot be written.
        """
        content = _encode(evaluation)
        path = self.path(evaluation.key)
        if self._remote is None:
            write_atomically(Path(path), content)
            return
        try:
            self._remote.pipe_file(path, content)
        except Exception as error:
            raise StoreError(f"cannot be written ({_reason(error)})", place=path, fix=_FIX) from error


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _encode(evaluation: Evaluation) -> bytes:
    content = dataclasses.asdict(evaluation)
    record = {"format": FORMAT, "version": VERSION, **content, "checksum": digest_json(content)}
    return (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()


def _decode(record: object, key: str, place: str) -> Evaluation:
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
    if record["status"] == "ok" and not 0 <= record["metrics"].get("validation_loss", -1) <= MAX_LOSS:
        raise refuse(f"a finished evaluation has a validation_loss from 0 to {MAX_LOSS:g}", record["metrics"])
    if record["key"] != key:
        raise refuse("the evaluation's key is its file name", record["key"])
    return Evaluation(**{name: record[name] for name in names})
