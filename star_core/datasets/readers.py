"""The texts in a file of each kind, one by one, so that no table is in memory as a whole."""

from __future__ import annotations

import codecs
import csv
import gzip
import importlib
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any, BinaryIO

from star_core.datasets.sources import COMPRESSED, File, unreadable
from star_core.errors import DataError, StoreError
from star_core.storage.files import parse_json

FIRST_SUFFIXES = (".txt", ".md", ".jsonl")
"""What folders were searched for before there were other kinds."""
_LANGUAGES = """
asm bash c cc clj cpp cs cu cxx dart el erl ex exs f f90 fs go groovy h hpp hs java jl js jsx kt lisp lua m
mjs ml mli mm nim php pl pm proto ps1 py pyi r R rb rs rst s scala scm sh sql swift tex ts tsx v vhd
zig zsh
"""
_FIELD_CHARACTERS = 1 << 30
_ROWS = 1024
_MARKS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def texts(file: File, key: str) -> Iterator[str]:
    """The texts of a file.

    Args:
        file: Of one of ``SUFFIXES``.
        key: Field of a record that is its text.

    Raises:
        DataError: It cannot be read, is not of its kind, or has no such field; names file and line.
    """
    try:
        with file.files.open(file.path, "rb") as opened, _decompressed(opened, file) as content:
            yield from _READERS.get(file.kind, _whole)(content, file.place, key)
    except (OSError, ValueError, EOFError, zlib.error, ImportError) as error:
        if file.compression and not isinstance(error, FileNotFoundError | PermissionError):
            raise DataError(
                f"not a whole {file.compression} file ({' '.join(str(error).split())[:200]})",
                place=file.place,
                fix="get it again, or leave it out",
            ) from error
        raise unreadable(file.place, error) from error


@contextmanager
def _decompressed(opened: Any, file: File) -> Iterator[Any]:
    if file.compression == ".gz":
        with gzip.GzipFile(fileobj=opened) as content:
            yield content
    elif file.compression == ".zst":
        arrow = _pyarrow("pyarrow", file.place)
        with arrow.CompressedInputStream(arrow.PythonFile(opened, "r"), "zstd") as content:
            yield io.BufferedReader(content)
    else:
        yield opened


def _whole(content: BinaryIO, place: str, key: str) -> Iterator[str]:
    """A file that is one text."""
    found = content.read()
    text = _decoded(found, _encoding(found[:2]), place).replace("\r\n", "\n")
    del found  # a large file would stay in memory while its text is used
    _check_text(text, place)
    yield text


def _encoding(start: bytes) -> str:
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8-sig")


def _check_text(text: str, place: str) -> None:
    if "\0" in text:
        raise DataError("text holds no NUL character", place=place, fix="leave binary files out")


def _lines(content: BinaryIO, place: str) -> Iterator[str]:
    """Lines of a file of records, as they are; of UTF-16, which is rare, all are read at once."""
    first = content.readline()
    encoding = _encoding(first)
    lines: Iterable[bytes] = chain([first], content)
    if encoding == "utf-16":
        lines = io.BytesIO(_decoded(first + content.read(), encoding, place).encode())
        encoding = "utf-8"
    for number, line in enumerate(lines, 1):
        text = _decoded(line, encoding if number == 1 else "utf-8", f"{place}, line {number}")
        _check_text(text, f"{place}, line {number}")
        yield text


def _decoded(content: bytes, encoding: str, place: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"not {encoding.upper().removesuffix('-SIG')} at byte {error.start}",
            value=content[error.start : error.start + 1],
            place=place,
            fix="convert it (iconv -f latin1 -t utf-8, if it is Latin-1) or leave it out",
        ) from error


def _jsonl(content: BinaryIO, place: str, key: str) -> Iterator[str]:
    """A JSON object a line."""
    for number, line in enumerate(_lines(content, place), 1):
        if not line.strip():
            continue
        here = f"{place}, line {number}"
        try:
            record = parse_json(line.strip().encode(), here)
        except StoreError as error:
            raise DataError(error.rule, place=here, fix="correct it or leave it out") from None
        if not isinstance(record, dict) or not isinstance(record.get(key), str):
            fields = (
                [name for name, value in record.items() if isinstance(value, str)]
                if isinstance(record, dict)
                else []
            )
            raise _no_field(f'a line is a JSON object with a "{key}"', record, here, fields)
        yield record[key]


