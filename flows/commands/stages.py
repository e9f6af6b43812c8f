"""Commands behind the DVC stages: each makes one thing of a run; called by DVC, none calls DVC."""

from __future__ import annotations

import os
from pathlib import Path

from star_core.analysis.report.report import write_report
from star_core.analysis.run.candidates import bits_of
from star_core.analysis.terminal.output import Output, say
from star_core.analysis.terminal.retrained_table import retrained_table
from star_core.analysis.terminal.table import whole
from star_core.config import Params
from star_core.datasets.prepare import prepare
from star_core.datasets.split_by_name import HELD_OUT
from star_core.datasets.tokens import TokenData
from star_core.errors import StarError, StoreError
from star_core.evolution.base import Problem
from star_core.evolution.step import check_same_experiment
from star_core.genome.backbone import Genome
from star_core.genome.scaling import at_depth
from star_core.population.comparison import Comparison, read_comparison
from star_core.population.generation import Generation, generation_path, read_generation, stored_generations

from ..run.context import at_work
from ..run.display import Display
from ..run.paths import RunPaths
from ..run.preparation_bar import preparation_bar
from ..run.session import Session
from ..versions import dvc
from .preparation import check_founding


def prepare_command(paths: RunPaths) -> None:
    """Prepares the corpus."""
    stored = stored_generations(paths.run, paths.data)
    expected = stored[0].data_digest if stored else None
    with preparation_bar() as reached:
        data = prepare(Session(paths).params.data, paths.tokens, expected, say, reached)
    say(f"{paths.tokens}: {describe(data)}")


def baselines_command(paths: RunPaths) -> None:
    """Trains the baselines."""
    session = Session(paths, display=Display())
    if not stored_generations(paths.run, paths.data):
        check_founding(session)
    with at_work(session):
        from ..baselines import train_baselines

        path = train_baselines(session)
    say(path)


def generation_command(paths: RunPaths, index: int) -> None:
    """Makes generation ``index``; whether it can be made is found out before anything is started."""
    session = Session(paths, display=Display())
    if index:
        parent = read_generation(paths.generation(index - 1), paths.run, index - 1)
        check_same_experiment(parent, session.params, session.data.digest, paths.params_file)
    else:
        check_founding(session)
    _ = session.problem.seeds
    make(session, index)


def fork_command(paths: RunPaths, source: str, index: int) -> None:
    """Makes the first generation of a fork."""
    read_generation(generation_path(source, index, paths.data), source, index)
    make(Session(paths, display=Display()), index, source)


def make(session: Session, index: int, source: str | None = None) -> None:
    """Makes a generation, of a run or of a fork, and prints where it is."""
    with at_work(session):
        from ..generation import make_generation

        make_generation(session, index, source)
    say(session.paths.generation(index))


def retrain_command(
    paths: RunPaths,
    top: int | None,
    width: int | None = None,
    depth: int | None = None,
    rule: str = "repeat",
) -> Output:
    """Trains the best of the last stored generation, and the baselines, for longer, at any size.

    Returns:
        The table, where it and the weights are, the report that tells of them, and what can be done next.
    """
    session = Session(paths, display=Display())
    generations = stored_generations(paths.run, paths.data)
    if not generations:
        raise StoreError(
            "the run has no generation yet",
            value=paths.run,
            place=str(paths.data / "populations"),
            fix=f"star evolve {paths.run}",
        )
    check_same_experiment(generations[-1], session.params, session.data.digest, paths.params_file)
    scaled = width is not None or depth is not None
    sized = session.at_size(width, depth)
    check_scale(sized.params, generations[-1], rule)
    dvc.try_repository(paths)
    with at_work(sized):
        from ..retrain import retrain

        path = retrain(sized, generations[-1], top, scaled, rule)
    if top is None and not paths.changes:  # what DVC makes again is what the parameter file says
        size = (sized.params.model.width, sized.params.space.depth, rule)
        dvc.record_retraining(paths, path, size if scaled else None)
    comparison = read_comparison(path, paths.run, "scaled" if scaled else "retrain")
    return _retrained(sized, comparison, path, generations[-1])


def _retrained(session: Session, comparison: Comparison, path: Path, generation: Generation) -> Output:
    paths, table = session.paths, retrained_table(comparison, generation.vocab_size, bits_of(generation))
    said, page = [f"Comparison, its weights beside it: {path}"], None
    if "DVC_STAGE" not in os.environ:  # DVC's stage of the report writes it
        page = write_report(paths.run, paths.data, paths.reports, session.store)
        said.append(f"Report: {page}")
    best = next((name for name, *_, status in table.rows if status == "ok"), None)
    size = f" --scaled {path.stem}" if comparison.purpose == "scaled" else ""
    if best is not None:
        said.append(f"Have the best write: `star generate {paths.run}:{best}{size}`")
        said.append(f"Take the best away: `star export {paths.run}:{best} --to FOLDER{size}`")
        said.append(f"Score them on tasks of your own: `star evaluate {paths.run} --tasks FILE{size}`")
    data = {"run": paths.run, "comparison": path, "architectures": table.records(), "report": page}
    return Output(data, [table, *map(whole, said)])


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
    _, mark, names = data.meta["sources"].partition(HELD_OUT)
    return (
        f"{data.name}: {len(data.train):,} tokens of {documents['train']} documents to train on, "
        f"{len(data.validation):,} of {documents['validation']} held out"
        f"{mark}{names}"
    )
