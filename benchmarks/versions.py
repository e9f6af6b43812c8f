"""What DVC and Prefect keep: a disk that is full for a commit, a lock that others hold, a newer database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.arena import Arena, Outcome, scenario
from benchmarks.lost_storage import fill, small_disk
from benchmarks.trial import Trial

HOLD = """
import sys
from dvc.repo import Repo
repo = Repo(sys.argv[1])
with repo.lock:
    print("held", flush=True)
    sys.stdin.read()
"""


@scenario("disk full during a DVC commit")
def disk_full_for_a_commit(arena: Arena) -> Outcome:
    """DVC's cache is on a disk that fills up while a generation is made, and is freed after the command."""
    outcome = Outcome()
    with small_disk(arena.folder / "cache-disk", "2m") as mounted:
        if not mounted:
            outcome.skipped = "not permitted to mount a small disk here"
            return outcome
        with Trial(arena, "commit", outcome) as trial:
            cache = trial.project.folder / ".dvc/cache"
            cache.symlink_to(arena.folder / "cache-disk", target_is_directory=True)
            attempt = trial.start()
            attempt.wait_for_more(3)
            free = fill(cache.resolve())
            trial.strike("cache's disk")
            trial.expect(attempt.end(2), "DVC could not commit the stage", "No space left", "Fix: ")
            free()
            trial.finish()
    return outcome


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """DVC's lock of a project, while the block lasts."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.communicate("")


@scenario("DVC's lock held by others")
def lock_held(arena: Arena) -> Outcome:
    """Another process holds DVC's lock: for a while, which is waited for; and for good, which is said."""
    outcome = Outcome()
    with Trial(arena, "lock", outcome) as trial:
        attempt = trial.start()
        attempt.wait_for_more(3)
        with held(trial.project.folder):
            trial.strike("for a while")
            known = len(trial.project.generations())
            attempt.wait_for(lambda: len(trial.project.generations()) > known)
            attempt.wait(5)
        attempt.end()
        trial.compare()
    with Trial(arena, "lock-for-good", outcome) as trial:
        attempt = trial.start()
        attempt.wait_for_more(3)
        with held(trial.project.folder):
            trial.strike("for good")
            trial.expect(attempt.end(2), "DVC could not commit the stage: Unable to acquire lock", "Fix: ")
        trial.finish()
    return outcome


@scenario("Prefect's database is a newer one")
def newer_database(arena: Arena) -> Outcome:
    """The database of the command's own server is one that a newer Prefect made; then it is put aside."""
    home = arena.folder / "newer-home"
    home.mkdir()
    environment = {**arena.alone, "HOME": str(home), "PREFECT_HOME": str(home / "prefect")}
    with Trial(arena, "newer", environment=environment) as trial:
        attempt = trial.start()
        attempt.wait_for_more(3)
        attempt.die()
        database = home / "prefect" / "prefect.db"
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("update alembic_version set version_num = 'ffffffffffff'")
        trial.strike("database")
        said = trial.start().end(2)
        trial.expect(said, "the Prefect server did not start", "Fix: ")
        trial.owes_word = False  # that the command was killed stood in the database
        for left in database.parent.glob("prefect.db*"):
            os.rename(left, left.with_suffix(".aside"))
        return trial.finish()
