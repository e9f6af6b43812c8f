"""SMS-EMOA (Beume, Naujoks and Emmerich 2007): the last front loses what adds least hypervolume."""

from __future__ import annotations

from collections.abc import Sequence

from pymoo.algorithms.moo.sms import LeastHypervolumeContributionSurvival

from star_core.evolution.base import Problem, register
from star_core.evolution.operators import Recombination
from star_core.evolution.survival import survive_by, survive_by_crowding
from star_core.population.individual import Individual


class SMSEMOA(Recombination):
    """S-metric selection, over whole generations rather than one offspring at a time.

    Parents are chosen as in NSGA-II. With one objective there is no volume to lose: survival is NSGA-II's.
    """

    def survive(self, problem: Problem, candidates: Sequence[Individual], index: int) -> list[Individual]:
        """The best by front; the last front is thinned one by one."""
        if len(problem.params.objectives.selected) == 1:
            return survive_by_crowding(problem, sorted(candidates, key=lambda candidate: candidate.id), index)
        return survive_by(problem, candidates, index, LeastHypervolumeContributionSurvival())


register("sms_emoa", SMSEMOA())
