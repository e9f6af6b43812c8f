"""Architectures trained by one recipe and compared: the baselines of a run, and its retrained best."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prefect import flow

from star_core.architecture import Architecture
from star_core.evaluation import Evaluation, Status
from star_core.objectives.base import measure
from star_core.population.comparison import Comparison, Entry, Purpose, comparison_path
from star_core.population.individual import Cost

from .candidates.batch import train_all
from .probes import joined, probe_all
from .run.session import Session
from .tasks import compile_candidates


@flow(name="comparison", flow_run_name="{session.run} {purpose}", persist_result=False)
def comparison(
    session: Session,
    purpose: Purpose,
    genomes: dict[str, str],
    steps: int | None = None,
    keep_weights: bool = False,
    source: str | None = None,
    name: str | None = None,
) -> Path:
    """Trains named genomes by the run's recipe, or for ``steps`` steps of it, and stores the results.

    Args:
        session: The command's session, at the size at which the genomes are built.
        purpose: Of the comparison.
        genomes: Name → text.
        steps: Of each training; ``None``: the recipe's.
        keep_weights: Whether weights are kept beside the comparison file.
        source: Digest of the generation the individuals were taken from.
        name: Of the file and of the folder of its weights, where there are several of one purpose.

    Returns:
        Path of the comparison file.
    """
    path = comparison_path(session.run, purpose, session.paths.data, name)
    folder = path.parent / name if name else path.parent
    weights = {key: folder / f"{key}.safetensors" for key in genomes} if keep_weights else {}
    session.display.begin(purpose, len(genomes), search=False)
    architectures = compile_candidates(session, genomes)
    jobs = {
        key: session.job(genomes[key], found.digest, steps, str(weights[key]) if keep_weights else None)
        for key, found in architectures.items()
    }
    probed = probe_all(session, jobs)
    evaluations = joined(train_all(session, jobs), probed)
    checkpoints = {key: file.relative_to(path.parent).as_posix() for key, file in weights.items()}
    made = Comparison(
        run=session.run,
        purpose=purpose,
        parameters=session.recipe(steps).identity(),
        data_digest=session.data.digest,
        generation=source,
        entries=entries(session, genomes, architectures, evaluations, checkpoints, steps),
    )
    made.write(path)
    for left in set(folder.glob("*.safetensors")) - set(weights.values()):
        left.unlink()  # weights of an earlier front
    return path


def entries(
    session: Session,
    genomes: Mapping[str, str],
    architectures: Mapping[str, Architecture],
    evaluations: Mapping[str, Evaluation],
    checkpoints: Mapping[str, str],
    steps: int | None,
) -> tuple[Entry, ...]:
    """The rows of a comparison, in the order of ``genomes``."""
    params, rows = session.recipe(steps), []
    recipe = params.training
    for name, text in genomes.items():
        architecture, evaluation = architectures[name], evaluations[name]
        ok = evaluation.status == "ok"
        objectives, _, failure = measure(architecture, evaluation.metrics if ok else None, params.objectives)
        status: Status = evaluation.status
        if ok and failure is not None:
            ok, status = False, "crashed"
            session.display.note(f"{name}: crashed ({failure})")
        flops = architecture.training_flops(recipe.tokens, recipe.sequence_length)
        rows.append(
            Entry(
                name=name,
                genome=text,
                digest=architecture.digest,
                key=evaluation.key,
                status=status,
                objectives=objectives,
                cost=Cost(tokens=recipe.tokens, flops=flops),
                checkpoint=checkpoints.get(name) if ok else None,
            )
        )
    return tuple(rows)
