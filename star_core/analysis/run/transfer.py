"""Transfer: do the search's cheap numbers order candidates as longer training, size and the device do?

Many proxies order candidates no better than their bare parameter count, so that is always compared too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from star_core import units
from star_core.analysis.run.candidates import Candidate
from star_core.analysis.run.rank_correlation import Correlation, correlation
from star_core.analysis.run.results import Results
from star_core.config import MEASURED, Objectives
from star_core.objectives.flops import prefill_flops

PARAMETERS, CACHE, FLOPS = "parameters", "cache_bytes", "flops_per_token"
SIZES = (PARAMETERS, CACHE, FLOPS)


@dataclass(frozen=True, slots=True)
class Point:
    """One candidate of a study.

    Attributes:
        name: Name of the individual or baseline.
        estimates: Name → value that was known before.
        reached: Value that was found later.
    """

    name: str
    estimates: Mapping[str, float]
    reached: float


@dataclass(frozen=True)
class Study:
    """Estimates of candidates beside what was found out later.

    Attributes:
        name: ``retrain``, ``scaled/NAME`` or a measured objective.
        measure: The objective that was reached.
        title: How the later value was found, in words.
        points: The candidates.
        selected: Whether they were chosen for their proxy, not as they came.
    """

    name: str
    measure: str
    title: str
    points: tuple[Point, ...]
    selected: bool

    @property
    def estimates(self) -> tuple[str, ...]:
        """Names of the estimates, the search's proxy first."""
        return tuple(self.points[0].estimates)

    @cached_property
    def correlations(self) -> dict[str, Correlation]:
        """Estimate → how well it orders the candidates.

        1 is the order that was hoped for. Of measurements, more of any size is expected to take more; of
        quality, a lower proxy and more parameters, cache and FLOPs are expected to be better.
        """
        reached = [point.reached for point in self.points]
        found = {}
        for name in self.estimates:
            sign = -1 if name in SIZES and self.measure not in MEASURED else 1
            found[name] = correlation([sign * point.estimates[name] for point in self.points], reached)
        return found


def studies(results: Results) -> list[Study]:
    """All that a run's files allow: against longer training, other sizes, and measurements."""
    found = [_longer(results), *_larger(results), *(_on_device(results, name) for name in MEASURED)]
    return [study for study in found if study.points]


def metrics(found: Sequence[Study]) -> dict[str, dict[str, object]]:
    """The correlations as plain numbers, by study and estimate."""
    return {
        study.name: {
            "candidates": len(study.points),
            **{
                name: {"tau": correlation.tau, "low": correlation.low, "high": correlation.high}
                for name, correlation in study.correlations.items()
            },
        }
        for study in found
    }


def _longer(results: Results) -> Study:
    """The stored retraining, of those that it shares with the search or the baselines."""
    brief = _brief(results)
    same = [
        candidate
        for candidate in results.retrained
        if candidate.name in brief
        and brief[candidate.name].architecture.digest == candidate.architecture.digest
    ]
    tokens = max((candidate.tokens for candidate in same), default=0)
    title = f"longer training ({units.count(tokens)} tokens)"
    return _quality(results, "retrain", title, same, brief)


def _larger(results: Results) -> list[Study]:
    """Stored trainings at other sizes; the estimates are those of the size that was searched at."""
    found, titles = [], set[str]()
    for scaled in results.scaled:
        params = scaled.params
        title = f"{units.plural(params.space.depth, 'LIV')} × width {params.model.width}"
        title += f" ({units.count(params.training.tokens)} tokens)"
        if title in titles:
            title += f", {scaled.name}"
        titles.add(title)
        found.append(_quality(results, f"scaled/{scaled.name}", title, scaled.candidates, _brief(results)))
    return found


def _brief(results: Results) -> dict[str, Candidate]:
    """Who was trained to the end of the search's short training."""
    return {
        candidate.name: candidate
        for candidate in (*results.baselines, *results.candidates.values())
        if results.value(candidate, results.quality) is not None
    }


def _quality(
    results: Results, name: str, title: str, reached: Sequence[Candidate], brief: Mapping[str, Candidate]
) -> Study:
    points = []
    for candidate in reached:
        value, known = results.value(candidate, results.quality), brief.get(candidate.name)
        proxy = None if known is None else results.value(known, results.quality)
        if value is not None and known is not None and proxy is not None:
            estimates = {results.quality: proxy, **sizes(known, results.params.objectives)}
            points.append(Point(candidate.name, estimates, value))
    return Study(name, results.quality, title, tuple(points), selected=True)


def _on_device(results: Results, measured: str) -> Study:
    points = [
        Point(candidate.name, sizes(candidate, results.params.objectives, measured == MEASURED[0]), value)
        for candidate in (*results.baselines, *results.candidates.values())
        if (value := candidate.objectives.get(measured)) is not None
    ]
    return Study(measured, measured, _where(results.params.objectives), tuple(points), selected=False)


def _where(section: Objectives) -> str:
    """On what was measured, in words."""
    if section.device is not None:
        return (
            f"as the figures of the device {section.device.partition('@')[0]} predict it ({section.weights})"
        )
    threads = "" if section.threads is None else f", {units.plural(section.threads, 'thread')}"
    return f"measured on {section.runtime} ({section.weights}{threads})"


def sizes(candidate: Candidate, section: Objectives, prompt: bool = False) -> dict[str, float]:
    """What an architecture's spec says of it, its FLOPs behind a context, or of the tokens of a prompt."""
    spec, length = candidate.architecture, section.cache_length
    return {
        PARAMETERS: float(spec.num_parameters),
        CACHE: float(spec.cache_bytes(length, feature_bytes=section.feature_bytes)),
        FLOPS: prefill_flops(spec, section.prompt_length) if prompt else float(spec.flops_per_token(length)),
    }
