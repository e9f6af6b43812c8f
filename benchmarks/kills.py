"""Processes of a run that are killed: the command at every kind of instant, candidates, servers, workers."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle

import yaml
from star_flows.server.process import prefect_server

from benchmarks.arena import Arena, Outcome, scenario
from benchmarks.trial import Attempt, Trial, go_on, gone, kill
from tests.flows.processes import (
    children,
    command,
    descendants,
    fork_servers,
    stop_candidate,
    wait_until,
)
from tests.flows.projects import environment_for

Strike = Callable[[Trial, Attempt], bool]
BEGUN_AGAIN = "its process was killed; it is begun again"
_TIGHT = 0.0005
"""Seconds between two looks for a file that is there for milliseconds."""


def _starting(trial: Trial, attempt: Attempt) -> bool:
    """While it imports, asks its server and looks at what is stored."""
    return attempt.wait(trial.arena.random.uniform(0.0, 8.0)) and _kill(trial, attempt, "starting")


def _training(trial: Trial, attempt: Attempt) -> bool:
    """At any instant between two finished candidates."""
    more = attempt.wait_for_more()
    return more and attempt.wait(trial.arena.random.uniform(0.0, 0.5)) and _kill(trial, attempt, "training")


def _writing(pattern: str, what: str, trial: Trial, attempt: Attempt) -> bool:
    """While a file is written: its temporary one is there, and still is when all is over."""
    folder = trial.project.folder
    known = set(folder.glob(pattern))  # of a kill before this one

    def half() -> bool:
        return not known.issuperset(folder.glob(pattern))

    if not attempt.wait_for(half, _TIGHT):
        return False
    writers = [child for server in fork_servers(attempt.pid) for child in children(server)]
    attempt.die(*writers)
    trial.strike(f"writing {what}" if half() else f"having written {what}")
    return True


def _before_commit(trial: Trial, attempt: Attempt) -> bool:
    """As soon as a generation file is there, which DVC does not know yet."""
    if not _generation_made(trial, attempt):
        return False
    attempt.die()
    lock = trial.project.folder / "dvc.lock"
    locked = yaml.safe_load(lock.read_text())["stages"] if lock.exists() else {}
    index = len(trial.project.generations()) - 1
    stage = f"generation@main-{index:03d}" if index else "founders@main"
    trial.strike("before a commit" if stage not in locked else "after a commit")
    return True


def _in_commit(trial: Trial, attempt: Attempt) -> bool:
    """While the ledger and DVC's files are written, or right after."""
    ledger = trial.project.folder / "data/ledger.yaml"
    before = ledger.read_bytes()
    if not attempt.wait_for(lambda: ledger.read_bytes() != before, _TIGHT):
        return False
    return attempt.wait(trial.arena.random.uniform(0.0, 1.5)) and _kill(trial, attempt, "committing")


def _ending(trial: Trial, attempt: Attempt) -> bool:
    """After the last training: survival, artifacts, commit and report."""
    last = len(trial.twin.generations())
    if not attempt.wait_for(lambda: len(trial.project.generations()) == last):
        return False
    return attempt.wait(trial.arena.random.uniform(0.2, 1.5)) and _kill(trial, attempt, "ending")


def _generation_made(trial: Trial, attempt: Attempt) -> bool:
    known = len(trial.project.generations())
    return attempt.wait_for(lambda: len(trial.project.generations()) > known, _TIGHT)


def _kill(trial: Trial, attempt: Attempt, what: str) -> bool:
    attempt.die()
    trial.strike(what)
    return True


_EVALUATION = partial(_writing, ".star/evaluations/??/.*.tmp", "an evaluation")
_GENERATION = partial(_writing, "data/populations/main/.*.tmp", "a generation")
_BASELINES = partial(_writing, "data/baselines/main/.*.tmp", "the baselines")
INSTANTS: tuple[Strike, ...] = (
    *(_starting, _EVALUATION, _BASELINES, _training, _training, _GENERATION, _starting, _before_commit),
    *(_training, _EVALUATION, _training, _GENERATION, _in_commit, _training, _starting, _EVALUATION),
    *(_GENERATION, _before_commit, _ending, _ending),
)
"""One run's share, in the order in which a run comes to them."""


@scenario("flow killed")
def kill_the_flow(arena: Arena) -> Outcome:
    """``kill -9`` of the command: at its start, in training, in the middle of a write, around a commit."""
    outcome, instants = Outcome(), cycle(INSTANTS)
    for number in range(arena.kills):
        if outcome.injected == arena.kills:
            break
        with Trial(arena, f"flow-{number}", outcome) as trial:
            for strike in instants:
                attempt = trial.start()
                if not strike(trial, attempt):
                    attempt.end()
                    break  # the run was over first
                if outcome.injected == arena.kills:
                    break
            trial.finish()
    if outcome.injected < arena.kills:
        outcome.problems.append(f"only {outcome.injected} of {arena.kills} kills struck")
    return outcome


