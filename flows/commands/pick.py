"""``star pick``: the best candidate within limits, and the way from there to a folder to take away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import RenderableType

from star_core.analysis.run.candidates import (
    Candidate,
    bits_of,
    candidate_of,
    candidates_of,
    compiled,
    vocab_size_of,
)
from star_core.analysis.run.lineage import individuals
from star_core.analysis.run.pick import Contender, check_known, contenders_of, pick, read_limits
from star_core.analysis.terminal.output import Output
from star_core.analysis.terminal.pick_tables import picked
from star_core.analysis.terminal.table import whole
from star_core.config import Params, params_from
from star_core.config.changes import in_identity, with_changes
from star_core.errors import ConfigError, StoreError
from star_core.evolution.step import check_same_experiment
from star_core.exported.format import ExportFormat, check_taken, formats_of
from star_core.exported.manifest import tokens_of
from star_core.genome.backbone import Genome
from star_core.objectives.base import objective
from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import Generation

from ..run.context import at_work
from ..run.display import Display
from ..run.paths import RunPaths
from ..run.session import Session
from ..versions.stored_runs import stored
from .choice import kept


@dataclass(frozen=True, slots=True)
class Export:
    """A folder to take away.

    Attributes:
        folder: It must be empty or not be there.
        formats: Names of formats.
        precisions: Of the weights, for the formats that have them.
    """

    folder: Path
    formats: Sequence[str] = ("torch",)
    precisions: Sequence[str] = ("f32",)


def pick_command(
    root: Path,
    run: str,
    params: str | None,
    changes: Sequence[str],
    limits: Sequence[str],
    best: str,
    retrained: bool = False,
    export: Export | None = None,
) -> Output:
    """Picks from all candidates of a run, or from those that were retrained.

    Args:
        root: The project folder.
        run: Name of the run.
        params: Its parameter file; ``None``: its own.
        changes: Parameters in place of the run's: of ``objectives``, for the conditions that a value is asked
            for, and those that no stored generation depends on.
        limits: ``NAME=VALUE`` each.
        best: The objective that counts.
        retrained: Whether only what was retrained is picked from, by what retraining made of it.
        export: Where the choice is exported to, trained longer first unless it was; ``None``: nowhere.

    Raises:
        ConfigError: A limit, name or change is wrong; an objective was not measured; the folder is in use; a
            format does not take the choice.
        StoreError: The run, or its retraining, is not stored here.
    """
    asked = [change for change in changes if in_identity(change)]
    for change in asked:
        if not change.startswith("objectives."):
            raise ConfigError(
                "candidates are what they were trained as; only what is asked of them can be changed",
                value=change,
                place="--set",
                fix="use keys of objectives, e.g. objectives.weights=int4",
            )
    paths = kept(root, run, params, [change for change in changes if change not in asked])
    bounds = read_limits(limits)
    generations = stored(root, run)
    made, everyone = _candidates(paths, generations, retrained)
    names = tuple(dict.fromkeys((best, *(bounds or made.objectives.selected))))
    wanted = params_from(with_changes(made.identity(), asked), "--set")
    check_known(names, run, made, wanted, generations[-1].vocab_size)
    formats: Sequence[ExportFormat] = ()
    if export is not None:
        from star_core.exported.folder import check_free

        check_free(export.folder)
        formats = formats_of(export.formats, export.precisions)
    contenders = contenders_of(everyone, names, bounds, wanted.objectives)
    found = pick(contenders, names, bounds)
    longer = {} if retrained or not objective(best).trained else _longer(paths, best)
    answer = picked(found, run, len(contenders), longer, bits_of(generations[-1]))
    if found.choice is None:
        return answer
    if export is None:
        return Output(answer.data, [*answer.parts, whole(_next(paths, found.choice))])
    data = Session(paths).data
    check_taken(
        formats,
        compiled(Genome.parse(found.choice.genome), made, generations[-1].vocab_size),
        tokens_of(data.vocab_size, data.meta["separator"], data.has_tokenizer),
    )
    return _taken_away(answer, paths, generations[-1], found.choice, export)


def _candidates(
    paths: RunPaths, generations: Sequence[Generation], retrained: bool
) -> tuple[Params, Sequence[Candidate]]:
    """The parameters that candidates were trained by, and the candidates."""
    vocab_size = vocab_size_of(generations[-1])
    if retrained:
        path = comparison_path(paths.run, "retrain", paths.data)
        if not path.exists():
            raise StoreError(
                "nothing of this run was retrained",
                value=paths.run,
                place=str(path),
                fix=f"star retrain {paths.run}, or leave out --retrained",
            )
        comparison = read_comparison(path, paths.run, "retrain")
        params = params_from(comparison.parameters, f"{path}, parameters")
        return params, candidates_of(comparison, params, vocab_size)
    params = generations[-1].params()
    everyone = individuals(generations).values()
    return params, [candidate_of(individual, params, vocab_size) for individual in everyone]


def _longer(paths: RunPaths, best: str) -> dict[str, float]:
    """Name → what retraining made of an objective."""
    path = comparison_path(paths.run, "retrain", paths.data)
    entries = read_comparison(path, paths.run, "retrain").entries if path.exists() else ()
    return {entry.name: value for entry in entries if (value := entry.objectives.get(best)) is not None}


def _trained(paths: RunPaths, choice: Contender) -> str | None:
    """The retraining that has weights of a candidate, as ``--scaled`` names it.

    Returns:
        Its name; nothing, if it is the run's own; ``None``: there is none.
    """
    for purpose, name in (("retrain", ""), ("scaled", choice.id)):
        path = comparison_path(paths.run, purpose, paths.data, name or None)
        for entry in read_comparison(path, paths.run, purpose).entries if path.exists() else ():
            kept_weights = entry.checkpoint and (path.parent / entry.checkpoint).exists()
            if (entry.name, entry.digest) == (choice.id, choice.digest) and kept_weights:
                return name
    return None


def _next(paths: RunPaths, choice: Contender) -> str:
    trained = _trained(paths, choice)
    if trained is None:
        return "Train it longer and take it away: the same command with --export FOLDER"
    size = f" --scaled {trained}" if trained else ""
    return f"Take it away: `star export {paths.run}:{choice.id} --to FOLDER{size}`"


def _taken_away(
    answer: Output, paths: RunPaths, generation: Generation, choice: Contender, export: Export
) -> Output:
    """The answer, and then the folder, so that people read the first while the second is made."""

    def write() -> None:
        from star_core.exported.command import export_command

        trained = _trained(paths, choice)
        if trained is None:
            trained = _train(paths, generation, choice)
        export_command(
            paths.run,
            choice.id,
            paths.data,
            export.folder,
            trained or None,
            formats=export.formats,
            precisions=export.precisions,
        )

    def parts() -> Iterator[RenderableType]:
        yield from answer.parts
        write()

    def data() -> object:
        write()
        return cast(dict[str, object], answer.data) | {"exported": export.folder}

    return Output(data, parts())


def _train(paths: RunPaths, generation: Generation, choice: Contender) -> str:
    """Trains a candidate for longer; returns the name of the retraining that has its weights."""
    session = Session(paths, display=Display())
    check_same_experiment(generation, session.params, session.data.digest, paths.params_file)
    with at_work(session):
        from ..retrain import retrain_one

        return retrain_one(session, generation, choice.id, choice.genome).stem
