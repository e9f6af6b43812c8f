"""One generation as a flow: vary → compile → train × N → evaluate × N → select."""

from __future__ import annotations

from typing import cast

from prefect import flow
from prefect.futures import PrefectFuture

from flows.display import display
from flows.session import Where
from flows.tasks import (
    compile_candidates,
    evaluate,
    publish,
    recombine_and_mutate,
    sample,
    survive,
    train,
    with_task_threads,
)
from star_core.population.individual import Offspring


@flow(name="generation", flow_run_name="{where.run} generation {index}", persist_result=False)
def generation(where: Where, index: int) -> str:
    """Makes generation ``index`` of a run from the stored one before it.

    Candidates that the evaluation store knows are not trained again.

    Returns:
        Path of the generation file.
    """
    made = recombine_and_mutate(where, index) if index else sample(where)
    offspring = {one.id: one for one in map(Offspring.model_validate_json, made)}
    display.begin(f"generation {index}" if index else "founders", len(offspring))
    digests = compile_candidates(where, {name: one.genome for name, one in offspring.items()})
    keys = {
        name: train.submit(where, name, offspring[name].genome, digest) for name, digest in digests.items()
    }
    assessed: list[PrefectFuture[str]] = [
        evaluate.submit(where, name, one.model_dump_json(), cast(str, keys[name]))  # Prefect resolves it
        for name, one in offspring.items()
    ]
    for future in keys.values():
        future.result()  # first, so that what is wrong with a training is what is raised
    path = survive(where, index, [future.result() for future in assessed])
    publish(where, index)
    return path


def make_generation(where: Where, index: int) -> str:
    """Runs the generation flow with as many task threads as candidate processes."""
    return with_task_threads(where, generation)(where, index)
