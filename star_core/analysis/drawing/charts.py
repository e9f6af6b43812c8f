"""The charts of a report: quality against size, hypervolume, class mix, sharing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from star_core import units
from star_core.analysis.drawing.axes import Axis, Label, axis, frame, linear_ticks, path, picture
from star_core.analysis.drawing.colours import family_class
from star_core.analysis.drawing.markup import Markup, join, tag
from star_core.analysis.motifs.motifs import Motifs, class_shares, short_name
from star_core.analysis.run.pareto import non_dominated
from star_core.objectives.base import described
from star_core.vocabulary.operator import LIVClass

WIDTH, HEIGHT = 540.0, 380.0
LONGEST = 13
"""Characters of a class name beside a chart; longer ones are shortened."""
LEFT, RIGHT, TOP, BOTTOM = 62.0, 14.0, 34.0, 52.0


@dataclass(frozen=True, slots=True)
class Dot:
    """One candidate in a scatter plot.

    Attributes:
        name: Shown on hovering.
        x, y: Its values.
        generation: In which it was born.
        winner: Whether it is on the last front.
    """

    name: str
    x: float
    y: float
    generation: int
    winner: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """A labelled reference in a chart; ``shape`` is ``diamond`` or ``square``."""

    label: str
    x: float
    y: float
    shape: str


def scatter(
    dots: Sequence[Dot], marks: Sequence[Mark], *, x_name: str, x_title: str, y_name: str, y_title: str
) -> Markup:
    """Quality against size: every candidate, the staircase of the best so far per generation, baselines.

    The few candidates far worse than all others would squeeze the rest together; they are drawn as
    triangles at the upper edge.
    """
    ceiling = _ceiling([dot.y for dot in dots], [dot.y for dot in dots if dot.winner] + [m.y for m in marks])
    widths = [*(d.x for d in dots), *(m.x for m in marks)]
    x = axis(widths, LEFT, WIDTH - RIGHT, value_label(x_name), base=tick_base(x_name))
    heights = [value for value in (*(d.y for d in dots), *(m.y for m in marks)) if value <= ceiling]
    y = axis(heights, HEIGHT - BOTTOM, TOP, value_label(y_name))
    parts = [frame(x, y, x_title, y_title)]
    for generation in sorted({dot.generation for dot in dots}):
        known = [dot for dot in dots if dot.generation <= generation and dot.y <= ceiling]
        parts.append(_staircase(known, x, y, generation))
    for dot in sorted(dots, key=lambda dot: dot.winner):
        parts.append(_dot(dot, x, y, ceiling))
    parts += _marks(marks, x, y)
    return picture(WIDTH, HEIGHT, *parts, label=f"{y_title} against {x_title}")


def _ceiling(values: Sequence[float], important: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    usual = ordered[math.ceil(0.9 * len(ordered)) - 1]
    return max(usual + (usual - middle), *important, ordered[0]) if important else max(values)


def _staircase(dots: Sequence[Dot], x: Axis, y: Axis, generation: int) -> Markup:
    points = sorted({(dot.x, dot.y) for dot in dots})
    kept = [points[index] for index in non_dominated(points)]
    if not kept:
        return Markup()
    corners = [(x(kept[0][0]), y.end)]
    for (left, high), following in zip(kept, [*kept[1:], None], strict=True):
        corners.append((x(left), y(high)))
        corners.append((x(following[0]) if following else x.end, y(high)))
    return path(corners, class_="stairs", style=f"stroke:var(--g{generation})")


def _dot(dot: Dot, x: Axis, y: Axis, ceiling: float) -> Markup:
    at, up, title = x(dot.x), y(dot.y), tag("title", dot.name)
    fill = f"fill:var(--g{dot.generation})"
    if dot.y > ceiling:
        shape = f"M{at - 4:.1f} {y.end + 6:.1f}L{at:.1f} {y.end - 1:.1f}L{at + 4:.1f} {y.end + 6:.1f}Z"
        return tag("path", title, d=shape, style=fill, class_="dot")
    return tag("circle", title, cx=at, cy=up, r=5.5 if dot.winner else 3, style=fill, class_=_emphasis(dot))


def _emphasis(dot: Dot) -> str:
    return "dot winner" if dot.winner else "dot"


def _marks(marks: Sequence[Mark], x: Axis, y: Axis) -> list[Markup]:
    parts: list[Markup] = []
    places = [(x(mark.x), y(mark.y)) for mark in marks]
    taken = [(at - 8, up - 8, at + 8, up + 8) for at, up in places]
    for mark, (at, up) in zip(marks, places, strict=True):
        r = 6.5 if mark.shape == "diamond" else 5.0
        square = f"M{at - r:.1f} {up - r:.1f}h{2 * r}v{2 * r}h{-2 * r}Z"
        diamond = f"M{at - r:.1f} {up:.1f}L{at:.1f} {up - r:.1f}L{at + r:.1f} {up:.1f}L{at:.1f} {up + r:.1f}Z"
        parts.append(tag("path", d=diamond if mark.shape == "diamond" else square, class_="mark"))
        side, height, anchor = _label_place(at, up, 7.0 * len(mark.label), x, taken)
        parts.append(tag("text", mark.label, x=side, y=height, class_="mark-label", text_anchor=anchor))
    return parts


Box = tuple[float, float, float, float]


def _label_place(at: float, up: float, width: float, x: Axis, taken: list[Box]) -> tuple[float, float, str]:
    """Where a mark's label is free of marks and of other labels: beside it, towards the middle if it can."""
    sides = ["start", "end"] if at <= (x.start + x.end) / 2 else ["end", "start"]
    tried: list[tuple[bool, int, Box, str]] = []
    for rise in (0.0, -15.0, 15.0, -30.0, 30.0):
        for anchor in sides:
            left = at + 11 if anchor == "start" else at - 11 - width
            box = (left, up + rise - 7, left + width, up + rise + 7)
            within = x.start <= left and left + width <= x.end
            free = all(
                box[2] < other[0] or other[2] < box[0] or box[3] < other[1] or other[3] < box[1]
                for other in taken
            )
            tried.append((not (within and free), len(tried), box, anchor))
    _, _, box, anchor = min(tried)
    taken.append(box)
    return (box[0] if anchor == "start" else box[2]), box[1] + 11, anchor


