"""What has to hold before a run goes on: parameters, stored generations and corpus that fit together."""

from __future__ import annotations

import tempfile
from pathlib import Path

from star_core.config import Params, stated
from star_core.datasets.prepare import prepare
from star_core.datasets.tokens import load_tokens
from star_core.errors import ConfigError, DataError, StarError
from star_core.evolution.base import Problem, algorithm
from star_core.evolution.limits import check_limits
from star_core.evolution.step import check_same_experiment
from star_core.exported.native import Unmapped, native
from star_core.genome import LIV, Genome
from star_core.genome.baselines import PATTERNS, baseline
from star_core.graphs import require_graphs
from star_core.machine import check_device
from star_core.objectives.base import check_runner, objective
from star_core.objectives.bits_per_byte import BITS_PER_BYTE
from star_core.objectives.runtimes import runtime
from star_core.population.generation import Generation, stored_generations

from ..run.paths import Fork
from ..run.preparation_bar import preparation_bar
from ..run.requirements import require_all
from ..run.session import Session
from ..versions import dvc


def checked_run(session: Session, fork: Fork | None = None) -> list[Generation]:
    """The stored generations of a run, once parameters, generations and corpus are found to fit together."""
    paths = session.paths
    check_experiment(session)
    found = stored_generations(paths.run, paths.data)
    for generation in found:
        check_same_experiment(generation, session.params, None, paths.params_file)
    if found or fork is None or not _is_prepared(session):
        prepare_corpus(session, found[0].data_digest if found else None)
    if not found:
        check_founding(session)
    return found


def check_founding(session: Session) -> None:
    """Finds limits that no candidate can meet, which depend on the vocabulary of the prepared corpus.

    Raises:
        ConfigError: There is one; or an objective that this corpus cannot have.
    """
    wanted = (*session.params.objectives.selected, *session.params.objectives.constraints)
    if BITS_PER_BYTE.name in wanted and session.data.bytes_per_token is None:
        raise ConfigError(
            "it is not known how many bytes of text the tokens of this corpus stand for",
            value=BITS_PER_BYTE.name,
            place=f"{session.paths.params_file}, objectives",
            fix="use perplexity",
        )
    try:
        check_limits(session.problem)
    except StarError as error:
        raise error.at(session.paths.params_file) from None


def _is_prepared(session: Session) -> bool:
    tokens = session.paths.tokens
    if not tokens.exists():
        return False
    return load_tokens(tokens).meta.get("data") == stated("data", session.params.data)


def check_experiment(session: Session) -> None:
    """Finds what is wrong with the parameters before anything is started.

    Raises:
        StarError: An unknown algorithm, objective or seed; sizes that cannot be built; a runtime that is not
            installed or cannot run a structure; a parameter file that DVC cannot keep; or folders, storage,
            DVC or Prefect would fail the run.
    """
    try:
        check_params(session.params)
    except StarError as error:
        raise error.at(session.paths.params_file) from None
    require_all(session)
    dvc.check(session.paths)


def check_params(params: Params) -> None:
    """The part of ``check_experiment`` that looks at nothing but the parameters and what is installed."""
    algorithm(params.evolution.algorithm)
    for name in (*params.objectives.selected, *params.objectives.constraints):
        objective(name)
    check_runner(params.objectives, params.runtime.runner)
    problem = Problem(params, vocab_size=256)
    _ = problem.seeds
    if params.objectives.is_measured:
        _check_runtime(problem)
    for name in PATTERNS:
        problem.compile(baseline(name, problem.space.depth))
    if params.runtime.address is None:  # workers of a cluster look at their own
        check_device(params.training.accelerator)


def _check_runtime(problem: Problem) -> None:
    """Raises ``ConfigError`` if models of the space cannot be measured on the runtime, or it is not here."""
    section = problem.params.objectives
    chosen = runtime(section.runtime, section.weights)
    chosen.require()
    if chosen.reads_graphs:
        require_graphs(problem.space.structures)
    if chosen.name != "llama.cpp":
        return
    for number, liv_class in problem.space.classes.items():
        try:
            native(problem.compile(Genome((LIV(number),))))
        except Unmapped as error:
            raise ConfigError(
                f"llama.cpp has no layer for {liv_class.name}, a class of the space ({error})",
                value=section.runtime,
                place="objectives.runtime",
                fix="use space.preset: lfm2-norm, or the runtime onnxruntime, which has all",
            ) from None


def prepare_corpus(session: Session, expected: str | None) -> None:
    """Prepares the corpus, or keeps the one that the stored generations were made from.

    Raises:
        DataError: The source has changed since the generations were made; what they were made from
            stays where it is.
    """
    params, paths = session.params, session.paths
    if expected is None:
        with preparation_bar() as reached:
            prepare(params.data, paths.tokens, note=session.display.note, reached=reached)
        return
    if paths.tokens.exists() and load_tokens(paths.tokens).digest == expected:
        return
    with tempfile.TemporaryDirectory() as folder:
        made = prepare(params.data, Path(folder, "tokens"), expected).digest
    if made != expected:
        raise DataError(
            f"the text is not the one that run {paths.run!r} was made from ({expected[:12]}…)",
            value=made[:12],
            place=f"data.source, {params.data.source}",
            fix=f"restore the text, or data/tokens/{paths.run} (dvc checkout), or start another run "
            "with another name",
        )
    with preparation_bar() as reached:
        prepare(params.data, paths.tokens, expected, session.display.note, reached)
