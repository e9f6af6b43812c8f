"""A run that faults are injected into: its commands, what it had finished, and what became of it."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import yaml

from benchmarks.arena import Arena, Outcome
from benchmarks.shelves import FolderShelf, Shelf
from tests.flows.processes import descendants, is_alive, wait_until
from tests.flows.projects import Project

COMPARED = ("data/baselines/main/baselines.json", "data/ledger.yaml", "dvc.lock")
SECONDS = 280
"""No command takes longer, however busy the machine."""
BEGUN = " candidates\n"
"""What a command says that has come as far as its flow."""
KILLED = "killed before the end; what was finished is kept"
"""What the next one says."""
_LOOK_SECONDS = 0.05
_GONE_SECONDS = 30
"""What a killed command's processes get to be gone."""


class Trial:
    """One disturbed run. As a context manager it notes what is finished, as soon as it is.

    Args:
        arena: Where.
        name: Of its folder.
        outcome: What it adds to; a new one by default.
        environment: Of its commands; the arena's by default.
        shelf: Where its evaluations are; in the project by default.
        twin: The undisturbed run to compare with; the arena's by default.
        folder: Where to make the project; ``name`` in the arena by default.
        sections: Of its parameter file. Those but ``runtime`` change the result: they need a twin.

    Attributes:
        finished: The evaluations as they were first seen, by name.
        deaths: How often its command was killed.
        owes_word: Whether one that had come as far as its flow was, and the next has not said so yet.
    """

    def __init__(
        self,
        arena: Arena,
        name: str,
        outcome: Outcome | None = None,
        environment: dict[str, str] | None = None,
        shelf: Shelf | None = None,
        twin: Project | None = None,
        folder: Path | None = None,
        **sections: object,
    ) -> None:
        self.arena, self.outcome = arena, Outcome() if outcome is None else outcome
        self.twin = arena.undisturbed if twin is None else twin
        place, environment = folder or arena.folder / name, environment or arena.environment
        if place.exists():
            self.project = Project(place, environment)
        else:
            self.project = Project.create(place, environment, **sections)
        self.shelf = FolderShelf(place / ".star/evaluations") if shelf is None else shelf
        self.finished: dict[str, bytes] = {}
        self.owes_word, self.deaths = False, 0
        self._spoiled: set[str] = set()
        self._over, self._looking = threading.Event(), threading.Lock()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Trial:
        self.finished = self.shelf.contents()
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watch.join()

    def start(self, *arguments: str) -> Attempt:
        """Starts ``star evolve``."""
        self._note_finished()
        return Attempt(self, *arguments)

    def strike(self, what: str) -> None:
        """Counts a fault."""
        self.outcome.struck[what] += 1

    def expect(self, said: str, *patterns: str) -> None:
        """Notes a problem for each pattern that a command did not say."""
        words = " ".join(said.split())
        for pattern in patterns:
            if not re.search(pattern, words):
                self.outcome.problems.append(f"nothing like {pattern!r} was said, but: {words[-400:]}")

    def require(self, holds: object, problem: str) -> None:
        """Notes a problem unless something holds."""
        if not holds:
            self.outcome.problems.append(problem)

    def spoil(self, names: Iterable[str]) -> None:
        """These evaluations are damaged on purpose: they will be trained again."""
        self._spoiled |= set(names)
        for name in self._spoiled:
            self.finished.pop(name, None)

    def finish(self) -> Outcome:
        """Brings the run to its end, as a user would, and compares it with the undisturbed one."""
        attempt = self.start()
        known = len(self.finished)
        attempt.wait_for(lambda: len(self.finished) > known)
        self.outcome.recovery.append(attempt.seconds)
        attempt.end()
        return self.compare()

    def compare(self) -> Outcome:
        """Compares a run that is at its end with the undisturbed one, and looks for what is left of it."""
        self.__exit__(None, None, None)
        outcome, folder = self.outcome, self.project.folder
        self.expect(self.start().end(), "is complete")
        now = self.shelf.contents()
        again = [name for name, content in self.finished.items() if now.get(name) != content]
        expected = FolderShelf(self.twin.folder / ".star/evaluations").names()
        self.require(set(now) == expected, f"{len(set(now) ^ expected)} evaluations too many or too few")
        outcome.retrained += len(again)
        outcome.runs += 1
        outcome.identical += self._is_identical()
        left = [
            *(str(path.relative_to(folder)) for path in folder.glob("data/**/.*.tmp")),
            *(str(path.relative_to(folder)) for path in folder.glob(".star/states/**/*") if path.is_file()),
            *self.shelf.left(self.deaths),
        ]
        outcome.left += len(left)
        self.require(not left, f"left behind: {', '.join(sorted(left)[:4])}")
        self.require((folder / "data/reports/main/report.html").is_file(), "there is no report")
        self._check_cache()
        return outcome

    def _is_identical(self) -> bool:
        here, there = self.project, self.twin
        return here.generations() == there.generations() and all(
            _bytes(here.folder / name) == _bytes(there.folder / name) for name in COMPARED
        )

    def _check_cache(self) -> None:
        """What ``dvc.lock`` names is in DVC's cache, whole."""
        lock = yaml.safe_load(_bytes(self.project.folder / "dvc.lock") or b"stages: {}")
        for stage, entry in lock["stages"].items():
            for out in entry.get("outs", ()):
                md5 = out["md5"]
                path = self.project.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
                whole = _md5(path) == md5.removesuffix(".dir")
                self.require(whole, f"{stage}: {out['path']} is not in DVC's cache as dvc.lock has it")

    def _look(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self._note_finished()

    def _note_finished(self) -> None:
        with self._looking, suppress(Exception):  # the storage is away: that is what is tried
            for name in self.shelf.names() - self.finished.keys() - self._spoiled:
                self.finished[name] = self.shelf.read(name)


class Attempt:
    """A running ``star evolve``.

    Attributes:
        seconds: How long it ran when something last waited for came true.
    """

    def __init__(self, trial: Trial, *arguments: str) -> None:
        self.trial, self.seconds, self._began = trial, 0.0, time.monotonic()
        self.process: subprocess.Popen[str] = trial.project.start("star", "evolve", *arguments)
        self.pid = self.process.pid

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def wait_for(
        self, condition: Callable[[], object], pause: float = 0.01, seconds: float = SECONDS
    ) -> bool:
        """Whether something came true before the command ended."""
        until = time.monotonic() + seconds
        while self.runs():
            if condition():
                self.seconds = time.monotonic() - self._began
                return True
            if time.monotonic() > until:
                self.trial.require(False, f"waited {seconds:g} s in vain")
                return False
            time.sleep(pause)
        self.seconds = time.monotonic() - self._began
        return False

    def wait(self, seconds: float) -> bool:
        """Whether it still runs after so many seconds."""
        until = time.monotonic() + seconds
        return self.wait_for(lambda: time.monotonic() >= until)

    def wait_for_more(self, evaluations: int = 1) -> bool:
        """Waits until it has finished so many more candidates; notes how long the first took."""
        known = len(self.trial.finished)
        came = self.wait_for(lambda: len(self.trial.finished) > known)
        self.trial.outcome.recovery.append(self.seconds)
        return came and self.wait_for(lambda: len(self.trial.finished) >= known + evaluations)

    def die(self, *before: int) -> str:
        """``kill -9`` of these processes and the command: nothing of it lives on. Returns what it said."""
        everything = descendants(self.pid)
        for pid in (*before, self.pid):
            kill(pid)
        said = self._said()
        self.trial.deaths += 1
        self.trial.owes_word = BEGUN in said
        if not gone(everything):
            alive = [pid for pid in everything if is_alive(pid)]
            self.trial.outcome.left += len(alive)
            self.trial.require(False, f"{len(alive)} of its processes lived on")
            for pid in alive:
                kill(pid)
        return said

    def end(self, code: int = 0) -> str:
        """Waits for its end; what it said."""
        said = self._said()
        ended = self.process.returncode
        self.trial.require(ended == code, f"exit code {ended} instead of {code}: {said[-600:]}")
        return said

    def _said(self) -> str:
        try:
            said, _ = self.process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            everything = descendants(self.pid)
            for pid in (self.pid, *everything):
                kill(pid)
            self.trial.require(False, f"it, or something it started, did not end in {SECONDS} s")
            try:
                said, _ = self.process.communicate(timeout=_GONE_SECONDS)
            except subprocess.TimeoutExpired:  # an orphan holds the other end
                said = ""
        self.trial.require("Traceback" not in said, f"a traceback: {said[-600:]}")
        if self.trial.owes_word and BEGUN in said:
            self.trial.expect(said, KILLED)
            self.trial.owes_word = False
        return said


def gone(processes: Iterable[int]) -> bool:
    """Whether these processes have ended, or do so soon."""
    found = list(processes)
    return wait_until(lambda: not any(map(is_alive, found)), _GONE_SECONDS)


def kill(pid: int) -> None:
    """``kill -9``."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def go_on(pid: int) -> None:
    """Lets a stopped process run, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _md5(path: Path) -> str:
    return hashlib.md5(_bytes(path), usedforsecurity=False).hexdigest()
