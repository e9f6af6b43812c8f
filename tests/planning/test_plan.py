"""The arithmetic of a plan: pace from finished trainings, stages on workers, where a budget ends them."""

from __future__ import annotations

import heapq
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from star_core import Genome, SearchSpace, compile_genome, units
from star_core.config import Budget, Params, Runtime, Training, params_from
from star_core.evaluation import Evaluation
from star_core.planning.pace import Load, Pace, Timing, calibration_steps, fit, telling, timings
from star_core.planning.plan import GENERATION_SECONDS, Plan, Stage, trained_share, training_bytes
from star_core.planning.plan_table import planned

MACHINE = {"torch": "2", "device": "cpu", "instruction_set": "avx2"}
EVEN = Pace(0.0, 1e-9, (0.0,) * 4, (1.0, 1.0), 1e9, 6, "a test")
"""A GFLOP takes a second."""
RATES = (0.007, 0.011, 0.005, 0.004)


def load(livs=(2, 2, 2, 2), flops=1e11, steps=100):
    return Load(steps, flops, tuple(livs))


def took(mix, constant=0.0, flop=0.0, rates=RATES, beside=0.3):
    exact = Pace(constant, flop, rates, (1.0, 1.0), 1.0, 1, "")
    return Timing(mix, exact.seconds(mix), beside)


def mixes(seed=0, count=1000, steps=100):
    rng = np.random.default_rng(seed)
    return [load(rng.multinomial(8, [0.25] * 4), rng.uniform(0.5e11, 3e11), steps) for _ in range(count)]


def test_families_are_told_apart_and_so_are_flops():
    found = fit([took(mix, flop=2e-11) for mix in mixes()], "x")
    assert found is not None
    assert found.rates == pytest.approx(RATES, rel=0.03)
    assert found.flop == pytest.approx(2e-11, rel=0.02)
    assert found.candidate == pytest.approx(0.3, abs=0.01)
    assert found.spread == pytest.approx((1, 1), abs=0.01)


def test_what_is_fitted_holds_for_mixes_that_were_not_measured():
    pace = fit([took(mix, flop=2e-11) for mix in mixes()], "x")
    assert pace is not None
    for mix in mixes(seed=1, steps=300):
        assert pace.seconds(mix) == pytest.approx(took(mix, flop=2e-11).training + 0.3, rel=0.02)


def test_two_lengths_tell_the_first_step_from_the_others():
    found = fit([took(replace(mix, steps=n), constant=0.8) for mix in mixes() for n in (2, 12)], "x")
    assert found is not None
    assert found.candidate == pytest.approx(1.1, abs=0.02)
    assert found.rates == pytest.approx(RATES, rel=0.05)


def test_a_family_that_was_not_measured_is_not_free():
    found = fit([took(load((4, 0, 0, 4))), took(load((6, 0, 0, 2))), took(load((2, 0, 0, 6)))], "x")
    assert found is not None
    assert found.rates[1:3] == pytest.approx((0.0055, 0.0055), rel=0.2)


def test_no_term_is_negative():
    # More FLOPs and more attention in less time.
    found = [Timing(load((n, 8 - n, 0, 0), n * 1e10), 12.0 - n, 0.5) for n in range(8)] * 3
    pace = fit(found, "x")
    assert pace is not None
    assert min(pace.candidate, pace.flop, *pace.rates) >= 0
    predicted = sum(pace.seconds(timing.load) for timing in found)
    assert predicted == pytest.approx(sum(timing.training + timing.beside for timing in found), rel=0.02)


def test_one_training_during_which_the_machine_slept_says_nothing():
    usual = [took(mix) for mix in mixes()]
    found = fit([*usual, Timing(load(), 3600.0, 0.3)], "x")
    assert found == fit(usual, "x")


def test_without_timings_there_is_no_pace():
    assert fit([], "x") is None


def test_only_successful_trainings_of_this_type_of_machine_are_timed():
    seconds = {"total": 5.0, "training": 4.0, "setup": 0.2, "validation": 0.8}
    good = Evaluation("0" * 64, "0" * 64, "g", "ok", {}, "", 640, 7, seconds, {}, MACHINE, "")
    others = [
        replace(good, status="diverged"),
        replace(good, machine={**MACHINE, "instruction_set": "avx512"}),
        replace(good, seconds={"total": 5.0}),
    ]
    found = list(timings([(evaluation, load()) for evaluation in (good, *others)], MACHINE))
    assert found == [Timing(load(), 4.0, 1.0)]


def test_a_load_is_what_the_spec_says():
    spec = compiled("51111-d1111-31111-91111")
    training = Training(steps=5, batch_size=2, sequence_length=64)
    made = Load.of(spec, training)
    assert made == Load(5, spec.training_flops(640, 64), (3, 1, 0, 1))  # the differential one is two
    longer = Load.of(spec, training.model_copy(update={"steps": 10}))
    assert (longer.flops, longer.livs) == (2 * made.flops, made.livs)
    assert Load.mean([made, longer]) == Load(7.5, 1.5 * made.flops, made.livs)


def test_a_calibration_measures_each_family_and_is_never_longer_than_the_training():
    assert calibration_steps(100) == (2, 12)
    assert calibration_steps(5) == (2, 5)
    assert calibration_steps(1) == (1,)
    specs = [compiled(text) for text in ("91111-91111-51111", "91111-51111-51111", "31111-71111-91111")]
    assert telling(specs, Training()) == [specs[2], specs[1], specs[0]]


def compiled(text, width=64):
    return compile_genome(Genome.parse(text), SearchSpace.preset("paper", depth=text.count("-") + 1), width)


def plan(stages, workers=1, pace=EVEN, trained=0, **budget):
    return Plan(
        run="main",
        last=4,
        stages=tuple(stages),
        pace=pace,
        workers=workers,
        start=10.0,
        budget=Budget(**budget),
        trained=trained,
        expected=(10**9, 2 * 10**9),
        source="a test",
        memory=1 << 26,
        checkpoint=1 << 20,
    )


def stage(title, gigaflops, tokens=100, **more):
    loads = tuple(load(flops=1e9 * count) for count in sorted(gigaflops, reverse=True))
    return Stage(title, len(loads), loads, tokens, **more)


def test_a_stage_ends_with_its_last_candidate():
    made = plan([stage("founders", [4, 4, 4])], workers=2)
    assert [passage.seconds for passage in made.passages()] == [pytest.approx(8 + GENERATION_SECONDS)]
    assert made.seconds() == pytest.approx(10 + 8 + GENERATION_SECONDS)
    # Where all would end at once, they will not: two workers wait a quarter of a training.
    even = plan([stage("founders", [4, 4])], workers=2)
    assert [passage.seconds for passage in even.passages()] == [pytest.approx(5 + GENERATION_SECONDS)]


@given(
    st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=4),
    st.integers(1, 3),
    st.none() | st.integers(0, 2000),
    st.none() | st.integers(0, 60),
)
def test_no_candidate_is_begun_without_room_and_none_is_missed(stages, workers, tokens, seconds):
    made = plan([stage(f"generation {i}", lengths) for i, lengths in enumerate(stages)], workers, None, 50)
    made = replace(made, pace=EVEN, budget=Budget(tokens=tokens, seconds=seconds))
    passages = list(made.passages())
    begun = sum(passage.begun for passage in passages)
    clock, spent, expected = 10.0, 50, 0
    for lengths in stages:
        free = [clock] * workers
        for length in sorted(lengths, reverse=True):
            late = seconds is not None and free[0] >= seconds and (expected > 0 or seconds == 0)
            if late or (tokens is not None and spent + 100 > tokens):
                assert begun == expected
                assert passages[-1].limit == ("seconds" if late else "tokens")
                return
            heapq.heapreplace(free, free[0] + length)
            spent, expected = spent + 100, expected + 1
        idle = sum(lengths) / max(1, len(lengths)) * (workers - 1) / (2 * workers)
        clock = max(*free, clock + sum(lengths) / workers + idle) + GENERATION_SECONDS
    assert begun == expected
    assert len(passages) == len(stages)
    assert passages[-1].limit is None


def test_retraining_takes_no_tokens_and_has_seconds_of_its_own():
    search, longer = stage("founders", [1, 1]), stage("retraining", [5, 5], retraining=True)
    made = plan([search, longer], tokens=200, seconds=16)
    assert [passage.limit for passage in made.passages()] == [None]
    assert [(passage.begun, passage.limit) for passage in made.passages(retraining=True)] == [(2, None)]
    made = replace(made, budget=Budget(seconds=12))
    assert [(passage.begun, passage.limit) for passage in made.passages(retraining=True)] == [(1, "seconds")]


