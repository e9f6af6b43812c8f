"""Lineage: where the members of a front come from, back to the founders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from star_core.genome.layout import Layout
from star_core.population.generation import Generation
from star_core.population.individual import Individual, Origin


def individuals(generations: Iterable[Generation]) -> dict[str, Individual]:
    """Everyone ever evaluated in these generations, by name, in order of birth."""
    return {individual.id: individual for generation in generations for individual in generation.born}


@dataclass(frozen=True)
class Lineage:
    """The ancestors of some individuals, and these themselves.

    Attributes:
        members: Name → individual, in order of birth.
        winners: Names of those whose ancestry it is.
        unknown: Parents named that no generation file holds (those of a run this one was forked from).
    """

    members: Mapping[str, Individual]
    winners: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def generations(self) -> tuple[tuple[Individual, ...], ...]:
        """The members by generation of birth; generations that contributed nobody are left out."""
        born: dict[int, list[Individual]] = {}
        for individual in self.members.values():
            born.setdefault(individual.born, []).append(individual)
        return tuple(tuple(born[index]) for index in sorted(born))


def ancestry(winners: Sequence[str], everyone: Mapping[str, Individual]) -> Lineage:
    """All ancestors of ``winners``, found through parents' names."""
    found: set[str] = set()
    unknown: set[str] = set()
    waiting = list(winners)
    while waiting:
        name = waiting.pop()
        if name in found or name in unknown:
            continue
        if name not in everyone:
            unknown.add(name)
            continue
        found.add(name)
        waiting += everyone[name].parents
    members = {name: individual for name, individual in everyone.items() if name in found}
    known = tuple(name for name in winners if name in found)
    return Lineage(members, known, tuple(sorted(unknown)))


def made_by(origin: Origin, parents: int) -> str:
    """How a genome was made, in words, e.g. ``crossover + mutation``."""
    if origin.operator != "variation":
        return {"random": "random", "seed": "hand-designed"}[origin.operator]
    steps = ["crossover"] if origin.crossover_points and parents > 1 else ["copy"]
    steps += ["mutation"] if origin.mutations else []
    steps += ["repair"] if origin.repairs else []
    return " + ".join(steps)


def position_name(position: int, layout: Layout) -> str:
    """A vector position as a reader finds it in the genome text, e.g. ``LIV 3 class``."""
    gene, liv = layout.gene(position).replace("_", " "), layout.liv(position)
    return f"LIV {liv + 1} {gene}" if liv is not None else f"class {layout.own_class(position)[0] + 1} {gene}"


def mutated_livs(origin: Origin, layout: Layout) -> tuple[int, ...]:
    """Indices of the LIVs in which a position was mutated or repaired."""
    positions = (*origin.mutations, *(repair.position for repair in origin.repairs))
    return tuple(sorted({liv for position in positions if (liv := layout.liv(position)) is not None}))
