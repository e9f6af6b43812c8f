"""Which run, and where its files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from star_core.config import Params, load_params
from star_core.population.generation import check_run_name, generation_path


@dataclass(frozen=True)
class RunPaths:
    """A run, by name, and its files.

    Attributes:
        root: The project folder; all paths are below it.
        run: Name of the run.
        params_file: The run's parameter file, relative to ``root``.
        changes: Parameters in place of the file's, ``section.key=value`` each.
    """

    root: str
    run: str
    params_file: str = "params.yaml"
    changes: tuple[str, ...] = ()

    def params(self) -> Params:
        """The run's parameters, with the changes.

        Raises:
            ConfigError: The file cannot be read, or a parameter is wrong.
        """
        return load_params(self.path(self.params_file), self.changes)

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
        """The folder of the run's report."""
        return self.data / "reports" / check_run_name(self.run)

    @property
    def states(self) -> Path:
        """Where trainings that may go on leave their state, until their generation is made."""
        return self.path(".star", "states", check_run_name(self.run))

    def generation(self, index: int) -> Path:
        """A generation's file."""
        return generation_path(self.run, index, self.data)


@dataclass(frozen=True)
class Fork:
    """The stored generation that a run begins with.

    Attributes:
        run: The run that the generation is of.
        index: Its number.
    """

    run: str
    index: int
