"""What a run survives: faults injected into real runs, each of which must end as if nothing had happened.

    python -m benchmarks.faults [--kills 20] [--seed 0] [--only NAME,…]

Every scenario makes a small project, disturbs its run, runs `star evolve` again as a user would, and then
compares with an undisturbed run of the same parameters: the same generation files to the byte, the same
baselines and ledger, no evaluation that was stored made again, no temporary file left. Prints a line per
scenario and ends with exit code 1 if one was not survived.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median

import psutil

from benchmarks.arena import Arena, Outcome, kill, wait_for
from flows.server import prefect_server
from tests.flows.projects import Project, environment_for
from tests.object_store import ObjectStore


def kill_the_flow(arena: Arena) -> Outcome:
    """The command is killed at its start, while candidates train, while files are written."""
    project, outcome, seen = arena.project("flow"), Outcome(), {}
    total = len(arena.undisturbed.evaluations())
    while outcome.injected < arena.kills:
        process = project.start("star", "evolve")
        began = time.monotonic()
        if outcome.injected % 4 == 0 or len(seen) >= total - 1:
            instant = began + arena.random.uniform(0.0, 7.0)  # somewhere from its imports on
        else:
            wait_for(lambda known=seen: len(project.evaluations()) > len(known), process)
            outcome.recovery.append(time.monotonic() - began)
            instant = time.monotonic() + arena.random.uniform(0.0, 0.4)
        wait_for(lambda at=instant: time.monotonic() >= at, process)
        if process.poll() is not None:
            process.communicate()
            break  # the run was over first
        kill(process.pid)
        process.communicate()
        outcome.injected += 1
        now = project.evaluations()
        outcome.retrained += sum(now.get(name) != content for name, content in seen.items())
        seen = now
    return arena.finish(project, outcome, seen)


def kill_between_file_and_commit(arena: Arena) -> Outcome:
    """The command is killed as soon as a generation file is there, before DVC knows of it."""
    project, outcome = arena.project("commit"), Outcome()
    for index in range(3):
        process = project.start("star", "evolve")
        wait_for(lambda last=index: f"gen_{last:03d}.json" in project.generations(), process)
        if process.poll() is None:
            kill(process.pid)
            outcome.injected += 1
        process.communicate()
    return arena.finish(project, outcome, project.evaluations())


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Descendants of a command, the candidate processes last."""
    with suppress(psutil.Error):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def kill_workers(arena: Arena) -> Outcome:
    """Candidate processes and their fork server are killed under a running command."""
    project, outcome = arena.project("workers"), Outcome()
    process = project.start("star", "evolve")
    done = 0
    for number in range(6):
        wait_for(lambda known=done: len(project.evaluations()) > known, process)
        time.sleep(arena.random.uniform(0.0, 0.3))
        found = children(process)
        if process.poll() is not None or not found:
            break
        done = len(project.evaluations())
        kill((found[0] if number % 3 == 2 else found[-1]).pid)
        outcome.injected += 1
    outcome.said, _ = process.communicate(timeout=240)
    seen = project.evaluations()
    return arena.finish(project, outcome, seen)


def kill_the_server(arena: Arena) -> Outcome:
    """The Prefect server is killed under a running command and started again."""
    outcome = Outcome()
    with prefect_server(environment_for(arena.folder / "other-home")) as environment:
        project = arena.project("server", environment)
        process = project.start("star", "evolve")
        wait_for(lambda: len(project.evaluations()) >= 4, process)
        port = environment["PREFECT_API_URL"].rsplit(":", 1)[1].split("/")[0]
        for one in psutil.process_iter(["cmdline"]):
            if "--port" in (one.info["cmdline"] or ()) and port in one.info["cmdline"]:
                kill(one.pid)
                outcome.injected += 1
        outcome.said, _ = process.communicate(timeout=240)
    project.environment = arena.environment
    return arena.finish(project, outcome, project.evaluations())


def two_at_once(arena: Arena) -> Outcome:
    """Two processes are started on one run; one works, the other says so."""
    project, outcome = arena.project("two"), Outcome(injected=1)
    first, second = project.start("star", "evolve"), project.start("star", "evolve")
    texts = [one.communicate(timeout=240)[0] for one in (first, second)]
    codes = sorted((first.returncode, second.returncode))
    outcome.said = next((text for text in texts if "is working on this run" in text), "")
    if codes != [0, 2]:
        outcome.said = f"exit codes {codes}"
        return outcome
    return arena.finish(project, outcome, project.evaluations())


