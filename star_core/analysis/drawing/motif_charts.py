"""The charts of motifs: how far apart linked LIVs are, and what goes with a gene."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from markupsafe import Markup

from star_core import units
from star_core.analysis.drawing.axes import Axis, frame, linear_ticks, path, picture
from star_core.analysis.drawing.charts import RIGHT, TOP, WIDTH, generation_axis
from star_core.analysis.drawing.markup import tag
from star_core.analysis.motifs.effects import Effect
from star_core.analysis.motifs.occurrences import Motif

SPARK_WIDTH, SPARK_HEIGHT = 84.0, 20.0
_ROW = 21.0
_LARGEST = 11.0
"""Radius of the largest bubble."""


def spark(values: Sequence[float], said: str) -> Markup:
    """A course in a table cell, from 0 to its largest value."""
    most = max(values) or 1.0
    step = (SPARK_WIDTH - 8) / max(len(values) - 1, 1)
    points = [
        (4 + at * step, SPARK_HEIGHT - 3 - value / most * (SPARK_HEIGHT - 6))
        for at, value in enumerate(values)
    ]
    end = tag("circle", cx=points[-1][0], cy=points[-1][1], r=2.4, class_="point")
    base = tag("line", x1=4, x2=SPARK_WIDTH - 4, y1=SPARK_HEIGHT - 3, y2=SPARK_HEIGHT - 3, class_="grid")
    return tag(
        "svg",
        tag("title", said),
        base,
        path(points, class_="line"),
        end,
        viewBox=f"0 0 {SPARK_WIDTH:g} {SPARK_HEIGHT:g}",
        class_="spark",
        role="img",
        aria_label=said,
    )


def distances(
    populations: Sequence[Mapping[int, float]], generations: Sequence[int], farthest: int, label: str
) -> Markup:
    """Links of one kind over the generations: bubbles by distance, their area the links per genome."""
    height = TOP + 52 + max(150.0, 18.0 * farthest)
    x = generation_axis(generations, WIDTH - RIGHT)
    room = 0.03 * (x.high - x.low)
    x = replace(x, low=x.low - room, high=x.high + room)
    y = Axis(0.4, farthest + 0.6, height - 52, TOP, False, linear_ticks(1, farthest), lambda v: f"{v:g}")
    most = max((rate for rates in populations for rate in rates.values()), default=1.0)
    parts = [frame(x, y, "generation", f"{label}: LIVs apart")]
    for index, rates in zip(generations, populations, strict=True):
        for distance, rate in sorted(rates.items()):
            said = f"generation {index}, {distance} apart: {rate:.2f} links per genome"
            radius = _LARGEST * math.sqrt(rate / most)
            parts.append(
                tag("circle", tag("title", said), cx=x(index), cy=y(distance), r=radius, class_="bubble")
            )
    key = f"largest: {most:.2g} per genome"
    parts.append(tag("text", key, x=WIDTH - RIGHT, y=TOP - 12, class_="note", text_anchor="end"))
    return picture(WIDTH, height, *parts, label=label)


def forest(found: Sequence[Effect], title: str) -> Markup:
    """Differences with their intervals, one row a gene; filled where the interval leaves 0 out."""
    left, top = 176.0, TOP + 4
    height = top + _ROW * len(found) + 44
    ends = [value for effect in found for value in (effect.low, effect.high, 0.0)]
    low, high = min(ends), max(ends)
    room = 0.05 * (high - low) or 0.01
    low, high = low - room, high + room
    x = Axis(low, high, left, WIDTH - 64, False, linear_ticks(low, high, most=5), _signed)
    parts = []
    for value in x.ticks:
        parts.append(tag("line", x1=x(value), x2=x(value), y1=top, y2=height - 44, class_="grid"))
        parts.append(
            tag(
                "text",
                units.trimmed(_signed(value)),
                x=x(value),
                y=height - 26,
                class_="tick",
                text_anchor="middle",
            )
        )
    parts.append(tag("line", x1=x(0), x2=x(0), y1=top, y2=height - 44, class_="axis"))
    for row, effect in enumerate(found):
        parts.append(_interval(effect, x, top + _ROW * (row + 0.5), left))
    parts.append(tag("text", title, x=left, y=top - 14, class_="title"))
    parts.append(tag("text", "← better", x=left, y=height - 8, class_="tick"))
    parts.append(tag("text", "worse →", x=x.end, y=height - 8, class_="tick", text_anchor="end"))
    return picture(WIDTH, height, *parts, label=title)


def _interval(effect: Effect, x: Axis, y: float, left: float) -> Markup:
    kind = "clear" if effect.clear else "unclear"
    value = _signed(effect.difference)
    said = (
        f"{gene_name(effect.gene)}: {value} [{_signed(effect.low)}, {_signed(effect.high)}], "
        f"{effect.holders} candidates with it, {effect.others} without"
    )
    return tag(
        "g",
        tag("title", said),
        tag("text", gene_name(effect.gene), x=left - 12, y=y + 4, class_="tick", text_anchor="end"),
        tag("line", x1=x(effect.low), x2=x(effect.high), y1=y, y2=y, class_=f"whisker {kind}"),
        tag("circle", cx=x(effect.difference), cy=y, r=4, class_=f"whisker-dot {kind}"),
        tag("text", value, x=WIDTH, y=y + 4, class_=f"tick {kind}", text_anchor="end"),
        class_="effect",
    )


def gene_name(motif: Motif) -> str:
    """A motif as text: ``SA-3``, ``SA-3 → GMemless``, ``attention reuses B V``, ``weights tied, 3 apart``."""
    if motif.kind in ("family", "class", "sequence"):
        return " → ".join(motif.parts)
    what, where, *roles = motif.parts
    if motif.kind == "distance":
        return f"{'weights tied' if what == 'featurizer' else 'features reused'}, {where} apart"
    return f"{where} ties weights" if what == "featurizer" else f"{where} reuses {' '.join(roles)}"


def _signed(share: float) -> str:
    """A relative difference: −3.1 %, +12 %."""
    if abs(share) < 5e-4:
        return "0 %"
    digits = 0 if abs(share) >= 0.0995 else 1
    return f"{'+' if share > 0 else units.MINUS}{units.percent(abs(share), digits)}"