@scenario("Ctrl-C")
def interrupt(arena: Arena) -> Outcome:
    """Ctrl-C in a terminal, which reaches the command and what it started; with a server of its own."""
    with Trial(arena, "interrupted", environment=arena.alone) as trial:
        for more in (0, 1, 3):
            attempt = trial.start()
            if more:
                attempt.wait_for_more(more)
            else:
                attempt.wait_for(partial(fork_servers, attempt.pid))
            if not attempt.runs():
                trial.require(False, f"it ended before Ctrl-C: {attempt.end()[-600:]}")
                break
            found = descendants(attempt.pid)
            os.killpg(attempt.pid, signal.SIGINT)
            trial.expect(attempt.end(130), "star: interrupted; the same command goes on from here$")
            trial.require(gone(found), "its processes lived on")
            trial.strike("starting" if not more else "training")
        return trial.finish()


@scenario("candidate or fork server killed")
def kill_workers(arena: Arena) -> Outcome:
    """Candidate processes and their fork server are killed under a running command, which goes on."""
    with Trial(arena, "workers") as trial:
        attempt = trial.start()
        for number in range(6):
            if not attempt.wait_for(lambda: fork_servers(attempt.pid)):
                break
            [server] = fork_servers(attempt.pid)
            candidate = stop_candidate(server, 60)
            kill(server if number % 3 == 2 else candidate)
            go_on(candidate)  # an orphan ends by itself
            trial.strike("fork server" if number % 3 == 2 else "candidate")
            if not attempt.wait_for_more():
                break
        trial.expect(attempt.end(), BEGUN_AGAIN)
        return trial.compare()


@scenario("Prefect server killed")
def kill_the_server(arena: Arena) -> Outcome:
    """The Prefect server is killed under a running command: one that stays away, one that comes back."""
    outcome = Outcome()
    with Trial(arena, "own-server", outcome, environment=arena.alone) as trial:
        attempt = trial.start()
        attempt.wait_for_more(2)
        _kill_servers(trial, attempt.pid)
        trial.expect(attempt.end(2), "the Prefect server cannot be used .* Fix: run the same command again")
        trial.finish()
    home = arena.folder / "other-home"
    home.mkdir()
    with ExitStack() as stack:
        # Below the ports that the kernel gives to clients: one of them could take it meanwhile.
        port = arena.random.randrange(23_000, 32_000)
        environment = stack.enter_context(prefect_server(environment_for(home), port))
        with Trial(arena, "server", outcome, environment=environment) as trial:
            attempt = trial.start()
            attempt.wait_for_more(2)
            _kill_servers(trial, os.getpid(), port)
            wait_until(partial(_is_free, port), 20)  # its last connections are still being closed
            began = time.monotonic()
            back = stack.enter_context(prefect_server(environment_for(home), port))
            trial.require(back["PREFECT_API_URL"] == environment["PREFECT_API_URL"], "its port was taken")
            attempt.wait_for_more()
            outcome.recovery[-1] = time.monotonic() - began
            attempt.end()
            trial.compare()
    return outcome


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _kill_servers(trial: Trial, above: int, port: int | None = None) -> None:
    found = [pid for pid in descendants(above) if "server start" in command(pid)]
    for server in found:
        if port is None or str(port) in command(server).split():
            kill(server)
            trial.require(gone([server]), "the server lived on")
            trial.strike("server of the command" if port is None else "server of others, back soon")


@scenario("Ray worker killed")
def kill_a_ray_worker(arena: Arena) -> Outcome:
    """A worker of a Ray cluster is killed while a candidate trains in it."""
    with Trial(arena, "ray", runtime={"runner": "ray", "workers": 1, "patience_seconds": 1}) as trial:
        attempt = trial.start()
        attempt.wait_for_more(3)
        [server] = fork_servers(attempt.pid)
        candidate = stop_candidate(server, 60)
        workers = [pid for pid in descendants(attempt.pid) if server in children(pid)]
        for worker in workers:
            kill(worker)
            trial.strike("worker")
        go_on(candidate)
        trial.expect(
            attempt.end(), r"the worker that trained it died \(WorkerCrashedError\); another one begins"
        )
        return trial.compare()


@scenario("two processes on one run")
def two_at_once(arena: Arena) -> Outcome:
    """Two processes are started on one run; one works, the other says so."""
    with Trial(arena, "two") as trial:
        both = [trial.start(), trial.start()]
        said = [attempt.process.communicate()[0] for attempt in both]
        codes = [attempt.process.returncode for attempt in both]
        trial.require(sorted(codes) == [0, 2], f"exit codes {codes}")
        trial.expect(said[codes.index(2) if 2 in codes else 0], r"process \d+ is working on this run")
        trial.strike("second process")
        return trial.compare()
