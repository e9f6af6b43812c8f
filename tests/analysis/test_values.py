"""Reports, charts and tables of objectives of every sign and scale."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from star_core import units
from star_core.analysis.drawing.axes import axis
from star_core.analysis.motifs.effects import effects
from star_core.analysis.report.report import write_report
from star_core.analysis.run.pareto import Normalisation
from star_core.analysis.run.results import Results
from star_core.analysis.terminal.front_table import front_table
from tests.analysis.runs import evolve, experiment, fill_store, individual, store_baselines, store_run
from tests.evolution.own_objectives import VALUES, register_own

finite = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


@pytest.mark.parametrize("kind", ["negative", "always 0", "huge", "tiny", "every scale"])
@pytest.mark.parametrize("names", [["own"], ["perplexity", "own", "cache_bytes"]])
def test_a_report_of_any_finite_numbers(kind, names, tmp_path, monkeypatch):
    register_own(monkeypatch, VALUES[kind])
    problem = experiment(objectives={"names": names}, evolution={"population": 6})
    generations = evolve(problem, 2, "own")
    store_run(tmp_path, generations)
    store_baselines(tmp_path, "own", problem, 2.0, 1.9)
    text = write_report("own", tmp_path, tmp_path / "reports").read_text()
    assert "own title" in text
    assert "nan" not in text.replace("finance", "").lower().split("<body")[1]
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert all(math.isfinite(value) for value in metrics.values() if isinstance(value, float))
    Console(quiet=True).print(front_table(generations[-1]))


def test_a_candidate_without_a_value_is_reported_with_the_reason(tmp_path, monkeypatch):
    register_own(monkeypatch, lambda loss, share: math.nan if share < 0.3 else loss)
    problem = experiment(objectives={"names": ["own", "parameters"]}, evolution={"population": 8})
    generations = evolve(problem, 2, "own", failing=0)
    store_run(tmp_path, generations)
    store = fill_store(tmp_path / "store", problem, generations)
    assert "own is nan" in write_report("own", tmp_path, tmp_path / "reports", store).read_text()


def test_the_best_is_the_least_even_if_it_is_0(tmp_path, monkeypatch):
    register_own(monkeypatch, VALUES["0 and above"])
    problem = experiment(objectives={"names": ["own", "parameters"]}, evolution={"population": 8})
    store_run(tmp_path, evolve(problem, 2, "own", failing=0))
    front = Results.load("own", tmp_path).front
    values = [candidate.value("own", 1) for candidate in front]
    assert values[0] == 0
    assert values == sorted(values)


@given(st.lists(finite, min_size=1, max_size=6), finite)
def test_a_hypervolume_of_any_finite_numbers(founders, value):
    frame = Normalisation.of_founders([individual(own=v) for v in founders], ["own"])
    volume = frame.hypervolume([[value]])
    assert 0 <= volume <= frame.largest * (1 + 1e-12)
    if math.isfinite(2 * min(founders)):  # else a single founder has no number above it
        assert frame.hypervolume([[min(founders)]]) == pytest.approx(1.1)


@given(st.lists(finite, min_size=1, max_size=6), st.sampled_from((2, 10)))
def test_an_axis_of_any_finite_numbers(values, base):
    made = axis(values, 50, 450, str, base=base)
    places = [made(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(50 <= place <= 450 for place in places)
    assert len(made.ticks) <= 12
    assert all(50 <= made(tick) <= 450 for tick in made.ticks)


@given(finite, st.sampled_from(["", "B", "s", "%", "count", "J"]))
def test_any_finite_number_is_written_shortly(value, unit):
    assert len(units.quantity(value, unit)) < 25


def test_a_change_is_up_where_the_value_is_greater():
    assert units.change(-90.0, -100.0) == "+10 %"
    assert units.change(-110.0, -100.0) == "−10 %"
    assert units.quality(1e-9) == "1e-09"


def test_effects_on_a_negative_objective_are_those_on_its_opposite_mirrored(monkeypatch):
    found = []
    for sign in (1, -1):
        register_own(monkeypatch, lambda loss, share, sign=sign: sign * loss)
        problem = experiment(objectives={"names": ["own", "parameters"]}, evolution={"population": 12})
        made = evolve(experiment(evolution={"population": 12}), 1, failing=0)
        members = [
            m.model_copy(update={"objectives": {"own": sign * m.objectives["perplexity"]}})
            for m in made[0].population
        ]
        founders = made[0].model_copy(
            update={"population": tuple(members), "parameters": problem.params.identity()}
        )
        results = Results((founders,), problem.params, 256, (), (), (), {}, ())
        monkeypatch.setattr(Results, "names", ("own",))
        found.append({effect.gene: effect.difference for effect in effects(results)["own"]})
    positive, negative = found
    assert positive
    assert negative == pytest.approx({gene: -difference for gene, difference in positive.items()})
