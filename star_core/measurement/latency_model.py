"""Fits a device's table of LIVs to what was measured on it: non-negative least squares of relative errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from star_core.analysis.run.rank_correlation import kendall
from star_core.architecture import Architecture
from star_core.config import MEASURED
from star_core.errors import ConfigError
from star_core.measurement.bundle import Measurements
from star_core.objectives.devices import Errors, Features, Figure, LatencyModel, Table, liv_features, liv_key

FEWEST = 3
"""Models below which nothing is fitted."""
_Vector = npt.NDArray[np.float64]
_Ran = list[tuple[Figure, Architecture]]


def fit_device(name: str, found: Measurements, specs: Sequence[Architecture]) -> LatencyModel:
    """The device's model.

    Args:
        name: Of the device.
        found: What it measured.
        specs: The architectures of its figures.

    Raises:
        ConfigError: Too few models could be run, or they are not of one size.
    """
    ran = _undisturbed(
        [
            (figure, spec)
            for figure, spec in zip(found.figures, specs, strict=True)
            if figure.decode_seconds_per_token is not None
        ]
    )
    sizes = {(spec.width, spec.dims.head_dim) for _, spec in ran}
    if len(ran) < FEWEST or len(sizes) > 1:
        raise ConfigError(
            f"a device's model is fitted to at least {FEWEST} models of one size",
            value=f"{len(ran)} models, {len(sizes)} sizes",
            place="star measure --import",
            fix="make the bundle with --for-search RUN",
        )
    tables = {}
    for quantity in MEASURED:
        values = [figure.value(quantity) for figure, _ in ran]
        known = [value for value in values if value]  # of a tiny model no memory is seen at all
        if len(known) == len(ran):
            models = [_Model.of(spec, quantity, found) for _, spec in ran]
            tables[quantity] = _table(models, np.array(known, dtype=float))
    ((width, head_dim),) = sizes
    return LatencyModel(
        name=name,
        machine=found.machine,
        runtime=found.runtime,
        runtime_version=found.runtime_version,
        threads=found.threads,
        weights=found.weights,
        prompt=found.prompt,
        context=found.context,
        vocab_size=found.vocab_size,
        width=width,
        head_dim=head_dim,
        figures=found.figures,
        tables=tables,
    )


def _undisturbed(ran: _Ran) -> _Ran:
    """What nothing disturbed, where that is most of it: one figure that is wrong would spoil others."""

    def quiet(figure: Figure) -> bool:
        return not any(
            time and time.disturbed for time in (figure.prefill_seconds, figure.decode_seconds_per_token)
        )

    kept = [(figure, spec) for figure, spec in ran if quiet(figure)]
    return kept if 2 * len(kept) > len(ran) else ran


@dataclass(frozen=True, slots=True)
class _Model:
    """The LIVs of one model: key and features."""

    livs: tuple[tuple[str, Features], ...]

    @classmethod
    def of(cls, spec: Architecture, quantity: str, found: Measurements) -> _Model:
        return cls(
            tuple(
                (liv_key(layer), liv_features(spec, layer, quantity, found.prompt, found.context))
                for layer in spec.layers
            )
        )


@dataclass(frozen=True, slots=True)
class _Fit:
    constant: float
    livs: dict[str, float]
    unseen: tuple[float, float, float, float]

    def predict(self, model: _Model) -> float:
        table = Table.model_construct(livs=self.livs, unseen=self.unseen)
        return self.constant + sum(table.of(key, features) for key, features in model.livs)


def _table(models: Sequence[_Model], seconds: _Vector) -> Table:
    fitted = _fit(models, seconds)
    predicted = np.array(
        [
            _fit([*models[:left], *models[left + 1 :]], np.delete(seconds, left)).predict(models[left])
            for left in range(len(models))
        ]
    )
    off = np.abs(predicted / seconds - 1)
    return Table(
        constant=fitted.constant,
        livs=fitted.livs,
        unseen=fitted.unseen,
        determined=bool(np.linalg.matrix_rank(_counts(models, list(fitted.livs))) == 1 + len(fitted.livs)),
        errors=Errors(
            genomes=len(models),
            median=float(np.median(off)),
            largest=float(off.max()),
            tau=kendall(list(predicted), list(seconds)),
            unseen=_unseen_error(models, fitted),
        ),
    )


def _fit(models: Sequence[_Model], seconds: _Vector) -> _Fit:
    keys = sorted({key for model in models for key, _ in model.livs})
    found, _ = nnls(_counts(models, keys) / seconds[:, None], np.ones(len(models)))
    livs = dict(zip(keys, map(float, found[1:]), strict=True))
    return _Fit(float(found[0]), livs, _from_features(models, livs))


def _counts(models: Sequence[_Model], keys: Sequence[str]) -> _Vector:
    """A row for each model: 1, and how many it has of each LIV."""
    columns = {key: column for column, key in enumerate(keys, 1)}
    counts = np.zeros((len(models), 1 + len(keys)))
    counts[:, 0] = 1
    for row, model in enumerate(models):
        for key, _ in model.livs:
            counts[row, columns[key]] += 1
    return counts


def _features(models: Sequence[_Model]) -> dict[str, Features]:
    return {key: features for model in models for key, features in model.livs}


def _from_features(
    models: Sequence[_Model], livs: dict[str, float], without: str | None = None
) -> tuple[float, float, float, float]:
    """Factors that give each LIV's figure from its features, but for one."""
    known = [
        (features, livs[key])
        for key, features in _features(models).items()
        if key != without and livs[key] > 0
    ]
    if not known:
        return 0.0, 0.0, 0.0, 0.0
    matrix = np.array([np.divide(features, value) for features, value in known])
    scale = np.maximum(matrix.max(axis=0), 1e-30)
    found, _ = nnls(matrix / scale, np.ones(len(known)))
    one, flops, weights, cache = map(float, found / scale)
    return one, flops, weights, cache


def _unseen_error(models: Sequence[_Model], fitted: _Fit) -> float | None:
    features = _features(models)
    off = []
    for key, own in features.items():
        if fitted.livs[key] > 0:
            factors = _from_features(models, fitted.livs, key)
            estimate = sum(factor * value for factor, value in zip(factors, own, strict=True))
            off.append(abs(estimate / fitted.livs[key] - 1))
    return float(np.median(off)) if len(features) > FEWEST and off else None
