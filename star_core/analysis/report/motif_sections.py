"""The report's sections on motifs: what populations are made of, what rose, and what goes with a gene."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from star_core import units
from star_core.analysis.drawing import charts, motif_charts
from star_core.analysis.drawing.colours import family_class
from star_core.analysis.drawing.markup import tag
from star_core.analysis.motifs.effects import ENOUGH, effects, strongest
from star_core.analysis.motifs.motifs import Motifs, Sharing, class_order, links, short_name
from star_core.analysis.motifs.occurrences import OF_LIVS, Motif
from star_core.analysis.motifs.trends import Presence, Trend, trends
from star_core.analysis.report.wording import title_of
from star_core.analysis.run.results import Results
from star_core.architecture import Architecture
from star_core.vocabulary.operator import LIVClass

MOST = 14
"""Rows of a table of motifs at most, and of effects."""
CLASSES = 20
"""Rows of the table of classes, of which there may be many more where classes evolve."""


def motifs(results: Results) -> dict[str, object]:
    """Class mix and sharing over the generations, and the motifs that changed."""
    populations = [
        [results.candidates[individual.id].architecture for individual in generation.population]
        for generation in results.generations
    ]
    indices = [generation.index for generation in results.generations]
    counted = [Motifs.of(architectures) for architectures in populations]
    classes = class_order(architecture for architectures in populations for architecture in architectures)
    found = trends(results)
    sure = sum(trend.significant for trend in found)
    return {
        "classes": charts.class_mix(counted, classes, indices),
        "sharing": charts.sharing(counted, indices),
        "distance": counted[-1].mean_distance,
        "distances": _distances(populations, indices),
        "founders": len(results.generations[0].born),
        "last": len(results.last.population),
        "front": len(results.front),
        "sure": units.plural(sure, "motif") if sure else "",
        "tables": _changed(found, classes),
    }


def _distances(
    populations: Sequence[Sequence[Architecture]], indices: Sequence[int]
) -> list[tuple[str, Markup]]:
    """Links by distance, for tied weights and for reused features; nothing where there are none."""
    kinds: list[tuple[Sharing, str]] = [
        ("featurizer", "Tied featurizer weights"),
        ("features", "Reused features"),
    ]
    drawn = []
    farthest = max(len(architecture.layers) for architecture in populations[0]) - 1
    for sharing, title in kinds:
        rates: list[Mapping[int, float]] = []
        for architectures in populations:
            found = Counter(
                link.distance
                for architecture in architectures
                for link in links(architecture)
                if link.sharing == sharing
            )
            rates.append({distance: count / len(architectures) for distance, count in found.items()})
        if any(rates):
            drawn.append((title, motif_charts.distances(rates, indices, farthest, title)))
    return drawn


def _changed(
    found: Sequence[Trend], classes: Sequence[LIVClass]
) -> list[tuple[str, str, list[list[object]]]]:
    """What rose and what fell since the founders: title, unit and rows of each table."""
    known = {liv_class.name: liv_class for liv_class in classes}
    tables = []
    for title, kinds in (
        ("Families", ("family",)),
        ("Classes", ("class",)),
        ("Sharing", ("link", "distance")),
        ("Sequences", ("sequence",)),
    ):
        chosen = [trend for trend in found if trend.motif.kind in kinds]
        rows = [_row(trend, known) for trend in chosen[: CLASSES if title == "Classes" else MOST]]
        if rows:
            said = (
                title if len(rows) == len(chosen) else f"{title}: {len(rows)} of {len(chosen)} frequent ones"
            )
            unit = "share of LIVs" if kinds[0] in OF_LIVS else "per genome"
            tables.append((said, unit, rows))
    return tables


def _row(trend: Trend, classes: Mapping[str, LIVClass]) -> list[object]:
    ratio = "new" if trend.ratio is None else "gone" if not trend.last.holders else _times(trend.ratio)
    q = "< 0.001" if trend.q < 0.001 else f"{trend.q:.2f}" if trend.q >= 0.0995 else f"{trend.q:.3f}"
    rates = [_rate(trend.motif, presence) for presence in (trend.founders, trend.last)]
    course = [_rate(trend.motif, presence) for presence in trend.course]
    return [
        _shown(trend.motif, classes),
        *(f"{presence.holders:,}" for presence in (trend.founders, trend.last, trend.front)),
        *rates,
        ratio,
        motif_charts.spark([presence.rate for presence in trend.course], " → ".join(course)),
        tag("b", q) if trend.significant else q,
    ]


def _times(ratio: float) -> str:
    return f"×{ratio:.0f}" if ratio >= 9.95 else f"×{ratio:.1f}" if ratio >= 0.95 else f"×{ratio:.2f}"


def _rate(motif: Motif, presence: Presence) -> str:
    return units.percent(presence.rate, 1) if motif.kind in OF_LIVS else f"{presence.rate:.2f}"


def _shown(motif: Motif, classes: Mapping[str, LIVClass]) -> Markup:
    """A motif in a table: classes as chips in the colours of their families, sharing in words."""
    if motif.kind == "family":
        box = tag("i", "", class_=f"key {motif.parts[0].replace(' ', '-')}")
        return tag("span", box, motif.parts[0], class_="nobreak")
    if motif.kind not in ("class", "sequence"):
        return tag("span", motif_charts.gene_name(motif), class_="nobreak")
    chips = []
    for name in motif.parts:
        kind = classes.get(name)
        short = name if motif.kind == "class" or kind is None else short_name(kind)
        style = "" if kind is None else f" {family_class(kind)}{' striped' if kind.differential else ''}"
        chips.append(tag("span", short, title=name, class_=f"chip{style}"))
    return tag("span", *chips, class_="nobreak")


def marginal_effects(results: Results) -> dict[str, object] | None:
    """What goes with having a class or a kind of sharing, for each objective."""
    pictures = []
    for name, found in effects(results).items():
        if found:
            chart = motif_charts.forest(strongest(found, MOST), f"{title_of(name)}: with less without")
            pictures.append((chart, len(found)))
    return {"pictures": pictures, "enough": ENOUGH, "most": MOST} if pictures else None
