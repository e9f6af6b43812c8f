"""Statistics of repeats, and which repeats count; with clocks of its own."""

import gc

import numpy as np
import pytest

from star_core.measurement import timing as module
from star_core.measurement.timing import ATTEMPTS, Task, Timing, in_turns, timing


@pytest.fixture
def clocks(monkeypatch):
    """Work that takes the next of some seconds, of which it waits a share."""

    class Clocks:
        wall = own = 0.0

        def work(self, seconds, waited=0.0):
            self.wall += seconds
            self.own += seconds * (1 - waited)

    made = Clocks()
    monkeypatch.setattr(module.time, "perf_counter", lambda: made.wall)
    monkeypatch.setattr(module.time, "thread_time", lambda: made.own)
    return made


def test_statistics_are_robust():
    seconds = [1.0, 1.1, 0.9, 1.05, 50.0]
    found = Timing.of(seconds)
    assert found.median == 1.05
    assert found.spread == pytest.approx(1.4826 * 0.05 / 1.05)
    assert (found.low, found.high) == tuple(np.quantile(seconds, (0.1, 0.9)))
    assert (found.repeats, found.disturbed) == (5, 0)
    normal = np.random.default_rng(0).normal(10, 0.3, 20_000)
    assert Timing.of(list(normal)).spread == pytest.approx(0.03, rel=0.05)


def test_warming_up_and_preparing_are_not_timed(clocks):
    calls = []

    def prepare():
        calls.append("prepare")
        clocks.work(100)

    def work():
        calls.append("work")
        clocks.work(3 if calls.count("work") > 2 else 1000)

    found = timing(Task(work, prepare, 2), repeats=4, warmup=2)
    assert (found.median, found.spread, found.repeats, found.disturbed) == (1.5, 0, 4, 0)
    assert calls == ["prepare", "work"] * 6


def test_a_disturbed_repeat_is_done_again(clocks):
    waits = iter([0, 0.5, 0, 0.5, 0, 0])

    def work():
        waited = next(waits)
        clocks.work(9 if waited else 1, waited)

    found = timing(Task(work), repeats=3, warmup=0)
    assert (found.median, found.high, found.repeats, found.disturbed) == (1, 1, 3, 0)


def test_where_others_never_stop_all_repeats_count_and_are_marked(clocks):
    waits = iter([0.0, *[0.5] * 100])
    found = timing(Task(lambda: clocks.work(2, next(waits))), repeats=3, warmup=0)
    assert found.repeats == 3 * ATTEMPTS
    assert found.disturbed == pytest.approx(1 - 1 / 9)


def test_waiting_for_a_gpu_is_no_disturbance(clocks):
    found = timing(Task(lambda: clocks.work(2, 0.9), busy=False), repeats=3, warmup=0)
    assert (found.repeats, found.disturbed) == (3, 0)


def test_garbage_is_not_collected_meanwhile():
    seen = []
    timing(Task(lambda: seen.append(gc.isenabled())), repeats=3, warmup=0)
    assert not any(seen)
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        timing(Task(lambda: 1 / 0), repeats=3, warmup=0)
    assert gc.isenabled()


def test_real_waiting_is_noticed():
    found = timing(Task(lambda: module.time.sleep(0.002)), repeats=2, warmup=0)
    assert found.disturbed == 1
    assert found.median >= 0.002


def test_tasks_take_turns_in_an_order_that_changes_and_run_once_before_each(clocks):
    calls = []

    def task(name, seconds):
        def work():
            calls.append(name)
            clocks.work(seconds)

        return Task(work)

    rounds = []
    found = in_turns([task("a", 1), task("b", 2), task("c", 3)], 6, warmup=0, after_round=rounds.append)
    assert [timing.median for timing in found] == [1, 2, 3]
    turns = [calls[start : start + 6] for start in range(0, len(calls), 6)]
    assert rounds == list(range(1, 7))
    assert len(turns) == 6
    assert all(turn[::2] == turn[1::2] and sorted(turn[::2]) == ["a", "b", "c"] for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 1


def test_only_what_was_disturbed_goes_on(clocks):
    waits = iter([0.5] * 4 + [0.0] * 100)  # two rounds of it
    counts = {"quiet": 0, "disturbed": 0}

    def work(name, waited):
        counts[name] += 1
        clocks.work(1, waited)

    tasks = [Task(lambda: work("quiet", 0)), Task(lambda: work("disturbed", next(waits)))]
    found = in_turns(tasks, 3, warmup=0)
    assert [(timing.repeats, timing.disturbed) for timing in found] == [(3, 0), (3, 0)]
    assert counts == {"quiet": 6, "disturbed": 10}
