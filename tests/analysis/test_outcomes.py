import pytest

from star_core.analysis.outcomes import (
    Repairs,
    evaluations,
    general_rule,
    rank_correlation,
    statuses,
    total_seconds,
)
from star_core.population.store import EvaluationStore
from tests.analysis.runs import evolve, experiment, fill_store, individual


def test_statuses_are_counted_zeros_included():
    counted = statuses([individual(), individual("g000-01", status="timed_out")])
    assert counted == {"ok": 1, "diverged": 0, "out_of_memory": 0, "timed_out": 1, "crashed": 0}


def test_repairs_by_rule_by_hand():
    rule = "{} cannot reuse these features of {}, which owns feature group {}"
    members = [
        individual("g000-00"),
        individual("g001-00", parents=("g000-00",)),
        individual(
            "g001-01",
            parents=("g000-00",),
            repairs=((3, rule.format("SA-1", "Rec-1-Diff", 2)), (8, rule.format("GConv-2", "SA-1", 4))),
        ),
        individual(
            "g001-02", parents=("g000-00",), repairs=((4, "SA-3 has the feature-sharing strategies 1 to 4"),)
        ),
    ]
    repairs = Repairs.of(members)
    assert (repairs.offspring, repairs.repaired) == (3, 2)
    assert repairs.share == pytest.approx(2 / 3)
    assert list(repairs.rules.items()) == [
        ("a class cannot reuse these features of another, which owns feature group n", (2, 1)),
        ("a class has the feature-sharing strategies 1 to n", (1, 1)),
    ]


def test_founders_alone_have_no_share_of_repairs():
    assert Repairs.of([individual()]).share is None


def test_an_unknown_rule_is_kept():
    assert general_rule("no LIV 12 may follow <b>") == "no LIV n may follow <b>"


def test_seconds_come_from_the_store_and_may_be_missing(tmp_path):
    problem = experiment(evolution={"population": 4})
    generations = evolve(problem, 1)
    keys = [one.key for each in generations for one in each.born]
    assert evaluations(keys, None) == {}
    assert evaluations(keys, EvaluationStore(str(tmp_path / "absent"))) == {}
    store = fill_store(tmp_path, problem, generations[:1])
    (tmp_path / keys[0][:2] / f"{keys[0]}.json").write_text("{broken")
    found = evaluations(keys, store)
    assert set(found) == set(keys[1:4])
    assert total_seconds(found.values()) == 6.0
    assert total_seconds([]) is None


@pytest.mark.parametrize(
    ("first", "second", "tau"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3], [1, 3, 2], 1 / 3),
        ([1, 2], [1, 2], None),
        ([1, 2, 3], [5, 5, 5], None),
    ],
)
def test_rank_correlation_by_hand(first, second, tau):
    assert rank_correlation(first, second) == (tau if tau is None else pytest.approx(tau))
