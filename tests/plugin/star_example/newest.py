"""An algorithm without memory: offspring replace their parents, whatever they are worth."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from star_core.config import Section
from star_core.evolution.base import Problem, register
from star_core.evolution.operators import Recombination
from star_core.evolution.survival import survive_in_order
from star_core.population.individual import Individual

NAME = "newest"


class Share(Section):
    """Settings, which stand in ``params.yaml`` under ``evolution.newest``.

    Attributes:
        share: Of the population that the newest take.
    """

    share: float = Field(default=1.0, ge=0, le=1)


class Newest(Recombination):
    """Mates as all others do, and lets the newest survive."""

    def survive(self, problem: Problem, candidates: Sequence[Individual], index: int) -> list[Individual]:
        """The newest, up to their share; the others fill the population."""
        section = problem.params.evolution
        places = round(section.population * section.settings_of(NAME, Share).share)
        newest = [candidate for candidate in candidates if candidate.born == index]
        others = [candidate for candidate in candidates if candidate.born != index]
        return survive_in_order(problem, [*newest[:places], *others, *newest[places:]])


register(NAME, Newest(), Share)
