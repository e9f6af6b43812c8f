"""Reading ``params.yaml``: what is wrong with it in one message."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from star_core.config.changes import with_changes
from star_core.config.devices import pinned
from star_core.config.params import Params
from star_core.config.plain_yaml import ParamsLoader
from star_core.config.section import refusal
from star_core.errors import ConfigError, StarError

MAX_FILE_BYTES = 1 << 20


def load_params(path: str | Path, changes: Sequence[str] = ()) -> Params:
    """Reads ``params.yaml``.

    Args:
        path: The file.
        changes: Parameters in place of those in the file, ``section.key=value`` each.

    Raises:
        ConfigError: The file is missing, no YAML mapping, has an unknown key or a value out of
            range; names file, key, value, rule and the nearest valid choice.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot be read ({error.strerror})", place=str(path), fix="name an existing file with --params"
        ) from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(
            "a parameter file is at most 1 MiB", value=len(raw), place=str(path), fix="shorten it"
        )
    try:
        values = yaml.load(raw, Loader=ParamsLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"not YAML: {reason}", place=str(path), fix="correct that line") from error
    if values is None:
        values = {}
    if isinstance(values, dict):
        values = with_changes(values, changes)
    return params_from(values, str(path))


def stored_params(values: object, place: str) -> Params:
    """The parameters that a stored identity (``Params.identity``) stands for.

    Raises:
        ConfigError: As ``load_params``.
    """
    return params_from(Params.stored(values) if isinstance(values, dict) else values, place)


def params_from(values: object, place: str) -> Params:
    """Checks parameters given as a plain mapping; ``place`` is named in errors.

    Raises:
        ConfigError: As ``load_params``.
    """
    if not isinstance(values, dict):
        raise ConfigError(
            "parameters are a mapping of sections", value=values, place=place, fix="see params.yaml"
        )
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise refusal(error, Params, f"{place}, ") from None
    except StarError as error:  # of a plug-in's settings
        raise ConfigError(
            error.rule, value=error.value, place=f"{place}, {error.place}", fix=error.fix
        ) from None
    except RecursionError:
        raise ConfigError("nested too deeply", place=place, fix="see params.yaml") from None
    try:
        if params.objectives.device is not None:
            device = {"device": pinned(params.objectives.device)}
            params = params.model_copy(update={"objectives": params.objectives.model_copy(update=device)})
        _ = params.objectives.selected
    except ConfigError as error:
        raise error.at(place) from None
    return params
