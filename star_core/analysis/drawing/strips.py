"""Genomes drawn as strips: one cell per LIV in order of depth, sharing as arcs above and below."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from star_core.analysis.drawing.colours import family_class
from star_core.analysis.drawing.markup import tag
from star_core.analysis.motifs.motifs import Link, links, short_name
from star_core.architecture import Architecture, Layer

WIDTH = 880.0
CELL_HEIGHT = 32.0
WIDEST_CELL = 96.0
CHARACTER = 7.2
"""Width of a character in a cell, about; a name that does not fit is shortened, at last to ``S*``."""
FULL_NAMES = 56.0
"""Cells at least this wide carry the full class name, narrower ones the short one."""


def strip(architecture: Architecture, name: str) -> Markup:
    """The strip of an architecture.

    Arcs above join LIVs with tied featurizer weights, arcs below those that reuse computed feature
    groups; the dot is at the owner, the arrow at the LIV that takes.
    """
    depth = len(architecture.layers)
    pitch = min(WIDEST_CELL, WIDTH / depth)
    found = links(architecture)
    above = [link for link in found if link.sharing == "featurizer"]
    below = [link for link in found if link.sharing == "features"]
    top = _room(above, pitch)
    bottom = _room(below, pitch)
    cells = cell_row(architecture.layers, 0, top, pitch, CELL_HEIGHT, labels=True)
    arcs = [_arc(link, pitch, top, -1) for link in above]
    arcs += [_arc(link, pitch, top + CELL_HEIGHT, 1) for link in below]
    width, height = pitch * depth, top + CELL_HEIGHT + bottom
    return tag(
        "svg",
        cells,
        *arcs,
        viewBox=f"0 0 {width:g} {height:g}",
        class_="strip",
        role="img",
        aria_label=f"{name}: " + " ".join(layer.liv_class.name for layer in architecture.layers),
        style=f"width:{width:g}px",
    )


def cell_row(
    layers: Sequence[Layer], x: float, y: float, pitch: float, height: float, *, labels: bool
) -> Markup:
    """The cells of a strip from (x, y) on, ``pitch`` apart."""
    gap = 0.5 if pitch < 10 else 2 if pitch < FULL_NAMES else 3
    parts = []
    for layer in layers:
        left, wide, kind = x + layer.index * pitch, pitch - gap, layer.liv_class
        cell: dict[str, float] = {"x": left, "y": y, "width": wide, "height": height}
        rounded = 3.0 if pitch >= 16 else None
        parts.append(tag("rect", _title(layer), class_=family_class(kind), rx=rounded, **cell))
        if kind.differential:
            parts.append(tag("rect", class_="hatch", rx=rounded, **cell))
        if labels and pitch >= 16:
            parts.append(_label(layer, left + wide / 2, y + height / 2, pitch))
    return Markup().join(parts)


def _label(layer: Layer, x: float, y: float, pitch: float) -> Markup:
    kind = layer.liv_class
    ink = f"on-{family_class(kind)}"
    name = kind.name.removesuffix("-Diff")
    if pitch < FULL_NAMES or len(name) * CHARACTER > pitch:
        short = short_name(kind)
        if len(short) * CHARACTER > pitch:
            short = f"{short[0]}*"
        return tag("text", short, x=x, y=y + 4, class_=f"cell {ink}")
    if not kind.differential:
        return tag("text", kind.name, x=x, y=y + 4, class_=f"cell {ink}")
    first = tag("text", name, x=x, y=y - 1, class_=f"cell {ink}")
    return first + tag("text", "differential", x=x, y=y + 10, class_=f"cell small {ink}")


def _title(layer: Layer) -> Markup:
    roles = []
    for group in layer.groups:
        if group.computed_by != layer.index:
            roles.append(f"{group.role} reused from LIV {group.computed_by + 1}")
        elif group.weights_of not in (None, layer.index):
            roles.append(f"{group.role} with the weights of LIV {(group.weights_of or 0) + 1}")
    said = f"LIV {layer.index + 1}: {layer.liv_class.name}"
    return tag("title", "; ".join([said, *roles]))


def _rise(link: Link, pitch: float) -> float:
    return min(52.0, 12 + 4.5 * link.distance * min(1.0, pitch / 48))


def _room(found: Sequence[Link], pitch: float) -> float:
    return max((_rise(link, pitch) * 0.75 + 6 for link in found), default=0.0)


def _arc(link: Link, pitch: float, y: float, side: int) -> Markup:
    """One arc; ``side`` is -1 above the cells and 1 below."""
    shift = min(6.0, pitch / 6)
    start, end = (link.owner + 0.5) * pitch + shift, (link.follower + 0.5) * pitch - shift
    rise, y = side * _rise(link, pitch), y + side * 2
    lean = min((end - start) / 3, 24.0)
    far = f"{y + rise:.1f}"
    curve = f"M{start:.1f} {y:.1f}C{start + lean:.1f} {far} {end - lean:.1f} {far} {end:.1f} {y:.1f}"
    tip = f"M{end - 3:.1f} {y + side * 5:.1f}L{end:.1f} {y:.1f}L{end + 3:.1f} {y + side * 5:.1f}Z"
    said = "featurizer weights" if link.sharing == "featurizer" else "computed features"
    owner, follower = link.owner + 1, link.follower + 1
    parts = [
        tag("title", f"{said} of LIV {owner} used by LIV {follower}: {' '.join(link.roles)}"),
        tag("path", d=curve, class_="arc"),
        tag("circle", cx=start, cy=y, r=2, class_="arc-end"),
        tag("path", d=tip, class_="arc-end"),
    ]
    if link.sharing == "features" and pitch >= FULL_NAMES:
        parts.append(tag("text", " ".join(link.roles), x=end + 6, y=y + 10, class_="roles"))
    return tag("g", *parts)
