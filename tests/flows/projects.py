"""Small projects for tests: real training of tiny models, real DVC, real Prefect."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import yaml

from star_core.cli import main

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
TINY = {
    "generations": 2,
    "space": {"depth": 3},
    "model": {"width": 16},
    "objectives": {},
    "training": {
        "steps": 3,
        "batch_size": 2,
        "sequence_length": 32,
        "validation_tokens": 256,
        "warmup_steps": 1,
    },
    "evolution": {"population": 4, "mutation_rate": 0.2},
    "retrain": {"top": 1, "steps": 5},
    "runtime": {"workers": 1, "patience_seconds": 1},
}


class Project:
    """A project folder and the environment its commands run in."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    @classmethod
    def create(cls, folder: Path, environment: dict[str, str], **sections: object) -> Project:
        """A git and DVC repository with this project's stages and tiny parameters."""
        folder.mkdir(parents=True)
        project = cls(folder, environment)
        for name in ("dvc.yaml", ".gitignore", ".dvcignore", "data/.gitignore", "star_core/semantics.py"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
        (folder / "data/ledger.yaml").write_text(
            "ledger:\n  runs: {}\n  founders: {}\n  forks: {}\n  generations: {}\n  scaled: {}\n"
        )
        (folder / "corpus.txt").write_text(corpus())
        settings = {**TINY, "data": {"source": "corpus.txt"}, **sections}
        (folder / "params.yaml").write_text(yaml.safe_dump(settings))
        project.run("git", "init", "-q")
        project.run("dvc", "init", "-q")
        return project

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Starts a command of the environment in the project folder."""
        return subprocess.Popen(
            [str(BIN / command[0]) if (BIN / command[0]).exists() else command[0], *command[1:]],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, code: int = 0) -> str:
        """Runs a command to its end and returns what it printed."""
        process = self.start(*command)
        output, _ = process.communicate(timeout=280)
        assert process.returncode == code, f"{command} gave {process.returncode}:\n{output}"
        return output

    def refused(self, *command: str) -> str:
        """What ``star`` says when it refuses a command, which it does before it starts anything.

        In this process: a second interpreter would show nothing more.
        """
        said = io.StringIO()
        with (
            chdir(self.folder),
            redirect_stdout(said),
            redirect_stderr(said),
            mock.patch.object(sys, "argv", ["star", *command]),
            mock.patch.dict(os.environ, {"COLUMNS": "200"}),
        ):
            try:
                main()
            except SystemExit as ended:
                assert ended.code == 2, said.getvalue()
        return said.getvalue()

    def generations(self, run: str = "main") -> dict[str, bytes]:
        """The bytes of all stored generations."""
        folder = self.folder / "data/populations" / run
        return {path.name: path.read_bytes() for path in sorted(folder.glob("gen_*.json"))}

    def evaluations(self) -> dict[str, bytes]:
        """The bytes of all stored evaluations; they hold the time they were made."""
        folder = self.folder / ".star/evaluations"
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*/*.json"))}


def corpus() -> str:
    """A small text with something to learn in it."""
    lines = [f"{a} times {b} is {a * b}." for a in range(12) for b in range(12)]
    return "\n".join(lines * 3)


def environment_for(home: Path) -> dict[str, str]:
    """The environment of a user with an empty home folder and this interpreter's commands."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTEST_"))
    }
    return {
        **inherited,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        **{
            f"GIT_{who}_{what}": "test@example.org"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }
