"""Task files: what lm-eval calls a task, as one YAML file each, with data that lies on this machine."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from star_core.errors import DataError, nearest

SUFFIXES = (".yaml", ".yml")
BUILDERS = ("json", "csv", "parquet", "arrow", "text")
"""What ``dataset_path`` may be: how files are read. Others download, or unpickle."""
_BESIDE = {"class", "include", "tag", "group", "task_list"}
"""Keys of a task file that are no settings of the task."""
_REPLACED = ("$", "::")
_SHAPE = "dataset_path: json, dataset_kwargs: {data_files: {test: items.jsonl}}"


class _TaskLoader(yaml.SafeLoader):
    """YAML with lm-eval's ``!function``, which is read here as text."""


_TaskLoader.add_constructor("!function", lambda loader, node: str(node.value))


def task_files(path: Path) -> list[Path]:
    """The task files at a path: a file itself, or all below a folder that name a task.

    Raises:
        DataError: There is none, or one is malformed, or needs what is not on this machine.
    """
    if path.is_file():
        _check(path, read_task(path))
        return [path.resolve()]
    if not path.is_dir():
        raise DataError("no such file or folder", value=str(path), place="--tasks", fix=_an_example())
    found = []
    for file in sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES):
        task = read_task(file)
        if "task" in task:  # others are what tasks include
            _check(file, task)
            found.append(file.resolve())
    if not found:
        raise DataError("no task file in this folder", value=str(path), place="--tasks", fix=_an_example())
    return found


def read_task(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The content of a task file, on top of what it includes; functions are left as text.

    Raises:
        DataError: Unreadable or malformed.
    """
    place = str(path)
    if path.resolve() in above:
        raise DataError("files do not include one another in a circle", place=place, fix="leave one out")
    try:
        with path.open("rb") as file:
            content = yaml.load(file, _TaskLoader)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", place=place, fix="check the path") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"not valid YAML ({reason})", place=place, fix="correct it") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise DataError("a task file is a mapping of keys", place=place, fix=_an_example())
    included = content.pop("include", [])
    merged: dict[str, Any] = {}
    for name in included if isinstance(included, list) else [included]:
        merged |= read_task(path.parent / str(name), (*above, path.resolve()))
    return merged | content


def _check(path: Path, task: Mapping[str, Any]) -> None:
    """Finds out whether lm-eval could run a task offline."""
    place = str(path)
    if ("group" in task and "task" not in task) or isinstance(task.get("task"), list):
        raise DataError(
            "a file holds one task", value=task.get("group"), place=place, fix="name the folder of its tasks"
        )
    if not isinstance(task.get("task"), str) or not task["task"]:
        raise DataError(
            "a task has a name", value=task.get("task"), place=f"{place}, task", fix=_an_example()
        )
    if "class" in task:
        return  # Python of the user's own
    known = {*_settings(), *_BESIDE}
    for key in task:
        if key not in known:
            raise DataError("no such key", value=key, place=place, fix=nearest(key, sorted(known)))
    if "custom_dataset" not in task:
        _check_data(path, task)
    for metric in task.get("metric_list") or []:
        if isinstance(metric, dict) and metric.get("hf_evaluate"):
            raise DataError(
                "metrics are lm-eval's own: others are downloaded",
                value=metric.get("metric"),
                place=f"{place}, metric_list",
                fix="leave hf_evaluate out, and name acc, acc_norm, exact_match, bits_per_byte, …",
            )


def _settings() -> Iterator[str]:
    from lm_eval.api.task import TaskConfig

    return (field.name for field in fields(TaskConfig))


def _check_data(path: Path, task: Mapping[str, Any]) -> None:
    builder, place = task.get("dataset_path"), str(path)
    if builder not in BUILDERS:
        raise DataError(
            "the data of a task lies on this machine; this would be looked for on the network",
            value=builder,
            place=f"{place}, dataset_path",
            fix=f"download it once and name its files: {_SHAPE} (or {', '.join(BUILDERS[1:])})",
        )
    options = task.get("dataset_kwargs")
    named = options.get("data_files") if isinstance(options, dict) else None
    files = [file for entry in _lists(named) for file in entry]
    place = f"{place}, dataset_kwargs.data_files"
    if not files:
        raise DataError("names the files of the data", value=options, place=place, fix=f"write e.g. {_SHAPE}")
    folder = str(path.parent.resolve())
    if any(sign in folder for sign in _REPLACED):
        raise DataError(
            f"lm-eval's reader of data replaces {' and '.join(_REPLACED)} in the path of a folder",
            value=folder,
            place=str(path),
            fix="rename the folder",
        )
    for file in files:
        if not isinstance(file, str) or "://" in file:
            raise DataError(
                "the data of a task lies on this machine",
                value=file,
                place=place,
                fix="download it once and name the file",
            )
        if not ((path.parent / file).is_file() or (_is_pattern(file) and any(path.parent.glob(file)))):
            raise DataError(
                "no such file; paths are seen from the task file",
                value=file,
                place=place,
                fix="correct the path",
            )


def _lists(named: object) -> Iterator[list[Any]]:
    """Files, a list of them, or either for each split."""
    for entry in named.values() if isinstance(named, dict) else [named]:
        if entry is not None:
            yield entry if isinstance(entry, list) else [entry]


def _is_pattern(file: str) -> bool:
    return glob.has_magic(file) and not Path(file).is_absolute()


def load_tasks(paths: list[Path]) -> dict[str, Any]:
    """lm-eval's tasks by name, their data read.

    Raises:
        DataError: lm-eval cannot make a task of a file, or two have one name.
    """
    from lm_eval.tasks import TaskManager

    manager, tasks = TaskManager(include_defaults=False), {}
    for path in paths:
        try:
            with chdir(path.parent), _literal_paths():  # where paths of data are seen from
                loaded = manager.load([str(path)])["tasks"]
        except Exception as error:
            raise DataError(
                f"lm-eval can make no task of this ({_reason(error)})",
                place=str(path),
                fix=f"correct it; {_an_example()}",
            ) from error
        for name, task in loaded.items():
            if name in tasks:
                raise DataError("two tasks have this name", value=name, place=str(path), fix="rename one")
            tasks[name] = task
    return tasks


@contextmanager
def _literal_paths() -> Iterator[None]:
    """Makes a file that exists no pattern for ``datasets``, nor the folder that patterns are seen from."""
    from datasets import data_files

    resolve = data_files.resolve_pattern

    def resolve_literally(pattern: str, base_path: str, *options: Any, **named: Any) -> Any:
        path = Path(base_path, pattern)
        literal = glob.escape(str(path if path.is_file() else base_path))
        pattern = literal if path.is_file() else f"{literal}/{pattern}"
        return resolve(pattern, base_path, *options, **named)

    data_files.resolve_pattern = resolve_literally
    try:
        yield
    finally:
        data_files.resolve_pattern = resolve


def _reason(error: BaseException) -> str:
    """The first cause, in one line: the last error is often a wrapper's."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _an_example() -> str:
    return "examples/tasks/verses.yaml is one; docs/running.md describes it"
