"""The sections of the report that show pictures: fronts, hypervolume, genomes, motifs, lineage."""

from __future__ import annotations

from star_core import units
from star_core.analysis.drawing import charts
from star_core.analysis.drawing.colours import legend
from star_core.analysis.drawing.family_tree import family_tree, readable_lineage
from star_core.analysis.drawing.markup import Markup, join, tag
from star_core.analysis.drawing.strips import strip
from star_core.analysis.report.listings import Column, listing
from star_core.analysis.report.wording import enumeration, shown_name, sizes, title_of, token_unit, value_of
from star_core.analysis.run import pareto
from star_core.analysis.run.candidates import Candidate
from star_core.analysis.run.lineage import Lineage, made_by, position_name
from star_core.analysis.run.results import Results
from star_core.genome.alphabet import OWN_CLASSES
from star_core.objectives.perplexity import bits_per_byte


def section(title: str, *content: object) -> Markup:
    """A headed part of the page."""
    return tag("section", tag("h2", title), *content)


def figure(picture: Markup, caption: object) -> Markup:
    """A picture with its caption."""
    return tag("figure", picture, tag("figcaption", caption))


def fronts(results: Results) -> Markup:
    """Quality against parameters and against cache, by generation."""
    winners = {candidate.name for candidate in results.front}
    pictures = []
    for name in ("parameters", "cache_bytes"):
        if name == results.quality:
            continue
        dots = [
            charts.Dot(_hover(results, candidate), x, y, individual.born, individual.id in winners)
            for individual in results.individuals.values()
            if pareto.values_of(individual, results.names) is not None
            and (x := results.value(candidate := results.candidates[individual.id], name)) is not None
            and (y := results.value(candidate, results.quality)) is not None
        ]
        marks = [
            charts.Mark(shown_name(baseline.name), x, y, "diamond" if index == 0 else "square")
            for index, baseline in enumerate(results.baselines)
            if (x := results.value(baseline, name)) is not None
            and (y := results.value(baseline, results.quality)) is not None
        ]
        if not dots:
            continue
        title = title_of(name)
        if name == "cache_bytes":
            title += f" at {results.cache_length:,} tokens"
        shown = charts.scatter(
            dots,
            marks,
            x_name=name,
            x_title=title,
            y_name=results.quality,
            y_title=title_of(results.quality),
        )
        pictures.append(tag("figure", shown))
    if not pictures:
        return section("Fronts", tag("p", "No candidate was trained and meets the constraints."))
    key = charts.ramp_key([generation.index for generation in results.generations])
    said = (
        "Lower left is better. Each dot is a trained candidate in the colour of its generation; members of "
        "the last front are ringed. Each line is the staircase of the best found until then."
    )
    if len(results.names) > 2:
        said += " Ringed members off the last line are on the front for the objective not shown."
    caption = tag("p", said, tag("br"), key, class_="lead")
    return section("Fronts", caption, tag("div", join(pictures), class_="pair"))


def _hover(results: Results, candidate: Candidate) -> str:
    measured = value_of(results.quality, results.value(candidate, results.quality))
    parameters, cache = sizes(results, candidate)
    return f"{candidate.name}: {title_of(results.quality)} {measured}, {parameters} parameters, {cache} cache"


def hypervolume(results: Results) -> Markup:
    """Hypervolume over generations and over trained tokens."""
    points = [
        pareto.point_of(baseline.objectives, results.names)
        for baseline in results.baselines
        if results.feasible(baseline)
    ]
    reference = results.frame.hypervolume([point for point in points if point is not None])
    line = ("baselines together", reference) if reference > 0 else None
    by_generation = [(float(p.generation), p.hypervolume, p.hypervolume_all) for p in results.progress]
    by_tokens = [(float(p.tokens), p.hypervolume, p.hypervolume_all) for p in results.progress]
    pictures = [
        charts.course(by_generation, x_title="generation", reference=line),
        charts.course(by_tokens, x_title="tokens trained on, all candidates", reference=line, counted=True),
    ]
    scale = (
        "logarithmic" if all(s.logarithmic for s in results.frame.scales) else "logarithmic where positive"
    )
    lead = (
        f"The part of objective space ({enumeration([title_of(name) for name in results.names])}) that the "
        "population dominates (solid); dotted: everything evaluated so far. "
        f"Scales are {scale}; 0 is the best founder and 1 the worst, the reference point is "
        f"{pareto.REFERENCE} and gains count up to {units.MINUS}{-pareto.BEST:g}. "
        "The frame depends on the founders only, so later generations never change earlier values."
    )
    return section(
        "Hypervolume",
        tag("p", lead, class_="lead"),
        tag("div", join(tag("figure", picture) for picture in pictures), class_="pair"),
    )


