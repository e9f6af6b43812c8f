"""Architectures trained by one recipe and compared: the baselines of a run, and its retrained best."""

from __future__ import annotations

from prefect import flow

from flows.display import display
from flows.session import Where, session
from flows.tasks import compile_candidates, train, with_task_threads
from star_core.errors import StoreError
from star_core.genome.backbone import Genome
from star_core.genome.baselines import PATTERNS, baseline
from star_core.objectives.base import measure
from star_core.population.comparison import (
    Comparison,
    Entry,
    comparison_path,
    read_comparison,
)
from star_core.population.individual import Cost


@flow(name="comparison", flow_run_name="{where.run} {purpose}", persist_result=False)
def comparison(
    where: Where,
    purpose: str,
    genomes: dict[str, str],
    steps: int | None = None,
    keep_weights: bool = False,
    source: str | None = None,
) -> str:
    """Trains named genomes by the run's recipe, or for ``steps`` steps of it, and stores the results.

    Returns:
        Path of the comparison file.
    """
    work = session(where)
    params = work.recipe(steps)
    path = comparison_path(where.run, purpose, where.data)
    display.begin(purpose, len(genomes), search=False)
    digests = compile_candidates(where, genomes)
    weights = {name: f"{name}.safetensors" if keep_weights else None for name in genomes}
    keys = {
        name: train.submit(
            where,
            name,
            genomes[name],
            digest,
            steps,
            str(path.parent / file) if (file := weights[name]) else None,
        )
        for name, digest in digests.items()
    }
    entries = []
    for name, text in genomes.items():
        key = keys[name].result()
        evaluation = work.store.get(key)
        if evaluation is None:
            raise StoreError(
                "the evaluation just made is gone", value=key, place=work.storage, fix="run again"
            )
        spec = work.problem.compile(Genome.parse(text))
        metrics = evaluation.metrics if evaluation.status == "ok" else None
        objectives, _ = measure(spec, metrics, params.objectives)
        recipe = params.training
        entries.append(
            Entry(
                name=name,
                genome=text,
                digest=spec.digest,
                key=key,
                status=evaluation.status,
                objectives=objectives,
                cost=Cost(
                    tokens=recipe.tokens, flops=spec.training_flops(recipe.tokens, recipe.sequence_length)
                ),
                checkpoint=weights[name] if evaluation.status == "ok" else None,
            )
        )
    made = Comparison(
        run=where.run,
        purpose=purpose,  # type: ignore[arg-type]
        parameters=params.identity(),
        data_digest=work.data.digest,
        generation=source,
        entries=tuple(entries),
    )
    made.write(path)
    for left in set(path.parent.glob("*.safetensors")) - {
        path.parent / name for name in weights.values() if name
    }:
        left.unlink()  # weights of an earlier front
    return str(path)


def train_baselines(where: Where) -> str:
    """Trains the hand-designed baselines, at the run's depth, by the run's recipe."""
    depth = session(where).params.space.depth
    genomes = {name: str(baseline(name, depth)) for name in PATTERNS}
    return with_task_threads(where, comparison)(where, "baselines", genomes)


def stored_comparison(where: Where, purpose: str) -> Comparison | None:
    """The stored comparison of a run, or ``None``."""
    path = comparison_path(where.run, purpose, where.data)
    return read_comparison(path, where.run, purpose) if path.exists() else None
