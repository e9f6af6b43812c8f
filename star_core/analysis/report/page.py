"""The report's page: one HTML file, its style inside, for screens in light and dark and for paper."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from star_core.analysis.drawing.colours import DARK_RAMP, FAMILIES, LIGHT_RAMP, css_name, variables

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
    families = [
        {"title": family.value, "name": css_name(family), "fill": fill, "ink": ink}
        for family, (fill, ink) in FAMILIES.items()
    ]
    return _TEMPLATES.get_template("report.html").render(
        light=variables(LIGHT_RAMP, generations),
        dark=variables(DARK_RAMP, generations),
        families=families,
        **sections,
    )
