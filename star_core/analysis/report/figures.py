"""The sections of the report that show pictures: fronts, hypervolume, genomes, lineage."""

from __future__ import annotations

from star_core import units
from star_core.analysis.drawing import charts
from star_core.analysis.drawing.family_tree import family_tree, readable_lineage
from star_core.analysis.drawing.strips import strip
from star_core.analysis.report.wording import enumeration, shown_name, sizes, title_of, value_of
from star_core.analysis.run import pareto
from star_core.analysis.run.candidates import Candidate
from star_core.analysis.run.lineage import Lineage, made_by, position_name
from star_core.analysis.run.results import Results
from star_core.genome.alphabet import OWN_CLASSES


def fronts(results: Results) -> dict[str, object]:
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
        pictures.append(
            charts.scatter(
                dots,
                marks,
                x_name=name,
                x_title=title,
                y_name=results.quality,
                y_title=title_of(results.quality),
            )
        )
    return {
        "pictures": pictures,
        "key": charts.ramp_key([generation.index for generation in results.generations]),
        "objectives": len(results.names),
    }


def _hover(results: Results, candidate: Candidate) -> str:
    measured = value_of(results.quality, results.value(candidate, results.quality))
    parameters, cache = sizes(results, candidate)
    return f"{candidate.name}: {title_of(results.quality)} {measured}, {parameters} parameters, {cache} cache"


def hypervolume(results: Results) -> dict[str, object]:
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
    logarithmic = all(scale.logarithmic for scale in results.frame.scales)
    return {
        "pictures": pictures,
        "objectives": enumeration([title_of(name) for name in results.names]),
        "scales": "logarithmic" if logarithmic else "logarithmic where positive",
        "worst": pareto.REFERENCE,
        "best": f"{units.MINUS}{-pareto.BEST:g}",
    }


def genomes(results: Results) -> dict[str, object]:
    """The front and the baselines as strips."""
    own = results.params.space.preset == OWN_CLASSES
    return {
        "genomes": [_genome(results, candidate) for candidate in (*results.shown, *results.baselines)],
        "short": own or results.params.space.depth > 15,
        "own": own,
    }


def _genome(results: Results, candidate: Candidate) -> dict[str, object]:
    measured = results.value(candidate, results.quality)
    lines = [f"{title_of(results.quality)} {value_of(results.quality, measured)}"]
    if results.quality == "perplexity" and measured is not None:
        lines.append(f"{units.quality(results.bits.of(measured))} bits/{results.bits.unit}")
    parameters, cache = sizes(results, candidate)
    lines.append(f"{parameters} parameters · {cache}")
    picture = strip(candidate.architecture, candidate.name)
    return {"name": shown_name(candidate.name), "lines": lines, "strip": picture}


def descent(results: Results) -> dict[str, object] | None:
    """Where the best come from."""
    if not results.front:
        return None
    lineage = readable_lineage([candidate.name for candidate in results.front], results.individuals)
    architectures = {name: results.candidates[name].architecture for name in lineage.members}
    return {
        "tree": family_tree(lineage, architectures, results.space),
        "winners": enumeration(lineage.winners),
        "several": len(lineage.winners) > 1,
        "unknown": enumeration(lineage.unknown) if lineage.unknown else "",
        "steps": _steps(results, lineage),
        "measure": title_of(results.quality),
    }


def _steps(results: Results, lineage: Lineage) -> list[tuple[str, ...]]:
    layout = results.space.layout
    rows: list[tuple[str, ...]] = []

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
    return rows
