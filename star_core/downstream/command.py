"""``star evaluate``: the retrained best of a run, and its baselines, on tasks of the user's own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn

from star_core.analysis.report.wording import shown_name
from star_core.analysis.terminal.output import Output, plain_console
from star_core.downstream.harness import go_offline, lm_eval_version, quiet, run_tasks
from star_core.downstream.results import Results
from star_core.downstream.tasks import load_tasks, task_files
from star_core.machine import machine_fingerprint
from star_core.training.retrained import Retrained

_DEVICES = {"cpu": "cpu", "gpu": "cuda", "mps": "mps"}


def evaluate_command(
    run: str,
    root: Path,
    tasks: Path,
    names: Sequence[str] = (),
    scaled: str | None = None,
    limit: int | None = None,
    context: int | None = None,
) -> Output:
    """The scores of every architecture on every task; how far it is goes to standard error.

    Args:
        run: Name of the run.
        root: The folder of everything DVC tracks.
        tasks: A task file, or a folder of them.
        names: Entries of the comparison; none: all.
        scaled: Name of a retraining at another size; ``None``: the run's.
        limit: Items of each task; ``None``: all.
        context: Tokens a model reads at most; ``None``: as many as it was trained with.

    Raises:
        ConfigError: lm-eval is not installed, or a name is unknown.
        DataError: A task cannot be run, or the models' tokens are no text.
        StoreError: Weights are missing or damaged.
    """
    installed = lm_eval_version()
    go_offline(root.parent / ".star" / "datasets")
    retrained = Retrained.read(run, root, scaled)
    entries = retrained.entries(names)
    device = _DEVICES[machine_fingerprint()["device"]]
    data = retrained.corpus(root)
    tokenizer = data.tokenizer
    files = task_files(tasks)
    with quiet():
        loaded = load_tasks(files)
    length = context or int(retrained.comparison.parameters["training"]["sequence_length"])
    items = {name: min(len(task.eval_docs), limit or len(task.eval_docs)) for name, task in loaded.items()}
    models = {entry.name: retrained.model(entry, data, device) for entry in entries}
    scores = {}
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f} texts"),
        console=plain_console(file=sys.stderr),  # this very one: lm-eval gets another
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        for name, model in models.items():
            bar = progress.add_task(shown_name(name), total=None)
            scores[name] = run_tasks(model, tokenizer, loaded, length, limit, partial(progress.advance, bar))
            progress.update(bar, visible=False)
    results = Results(
        run, retrained.comparison.digest, installed, length, limit, items, tuple(entries), scores
    )
    return Output(results.record(), [results.table()])