def test_candidates_that_are_stopped_at_rungs_cost_their_share():
    assert trained_share(Params(), 8) == 1
    halving = {"evolution": {"halving": {"rungs": [0.25, 0.5], "keep": 0.5}}}
    # To step 20 (of 25, rounded to tens) all 8, to 50 half of them, to 100 a quarter.
    assert trained_share(params_from(halving, "test"), 8) == (8 * 20 + 4 * 30 + 2 * 50) / 800
    assert load(flops=100.0, steps=10).share(0.5) == load(flops=50.0, steps=5)


def test_memory_grows_with_the_batch_and_the_width():
    narrow, wide = (compiled("21211-31112-21221-91111", width) for width in (64, 128))
    small, large = Training(batch_size=2), Training(batch_size=4)
    assert training_bytes(narrow, small) < training_bytes(narrow, large) < training_bytes(wide, large)
    activations = training_bytes(narrow, large) - training_bytes(narrow, small)
    assert training_bytes(narrow, Training(batch_size=6)) - training_bytes(narrow, large) == activations


def shown(made, width):
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        for part in planned(made, Runtime()).parts:
            console.print(part)
    return capture.get()


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_cuts_nothing(width):
    stages = [
        stage("baselines", [100, 120], tokens=10**9),
        stage("founders", [150.0] * 96, tokens=10**9),
        *(stage(f"generation {i}", [150.0] * 96, tokens=10**9, known=False) for i in range(1, 1000)),
        stage("retrained baselines", [900, 900], tokens=10**10, retraining=True),
        stage("retrained front", [900] * 8, tokens=10**10, retraining=True, known=False),
    ]
    output = shown(plan(stages, workers=2, tokens=5 * 10**10, seconds=60), width)
    assert "…" not in output
    assert max(map(len, output.splitlines())) <= width
    assert "generations 1–999" in output
    text = " ".join(output.split())
    assert "tokens end it in founders, after 48 of 96 candidates" in text
    assert "seconds end it in founders, before the first candidate" in text


@pytest.mark.parametrize("width", [60, 100])
def test_time_is_a_range_as_wide_as_trainings_differ(width):
    pace = replace(EVEN, spread=(0.5, 2.0))
    stages = [stage("founders", [40] * 4), *(stage(f"generation {i}", [40] * 4, known=False) for i in (1, 2))]
    made = plan(stages, workers=2, pace=pace)
    founders, later, whole = planned(made, Runtime()).data["rows"]
    expected = [passage.seconds for passage in made.passages()]
    assert founders["seconds"] == pytest.approx(expected[0])
    assert founders["seconds_low"] - GENERATION_SECONDS == pytest.approx(
        (expected[0] - GENERATION_SECONDS) / 2
    )
    assert founders["seconds_high"] - GENERATION_SECONDS == pytest.approx(
        (expected[0] - GENERATION_SECONDS) * 2
    )
    assert later["seconds"] == pytest.approx(sum(expected[1:]))
    assert whole["seconds_low"] < made.seconds() == whole["seconds"] < whole["seconds_high"]
    output = shown(made, width)
    low, high = (units.duration(whole[f"seconds_{end}"]) for end in ("low", "high"))
    assert f"{low} – {high}" in output
    # One machine differs from itself by a tenth.
    even = planned(plan(stages, pace=replace(pace, spread=(1.0, 1.0))), Runtime()).data["rows"][0]
    assert even["seconds_low"] < 0.95 * even["seconds"] < 1.05 * even["seconds"] < even["seconds_high"]


def test_candidates_over_a_limit_are_said():
    made = replace(plan([stage("founders", [1])]), over=3)
    assert "3 candidates of the next generation over one, not trained" in " ".join(shown(made, 80).split())


def test_a_plan_without_a_pace_says_so():
    output = " ".join(shown(plan([stage("founders", [1])], pace=None, seconds=5), 80).split())
    assert "not known" in output
    assert "cannot be told" in output


def test_a_finished_run_has_nothing_left():
    assert "nothing is left to train up to generation 4" in shown(plan([]), 80)
    stored = Stage("generation 4", 8, (), 100)
    assert "Still to be put together: generation 4" in " ".join(shown(plan([stored]), 80).split())