def _csv(content: BinaryIO, place: str, key: str, delimiter: str = ",") -> Iterator[str]:
    """Rows below a line that names their fields."""
    csv.field_size_limit(_FIELD_CHARACTERS)
    rows = csv.DictReader(_lines(content, place), delimiter=delimiter, strict=True)
    try:
        fields = list(rows.fieldnames or ())
        if key not in fields:
            raise _no_field(f'its first line names the field "{key}"', key, place, fields)
        for row in rows:
            if row[key] is None:
                raise DataError(
                    "a row has as many values as the first line has names",
                    value=sum(value is not None for value in row.values()),
                    place=f"{place}, line {rows.line_num}",
                    fix="correct it or leave it out",
                )
            yield row[key]
    except csv.Error as error:
        raise DataError(
            f"not a file of rows ({error})",
            place=f"{place}, line {rows.line_num}",
            fix="correct it or leave it out",
        ) from error


def _parquet(content: BinaryIO, place: str, key: str) -> Iterator[str]:
    """A column of a Parquet file, some rows at a time."""
    arrow, parquet = _pyarrow("pyarrow", place), _pyarrow("pyarrow.parquet", place)
    with _of_kind(arrow, place, "Parquet"):
        table = parquet.ParquetFile(content if content.seekable() else io.BytesIO(content.read()))
        _check_column(arrow, table.schema_arrow, key, place)
        for batch in table.iter_batches(_ROWS, columns=[key]):
            yield from _column(batch, key)


def _arrow(content: BinaryIO, place: str, key: str) -> Iterator[str]:
    """A column of an Arrow file or stream, the form in which ``save_to_disk`` of Hugging Face writes."""
    arrow, ipc = _pyarrow("pyarrow", place), _pyarrow("pyarrow.ipc", place)
    with _of_kind(arrow, place, "Arrow"):
        whole = content if content.seekable() else io.BytesIO(content.read())
        is_file = whole.read(6) == b"ARROW1"
        whole.seek(0)
        batches: Iterable[Any]
        if is_file:
            table = ipc.open_file(whole)
            batches = (table.get_batch(index) for index in range(table.num_record_batches))
        else:
            batches = table = ipc.open_stream(whole)
        _check_column(arrow, table.schema, key, place)
        for batch in batches:
            for at in range(0, batch.num_rows, _ROWS):
                yield from _column(batch.slice(at, _ROWS), key)


@contextmanager
def _of_kind(arrow: Any, place: str, kind: str) -> Iterator[None]:
    try:
        yield
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"not a whole {kind} file ({' '.join(str(error).split())[:200]})",
            place=place,
            fix="get it again, or leave it out",
        ) from error


def _check_column(arrow: Any, schema: Any, key: str, place: str) -> None:
    def is_text(field: Any) -> bool:
        kind = field.type.value_type if arrow.types.is_dictionary(field.type) else field.type
        return bool(arrow.types.is_string(kind) or arrow.types.is_large_string(kind))

    fields = [field.name for field in schema if is_text(field)]
    if key not in fields:
        raise _no_field(f'it has a column of texts "{key}"', key, place, fields)


def _column(batch: Any, key: str) -> Iterator[str]:
    return (value for value in batch.column(key).to_pylist() if value is not None)


def _no_field(rule: str, value: object, place: str, fields: Iterable[str]) -> DataError:
    there = ", ".join(map(str, fields))
    return DataError(
        rule,
        value=value,
        place=place,
        fix=f"set data.text_key to a field of texts there is: {there}"
        if there
        else "correct it or leave it out",
    )


def _pyarrow(module: str, place: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"this kind of file is read by pyarrow, which is not installed ({error})",
            place=place,
            fix="pip install '.[data]' in a clone of STAR",
        ) from error


_READERS: dict[str, Callable[[Any, str, str], Iterator[str]]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".tsv": partial(_csv, delimiter="\t"),
    ".parquet": _parquet,
    ".arrow": _arrow,
}
_KINDS = (
    *FIRST_SUFFIXES,
    *(suffix for suffix in _READERS if suffix not in FIRST_SUFFIXES),
    *(f".{name}" for name in _LANGUAGES.split()),
)
SUFFIXES = (*_KINDS, *(kind + last for kind in _KINDS for last in COMPRESSED))
"""How the names of files of text end."""
