"""Courses of several searches as a table, a CSV and a picture with bands over seeds."""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from markupsafe import Markup

from benchmarks.searches import Course
from star_core.analysis.drawing.axes import axis, frame, path, picture
from star_core.analysis.drawing.markup import tag

WIDTH, HEIGHT = 760.0, 420.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 190.0, 34.0, 52.0
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777", "#000000", "#ee8866")
STEPS = 120
QUARTILES = (0.25, 0.5, 0.75)
STYLE = (
    "text{font:12px sans-serif;fill:#333}.grid{stroke:#e5e5e5}.axis{stroke:#999}"
    "polyline{fill:none;stroke-width:2}polygon{opacity:.13}"
)

Band = tuple[float, float, float]
"""Least, median and largest over seeds."""


def grouped(courses: Sequence[Course]) -> dict[str, list[Course]]:
    """Contender → its courses, in the order they came."""
    groups: dict[str, list[Course]] = {}
    for course in courses:
        groups.setdefault(course.name, []).append(course)
    return groups


def at(course: Course, tokens: float) -> float:
    """Hypervolume after so many tokens."""
    return course.hypervolume[bisect_right(course.tokens, tokens) - 1]


def band(values: Sequence[float]) -> Band:
    """Of one quantity over seeds."""
    return min(values), median(values), max(values)


def saving(courses: Sequence[Course], baseline: Sequence[Course]) -> tuple[list[float], int]:
    """By how many times fewer tokens a contender reaches the baseline's last hypervolume, seed by seed.

    Returns also how many seeds never reach it; those count as 0 times.
    """
    targets = {course.seed: course for course in baseline}
    needed = [course.tokens_to(targets[course.seed].final) for course in courses]
    budget = baseline[0].tokens[-1]
    return [0.0 if tokens is None else budget / max(tokens, 1) for tokens in needed], needed.count(None)


def write_csv(courses: Sequence[Course], file: Path) -> None:
    """Every candidate of every search: contender, seed, candidates, tokens, hypervolume."""
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("contender", "seed", "candidates", "tokens", "hypervolume"))
        for course in courses:
            for number, (tokens, volume) in enumerate(zip(course.tokens, course.hypervolume, strict=True)):
                writer.writerow((course.name, course.seed, number, tokens, f"{volume:.6f}"))


def write_svg(courses: Sequence[Course], file: Path) -> None:
    """Median hypervolume against trained tokens, with the middle half of the seeds as a band."""
    last = max(course.tokens[-1] for course in courses)
    places = np.linspace(0, last, STEPS)
    quartiles = {
        name: np.quantile([[at(course, place) for place in places] for course in members], QUARTILES, axis=0)
        for name, members in grouped(courses).items()
    }
    x = axis([0, last], LEFT, WIDTH - RIGHT, lambda value: f"{value / 1e6:g}", zero=True)
    heights = np.concatenate([each.ravel() for each in quartiles.values()]).tolist()
    y = axis(heights, HEIGHT - BOTTOM, TOP, lambda value: f"{value:g}", zero=True)
    bands, lines = [], []
    label = -math.inf
    for name in sorted(quartiles, key=lambda name: y(quartiles[name][1][-1])):
        colour = COLOURS[list(quartiles).index(name) % len(COLOURS)]
        low, middle, high = (
            [(x(a), y(b)) for a, b in zip(places, each, strict=True)] for each in quartiles[name]
        )
        corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*low, *reversed(high)])
        bands.append(tag("polygon", points=corners, fill=colour))
        lines.append(path(middle, stroke=colour))
        label = max(label + 15, middle[-1][1] + 4)
        lines.append(tag("text", name, x=x.end + 8, y=label, style=f"fill:{colour}"))
    axes = frame(x, y, "million tokens trained on", "hypervolume (founders’ box = 1)")
    drawn = picture(
        WIDTH, HEIGHT, tag("style", Markup(STYLE)), axes, *bands, *lines, label="hypervolume against tokens"
    )
    namespace = Markup('<svg xmlns="http://www.w3.org/2000/svg" ')
    file.write_text(drawn.replace("<svg ", namespace, 1))
