"""HTML and SVG as text that cannot be injected into: everything is escaped unless it is already markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

Attribute = str | float | None
VOID = {"br", "hr", "meta", "col"}


class Markup(str):
    """Text that is markup already; made by ``tag`` and ``join`` only, or from constants of this package."""

    __slots__ = ()


def text(content: object) -> Markup:
    """Any content as markup: escaped, unless it is markup."""
    return content if isinstance(content, Markup) else Markup(escape(str(content)))


def join(parts: Iterable[object], separator: str = "") -> Markup:
    """Several contents one after the other."""
    return Markup(escape(separator).join(text(part) for part in parts))


def tag(name: str, /, *children: object, **attributes: Attribute) -> Markup:
    """One element, e.g. ``tag("a", "label", href="#front")``.

    An attribute's trailing underscore is dropped and other underscores become hyphens (``class_``,
    ``text_anchor``); ``None`` leaves it out; floats are written with two decimals at most.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def number(value: float) -> str:
    """A coordinate: two decimals at most, never ``-0``."""
    short = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else number(value)
