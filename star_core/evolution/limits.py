"""Constraints before anything is trained: those nobody can meet or know, and candidates that are over one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from star_core import semantics
from star_core.architecture import Architecture
from star_core.config import Params
from star_core.errors import ConfigError
from star_core.evolution.base import Problem
from star_core.genome.backbone import LIV, Genome
from star_core.genome.baselines import PATTERNS, baseline
from star_core.objectives.base import measure, objective, objective_of

LIMITS = 1
"""Version of what becomes of candidates over a known limit: no training. Only runs with one state it."""


def semantics_of(params: Params) -> dict[str, int]:
    """Versions of all that the results of an experiment follow from, as a generation file states them."""
    section = params.objectives
    static = any(not objective_of(section, name).needs_process for name in section.constraints)
    return {**semantics.VERSIONS, "limits": LIMITS} if static else dict(semantics.VERSIONS)


def over_limits(problem: Problem, architectures: Mapping[str, Architecture]) -> dict[str, str]:
    """Name → the limits it breaks by what is known without training, for those that break any."""
    found = {name: excess_of(problem, architecture) for name, architecture in architectures.items()}
    return {name: said for name, said in found.items() if said}


def excess_of(problem: Problem, architecture: Architecture) -> str:
    """The limits that an architecture breaks by what is known without training; empty: none."""
    section = problem.params.objectives
    values, violation, _ = measure(architecture, None, section)
    if not violation:
        return ""
    return "; ".join(
        f"{name} is {value:.15g}, the limit {limit:.15g}"
        for name, limit in section.constraints.items()
        if (value := values[name]) is not None and value > limit
    )


def check_limits(problem: Problem) -> None:
    """Finds limits below what every architecture of the search space has.

    The bound is a true one: the first LIV of a genome takes nothing from another, and those behind it only
    add. Limits above it may still be out of reach, since later LIVs count as nothing.

    Raises:
        ConfigError: A limit that cannot be met, or a device that was measured at another size.
    """
    section = problem.params.objectives
    entries = [objective_of(section, name) for name in (*section.selected, *section.constraints)]
    for entry in entries if section.device is not None else ():
        if entry.on_device is not None:
            entry.on_device(next(_beginnings(problem)), section)
    for name, limit in section.constraints.items():
        entry, place = objective(name), f"objectives.constraints.{name}"
        if entry.least is None:
            continue
        least = min(entry.least(beginning, section) for beginning in _beginnings(problem))
        if limit < least:
            raise ConfigError(
                f"no architecture of this search space has less than {entry.text(least)}",
                value=limit,
                place=place,
                fix=f"use a limit well above {least:g}, or leave it out",
            )


def _beginnings(problem: Problem) -> Iterator[Architecture]:
    """Backbones of one LIV, of each class that a genome may begin with; of none, where classes evolve."""
    space = problem.space
    if space.own_classes:
        yield replace(problem.compile(baseline(next(iter(PATTERNS)), space.depth)), layers=())
        return
    for liv_class in space.classes:
        yield problem.compile(Genome((LIV(liv_class, 1, 1, 1, 1),)))