def course(
    points: Sequence[tuple[float, float, float]],
    *,
    x_title: str,
    reference: tuple[str, float] | None,
    counted: bool = False,
) -> Markup:
    """Hypervolume: (x, of the population, of everything evaluated), and the baselines' as a line.

    ``counted``: x is a large number of things that begins at 0, not a generation.
    """
    heights = [height for _, *pair in points for height in pair]
    places = [point[0] for point in points]
    if counted:
        x = axis(places, LEFT, WIDTH - RIGHT, lambda value: units.trimmed(units.count(value)), zero=True)
    else:
        x = generation_axis([int(place) for place in places], WIDTH - RIGHT)
    y = axis([*heights, reference[1] if reference else 0.0, 0.1], 290 - BOTTOM, TOP, _plain, zero=True)
    parts = [frame(x, y, x_title, "hypervolume (founders’ box = 1)")]
    if reference:
        up = y(reference[1])
        first, last = (abs(y(point[1]) - up) for point in (points[0], points[-1]))
        side, anchor = (x.start + 8, "start") if first > last else (x.end, "end")
        parts.append(tag("line", x1=x.start, x2=x.end, y1=up, y2=up, class_="reference"))
        parts.append(tag("text", reference[0], x=side, y=up - 6, class_="note", text_anchor=anchor))
    everything = [(x(at), y(both)) for at, _, both in points]
    population = [(x(at), y(alone)) for at, alone, _ in points]
    parts.append(path(everything, class_="line faint"))
    parts.append(path(population, class_="line strong"))
    parts += [tag("circle", cx=a, cy=b, r=3.2, class_="point") for a, b in population]
    return picture(WIDTH, 290, *parts, label=f"hypervolume over {x_title}")


