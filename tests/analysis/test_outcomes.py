from star_core.analysis.run import pareto
from star_core.analysis.run.outcomes import evaluations, general_rule, has_failed, statuses, total_seconds
from star_core.storage.evaluations import EvaluationStore
from tests.analysis.runs import evolve, experiment, fill_store, generation, individual


def test_statuses_are_counted_zeros_included():
    counted = statuses([individual(), individual("g000-01", status="timed_out")])
    assert counted == {"ok": 1, "diverged": 0, "out_of_memory": 0, "timed_out": 1, "crashed": 0}


def test_a_stopped_candidate_is_counted_and_is_no_failure():
    stopped = individual("g000-01", status="stopped")
    assert list(statuses([individual(), stopped])) == [
        "ok",
        "stopped",
        "diverged",
        "out_of_memory",
        "timed_out",
        "crashed",
    ]
    assert not has_failed(stopped)
    assert has_failed(individual(status="crashed"))
    (progress,) = pareto.progress(
        [generation(0, [individual(perplexity=2.0), stopped.model_copy(update={"objectives": {}})])],
        ["perplexity"],
    )
    assert (progress.evaluated, progress.failed, progress.stopped) == (2, 0, 1)


def test_a_status_of_a_later_version_is_shown_and_counts_as_a_failure():
    unknown = individual().model_copy(update={"status": "evaporated"})
    assert statuses([unknown])["evaporated"] == 1
    assert has_failed(unknown)


def test_an_unknown_rule_is_kept():
    assert general_rule("no LIV 12 may follow <b>") == "no LIV n may follow <b>"


def test_seconds_come_from_the_store_and_may_be_missing(tmp_path):
    problem = experiment(evolution={"population": 4})
    generations = evolve(problem, 1)
    keys = [member.key for each in generations for member in each.born]
    assert evaluations(keys, None) == {}
    assert evaluations(keys, EvaluationStore(str(tmp_path / "absent"))) == {}
    store = fill_store(tmp_path, problem, generations[:1])
    (tmp_path / keys[0][:2] / f"{keys[0]}.json").write_text("{broken")
    found = evaluations(keys, store)
    assert set(found) == set(keys[1:4])
    assert total_seconds(found.values()) == 6.0
    assert total_seconds([]) is None
