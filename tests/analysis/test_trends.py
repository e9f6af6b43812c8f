import pytest

from star_core.analysis.motifs import trends as module
from star_core.analysis.motifs.occurrences import Motif
from star_core.analysis.motifs.trends import Presence, trends
from star_core.analysis.run.results import Results
from tests.analysis.runs import experiment, generation, individual

PARAMS = experiment(space={"depth": 4}, objectives={"names": ["perplexity"]}).params


def results(*generations):
    return Results(tuple(generations), PARAMS, 256, (), (), (), {}, ())


def born(index, genomes, **values):
    return [
        individual(f"g{index:03d}-{slot:02d}", genome, perplexity=2.0 + slot, **values)
        for slot, genome in enumerate(genomes)
    ]


@pytest.fixture
def found():
    founders = born(0, ["11111-11111-21111-31111", "21111-31111-41111-91111", "51111-51111-51111-51111"])
    later = born(1, ["11112-31111-11112-91111", "21111-31111-41111-91111", "11111-31111-91111-91111"])
    return {trend.motif: trend for trend in trends(results(generation(0, founders), generation(1, later)))}


def test_individuals_and_rates_by_hand(found):
    softmax = found[Motif("class", ("SA-1",))]
    assert softmax.founders == Presence(1, 3, 2 / 12)
    assert softmax.last == Presence(2, 3, 3 / 12)
    assert softmax.front == Presence(1, 1, 2 / 4)
    assert softmax.course == (softmax.founders, softmax.last)
    assert softmax.ratio == pytest.approx(1.5)
    assert found[Motif("class", ("Rec-1",))].last == Presence(0, 3, 0.0)
    assert found[Motif("class", ("GMemless",))].change == pytest.approx(4 / 12 - 1 / 12)
    assert found[Motif("family", ("attention",))].founders == Presence(2, 3, 7 / 12)


def test_rare_motifs_are_not_listed_and_classes_always_are(found):
    assert Motif("class", ("SA-4",)) in found
    assert not any(motif.kind == "sequence" for motif in found)


def test_sequences_within_equally_frequent_ones_are_left_out(monkeypatch):
    monkeypatch.setattr(module, "FEWEST", 2)
    founders = born(0, ["51111-51111-51111-51111"])
    later = born(1, ["11112-31111-11112-91111", "21111-11111-31111-11111"])
    listed = {trend.motif: trend for trend in trends(results(generation(0, founders), generation(1, later)))}
    sequences = [motif.parts for motif in listed if motif.kind == "sequence"]
    assert sequences == [("SA-1", "SA-3", "SA-1")]
    assert listed[Motif("sequence", sequences[0])].ratio is None


def test_sharing_is_listed_by_kind_and_by_distance(monkeypatch):
    monkeypatch.setattr(module, "FEWEST", 1)
    founders = born(0, ["11111-11111-11111-11111"])
    later = born(1, ["11112-31111-11112-91111", "51211-51211-51211-11111"])
    listed = {trend.motif: trend for trend in trends(results(generation(0, founders), generation(1, later)))}
    assert listed[Motif("link", ("features", "attention", "B", "V"))].last == Presence(1, 2, 0.5)
    assert listed[Motif("distance", ("features", "2"))].last == Presence(1, 2, 0.5)
    assert listed[Motif("link", ("featurizer", "recurrence"))].last == Presence(1, 2, 1.0)
    assert listed[Motif("distance", ("featurizer", "1"))].last == Presence(1, 2, 0.5)


def test_founders_alone_have_no_trends():
    assert trends(results(generation(0, born(0, ["11111-11111-11111-11111"])))) == []
