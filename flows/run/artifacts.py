"""What the Prefect UI shows of a run while it goes on: populations, fronts and how far a generation is."""

from __future__ import annotations

import re
import time
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from star_core.analysis.report.snapshot import data_uri, snapshots
from star_core.analysis.report.wording import shown_name, title_of, value_of
from star_core.analysis.run.candidates import bits_of
from star_core.analysis.run.nearest import in_words, nearest
from star_core.analysis.run.pareto import point_of
from star_core.population.comparison import Entry, comparison_path, read_comparison
from star_core.population.generation import Generation
from star_core.population.individual import Individual
from star_core.units import quality

from ..server.outages import dispensable
from .display import summary
from .paths import RunPaths

ROWS = 200
"""Individuals in a table at most; a population may have thousands."""
SECONDS = 2.0
"""Seconds between two updates of a progress bar, since each update is a request."""


def publish_generation(paths: RunPaths, generation: Generation) -> None:
    """Makes a table of the population, and a page with the front and pictures of it."""
    of = f"Run {generation.run}, generation {generation.index}"
    table, front = rows(generation), page(paths, generation)
    with dispensable():
        create_table_artifact(
            key=_key(paths, "population"), table=table, description=f"{of}: population, best first"
        )
        create_markdown_artifact(key=_key(paths, "front"), markdown=front, description=of)


def rows(generation: Generation) -> list[dict[str, Any]]:
    """The population as rows."""
    names, bits = generation.params().objectives.selected, bits_of(generation)
    shown = []
    for individual in generation.population[:ROWS]:
        row: dict[str, Any] = {
            "individual": individual.id,
            "genome": individual.genome,
            "front": individual.rank,
        }
        row |= {title_of(name): value_of(name, individual.objectives.get(name)) for name in names}
        row[f"bits per {bits.unit}"] = quality(bits.of(individual.objectives.get("perplexity")))
        row["status"] = individual.status
        shown.append(row)
    return shown


def page(paths: RunPaths, generation: Generation) -> str:
    """The front beside the baselines, in Markdown."""
    baselines: tuple[Entry, ...] = ()
    path = comparison_path(paths.run, "baselines", paths.data)
    if path.exists():
        baselines = read_comparison(path, paths.run, "baselines").entries
    names = generation.params().objectives.selected
    first = ("perplexity",) if "perplexity" in names else names[:1]
    front = sorted(
        generation.front,
        key=lambda individual: (point_of(individual.objectives, first) or (), individual.id),
    )
    lines = [f"**{markdown(summary(generation))}**", ""]
    titles = [markdown(title_of(name)) for name in names]
    lines += ["| | genome | " + " | ".join(titles) + " |", "|---|---|" + "--:|" * len(names)]
    lines += [_row(markdown(individual.id), individual, names) for individual in front[:ROWS]]
    lines += [_row(f"*{markdown(shown_name(baseline.name))}*", baseline, names) for baseline in baselines]
    constraints = generation.params().objectives.constraints
    near = nearest(generation)
    lines += ["", "Nearest to the constraints, and the limits they break:", ""] if near else []
    for individual in near:
        over = in_words(individual, constraints)
        lines.append(f"- {markdown(individual.id)}: {markdown(over)} (`{_genome(individual)}`)")
    for title, picture in snapshots(generation, baselines):
        lines += ["", f"![{markdown(title)}]({data_uri(picture)})"]
    lines += ["", "Ringed: the front. Pale: survivors of earlier generations."]
    return "\n".join(lines)


def _row(name: str, candidate: Individual | Entry, names: tuple[str, ...]) -> str:
    values = (markdown(value_of(key, candidate.objectives.get(key))) for key in names)
    return f"| {name} | `{_genome(candidate)}` | " + " | ".join(values) + " |"


def _genome(candidate: Individual | Entry) -> str:
    return candidate.genome.replace("`", "'").replace("|", r"\|")


def markdown(text: str) -> str:
    """Text in Markdown that shows it as it is, in a line of its own or a cell of a table."""
    return re.sub(r"[\\`*_\[\]<>|&]", r"\\\g<0>", " ".join(text.split()))


class Progress:
    """How many candidates of a generation or comparison are done, as a bar that moves now and then.

    Args:
        paths: The run.
        title: What is being made.
        total: Candidates.
    """

    def __init__(self, paths: RunPaths, title: str, total: int) -> None:
        self._key, self._title, self._total = _key(paths, "progress"), title, total
        self._shown: UUID | None = None
        self._at = -SECONDS

    def reached(self, done: int) -> None:
        """Shows that ``done`` candidates are done."""
        now = time.monotonic()
        if done < self._total and now - self._at < SECONDS:
            return
        self._at = now
        share = 100 * done / max(1, self._total)
        text = f"{markdown(self._title)}: {done} of {self._total} candidates"
        with dispensable():
            if self._shown is None:
                made = create_progress_artifact(progress=share, key=self._key, description=text)
                self._shown = cast(UUID, made)
            else:
                update_progress_artifact(self._shown, progress=share, description=text)


def _key(paths: RunPaths, what: str) -> str:
    return f"{paths.run.lower().replace('_', '-')}-{what}"
