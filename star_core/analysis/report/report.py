"""The report of a run: one self-contained HTML file, with metrics and curves for DVC beside it."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from star_core.analysis.report import figures, listings, motif_sections, repair_sections, transfer_sections
from star_core.analysis.report.overview import head
from star_core.analysis.report.page import page
from star_core.analysis.report.samples import written
from star_core.analysis.run import pareto, repairs, transfer
from star_core.analysis.run.results import Results
from star_core.evolution.base import Problem
from star_core.storage.evaluations import EvaluationStore
from star_core.storage.files import write_atomically


def write_report(run: str, root: str | Path, out: str | Path, store: EvaluationStore | None = None) -> Path:
    """Writes ``report.html``, ``metrics.json``, ``fronts.csv`` and ``hypervolume.csv``.

    Everything but wall times and reasons of failures, which only the store knows, follows from the
    stored files, so without a store the same run gives the same bytes; on another type of machine, what
    the best model writes may differ.

    Args:
        run: Name of the run.
        root: Folder of the stored data.
        out: Folder to write, made if missing.
        store: Finished evaluations; may be missing or incomplete.

    Returns:
        Path of the HTML file.

    Raises:
        StoreError: There is no such run, one of its files is unusable, or ``out`` cannot be written.
    """
    results = Results.load(run, root, store)
    out = Path(out)
    studies = transfer.studies(results)
    write_atomically(out / "metrics.json", _json(metrics(results, studies)))
    write_atomically(out / "fronts.csv", _csv(*front_rows(results)))
    write_atomically(out / "hypervolume.csv", _csv(*progress_rows(results)))
    write_atomically(out / "report.html", html(results, studies, written(results, Path(root))).encode())
    return out / "report.html"


def html(results: Results, studies: Sequence[transfer.Study], samples: object = None) -> str:
    """The report's page.

    Args:
        results: The run.
        studies: How far its estimates transfer.
        samples: What its best model writes, as ``samples.written`` finds it.
    """
    return page(
        len(results.generations),
        head=head(results),
        fronts=figures.fronts(results),
        front=listings.front_listing(results),
        nearest=listings.nearest_listing(results),
        genomes=figures.genomes(results),
        hypervolume=figures.hypervolume(results),
        motifs=motif_sections.motifs(results),
        effects=motif_sections.marginal_effects(results),
        lineage=figures.descent(results),
        retrained=listings.retraining(results),
        samples=samples,
        transfer=transfer_sections.transfer(results, studies),
        repairs=repair_sections.guard_rails(results),
        endings=listings.endings(results),
        cost=listings.cost(results),
        last=results.last,
        parameters=yaml.safe_dump(results.last.parameters, sort_keys=False, allow_unicode=True),
    )


def metrics(results: Results, studies: Sequence[transfer.Study]) -> dict[str, Any]:
    """The numbers DVC compares between experiments.

    Perplexities are of the last front and of the baselines; ``bits_per_byte`` is ``null`` where it is not
    known how many bytes a token stands for; ``hypervolume`` is the last population's, ``hypervolume_all``
    that of everything evaluated; ``repaired_share`` is the share of offspring that needed repair;
    ``transfer`` holds Kendall's τ of each estimate by what it was compared with.
    """
    last = results.progress[-1]
    space = Problem(results.params, results.vocab_size).space
    known = [v for candidate in results.front if (v := results.value(candidate, "perplexity")) is not None]
    best = min(known, default=None)
    longer = {candidate.name: results.value(candidate, "perplexity") for candidate in results.retrained}
    return {
        "generations": results.last.index,
        "best_perplexity": best,
        "bits_per_byte": results.bits.of(best) if results.bits.unit == "byte" else None,
        "hypervolume": last.hypervolume,
        "hypervolume_all": last.hypervolume_all,
        "front_size": last.front_size,
        "evaluated": last.evaluated,
        "failed": last.failed,
        "stopped": last.stopped,
        "repaired_share": repairs.repaired(space, results.individuals.values()).share,
        "tokens": last.tokens,
        "flops": last.flops,
        "baselines": {baseline.name: results.value(baseline, "perplexity") for baseline in results.baselines},
        "retrained": longer,
        "transfer": transfer.metrics(studies),
    }


def front_rows(results: Results) -> tuple[list[str], list[list[object]]]:
    """Header and rows of ``fronts.csv``: every generation's front, best quality first."""
    columns = list(dict.fromkeys(("perplexity", "parameters", "cache_bytes", *results.names)))
    rows: list[list[object]] = []
    for generation in results.generations:
        members = [
            results.candidates[individual.id]
            for individual in pareto.front(generation.population, results.names)
        ]
        members.sort(key=lambda candidate: (results.value(candidate, results.quality) or 0.0, candidate.name))
        for candidate in members:
            values = [results.value(candidate, name) for name in columns]
            rows.append([generation.index, candidate.name, str(candidate.architecture.genome), *values])
    return ["generation", "individual", "genome", *columns], rows


def progress_rows(results: Results) -> tuple[list[str], list[list[object]]]:
    """Header and rows of ``hypervolume.csv``: one per generation, all counts cumulative."""
    columns = [field.name for field in dataclasses.fields(pareto.Progress)]
    return columns, [[getattr(row, name) for name in columns] for row in results.progress]


def _json(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, indent=1, allow_nan=False) + "\n").encode()


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return written.getvalue().encode()


def _cell(value: object) -> object:
    """Whole floats without ``.0``; other floats in full, so that nothing is lost."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
