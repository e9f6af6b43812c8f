"""Before the search: the hand-designed baselines, trained by the recipe that candidates are trained by."""

from __future__ import annotations

from pathlib import Path

from star_core.genome.baselines import PATTERNS, baseline

from .candidates.runner import run_flow
from .comparison import comparison
from .run.session import Session


def train_baselines(session: Session) -> Path:
    """Trains the baselines at the run's depth; returns the path of the comparison file."""
    return run_flow(session, comparison, session, "baselines", baseline_genomes(session))


def baseline_genomes(session: Session) -> dict[str, str]:
    """Name → genome of every baseline, at the session's depth."""
    return {name: str(baseline(name, session.params.space.depth)) for name in PATTERNS}
