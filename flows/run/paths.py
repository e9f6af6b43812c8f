"""Which run, and where its files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from star_core.population.generation import check_run_name, generation_path


@dataclass(frozen=True)
class Where:
    """Which run: what tasks are told, as plain text.

    Attributes:
        root: Project folder; all paths are below it.
        run: Name of the run.
        params: Parameter file, relative to ``root``.
        width: Channels to build models with; ``None``: the parameter file's.
        depth: LIVs of their genomes; ``None``: the parameter file's.
        changes: Parameters in place of the file's, ``section.key=value`` each.
    """

    root: str
    run: str
    params: str = "params.yaml"
    width: int | None = None
    depth: int | None = None
    changes: tuple[str, ...] = ()

    def path(self, *parts: str) -> Path:
        """A path below the project folder."""
        return Path(self.root, *parts)

    @property
    def data(self) -> Path:
        """The folder of everything DVC tracks."""
        return self.path("data")

    @property
    def tokens(self) -> Path:
        """The prepared corpus of the run."""
        return self.data / "tokens" / check_run_name(self.run)

    @property
    def reports(self) -> Path:
        """Where the run's report is written."""
        return self.data / "reports" / check_run_name(self.run)

    def generation(self, index: int) -> Path:
        """A generation's file."""
        return generation_path(self.run, index, self.data)


@dataclass(frozen=True)
class Fork:
    """The stored generation that a run begins with.

    Attributes:
        run: Whose generation.
        index: Its number.
    """

    run: str
    index: int
