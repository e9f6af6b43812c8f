"""The report's palette: one colour a family of classes, one ramp over generations, in light and dark."""

from __future__ import annotations

from star_core.structures.base import Family
from star_core.structures.registered import family_of
from star_core.vocabulary.operator import LIVClass

PALETTE = (
    ("#0072b2", "#ffffff"),
    ("#e69f00", "#1d1600"),
    ("#009e73", "#ffffff"),
    ("#c3c8cf", "#22262b"),
    ("#cc79a7", "#1d0a14"),
    ("#56b4e9", "#04202f"),
    ("#d55e00", "#ffffff"),
    ("#f0e442", "#26240a"),
)
"""Colour of a family (its ``colour``) → (fill, text on it): hues of Okabe and Ito, told apart with any colour
vision; grey for the unit that mixes no tokens. Families beyond the last begin again."""

LIGHT_RAMP = ("#ecc9a0", "#e3996a", "#cc5a5c", "#8f3868", "#45205f")
DARK_RAMP = ("#5d4b70", "#94598a", "#cf6d89", "#f09f86", "#fce0b0")
"""First to last generation, by lightness: away from the page's background."""


def family_class(liv_class: LIVClass) -> str:
    """CSS class of a family, e.g. ``gated-unit``."""
    return css_name(family_of(liv_class).name)


def css_name(family: str) -> str:
    """A family's name as a CSS class."""
    return family.replace(" ", "-")


def family_colours(family: Family) -> tuple[str, str]:
    """Fill, and text on it."""
    return PALETTE[family.colour % len(PALETTE)]


def ramp(stops: tuple[str, ...], steps: int) -> list[str]:
    """``steps`` colours from the first stop to the last; a single one is the last."""
    if steps == 1:
        return [stops[-1]]
    colours = []
    for step in range(steps):
        place = step / (steps - 1) * (len(stops) - 1)
        left = min(int(place), len(stops) - 2)
        a, b = _channels(stops[left]), _channels(stops[left + 1])
        mixed = (round(p + (q - p) * (place - left)) for p, q in zip(a, b, strict=True))
        colours.append("#" + "".join(f"{channel:02x}" for channel in mixed))
    return colours


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def variables(stops: tuple[str, ...], steps: int) -> str:
    """The ramp as CSS variables ``--g0`` to the last generation's."""
    return "".join(f"--g{index}:{colour};" for index, colour in enumerate(ramp(stops, steps)))
