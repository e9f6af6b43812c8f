"""Commands behind the DVC stages: each makes one thing of a run; called by DVC, none calls DVC."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from star_core.config import Params
from star_core.datasets.prepare import prepare
from star_core.datasets.tokens import TokenData
from star_core.errors import StarError, StoreError
from star_core.evolution.base import Problem
from star_core.evolution.step import check_same_experiment
from star_core.genome.backbone import Genome
from star_core.genome.scaling import at_depth
from star_core.population.generation import Generation, generation_path, read_generation, stored_generations

from ..run.context import working
from ..run.paths import Where
from ..run.session import session
from ..versions import dvc as versioning


def prepare_command(where: Where) -> None:
    """Prepares the corpus."""
    data = prepare(session(where).params.data, where.tokens)
    Console().print(f"{where.tokens}: {describe(data)}", highlight=False, soft_wrap=True)


def baselines_command(where: Where) -> None:
    """Trains the baselines."""
    _ = session(where).data
    with working(where):
        from ..comparison import train_baselines

        path = train_baselines(where)
    Console().print(path, soft_wrap=True)


def generation_command(where: Where, index: int) -> None:
    """Makes generation ``index``; whether it can be made is found out before anything is started."""
    work = session(where)
    if index:
        parent = read_generation(where.generation(index - 1), where.run, index - 1)
        check_same_experiment(parent, work.params, work.data.digest, where.params)
    _ = work.problem.seeds
    with working(where):
        from ..generation import make_generation

        path = make_generation(where, index)
    Console().print(path, soft_wrap=True)


def fork_command(where: Where, source: str, index: int) -> None:
    """Makes the first generation of a fork."""
    read_generation(generation_path(source, index, where.data), source, index)
    with working(where):
        from ..generation import make_generation

        path = make_generation(where, index, source)
    Console().print(path, soft_wrap=True)


def retrain_command(
    where: Where,
    top: int | None,
    width: int | None = None,
    depth: int | None = None,
    rule: str = "repeat",
) -> None:
    """Trains the best of the last stored generation, and the baselines, for longer, at any size."""
    work, generations = session(where), stored_generations(where.run, where.data)
    if not generations:
        raise StoreError(
            "the run has no generation yet",
            value=where.run,
            place=str(where.data / "populations"),
            fix=f"star evolve {where.run}",
        )
    check_same_experiment(generations[-1], work.params, work.data.digest, where.params)
    sized = replace(where, width=width, depth=depth)
    check_scale(session(sized).params, generations[-1], rule)
    with working(sized):
        from ..retrain import retrain

        path = retrain(sized, generations[-1], top, rule)
    if top is None and not where.changes:  # what DVC makes again is what the parameter file says
        model, space = session(sized).params.model, session(sized).params.space
        resized = width is not None or depth is not None
        versioning.record_retraining(where, Path(path), (model.width, space.depth, rule) if resized else None)
    Console().print(path, soft_wrap=True)


def check_scale(params: Params, generation: Generation, rule: str) -> None:
    """Raises ``StarError`` now if genomes cannot be built at a size, rather than when all is started."""
    problem = Problem(params, generation.vocab_size)
    for individual in generation.front:
        try:
            problem.compile(at_depth(Genome.parse(individual.genome), params.space.depth, rule))
        except StarError as error:
            raise error.at(f"individual {individual.id}") from None


def describe(data: TokenData) -> str:
    """A prepared corpus in one line."""
    documents = {name: split["documents"] for name, split in data.meta["splits"].items()}
    return (
        f"{data.name}: {len(data.train):,} tokens of {documents['train']} documents to train on, "
        f"{len(data.validation):,} of {documents['validation']} held out"
    )
