"""The report's sections on motifs: what populations are made of, what rose, and what goes with a gene."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from star_core import units
from star_core.analysis.drawing import charts, motif_charts
from star_core.analysis.drawing.colours import family_class, legend
from star_core.analysis.drawing.markup import Markup, join, tag
from star_core.analysis.motifs.effects import ENOUGH, effects, strongest
from star_core.analysis.motifs.motifs import Motifs, Sharing, class_order, links, short_name
from star_core.analysis.motifs.occurrences import OF_LIVS, Motif
from star_core.analysis.motifs.trends import Presence, Trend, trends
from star_core.analysis.report.figures import figure, section
from star_core.analysis.report.listings import Column, listing
from star_core.analysis.report.wording import title_of
from star_core.analysis.run.results import Results
from star_core.architecture import Architecture
from star_core.vocabulary.operator import LIVClass

MOST = 14
"""Rows of a table of motifs at most, and of effects."""
CLASSES = 20
"""Rows of the table of classes, of which there may be many more where classes evolve."""


def motifs(results: Results) -> Markup:
    """Class mix and sharing over the generations, and the motifs that changed."""
    populations = [
        [results.candidates[individual.id].architecture for individual in generation.population]
        for generation in results.generations
    ]
    indices = [generation.index for generation in results.generations]
    counted = [Motifs.of(architectures) for architectures in populations]
    classes = class_order(architecture for architectures in populations for architecture in architectures)
    mix = charts.class_mix(counted, classes, indices)
    said = "Only sharing that takes effect counts: a sharing group of one is none."
    distance = counted[-1].mean_distance
    if distance is not None:
        said += f" In the last population linked LIVs are {distance:.1f} LIVs apart on average."
    pictures = [
        figure(mix, "LIV classes in the population. Classes below 2.5 % at the end are not named."),
        figure(charts.sharing(counted, indices), said),
        *_distances(populations, indices),
    ]
    parts = [legend(), tag("div", join(pictures), class_="pair")]
    return section("Motifs", *parts, _changed(results, classes))


def _distances(populations: Sequence[Sequence[Architecture]], indices: Sequence[int]) -> list[Markup]:
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
            chart = motif_charts.distances(rates, indices, farthest, title)
            drawn.append(figure(chart, f"{title}: how far apart linked LIVs are. Area: links per genome."))
    return drawn


def _changed(results: Results, classes: Sequence[LIVClass]) -> Markup:
    """What rose and what fell since the founders."""
    found = trends(results)
    if not found:
        return Markup()
    lead = (
        "From the founders to the last population: individuals that have a motif, and how often it occurs "
        "(families and classes: share of all LIVs; anything else: times per genome). q is the share of false "
        "finds to expect among motifs that changed as surely (Benjamini and Hochberg’s rate, over motifs of "
        "every kind): how many do on average when the run is re-enacted with the same family tree, but "
        "founders in each other’s places and mutations with each other’s outcomes, over how many did. "
        "A whole population descends from few founders, so a motif that everybody has may well be luck."
    )
    sure = sum(trend.significant for trend in found)
    verdict = f"{units.plural(sure, 'motif')} shown here changed more than that explains (q ≤ 0.05, in bold)."
    if not sure:
        verdict = "None changed more than that explains (q ≤ 0.05): this run alone proves no motif better."
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
            table = tag("div", listing(_columns(results, unit), rows), class_="wide")
            tables.append(tag("div", tag("h3", said), table))
    return join(
        (
            tag("h3", "What rose and what fell"),
            tag("p", lead, class_="lead"),
            tag("p", verdict),
            *tables,
        )
    )


def _columns(results: Results, unit: str) -> list[Column]:
    sizes = (
        f"founders ({len(results.generations[0].born)})",
        f"last ({len(results.last.population)})",
        f"front ({len(results.front)})",
    )
    counts = [Column(title, True) for title in sizes]
    rates = [Column(title, True) for title in (f"{unit}, founders", "last", "ratio")]
    return [Column("motif"), *counts, *rates, Column("course"), Column("q", True)]


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
    return tag("span", join(chips), class_="nobreak")


def marginal_effects(results: Results) -> Markup:
    """What goes with having a class or a kind of sharing, for each objective."""
    pictures = []
    for name, found in effects(results).items():
        if found:
            chart = motif_charts.forest(strongest(found, MOST), f"{title_of(name)}: with less without")
            pictures.append(figure(chart, _omitted(len(found))))
    if not pictures:
        return Markup()
    lead = (
        "Mean of the candidates that have a class or a kind of sharing, less the mean of those without it "
        "born in the same generation, relative to the mean of all. Bars are 95 % intervals of resampled "
        f"candidates; filled dots leave 0 out. Shown where at least {ENOUGH} have it and {ENOUGH} lack it. "
        "This tells what goes together, not what causes what: relatives share many genes, and one interval "
        "in twenty misses."
    )
    return section(
        "What goes with a gene", tag("p", lead, class_="lead"), tag("div", join(pictures), class_="pair")
    )


def _omitted(number: int) -> str:
    return f"The {MOST} largest of {number} differences." if number > MOST else ""
