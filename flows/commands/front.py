"""What ``star evolve`` tells programs: the front a run has come to, beside the baselines."""

from __future__ import annotations

from star_core.analysis.run.nearest import nearest
from star_core.analysis.terminal.front_table import front_table
from star_core.analysis.terminal.output import Output
from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import stored_generations

from ..run.paths import RunPaths


def evolved(paths: RunPaths, ended: str) -> Output:
    """The front of the newest generation; people have seen it when the command ends.

    Args:
        paths: The run.
        ended: Why the command ended before its last generation; empty if it did not.
    """

    def data() -> object:
        found = stored_generations(paths.run, paths.data)
        path = comparison_path(paths.run, "baselines", paths.data)
        compared = read_comparison(path, paths.run, "baselines") if path.exists() else None
        rows = front_table(found[-1], compared).records() if found else []
        beside = len(compared.entries) if found and compared else 0
        shown = "nearest" if found and nearest(found[-1]) else "front"
        return {
            "run": paths.run,
            "generation": found[-1].index if found else None,
            "ended": ended or None,
            "front": [],
            "nearest": [],
            shown: rows[: len(rows) - beside],
            "baselines": rows[len(rows) - beside :],
            "report": paths.reports / "report.html",
        }

    return Output(data)
