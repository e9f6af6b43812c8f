"""Single parameters stated on the command line: ``--set section.key=value``."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import yaml

from star_core.config.plain_yaml import ParamsLoader
from star_core.errors import ConfigError

OUTSIDE_IDENTITY = frozenset({"generations", "retrain", "budget", "runtime"})
"""Sections that no stored generation depends on."""


def in_identity(change: str) -> bool:
    """Whether stored generations depend on the parameter that is changed."""
    return change.partition("=")[0].strip().split(".")[0] not in OUTSIDE_IDENTITY


def with_changes(values: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Parameters as a plain mapping, some of them changed.

    Args:
        values: Sections and keys as a file has them; stays as it is.
        changes: ``section.key=value`` each, the value in YAML.

    Raises:
        ConfigError: A change is malformed, or its value no YAML.
    """
    values = copy.deepcopy(values)
    for change in changes:
        _change(values, change)
    return values


def _change(values: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    *sections, last = key.strip().split(".")
    if not equals or not last or not all(sections):
        raise ConfigError(
            "a change reads section.key=value",
            value=change,
            place="--set",
            fix="e.g. evolution.population=16",
        )
    try:
        value = yaml.load(text, Loader=ParamsLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError("the value is no YAML", value=text, place=f"--set {key}", fix="quote it") from None
    target = values
    for section in sections:
        if target.get(section) is None:
            target[section] = {}
        target = target[section]
        if not isinstance(target, dict):
            raise ConfigError(
                "no section of parameters", value=section, place=f"--set {key}", fix="see params.yaml"
            )
    target[last] = value
