"""The report's page: one HTML file, its style inside, for screens in light and dark and for paper."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from star_core.analysis.drawing.colours import DARK_RAMP, LIGHT_RAMP, css_name, family_colours, variables
from star_core.structures.registered import families

_TEMPLATES = Environment(
    loader=PackageLoader("star_core.analysis.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def page(generations: int, **sections: object) -> str:
    """The whole document.

    Args:
        generations: How many colours the ramp has.
        sections: What ``templates/report.html`` shows, by its names; ``None`` leaves a section out.
    """
    styles = [
        {"title": family.name, "name": css_name(family.name), "fill": fill, "ink": ink}
        for family in families()
        for fill, ink in [family_colours(family)]
    ]
    return _TEMPLATES.get_template("report.html").render(
        light=variables(LIGHT_RAMP, generations),
        dark=variables(DARK_RAMP, generations),
        families=styles,
        **sections,
    )
