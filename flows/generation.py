"""One generation as a flow: vary → compile → probe × N → train × N → evaluate → select."""

from __future__ import annotations

from prefect import flow

from flows.display import display
from flows.outage import one_wait
from flows.probes import joined, probe_all
from flows.rungs import forget_states, train_in_rungs
from flows.runners import with_runner
from flows.session import Where, session
from flows.tasks import adopt, compile_candidates, evaluate, publish, recombine_and_mutate, sample, survive
from flows.training import train_all
from star_core.evaluation import encode_evaluation
from star_core.population.individual import Offspring


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
