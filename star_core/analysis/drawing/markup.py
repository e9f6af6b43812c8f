"""Elements of HTML and SVG; what is in them is escaped, unless it is markup already."""

from __future__ import annotations

from markupsafe import Markup, escape


def tag(name: str, /, *children: object, **attributes: str | float | None) -> Markup:
    """One element, e.g. ``tag("text", "label", x=3.5, class_="tick")``.

    An attribute's trailing underscore is dropped and other underscores become hyphens (``class_``,
    ``text_anchor``); ``None`` leaves it out; floats are written with two decimals at most.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value if isinstance(value, str) else number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{''.join(map(escape, children))}</{name}>")


def number(value: float) -> str:
    """A coordinate: two decimals at most, never ``-0``."""
    short = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short
