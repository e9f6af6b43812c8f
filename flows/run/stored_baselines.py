"""The stored baselines of a run: whether there are any, and whether they are worth another try."""

from __future__ import annotations

from star_core.evaluation import is_final
from star_core.population.comparison import Comparison, stored_baselines

from .session import Session


def baselines_of(session: Session) -> Comparison | None:
    """The stored baselines of this very experiment; ``None`` if there are none."""
    return stored_baselines(session.run, session.paths.data, session.params.identity(), session.data.digest)


def has_baselines(session: Session) -> bool:
    """Whether they are stored, and none failed at a limit that is higher now.

    Where all failed, those whose evaluations are not here count as worth another try as well.
    """
    found = baselines_of(session)
    if found is None:
        return False
    for entry in found.entries:
        if entry.status == "ok":
            continue
        evaluation = session.store.find(entry.key, entry.digest)
        if evaluation is None and not is_empty(found):
            continue  # made elsewhere, and there is something to compare with
        if evaluation is None or not is_final(evaluation, session.params.runtime):
            return False
    return True


def is_empty(baselines: Comparison) -> bool:
    """Whether all of them failed, so that there is nothing to compare a search with."""
    return all(entry.status != "ok" for entry in baselines.entries)
