"""Axes of a chart: from values to pixels, with ticks that people can read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from markupsafe import Markup

from star_core.analysis.drawing.markup import tag
from star_core.analysis.span import share

Label = Callable[[float], str]

FARTHEST = 1e150
"""Values beyond it, of either sign, are drawn at it; differences below its inverse are none."""


@dataclass(frozen=True)
class Axis:
    """One axis: a range of values laid over a range of pixels.

    Attributes:
        low, high: Values at its ends.
        start, end: Their pixels.
        logarithmic: Whether equal distances are equal ratios.
        ticks: Values that are marked.
        label: Value → its text.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool
    ticks: tuple[float, ...]
    label: Label

    def __call__(self, value: float) -> float:
        """The pixel of a value; values beyond the ends stay at the ends."""
        value = min(max(value, self.low), self.high)
        return self.start + share(value, self.low, self.high, self.logarithmic) * (self.end - self.start)


def axis(
    values: Iterable[float], start: float, end: float, label: Label, *, base: int = 10, zero: bool = False
) -> Axis:
    """An axis that holds all values with a little room.

    Args:
        values: At least one.
        start: Pixel of the low end.
        end: Pixel of the high end.
        label: Value → text of its tick.
        base: 2 for quantities counted in powers of two, else 10.
        zero: Whether the axis is linear and begins at 0.
    """
    known = [min(max(value, -FARTHEST), FARTHEST) for value in values]
    low, high = min(known), max(known)
    logarithmic = not zero and low > 1 / FARTHEST and high / low > 2.5
    if zero:
        low, high = 0.0, max(high * 1.06, 1e-9)
    elif logarithmic:
        room = (high / low) ** 0.06
        low, high = low / room, high * room
    else:
        size = max(abs(low), abs(high))
        least = max(1e-12 * size, 1 / FARTHEST)
        room = next(room for room in (0.06 * (high - low), 0.1 * size, 1.0) if room > least)
        low, high = low - room, high + room
    find = log_ticks if logarithmic else linear_ticks
    return Axis(low, high, start, end, logarithmic, find(low, high, base), label)


def linear_ticks(low: float, high: float, base: int = 10, most: int = 6) -> tuple[float, ...]:
    """At most ``most`` round values in the range, 1, 2 or 5 times a power of ten apart.

    With ``base`` 2 they are a power of two apart.
    """
    rough = (high - low) / most
    if base == 2:
        step = 2.0 ** math.ceil(math.log2(rough))
    else:
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(float(f"{k * step:.15g}") for k in range(first, last + 1))


def log_ticks(low: float, high: float, base: int = 10, most: int = 7) -> tuple[float, ...]:
    """Round values in the range, sparse enough to be read: all of 1, 2, 3, 5 … or powers only."""
    if base == 2:
        powers = range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)
        stride = max(1, math.ceil(len(powers) / most))
        return tuple(2.0**k for k in powers if k % stride == 0)
    decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    for mantissas in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = tuple(m * 10.0**k for k in decades for m in mantissas if low <= m * 10.0**k <= high)
        if len(ticks) <= most:
            return ticks if len(ticks) > 1 else linear_ticks(low, high)
    stride = math.ceil(len(ticks) / most)
    return ticks[::stride]


def frame(x: Axis, y: Axis, x_title: str, y_title: str) -> Markup:
    """Grid lines, tick labels and titles; the plot area lies between the axes' ends."""
    parts = []
    for value in y.ticks:
        at = y(value)
        parts.append(tag("line", x1=x.start, x2=x.end, y1=at, y2=at, class_="grid"))
        parts.append(tag("text", y.label(value), x=x.start - 8, y=at + 4, class_="tick", text_anchor="end"))
    for value in x.ticks:
        at = x(value)
        parts.append(tag("line", x1=at, x2=at, y1=y.start, y2=y.start + 4, class_="axis"))
        parts.append(tag("text", x.label(value), x=at, y=y.start + 18, class_="tick", text_anchor="middle"))
    parts.append(tag("line", x1=x.start, x2=x.end, y1=y.start, y2=y.start, class_="axis"))
    middle = (x.start + x.end) / 2
    parts.append(tag("text", x_title, x=middle, y=y.start + 38, class_="title", text_anchor="middle"))
    parts.append(tag("text", y_title, x=x.start, y=y.end - 12, class_="title"))
    return Markup().join(parts)


def picture(width: float, height: float, *children: object, label: str) -> Markup:
    """An SVG that fills its column; ``label`` is what a screen reader says."""
    return tag(
        "svg",
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=label,
        style=f"max-width:{1.25 * width:g}px",
    )


def path(points: Iterable[tuple[float, float]], **attributes: str | float | None) -> Markup:
    """A polyline through pixels."""
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return tag("polyline", points=joined, **attributes)
