"""The ancestry of the best, drawn: founders above, a row per generation, strips with changed LIVs marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from star_core.analysis.drawing.markup import tag
from star_core.analysis.drawing.strips import cell_row
from star_core.analysis.drawing.tree_layout import NODE, Layout, layout
from star_core.analysis.run.lineage import Lineage, ancestry, made_by, mutated_livs
from star_core.architecture import Architecture
from star_core.genome.space import SearchSpace
from star_core.population.individual import Individual

WIDTH = 1080.0
MARGIN = 44.0
ROW = 76.0
MOST_MEMBERS = 44
MOST_IN_A_ROW = 7
CELL = 10.0


def readable_lineage(winners: Sequence[str], everyone: Mapping[str, Individual], most: int = 3) -> Lineage:
    """The ancestry of as many winners, best first, as one picture can hold; of one at least."""
    chosen = ancestry(winners[:1], everyone)
    for count in range(2, min(most, len(winners)) + 1):
        wider = ancestry(winners[:count], everyone)
        crowded = max(len(row) for row in wider.generations) > MOST_IN_A_ROW
        if crowded or len(wider.members) > MOST_MEMBERS:
            break
        chosen = wider
    return chosen


def family_tree(lineage: Lineage, architectures: Mapping[str, Architecture], space: SearchSpace) -> Markup:
    """The picture: who was made from whom, and where each was changed."""
    placed = layout(lineage, WIDTH - MARGIN)
    parts: list[Markup] = []
    for level, row in enumerate(lineage.generations):
        parts.append(tag("text", f"gen {row[0].born}", x=0, y=_height(level) + 4, class_="tick"))
    for individual in lineage.members.values():
        for parent in individual.parents:
            if parent in placed.level:
                parts.append(_line(parent, individual.id, placed))
    for name, individual in lineage.members.items():
        x = MARGIN + placed.x[name, placed.level[name]]
        y = _height(placed.level[name])
        changed = mutated_livs(individual.origin, space.layout)
        parts.append(_node(individual, architectures[name], changed, x, y, name in lineage.winners))
    width, height = placed.width + MARGIN, len(placed.rows) * ROW - 10
    return tag(
        "svg",
        *parts,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label="ancestry of the best individuals",
    )


def _height(level: int) -> float:
    return level * ROW + 30


def _line(parent: str, child: str, placed: Layout) -> Markup:
    """From a parent down its trunk, then off to the child."""
    trunk = placed.trunk(parent, child)
    x, y = MARGIN + placed.x[trunk[0]], _height(trunk[0][1]) + 18
    curve = [f"M{x:.1f} {y:.1f}"]
    for spot in trunk[1:]:
        onward, top = MARGIN + placed.x[spot], _height(spot[1]) - 26
        curve += [_bend(x, y, onward, top), f"V{top + 44:.1f}"]
        x, y = onward, top + 44
    level = placed.level[child]
    curve.append(_bend(x, y, MARGIN + placed.x[child, level], _height(level) - 26))
    return tag("path", d="".join(curve), class_="edge")


def _bend(x1: float, y1: float, x2: float, y2: float) -> str:
    middle = (y1 + y2) / 2
    return f"C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"


def _node(
    individual: Individual,
    architecture: Architecture,
    mutated: Sequence[int],
    x: float,
    y: float,
    winner: bool,
) -> Markup:
    depth = len(architecture.layers)
    pitch = min(CELL, (NODE - 24) / depth)
    left = x - pitch * depth / 2
    changed = [
        tag("path", d=_tip(left + (index + 0.5) * pitch - 0.5, y + 9), class_="changed")
        for index in mutated
        if index < depth  # it may have lost that LIV
    ]
    made = made_by(individual.origin, len(individual.parents))
    short = made.replace("crossover", "cross").replace("mutation", "mut").replace(" + ", "+")
    label = tag("tspan", individual.id, class_="id winner-id" if winner else "id")
    return tag(
        "g",
        tag("title", f"{individual.id}: {made}"),
        tag("text", label, tag("tspan", f" {short}", class_="made"), x=x, y=y - 14, class_="node-label"),
        cell_row(architecture.layers, left, y - 8, pitch, 15, labels=False),
        *changed,
    )


def _tip(x: float, y: float) -> str:
    return f"M{x - 2.6:.1f} {y + 4.5:.1f}L{x:.1f} {y:.1f}L{x + 2.6:.1f} {y + 4.5:.1f}Z"
