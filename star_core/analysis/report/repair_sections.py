"""The report's section on guard rails: how often variation breaks genomes, where, and which rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from star_core import units
from star_core.analysis.drawing.axes import Axis, frame, linear_ticks, path, picture
from star_core.analysis.drawing.charts import BOTTOM, TOP, WIDTH, generation_axis
from star_core.analysis.drawing.markup import tag
from star_core.analysis.run.repairs import Breakage, broken, children_of, course, repaired
from star_core.analysis.run.results import Results
from star_core.evolution.base import Problem
from star_core.evolution.limits import semantics_of

_HEIGHT = 300.0
_ROOM = 132.0
_DASHES = (None, "7 3", "2 3", "9 3 2 3", "1 5")
"""One for each line, so that they are told apart without their colours."""
DRAWN = len(_DASHES) - 1
"""Kinds of position that have a line; the table has them all."""


def guard_rails(results: Results) -> dict[str, object] | None:
    """Shares of invalid offspring by generation, by kind of position and by rule."""
    if len(results.generations) < 2:
        return None
    mended = results.params.evolution.repair == "guard_rails"
    space = Problem(results.params, results.vocab_size).space
    broke = course(space, results.generations) if mended else _remade(results)
    whole = repaired(space, results.individuals.values()) if mended else _together(broke)
    if not whole.children:
        return None
    indices = [generation.index for generation in results.generations[1:]]
    names = list(whole.genes)
    fate = {
        "guard_rails": "their invalid positions were sampled again",
        "resample": "they were thrown away and others made in their place",
        "reject": "their places stayed empty",
    }[results.params.evolution.repair]
    shares = {"all": [breakage.share or 0.0 for breakage in broke]}
    for name in sorted(names, key=lambda name: -whole.genes[name][1])[:DRAWN]:
        shares[name] = [_share(breakage, breakage.genes.get(name)) for breakage in broke]
    return {
        "invalid": f"{whole.invalid:,} of {whole.children:,} {'offspring' if mended else 'children'}",
        "share": units.percent(whole.share),
        "fate": fate,
        "picture": _lines(shares, indices) if whole.invalid else None,
        "drawn": DRAWN if len(names) > DRAWN else None,
        "columns": [*map(_words, names), *(f"rule {number}" for number, _ in enumerate(whole.rules, 1))],
        "positions": _rows({_words(name): whole.genes[name] for name in names}, whole),
        "rules": _rows(whole.rules, whole),
        "generations": _each(broke, indices, names, list(whole.rules)),
    }


def _remade(results: Results) -> list[Breakage]:
    """What was invalid among children that were not repaired, found by making them again.

    Nothing if they were made by another version of the search, whose children would be others.
    """
    problem = Problem(results.params, results.vocab_size)
    parents = results.generations[:-1]
    if results.last.semantics != semantics_of(results.params):
        return [Breakage.of(problem.space.layout, []) for _ in parents]
    return [broken(problem.space, children_of(problem, parent)) for parent in parents]


def _together(parts: Sequence[Breakage]) -> Breakage:
    """Counts over all generations."""

    def summed(pieces: Sequence[Mapping[str, tuple[int, int]]]) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for piece in pieces:
            for name, (positions, concerned) in piece.items():
                before = found.get(name, (0, 0))
                found[name] = (before[0] + positions, before[1] + concerned)
        return dict(sorted(found.items(), key=lambda entry: (-entry[1][0], entry[0])))

    return Breakage(
        children=sum(part.children for part in parts),
        invalid=sum(part.invalid for part in parts),
        genes=summed([part.genes for part in parts]),
        rules=summed([part.rules for part in parts]),
    )


def _share(whole: Breakage, counts: tuple[int, int] | None) -> float:
    return counts[1] / whole.children if counts and whole.children else 0.0


def _words(gene: str) -> str:
    return gene.replace("_", " ")


def _rows(counts: Mapping[str, tuple[int, int]], whole: Breakage) -> list[tuple[str, ...]]:
    return [
        (name, f"{pair[0]:,}", f"{pair[1]:,}", units.percent(_share(whole, pair)))
        for name, pair in counts.items()
    ]


def _each(
    broke: Sequence[Breakage], indices: Sequence[int], names: Sequence[str], rules: Sequence[str]
) -> list[list[str]]:
    """Shares by generation, all genes and rules."""
    rows = []
    for index, breakage in zip(indices, broke, strict=True):
        parts = [*(breakage.genes.get(name) for name in names), *(breakage.rules.get(rule) for rule in rules)]
        shares = [units.percent(_share(breakage, part)) for part in parts]
        rows.append([str(index), f"{breakage.children:,}", units.percent(breakage.share), *shares])
    return rows


def _lines(shares: Mapping[str, Sequence[float]], indices: Sequence[int]) -> Markup:
    """One line per kind of position, named at its end, and one for all."""
    right = WIDTH - _ROOM
    x = generation_axis(indices, right)
    y = Axis(0, 1, _HEIGHT - BOTTOM, TOP, False, linear_ticks(0, 1, most=5), units.percent)
    parts = [frame(x, y, "generation", "share of offspring")]
    ends = sorted(((y(line[-1]), name) for name, line in shares.items()), reverse=True)
    height: dict[str, float] = {}
    ceiling = _HEIGHT
    for at, name in ends:
        ceiling = min(at, ceiling - 15) if height else at
        height[name] = ceiling
    for (name, line), dash in zip(shares.items(), _DASHES, strict=False):
        points = [(x(index), y(share)) for index, share in zip(indices, line, strict=True)]
        kind = "line" if name == "all" else "line second"
        parts.append(path(points, class_=kind, stroke_dasharray=dash))
        for (at, up), index, share in zip(points, indices, line, strict=True):
            hover = tag("title", f"generation {index}, {_words(name)}: {units.percent(share)}")
            dot = "point" if name == "all" else "point second"
            parts.append(tag("circle", hover, cx=at, cy=up, r=3, class_=dot))
        said = f"{_words(name)} {units.percent(line[-1])}"
        parts.append(tag("text", said, x=right + 10, y=height[name] + 4, class_="tick"))
    return picture(WIDTH, _HEIGHT, *parts, label="share of invalid offspring by generation")