def genomes(results: Results) -> Markup:
    """The front and the baselines as strips."""
    single = len(results.names) == 1
    title = "Genomes of the last population" if single else "Genomes of the front"
    shown = [*results.shown, *results.baselines]
    rows = [_genome(results, candidate) for candidate in shown]
    lead = (
        "One cell per LIV, input on the left. Arcs above: featurizer weights are tied. Arcs below: computed "
        "feature groups are reused. The dot is at the owner, the arrow at the LIV that takes."
    )
    short = ""
    if results.params.space.depth > 15 or results.params.space.preset == OWN_CLASSES:
        short = " S: attention, R: recurrence, C: gated convolution, G: gated unit; d: differential."
    if results.params.space.preset == OWN_CLASSES:
        short += " A name with four characters after a point is that of a class no table has."
    return section(title, tag("p", lead + short, class_="lead"), legend(), *rows)


def _genome(results: Results, candidate: Candidate) -> Markup:
    measured = results.value(candidate, results.quality)
    lines = [f"{title_of(results.quality)} {value_of(results.quality, measured)}"]
    if results.quality == "perplexity" and measured is not None:
        lines.append(f"{units.quality(bits_per_byte(measured))} {token_unit(results)}")
    parameters, cache = sizes(results, candidate)
    lines.append(f"{parameters} parameters · {cache}")
    said = join((tag("b", shown_name(candidate.name)), *(tag("small", line) for line in lines)))
    return tag("div", tag("div", said), strip(candidate.architecture, candidate.name), class_="genome")


def descent(results: Results) -> Markup:
    """Where the best come from."""
    if not results.front:
        return Markup()
    lineage = readable_lineage([candidate.name for candidate in results.front], results.individuals)
    architectures = {name: results.candidates[name].architecture for name in lineage.members}
    tree = family_tree(lineage, architectures, results.space)
    several = "the best of the front" if len(lineage.winners) == 1 else "the best of the front (bold)"
    lead = (
        f"Ancestry of {enumeration(lineage.winners)}, {several}, back to the founders. A triangle marks a "
        "LIV in which a position was mutated or repaired."
    )
    if lineage.unknown:
        lead += f" Not in this run's files: {enumeration(lineage.unknown)}."
    steps = tag("details", tag("summary", "Every step"), tag("div", _steps(results, lineage), class_="wide"))
    return section("Lineage", tag("p", lead, class_="lead"), tag("div", tree, class_="wide"), steps)


def _steps(results: Results, lineage: Lineage) -> Markup:
    layout, rows = results.space.layout, []

    def place(position: int) -> str:
        return position_name(position, layout)

    for individual in lineage.members.values():
        value = results.value(results.candidates[individual.id], results.quality)
        rows.append(
            (
                individual.id,
                made_by(individual.origin, len(individual.parents)),
                ", ".join(individual.parents) or units.MISSING,
                ", ".join(f"before {place(p)}" for p in individual.origin.crossover_points) or units.MISSING,
                ", ".join(map(place, individual.origin.mutations)) or units.MISSING,
                ", ".join(place(repair.position) for repair in individual.origin.repairs) or units.MISSING,
                value_of(results.quality, value),
            )
        )
    columns = [
        *map(Column, ("individual", "made by", "parents", "cuts", "mutated", "repaired")),
        Column(title_of(results.quality), number=True),
    ]
    return listing(columns, rows)