def class_mix(
    populations: Sequence[Motifs], classes: Sequence[LIVClass], generations: Sequence[int]
) -> Markup:
    """Share of each LIV class over the generations, stacked by family; differential ones hatched."""
    right = WIDTH - 92
    x = generation_axis(generations, right)
    y = Axis(0, 1, HEIGHT - BOTTOM, TOP, False, (0, 0.25, 0.5, 0.75, 1), units.percent)
    shares = class_shares(populations, [liv_class.name for liv_class in classes])
    parts, floor, free = [], [0.0] * len(populations), HEIGHT
    places = [x(index) for index in generations] if len(generations) > 1 else [x.start, x.end]
    for kind, share in zip(classes, shares, strict=True):
        top = [low + height for low, height in zip(floor, share, strict=True)]
        lower, upper = [[y(v) for v in (edge if len(edge) > 1 else edge * 2)] for edge in (floor, top)]
        outline = [*zip(places, upper, strict=True), *zip(reversed(places), reversed(lower), strict=True)]
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in outline)
        title = tag("title", f"{kind.name}: {units.percent(share[0])} → {units.percent(share[-1])}")
        parts.append(tag("polygon", title, points=points, class_=f"band {family_class(kind)}"))
        if kind.differential:
            parts.append(tag("polygon", title, points=points, class_="hatch"))
        middle = min((upper[-1] + lower[-1]) / 2 + 4, free - 14)
        if share[-1] >= 0.025:
            name = kind.name if len(kind.name) <= LONGEST else short_name(kind)
            said = f"{name} {units.percent(share[-1])}"
            parts.append(tag("text", said, x=right + 8, y=middle, class_="tick"))
            free = middle
        floor = top
    return picture(WIDTH, HEIGHT, frame(x, y, "generation", "share of LIVs"), *parts, label="class mix")


def sharing(populations: Sequence[Motifs], generations: Sequence[int]) -> Markup:
    """Share of LIVs that really share featurizer weights, and that share computed features."""
    right = WIDTH - 92
    x = generation_axis(generations, right)
    lines = {
        "weights": [population.featurizer_sharing for population in populations],
        "features": [population.feature_sharing for population in populations],
    }
    most = max(value for line in lines.values() for value in line)
    top = next(top for top in (0.25, 0.5, 0.8, 1.0) if most <= top)
    y = Axis(0, top, HEIGHT - BOTTOM, TOP, False, linear_ticks(0, top), units.percent)
    parts = [frame(x, y, "generation", "share of LIVs that take part in sharing")]
    ends = {name: y(line[-1]) + 4 for name, line in lines.items()}
    crowded = abs(ends["weights"] - ends["features"]) < 15
    for name, line in lines.items():
        drawn = [(x(index), y(value)) for index, value in zip(generations, line, strict=True)]
        parts.append(path(drawn, class_=f"line {'strong' if name == 'weights' else 'second'}"))
        parts += [
            tag("circle", cx=a, cy=b, r=3.2, class_="point" if name == "weights" else "point second")
            for a, b in drawn
        ]
        upper = ends[name] <= ends["features" if name == "weights" else "weights"]
        upper = name == "weights" if ends["weights"] == ends["features"] else upper
        moved = ends[name] + ((-8 if upper else 8) if crowded else 0)
        said = f"{name} {units.percent(line[-1])}"
        parts.append(tag("text", said, x=drawn[-1][0] + 10, y=moved, class_="tick"))
    return picture(WIDTH, HEIGHT, *parts, label="share of LIVs that share")


def generation_axis(generations: Sequence[int], end: float) -> Axis:
    """An axis of generations that ends at the pixel ``end``."""
    low, high = float(generations[0]), float(generations[-1])
    if low == high:
        low, high = low - 0.5, high + 0.5
    stride = max(1, math.ceil(len(generations) / 12))
    ticks = tuple(float(index) for index in generations[::stride])
    return Axis(low, high, LEFT, end, False, ticks, lambda value: str(int(value)))


def _plain(value: float) -> str:
    return f"{value:g}"


def value_label(name: str) -> Label:
    """Value → text of its tick, for an objective."""
    entry = described(name)
    return (lambda value: units.trimmed(entry.text(value))) if entry.unit else _plain


def tick_base(name: str) -> int:
    """Of whose powers round ticks are made, for an objective: bytes are counted in powers of two."""
    return 2 if described(name).unit == "B" else 10


def ramp_key(generations: Sequence[int]) -> Markup:
    """What the colours of the generations mean, as a row of swatches."""
    swatches = join(tag("i", "", style=f"background:var(--g{index})") for index in generations)
    said = f"generation {generations[0]}"
    if len(generations) == 1:
        return tag("span", swatches, f" {said}", class_="ramp")
    return tag("span", f"{said} ", swatches, f" {generations[-1]}", class_="ramp")
