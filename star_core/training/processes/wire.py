"""How jobs and errors cross from one process to another: as JSON values, never pickled."""

from __future__ import annotations

from typing import Any

from star_core import errors
from star_core.config import Model, Training
from star_core.errors import StarError
from star_core.evaluation import Job


def encode_job(job: Job) -> dict[str, Any]:
    """A job as JSON values."""
    plain = {name: getattr(job, name) for name in Job.__dataclass_fields__}
    return {
        **plain,
        "model": job.model.model_dump(mode="json"),
        "training": job.training.model_dump(mode="json"),
    }


def decode_job(plain: dict[str, Any]) -> Job:
    """The job again."""
    model, training = Model.model_validate(plain["model"]), Training.model_validate(plain["training"])
    return Job(**{**plain, "model": model, "training": training})


def encode_error(error: StarError) -> dict[str, Any]:
    """An error the user can act on, as JSON values."""
    plain = isinstance(error.value, (str, int, float, bool, type(None)))
    return {
        "type": type(error).__name__,
        "rule": error.rule,
        "value": error.value if plain else str(error.value),
        "place": error.place,
        "fix": error.fix,
        "position": getattr(error, "position", None),
    }


def decode_error(plain: dict[str, Any]) -> StarError:
    """The error again, of the same class where it is one of ``star_core.errors``."""
    kind = getattr(errors, plain["type"], StarError)
    position = {"position": plain["position"]} if kind is errors.GenomeError else {}
    error: StarError = kind(
        plain["rule"], value=plain["value"], place=plain["place"], fix=plain["fix"], **position
    )
    return error
