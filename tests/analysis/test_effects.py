import numpy as np
import pytest

from star_core.analysis.drawing.motif_charts import forest
from star_core.analysis.motifs.effects import effects, strongest
from star_core.analysis.motifs.occurrences import Motif
from star_core.analysis.run.results import Results
from tests.analysis.runs import experiment, generation, individual

PARAMS = experiment(space={"depth": 2}, objectives={"names": ["perplexity", "parameters"]}).params
WITH, WITHOUT = "11111-91111", "21111-91111"
GATED, SOFTMAX = Motif("class", ("GMemless",)), Motif("class", ("SA-1",))


def results(*generations):
    return Results(tuple(generations), PARAMS, 256, (), (), (), {}, ())


def born(index, values, status="ok"):
    return [
        individual(f"g{index:03d}-{slot:02d}", genome, status=status, perplexity=value, parameters=7.0)
        for slot, (genome, value) in enumerate(values)
    ]


def test_difference_of_means_by_hand():
    values = [(WITH, 3.0 + 0.1 * k) for k in range(6)] + [(WITHOUT, 5.0 + 0.1 * k) for k in range(6)]
    found = {effect.gene: effect for effect in effects(results(generation(0, born(0, values))))["perplexity"]}
    effect = found[SOFTMAX]
    assert (effect.holders, effect.others) == (6, 6)
    assert effect.difference == pytest.approx(-2.0 / 4.25)
    assert effect.low < effect.difference < effect.high < 0
    assert effect.clear
    assert found[Motif("class", ("SA-2",))].difference == pytest.approx(2.0 / 4.25)


def test_a_gene_that_all_have_or_few_have_is_not_shown():
    values = [(WITH, 3.0)] * 4 + [(WITHOUT, 5.0)] * 9
    assert effects(results(generation(0, born(0, values))))["perplexity"] == []


def test_later_and_better_is_no_effect_of_a_gene():
    early = born(
        0, [(WITHOUT, 9.0 + 0.01 * k) for k in range(9)] + [(WITH, 9.0 + 0.01 * k) for k in range(2)]
    )
    late = born(1, [(WITHOUT, 2.0 + 0.01 * k) for k in range(2)] + [(WITH, 2.0 + 0.01 * k) for k in range(9)])
    found = effects(results(generation(0, early), generation(1, late)))["perplexity"]
    (effect,) = (effect for effect in found if effect.gene == SOFTMAX)
    assert abs(effect.difference) < 0.01
    assert not effect.clear


def test_intervals_cover_what_they_say():
    rng, covered = np.random.default_rng(2), 0
    for _ in range(20):
        values = [(WITH, 4.0 + rng.normal()) for _ in range(15)]
        values += [(WITHOUT, 5.0 + rng.normal()) for _ in range(15)]
        mean = np.mean([value for _, value in values])
        found = effects(results(generation(0, born(0, values))))["perplexity"]
        (effect,) = (effect for effect in found if effect.gene == SOFTMAX)
        covered += effect.low * mean <= -1.0 <= effect.high * mean
    assert 16 <= covered <= 20


def test_only_what_was_trained_to_the_end_is_compared():
    values = [(WITH, 3.0)] * 6 + [(WITHOUT, 5.0)] * 6
    stopped = born(0, values, status="stopped")
    assert effects(results(generation(0, stopped))) == {}


def test_the_largest_differences_keep_their_order():
    values = [(WITH, 3.0 + 0.1 * k) for k in range(6)] + [(WITHOUT, 5.0 + 0.1 * k) for k in range(6)]
    found = effects(results(generation(0, born(0, values))))["perplexity"]
    assert strongest(found, 1) == [min(found, key=lambda effect: (-abs(effect.difference), effect.gene))]
    drawn = forest(found, "perplexity")
    assert drawn.count("<circle") == len(found) == 2
    assert "−47 %" in drawn
    assert "6 candidates with it, 6 without" in drawn
