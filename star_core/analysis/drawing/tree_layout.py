"""Where the individuals of a family tree stand: rows by generation, few crossings, no line through a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from star_core.analysis.run.lineage import Lineage

Spot = tuple[str, int]
"""An individual's name and a row: where it stands, or further down, where its trunk passes."""

NODE, TRUNK = 146.0, 18.0
"""Room of an individual and of a passing line, in pixels."""

SWEEPS = 8


@dataclass(frozen=True)
class Layout:
    """A family tree in rows.

    An individual's line to its children runs down as one trunk, from which each child branches off
    one row above it.

    Attributes:
        rows: Per generation that contributed, the individuals and passing trunks from left to right.
        x: Spot → its centre, in pixels.
        level: Name → row of the individual.
        width: Width of the whole tree, in pixels.
    """

    rows: tuple[tuple[Spot, ...], ...]
    x: Mapping[Spot, float]
    level: Mapping[str, int]
    width: float

    def trunk(self, parent: str, child: str) -> list[Spot]:
        """The spots a line passes from ``parent`` to the row above ``child``."""
        return [(parent, row) for row in range(self.level[parent], self.level[child])]


def layout(lineage: Lineage, width: float) -> Layout:
    """Places a lineage in ``width`` pixels, or more if its widest row needs more."""
    level = {individual.id: row for row, members in enumerate(lineage.generations) for individual in members}
    last = {name: level[name] + 1 for name in level}
    above: dict[Spot, list[Spot]] = {}
    below: dict[Spot, list[Spot]] = {}
    for individual in lineage.members.values():
        for parent in individual.parents:
            if parent in level:
                last[parent] = max(last[parent], level[individual.id])
                _connect(
                    (parent, level[individual.id] - 1), (individual.id, level[individual.id]), above, below
                )
    for name, end in last.items():
        for row in range(level[name] + 1, end):
            _connect((name, row - 1), (name, row), above, below)
    rows: list[list[Spot]] = [[] for _ in lineage.generations]
    for name, row in level.items():
        for passed in range(row, last[name]):
            rows[passed].append((name, passed))
    width = max(width, *(sum(_room(spot, level) for spot in row) for row in rows))
    x: dict[Spot, float] = {}
    for spots in rows:
        _place(spots, [width / 2] * len(spots), level, width, x)
    for sweep in range(SWEEPS):
        downward = sweep % 2 == 1
        neighbours = above if downward else below
        for spots in rows if downward else reversed(rows):
            wishes = [_mean([x[other] for other in neighbours.get(spot, [])], x[spot]) for spot in spots]
            order = sorted(range(len(spots)), key=lambda i: (wishes[i], spots[i]))
            wishes = [wishes[i] for i in order]
            spots[:] = [spots[i] for i in order]
            _place(spots, wishes, level, width, x)
    shift = (width - min(x.values()) - max(x.values())) / 2
    return Layout(tuple(map(tuple, rows)), {spot: at + shift for spot, at in x.items()}, level, width)


def _connect(upper: Spot, lower: Spot, above: dict[Spot, list[Spot]], below: dict[Spot, list[Spot]]) -> None:
    above.setdefault(lower, []).append(upper)
    below.setdefault(upper, []).append(lower)


def _room(spot: Spot, level: Mapping[str, int]) -> float:
    return NODE if level[spot[0]] == spot[1] else TRUNK


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _place(
    spots: Sequence[Spot],
    wishes: Sequence[float],
    level: Mapping[str, int],
    width: float,
    x: dict[Spot, float],
) -> None:
    """Sets centres in the given order, as near to the wishes as room allows.

    Neighbours that would overlap form a block, which stands at the mean of what its members wish.
    """
    blocks: list[tuple[float, float, int]] = []
    for spot, wish in zip(spots, wishes, strict=True):
        room = _room(spot, level)
        block = (wish - room / 2, room, 1)
        while blocks and blocks[-1][0] + blocks[-1][1] > block[0]:
            left, wide, members = blocks.pop()
            here, more, others = block
            start = (left * members + (here - wide) * others) / (members + others)
            block = (start, wide + more, members + others)
        blocks.append(block)
    floor = 0.0
    starts = []
    for start, wide, _ in blocks:
        floor = max(start, floor)
        starts.append(floor)
        floor += wide
    limit = width
    for index in reversed(range(len(blocks))):
        starts[index] = min(starts[index], limit - blocks[index][1])
        limit = starts[index]
    waiting = iter(spots)
    for start, (_, _, members) in zip(starts, blocks, strict=True):
        left = start
        for _ in range(members):
            spot = next(waiting)
            room = _room(spot, level)
            x[spot] = left + room / 2
            left += room
