"""One generation as a flow: vary → compile → probe × N → train × N → evaluate → select."""

from __future__ import annotations

from prefect import flow

from star_core.evaluation import encode_evaluation
from star_core.population.individual import Offspring

from .candidates.batch import train_all
from .candidates.runner import with_runner
from .halving import forget_states, train_in_rungs
from .probes import joined, probe_all
from .run.display import display
from .run.paths import Where
from .run.session import session
from .server.outages import one_wait
from .tasks import adopt, compile_candidates, evaluate, publish, recombine_and_mutate, sample, survive


@flow(name="generation", flow_run_name="{where.run} generation {index}", persist_result=False)
def generation(where: Where, index: int, source: str | None = None) -> str:
    """Makes generation ``index`` of a run from the stored one before it.

    Candidates that the evaluation store knows are not trained again.

    Args:
        where: The run.
        index: 0: founders.
        source: The run that this one is forked from at ``index``: its population is assessed anew.

    Returns:
        Path of the generation file.
    """
    if source is not None:
        made = adopt(where, index, source)
    else:
        made = recombine_and_mutate(where, index) if index else sample(where)
    genomes = {child.id: child.genome for child in map(Offspring.model_validate_json, made)}
    display.begin(f"generation {index}" if index else "founders", len(genomes))
    digests = compile_candidates(where, genomes)
    work = session(where)
    jobs = {name: work.job(genomes[name], digests[name]) for name in digests}
    probed = probe_all(where, jobs)
    if index and source is None:
        evaluations, stopped = train_in_rungs(where, made, jobs, probed)
    else:  # what a run begins with is trained to the end
        evaluations, stopped = train_all(where, jobs), {}
    texts = {name: encode_evaluation(evaluation) for name, evaluation in joined(evaluations, probed).items()}
    path = survive(where, index, evaluate(where, made, texts, stopped), source)
    forget_states(where)
    publish(where, index)
    return path


def make_generation(where: Where, index: int, source: str | None = None) -> str:
    """Runs the generation flow where the run's candidates are trained."""
    with one_wait():
        return with_runner(where, generation)(where, index, source)
