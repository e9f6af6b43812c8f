"""What counts as the same generation, on one type of machine and on another."""

from __future__ import annotations

import pytest

from star_core.analysis.run.reproduction import Agreement, compare, machine_of
from star_core.evaluation import evaluation_key
from star_core.machine import machine_fingerprint
from tests.analysis.runs import generation, individual


def pair(changes=None, key=None, order=(0, 1)):
    """A stored generation, and one made again with changes to its first individual."""
    a, b = individual("g001-00", perplexity=10.0), individual("g001-01", perplexity=12.0)
    again = [a.model_copy(update={"key": key or a.key, **(changes or {})}), b]
    return generation(1, [a, b]), generation(1, [again[i] for i in order])


def test_equal_generations_are_exact():
    found = compare(*pair(), tolerance=0.02)
    assert found.agreement is Agreement.EXACT
    assert not found.other_machine


def test_on_the_same_type_of_machine_every_bit_counts():
    found = compare(*pair({"objectives": {"perplexity": 10.0 + 1e-12}}), tolerance=0.02)
    assert found.agreement is Agreement.DIFFERENT
    assert [difference.place for difference in found.differences] == ["g001-00, objectives.perplexity"]


@pytest.mark.parametrize(("value", "agreement"), [(10.1, "WITHIN_TOLERANCE"), (10.3, "DIFFERENT")])
def test_another_type_of_machine_may_round_but_not_more(value, agreement):
    found = compare(*pair({"objectives": {"perplexity": value}}, key="e" * 64), tolerance=0.02)
    assert found.agreement is Agreement[agreement]
    assert found.other_machine


def test_another_machine_may_order_the_same_survivors_otherwise():
    assert compare(*pair(key="e" * 64, order=(1, 0)), 0.02).agreement is Agreement.WITHIN_TOLERANCE
    assert compare(*pair(order=(1, 0)), 0.02).agreement is Agreement.DIFFERENT


@pytest.mark.parametrize(
    "changes",
    [{"genome": "11112"}, {"status": "diverged"}, {"objectives": {"perplexity": None}}, {"id": "g001-07"}],
)
def test_nothing_else_may_differ_on_any_machine(changes):
    assert compare(*pair(changes, key="e" * 64), 0.02).agreement is Agreement.DIFFERENT


@pytest.mark.parametrize(("seconds", "agreement"), [(1.25e-3, "WITHIN_TOLERANCE"), (1.5e-3, "DIFFERENT")])
def test_what_was_measured_with_noise_may_differ_by_it(seconds, agreement):
    def timed(value, noise):
        candidate = individual("g001-00", perplexity=10.0, decode_seconds_per_token=value)
        return generation(1, [candidate.model_copy(update={"noise": {"decode_seconds_per_token": noise}})])

    assert compare(timed(1e-3, 0.1), timed(1e-3, 0.1), 0.02).agreement is Agreement.EXACT
    assert compare(timed(1e-3, 0.1), timed(seconds, 0.1), 0.02).agreement is Agreement[agreement]
    assert compare(timed(1e-3, 0.1), timed(1e-3, 0.05), 0.02).agreement is Agreement.WITHIN_TOLERANCE


@pytest.mark.parametrize(
    "changes", [{}, {"instruction_set": "avx2"}, {"vendor": "AuthenticAMD"}, {"device": "gpu"}]
)
def test_the_machine_that_made_a_generation_is_told_by_its_keys(changes):
    machine = {**machine_fingerprint("cpu"), **changes}
    params, born = generation(0, [individual()]).params(), individual(perplexity=10.0)
    data = generation(0, [born]).data_digest
    keyed = born.model_copy(update={"key": evaluation_key(born.digest, params, data, machine=machine)})
    assert machine_of(generation(0, [keyed])) == machine
    assert machine_of(generation(0, [born])) is None
