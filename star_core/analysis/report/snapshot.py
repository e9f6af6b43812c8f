"""Pictures of one stored generation that stand by themselves, for places that show images and no pages."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from markupsafe import Markup

from star_core.analysis.drawing import charts
from star_core.analysis.drawing.colours import LIGHT_RAMP
from star_core.analysis.drawing.markup import tag
from star_core.analysis.report.wording import shown_name, title_of
from star_core.population.comparison import Entry
from star_core.population.generation import Generation

SHOWN = 300
"""Candidates drawn at most: the front, and of the others the best."""
_MARGIN = 18.0
_STYLE = Markup(
    'svg{font-family:Inter,"Helvetica Neue",Helvetica,"Liberation Sans",Arial,sans-serif}'
    "text{font-size:12px;fill:#1b1f24}.tick,.title{fill:#5a636e}.grid{stroke:#eceef1}.axis{stroke:#5a636e}"
    ".stairs{fill:none;stroke-width:1.4}.dot{stroke:#fff;stroke-width:.6}"
    ".winner{stroke:#1b1f24;stroke-width:1.5}.mark{fill:#fff;stroke:#1b1f24;stroke-width:1.8}"
    ".mark-label{font-weight:600;paint-order:stroke;stroke:#fff;stroke-width:4px}"
    f"svg{{--g0:{LIGHT_RAMP[0]};--g1:{LIGHT_RAMP[3]}}}"
)
"""The report's look on white, its ramp of two steps: survivors, and those of this generation."""


def snapshots(generation: Generation, baselines: Sequence[Entry] = ()) -> list[tuple[str, Markup]]:
    """Quality against each other objective: titles and SVG pictures; none where there is nothing to draw.

    Survivors of earlier generations are pale, members of the front ringed.
    """
    quality, *others = generation.params().objectives.selected
    shown = []
    for name in others:
        drawn = _scatter(generation, baselines, name, quality)
        if drawn is not None:
            shown.append((f"{title_of(quality)} and {title_of(name)}", _framed(drawn)))
    return shown


def data_uri(picture: Markup) -> str:
    """The picture as an image's address that holds the image itself."""
    return "data:image/svg+xml;base64," + base64.b64encode(picture.encode()).decode()


def _framed(drawn: Markup) -> Markup:
    """The picture on a white card, with its own style."""
    width, height = charts.WIDTH + 2 * _MARGIN, charts.HEIGHT + 2 * _MARGIN
    placed = tag("svg", drawn, x=_MARGIN, y=_MARGIN, width=charts.WIDTH, height=charts.HEIGHT)
    card = tag("rect", width=width, height=height, rx=8, fill="#ffffff")
    return tag(
        "svg",
        tag("style", _STYLE),
        card,
        placed,
        xmlns="http://www.w3.org/2000/svg",
        width=width,
        height=height,
        viewBox=f"0 0 {width:g} {height:g}",
    )


def _scatter(generation: Generation, baselines: Sequence[Entry], name: str, quality: str) -> Markup | None:
    front = {individual.id for individual in generation.front}
    everyone = sorted(
        (*generation.population, *generation.born), key=lambda individual: individual.id not in front
    )
    dots = [
        charts.Dot(individual.id, x, y, int(individual.born == generation.index), individual.id in front)
        for individual in list({individual.id: individual for individual in everyone}.values())[:SHOWN]
        if individual.ok
        and (x := individual.objectives.get(name))
        and (y := individual.objectives.get(quality))
    ]
    marks = [
        charts.Mark(shown_name(baseline.name), x, y, "diamond" if at == 0 else "square")
        for at, baseline in enumerate(baselines)
        if (x := baseline.objectives.get(name)) and (y := baseline.objectives.get(quality))
    ]
    if not dots:
        return None
    titles = {"x_title": title_of(name), "y_title": title_of(quality)}
    return charts.scatter(dots, marks, x_name=name, y_name=quality, **titles)
