"""Storage that is away, full, or answers badly: it is waited for, and nothing finished is lost."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.arena import Arena, Outcome, scenario
from benchmarks.damage import KEPT
from benchmarks.shelves import PREFIX, BucketShelf, FolderShelf
from benchmarks.trial import Trial
from tests.faulty_proxy import Fault, FaultyProxy
from tests.object_store import ObjectStore

AWAY_SECONDS = 30
WAITED = ("waiting up to 120 s for the storage", "the storage is back")
BAD: tuple[Fault, ...] = ("slow down", "cut", "shorten", "flip", "lose")
"""All but a refusal, which is final."""
APART = 5
"""Requests from one bad answer to the next, at least."""


@contextmanager
def on_s3(arena: Arena, name: str, endpoint: str = "", into: ObjectStore | None = None) -> Iterator[Trial]:
    """A trial whose evaluations are in a bucket, behind another endpoint if one is given."""
    store = into or ObjectStore(arena.folder / f"{name}-s3")
    with store:
        environment = {**arena.environment, **store.environment}
        if endpoint:
            environment["AWS_ENDPOINT_URL"] = endpoint
        runtime = {
            "workers": 1,
            "patience_seconds": 120,
            "storage": f"{store.url}/{PREFIX}",
            "lease_seconds": 3,
        }
        with Trial(arena, name, environment=environment, shelf=BucketShelf(store), runtime=runtime) as trial:
            yield trial


def store_of(trial: Trial) -> ObjectStore:
    """The server that a trial's evaluations are on."""
    assert isinstance(trial.shelf, BucketShelf)
    return trial.shelf.store


@scenario("S3 away for 30 s")
def storage_goes_away(arena: Arena) -> Outcome:
    """The S3 server is killed in the middle of a generation and is back half a minute later."""
    with on_s3(arena, "away") as trial:
        attempt = trial.start()
        attempt.wait_for_more(4)
        store_of(trial).kill()
        trial.strike("server killed")
        attempt.wait(AWAY_SECONDS)
        store_of(trial).start()
        began = time.monotonic()
        attempt.wait_for_more()
        trial.outcome.recovery[-1] = time.monotonic() - began
        trial.expect(attempt.end(), *WAITED)
        return trial.compare()


@scenario("S3 away during a report")
def storage_goes_away_for_a_report(arena: Arena) -> Outcome:
    """The S3 server is killed when the last generation is there, and is back when the report was made."""
    with on_s3(arena, "report") as trial:
        attempt, last = trial.start(), len(trial.twin.generations())
        attempt.wait_for(lambda: len(trial.project.generations()) == last, 0.002)
        store_of(trial).kill()
        trial.strike("server killed")
        page = trial.project.folder / "data/reports/main/report.html"
        attempt.wait_for(page.exists)
        attempt.end()
        trial.require(page.exists(), "no report was made without the storage")
        store_of(trial).start()
        return trial.compare()


@scenario("S3 answers badly")
def storage_answers_badly(arena: Arena) -> Outcome:
    """Answers of S3 are refusals for now (503), end in the middle, are too short, changed, or lost."""
    store = ObjectStore(arena.folder / "badly-s3")
    with (
        store,
        FaultyProxy(store.endpoint) as proxy,
        on_s3(arena, "badly", proxy.endpoint, store) as trial,
    ):
        attempt, over = trial.start(), threading.Event()
        attempt.wait_for(lambda: proxy.requests)

        def disturb() -> None:
            answered = 0
            while not over.wait(0.005):
                # One at a time: of what is read twice, one answer is right.
                if proxy.waits or len(proxy.requests) < answered:
                    continue
                fault = arena.random.choice(BAD)
                proxy.order(fault, method="GET" if fault == "flip" else "")
                answered = len(proxy.requests) + APART
                trial.strike(fault)

        disturber = threading.Thread(target=disturb)
        disturber.start()
        attempt.wait_for(lambda: False)
        over.set()
        disturber.join()
        attempt.end()
        proxy.reset()
        return trial.compare()


@scenario("evaluation damaged on S3")
def damaged_on_s3(arena: Arena) -> Outcome:
    """Stored objects are truncated; the command that finds them trains those candidates again."""
    with on_s3(arena, "objects") as trial:
        first = trial.start()
        first.wait_for_more(4)  # two baselines, two founders
        first.die()
        trial.strike("flow killed")
        shelf = trial.shelf
        assert isinstance(shelf, BucketShelf)
        contents = dict(list(trial.finished.items())[2:])
        trial.spoil(contents)
        for name, content in contents.items():
            shelf.write(name, content[: len(content) // 2])
            trial.strike("object truncated")
        said = trial.start().end()
        trial.expect(said, *[f"{name}: .*{KEPT}" for name in contents])
        aside = [name for name in shelf.objects() if name.startswith("corrupt/")]
        trial.require(len(aside) == len(contents), f"{len(aside)} of {len(contents)} were set aside")
        return trial.compare()


@scenario("flow killed with S3 storage")
def killed_on_object_storage(arena: Arena) -> Outcome:
    """The command is killed while its evaluations are in S3: its leases are taken over."""
    with on_s3(arena, "leases") as trial:
        for _ in range(4):
            attempt = trial.start()
            if not attempt.wait_for_more() or not attempt.wait(arena.random.uniform(0.0, 0.5)):
                attempt.end()
                break
            attempt.die()
            trial.strike("training")
        return trial.finish()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """A disk of that size on the folder, if one may be mounted here."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = not subprocess.run(command, check=False, capture_output=True).returncode
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(folder: Path) -> Callable[[], None]:
    """Fills the disk of a folder to the last byte; returns what frees it."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(1024))
            file.flush()
    return filler.unlink


@scenario("disk full")
def disk_full(arena: Arena) -> Outcome:
    """The disk with the evaluations fills up and is freed while the run waits; then the project's own."""
    outcome = Outcome()
    with small_disk(arena.folder / "small", "1m") as mounted:
        if not mounted:
            outcome.skipped = "not permitted to mount a small disk here"
            return outcome
        place = arena.folder / "small/evaluations"
        runtime = {"workers": 1, "patience_seconds": 120, "storage": str(place)}
        with Trial(arena, "full", outcome, shelf=FolderShelf(place), runtime=runtime) as trial:
            attempt = trial.start()
            attempt.wait_for_more(4)
            free = fill(place.parent)
            trial.strike("disk of the evaluations")
            attempt.wait(10)
            free()
            began = time.monotonic()
            attempt.wait_for_more()
            outcome.recovery[-1] = time.monotonic() - began
            trial.expect(attempt.end(), *WAITED)
            trial.compare()
    with small_disk(arena.folder / "tiny", "8m"):
        place = arena.folder / "tiny/project"
        with Trial(arena, "tiny", outcome, folder=place) as trial:
            attempt = trial.start()
            attempt.wait_for_more(4)
            free = fill(place.parent)
            trial.strike("disk of the project")
            said = attempt.end(2)
            trial.expect(said, "No space left on device", "Fix: ")
            free()
            trial.finish()
    return outcome