CLOCK = """
import os, random, time
_true, _random = time.time, random.Random(os.getpid())
time.time = lambda: _true() + _random.choice((-86400.0, -7.0, 0.0, 3.0, 3600.0, 31536000.0))
"""


def jumping_clock(arena: Arena) -> Outcome:
    """In half of the run's processes the wall clock jumps by up to a year at every look."""
    shim = arena.folder / "shim"
    shim.mkdir()
    # Prefect stamps its events with the time; ours are the processes that train and store.
    (shim / "sitecustomize.py").write_text(
        "import sys\nif 'star_core.training' in ' '.join(sys.orig_argv):\n"
        + "".join(f"    {line}\n" for line in CLOCK.strip().splitlines())
    )
    environment = {**arena.environment, "PYTHONPATH": str(shim)}
    project, outcome = arena.project("clock", environment), Outcome(injected=1)
    project.run("star", "evolve")
    project.environment = arena.environment
    return arena.finish(project, outcome, project.evaluations())


def damaged_files(arena: Arena) -> Outcome:
    """Stored files are truncated, flipped, swapped and replaced; each is told, mended and healed."""
    outcome, project = Outcome(), arena.folder / "damage"
    shutil.copytree(arena.undisturbed.folder, project, symlinks=True)
    damaged = Project(project, arena.environment)
    seen = damaged.evaluations()
    other = (project / "data/populations/main/gen_000.json").read_bytes()
    path = project / "data/populations/main/gen_001.json"
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[len(flipped) // 2] ^= 1
    older = good.replace(b'"version": 1', b'"version": 0')
    for content in (good[: len(good) // 2], bytes(flipped), other, b"", older):
        path.write_bytes(content)
        outcome.said = damaged.run("star", "evolve", "--generations", "3", code=2)
        outcome.injected += 1
        path.unlink()  # the message says: delete it to compute it again
        began = time.monotonic()
        damaged.run("star", "evolve")
        outcome.recovery.append(time.monotonic() - began)
    return arena.compare(damaged, outcome, seen)


def damaged_evaluations(arena: Arena) -> Outcome:
    """Stored evaluations are truncated, flipped and swapped: set aside and trained again."""
    outcome, folder = Outcome(), arena.folder / "evaluations"
    shutil.copytree(arena.undisturbed.folder, folder, symlinks=True)
    damaged = Project(folder, arena.environment)
    shutil.rmtree(folder / "data/populations/main")
    names = sorted(damaged.evaluations())
    paths = [folder / ".star/evaluations" / name[:2] / name for name in names]
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[: len(content) // 2])
    paths[1].write_bytes(paths[1].read_bytes().replace(b"validation_loss", b"validation_lost"))
    paths[2].write_bytes(paths[3].read_bytes())
    outcome.injected = 3
    began = time.monotonic()
    outcome.said = damaged.run("star", "evolve")
    outcome.recovery.append(time.monotonic() - began)
    untouched = {name: path.read_bytes() for name, path in zip(names[3:], paths[3:], strict=True)}
    return arena.compare(damaged, outcome, untouched)


@contextmanager
def object_store(arena: Arena, name: str) -> Iterator[tuple[Project, ObjectStore]]:
    """A project whose evaluations are in S3."""
    with ObjectStore(arena.folder / f"{name}-s3") as store:
        environment = {**arena.environment, **store.environment}
        runtime = {
            "workers": 1,
            "patience_seconds": 120,
            "storage": f"{store.url}/evaluations",
            "lease_seconds": 3,
        }
        yield arena.project(name, environment, runtime=runtime), store


def stored_in(store: ObjectStore) -> dict[str, bytes]:
    """Evaluations in S3, by name."""
    client, found = store.client(), {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix="evaluations/"):
        for one in page.get("Contents", ()):
            if one["Key"].endswith(".json") and "/leases/" not in one["Key"]:
                found[one["Key"]] = client.get_object(Bucket=store.bucket, Key=one["Key"])["Body"].read()
    return found


def storage_goes_away(arena: Arena, seconds: float = 30) -> Outcome:
    """The S3 server is killed in the middle of a generation and is back half a minute later."""
    outcome = Outcome()
    with object_store(arena, "away") as (project, store):
        process = project.start("star", "evolve")
        wait_for(lambda: len(stored_in(store)) >= 4, process)
        seen = stored_in(store)
        store.kill()
        outcome.injected = 1
        time.sleep(seconds)
        store.start()
        began = time.monotonic()
        outcome.said, _ = process.communicate(timeout=280)
        outcome.recovery.append(time.monotonic() - began)
        after = stored_in(store)
        outcome.retrained = sum(after.get(name) != content for name, content in seen.items())
    return arena.compare(project, outcome, {})


def killed_on_object_storage(arena: Arena) -> Outcome:
    """The command is killed while its evaluations are in S3: its leases are taken over."""
    outcome = Outcome()
    with object_store(arena, "leases") as (project, store):
        seen: dict[str, bytes] = {}
        for _ in range(4):
            process = project.start("star", "evolve")
            began = time.monotonic()
            wait_for(lambda known=seen: len(stored_in(store)) > len(known), process)
            outcome.recovery.append(time.monotonic() - began)
            time.sleep(arena.random.uniform(0.0, 0.5))
            if process.poll() is not None:
                break
            kill(process.pid)
            process.communicate()
            outcome.injected += 1
            now = stored_in(store)
            outcome.retrained += sum(now.get(name) != content for name, content in seen.items())
            seen = now
        project.run("star", "evolve")
        after = stored_in(store)
        outcome.retrained += sum(after.get(name) != content for name, content in seen.items())
    return arena.compare(project, outcome, {})


def disk_full(arena: Arena) -> Outcome:
    """The disk with the evaluations fills up in the middle of a run and is freed while the run waits."""
    outcome = Outcome()
    small = arena.folder / "small-disk"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=False).returncode:
        outcome.said = "not permitted to mount a small disk here"
        return outcome
    try:
        runtime = {"workers": 1, "patience_seconds": 60, "storage": str(small / "evaluations")}
        project = arena.project("full", runtime=runtime)
        process = project.start("star", "evolve")
        wait_for(lambda: len(list(small.glob("evaluations/*/*.json"))) >= 4, process)
        filler = small / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        outcome.injected = 1
        time.sleep(10)
        filler.unlink()
        began = time.monotonic()
        outcome.said, _ = process.communicate(timeout=280)
        outcome.recovery.append(time.monotonic() - began)
        return arena.compare(project, outcome, {})
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


SCENARIOS: dict[str, Callable[[Arena], Outcome]] = {
    "flow killed": kill_the_flow,
    "killed before the commit": kill_between_file_and_commit,
    "worker or fork server killed": kill_workers,
    "Prefect server killed": kill_the_server,
    "two processes on one run": two_at_once,
    "clock jumps": jumping_clock,
    "generation file damaged": damaged_files,
    "evaluation damaged": damaged_evaluations,
    "S3 away for 30 s": storage_goes_away,
    "killed with S3 storage": killed_on_object_storage,
    "disk full": disk_full,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(SCENARIOS), help="Scenarios, by name.")
    arguments = parser.parse_args()
    failed = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = stack.enter_context(prefect_server(environment_for(folder / "home")))
        arena = Arena(folder, environment, arguments.seed, arguments.kills)
        total = len(arena.undisturbed.evaluations())
        print(f"{total} candidates in an undisturbed run; faults struck with seed {arguments.seed}\n")
        head = f"{'fault':<30}{'injected':>9}{'survived':>10}{'re-trained':>12}{'identical':>11}{'left':>6}"
        print(f"{head}{'recovery, s':>13}")
        for name in arguments.only.split(","):
            outcome = SCENARIOS[name](arena)
            recovery = f"{median(outcome.recovery):.1f}" if outcome.recovery else "–"
            print(
                f"{name:<30}{outcome.injected:>9}{_yes(outcome.survived):>10}{outcome.retrained:>12}"
                f"{_yes(outcome.identical):>11}{outcome.left:>6}{recovery:>13}",
                flush=True,
            )
            if not outcome.survived:
                failed.append(name)
                print("    " + "\n    ".join(outcome.said.strip().splitlines()[-8:]))
    raise SystemExit(1 if failed else 0)


def _yes(value: bool) -> str:
    return "yes" if value else "NO"


if __name__ == "__main__":
    main()
