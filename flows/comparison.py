"""Architectures trained by one recipe and compared: the baselines of a run, and its retrained best."""

from __future__ import annotations

from prefect import flow

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

from .candidates.batch import train_all
from .candidates.runner import with_runner
from .probes import joined, probe_all
from .run.display import display
from .run.paths import Where
from .run.session import session
from .server.outages import one_wait
from .tasks import compile_candidates


@flow(name="comparison", flow_run_name="{where.run} {purpose}", persist_result=False)
def comparison(
    where: Where,
    purpose: str,
    genomes: dict[str, str],
    steps: int | None = None,
    keep_weights: bool = False,
    source: str | None = None,
    name: str | None = None,
) -> str:
    """Trains named genomes by the run's recipe, or for ``steps`` steps of it, and stores the results.

    Args:
        where: The run, at the size at which the genomes are built.
        purpose: What the comparison is for: ``baselines``, ``retrain`` or ``scaled``.
        genomes: Name → text.
        steps: Steps of each training; ``None``: the recipe's.
        keep_weights: Whether weights are kept beside the comparison file.
        source: Digest of the generation the individuals were taken from.
        name: Name of the file and of the folder of its weights, where there are several of one purpose.

    Returns:
        Path of the comparison file.
    """
    work = session(where)
    params = work.recipe(steps)
    path = comparison_path(where.run, purpose, where.data, name)
    folder = path.parent / name if name else path.parent
    display.begin(purpose, len(genomes), search=False)
    digests = compile_candidates(where, genomes)
    weights = {candidate: f"{candidate}.safetensors" if keep_weights else None for candidate in genomes}
    jobs = {
        candidate: work.job(
            genomes[candidate], digest, steps, str(folder / file) if (file := weights[candidate]) else None
        )
        for candidate, digest in digests.items()
    }
    probed = probe_all(where, jobs)
    evaluations = joined(train_all(where, jobs), probed)
    entries = []
    for candidate, text in genomes.items():
        evaluation = evaluations[candidate]
        spec = work.problem.compile(Genome.parse(text))
        metrics = evaluation.metrics if evaluation.status == "ok" else None
        objectives, _ = measure(spec, metrics, params.objectives)
        recipe = params.training
        entries.append(
            Entry(
                name=candidate,
                genome=text,
                digest=spec.digest,
                key=evaluation.key,
                status=evaluation.status,
                objectives=objectives,
                cost=Cost(
                    tokens=recipe.tokens, flops=spec.training_flops(recipe.tokens, recipe.sequence_length)
                ),
                checkpoint=file_of(weights[candidate], name) if evaluation.status == "ok" else None,
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
    for left in set(folder.glob("*.safetensors")) - {folder / file for file in weights.values() if file}:
        left.unlink()  # weights of an earlier front
    return str(path)


def file_of(weights: str | None, name: str | None) -> str | None:
    """Path of a weights file relative to the comparison file."""
    return f"{name}/{weights}" if weights and name else weights


def train_baselines(where: Where) -> str:
    """Trains the hand-designed baselines, at the run's depth, by the run's recipe."""
    depth = session(where).params.space.depth
    genomes = {name: str(baseline(name, depth)) for name in PATTERNS}
    with one_wait():
        return with_runner(where, comparison)(where, "baselines", genomes)


def stored_comparison(where: Where, purpose: str) -> Comparison | None:
    """The stored comparison of a run, or ``None``."""
    path = comparison_path(where.run, purpose, where.data)
    return read_comparison(path, where.run, purpose) if path.exists() else None
