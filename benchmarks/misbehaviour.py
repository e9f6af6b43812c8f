"""Candidates that hang, leak, raise or return nonsense, and a wall clock that jumps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.arena import Arena, Outcome, scenario
from benchmarks.trial import Trial
from star_core.config import load_params
from star_core.evaluation import Evaluation, Job
from star_core.evolution.base import Problem
from star_core.evolution.step import offspring_of
from star_core.population.generation import stored_generations
from tests.flows.projects import ROOT, Project

FAULTS = "BENCHMARK_FAULTS"
"""Variable of the environment: a JSON file, genome → how it misbehaves."""
SHIM = """
import sys
if "star_core.training.processes.forkserver" in " ".join(sys.orig_argv):
    from benchmarks.misbehaviour import misbehave
    misbehave()
"""
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long jump(void) {
    static const long by[] = {-86400, -7, 0, 3, 3600, 31536000};
    static __thread unsigned seed;
    if (!seed) seed = (unsigned)(size_t)&seed;
    return by[rand_r(&seed) % 6];
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += jump();
    return failed;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec time;
    int failed = clock_gettime(CLOCK_REALTIME, &time);
    if (!failed) { now->tv_sec = time.tv_sec; now->tv_usec = time.tv_nsec / 1000; }
    return failed;
}
time_t time(time_t *where) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    if (where) *where = time.tv_sec;
    return time.tv_sec;
}
"""


def hang(_train: Callable[[Job], Evaluation], _job: Job) -> Evaluation:
    """For ever."""
    while True:
        time.sleep(1)


def leak(_train: Callable[[Job], Evaluation], _job: Job) -> Evaluation:
    """Until the memory limit."""
    import torch

    kept = []
    while True:
        kept.append(torch.ones(1 << 24))


def clash(_train: Callable[[Job], Evaluation], _job: Job) -> Evaluation:
    """An error inside torch."""
    import torch

    torch.ones(2, 3) @ torch.ones(2, 3)
    raise AssertionError


def explode(train: Callable[[Job], Evaluation], job: Job) -> Evaluation:
    """A real training at a rate at which no loss stays finite."""
    wild = {"learning_rate": 1e12, "steps": 30}
    return train(replace(job, training=job.training.model_copy(update=wild)))


def lie(train: Callable[[Job], Evaluation], job: Job) -> Evaluation:
    """A loss that is not a number, returned as if all were well."""
    return replace(train(job), metrics={"validation_loss": float("nan")})


KINDS = {
    "hang": (hang, "timed_out", r"timed out \(killed after 15 s \(runtime.deadline_seconds\)\)"),
    "leak": (leak, "out_of_memory", r"out of memory \(more than 512 MiB \(runtime.memory_mib\)"),
    "clash": (clash, "crashed", r"crashed \(RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
    "explode": (explode, "diverged", r"diverged \("),
    "lie": (lie, "crashed", r"crashed \("),
}
"""Name → what it does, how that is stored, what is said."""


def misbehave() -> None:
    """Called in fork servers: training does what the file says."""
    from star_core.training import fit

    faults, train = json.loads(Path(os.environ[FAULTS]).read_text()), fit.train

    def act(job: Job) -> Evaluation:
        return KINDS[faults[job.genome]][0](train, job) if job.genome in faults else train(job)

    fit.train = act


@scenario("candidates that misbehave")
def misbehaving_candidates(arena: Arena) -> Outcome:
    """Founders hang, leak, raise in torch, diverge, return NaN; the run goes on, and does so when killed."""
    sections: dict[str, Any] = {
        "generations": 1,
        "evolution": {"population": 8, "mutation_rate": 0.2},
        "runtime": {"workers": 2, "patience_seconds": 1, "deadline_seconds": 15, "memory_mib": 512},
    }
    shim = arena.folder / "misbehaviour"
    shim.mkdir()
    (shim / "sitecustomize.py").write_text(SHIM)
    (shim / "faults.json").write_text("{}")
    environment = {
        **arena.environment,
        "PYTHONPATH": os.pathsep.join((str(shim), str(ROOT))),
        FAULTS: str(shim / "faults.json"),
    }
    twin = Project.create(arena.folder / "misbehaving", environment, **sections)
    founders = offspring_of(Problem(load_params(twin.folder / "params.yaml"), 256), None)
    faults = dict(zip((founder.genome for founder in founders), KINDS, strict=False))
    (shim / "faults.json").write_text(json.dumps(faults))
    undisturbed = twin.run("star", "evolve")
    with Trial(arena, "killed-misbehaving", None, environment, None, twin, **sections) as trial:
        trial.expect(undisturbed, *[said for _, _, said in KINDS.values()])
        born = {
            individual.genome: individual.status
            for individual in stored_generations("main", twin.folder / "data")[0].born
        }
        for genome, kind in faults.items():
            wanted = KINDS[kind][1]
            trial.require(born[genome] == wanted, f"{kind}: {born[genome]} instead of {wanted}")
            trial.strike(kind)
        for more in (4, 2):
            attempt = trial.start()
            if attempt.wait_for_more(more):
                attempt.die()
                trial.strike("flow killed")
        return trial.finish()


@scenario("time zones change")
def changing_zones(arena: Arena) -> Outcome:
    """Each command of a run has another time zone, in every way that one is written; killed in between."""
    with Trial(arena, "zones") as trial:
        zones = ("Asia/Kathmandu", "XYZ-14", ":Pacific/Apia", "", "no/such/zone", "<-03>3")
        for zone in zones:
            trial.project.environment = {**arena.environment, "TZ": zone}
            attempt = trial.start()
            if not attempt.wait_for_more():
                attempt.end()
                break
            attempt.die()
            trial.strike(f"TZ={zone}")
        return trial.finish()


@scenario("clock jumps")
def jumping_clock(arena: Arena) -> Outcome:
    """In all processes of the run the wall clock jumps, by up to a year, at every look; killed once."""
    outcome, source = Outcome(), arena.folder / "clock.c"
    source.write_text(CLOCK)
    library = arena.folder / "clock.so"
    compiler = shutil.which("cc")
    build = [compiler or "cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    if compiler is None or subprocess.run(build, check=False, capture_output=True).returncode:
        outcome.skipped = "no C compiler for a clock that jumps"
        return outcome
    environment = {**arena.environment, "LD_PRELOAD": str(library)}
    with Trial(arena, "clock", outcome, environment) as trial:
        attempt = trial.start()
        attempt.wait_for_more(4)
        attempt.die()
        trial.strike("flow killed")
        trial.finish()
        dates = {json.loads(content)["finished_at"][:10] for content in trial.finished.values()}
        trial.require(len(dates) > 1, "the clock did not jump")
        outcome.struck["clock"] += 1
        return outcome
