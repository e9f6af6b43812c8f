"""One generation as a flow: vary → compile → probe × N → train × N → evaluate → select."""

from __future__ import annotations

from prefect import flow

from star_core.evolution.limits import over_limits
from star_core.population.generation import Generation, generation_path, read_generation

from .candidates.batch import train_all
from .candidates.runner import run_flow
from .halving import forget_states, train_in_rungs
from .probes import joined, probe_all
from .run.session import Session
from .tasks import adopt, compile_candidates, evaluate, publish, recombine_and_mutate, sample, survive


@flow(name="generation", flow_run_name="{session.run} generation {index}", persist_result=False)
def generation(session: Session, index: int, source: str | None = None) -> Generation:
    """Makes generation ``index`` of a run from the stored one before it.

    Candidates that the evaluation store knows are not trained again, those over a limit not at all.

    Args:
        session: The command's session.
        index: 0: founders.
        source: The run that this one is forked from at ``index``: its population is assessed anew.

    Returns:
        The generation, stored.
    """
    parent = parent_of(session, index, source)
    if parent is None:
        offspring = sample(session)
    else:
        offspring = adopt(session, parent) if source else recombine_and_mutate(session, parent)
    session.display.begin(f"generation {index}" if index else "founders", len(offspring))
    genomes = {child.id: child.genome for child in offspring}
    architectures = compile_candidates(session, genomes)
    over = over_limits(session.problem, architectures)
    session.display.excluded(len(over))
    jobs = {
        name: session.job(genomes[name], found.digest)
        for name, found in architectures.items()
        if name not in over
    }
    probed = probe_all(session, jobs)
    stopped: dict[str, int] = {}
    if parent is None or source or not jobs:  # what a run begins with is trained to the end
        trained = train_all(session, jobs)
    else:
        trained, stopped = train_in_rungs(session, offspring, architectures, jobs, probed)
    assessed = evaluate(session, offspring, architectures, joined(trained, probed), stopped)
    made = survive(session, parent, assessed)
    forget_states(session)
    publish(session, made)
    return made


def parent_of(session: Session, index: int, source: str | None = None) -> Generation | None:
    """The stored generation that generation ``index`` is made from; ``None`` for founders.

    Args:
        session: The command's session.
        index: Of the generation to make.
        source: The run that is forked: its own generation ``index`` is the parent.
    """
    if source is not None:
        return read_generation(generation_path(source, index, session.paths.data), source, index)
    if not index:
        return None
    return read_generation(session.paths.generation(index - 1), session.run, index - 1)


def make_generation(session: Session, index: int, source: str | None = None) -> Generation:
    """Runs the generation flow where the run's candidates are trained."""
    return run_flow(session, generation, session, index, source)
