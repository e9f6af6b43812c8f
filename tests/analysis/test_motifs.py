from dataclasses import replace

import pytest

from star_core.analysis.motifs.motifs import (
    Link,
    Motifs,
    class_order,
    class_shares,
    links,
    short_name,
)
from star_core.compiler import compile_genome
from star_core.genome import Genome, canonical
from star_core.structures.registered import class_table, family_of
from tests.analysis.runs import PAPER


def spec(text):
    return compile_genome(Genome.parse(text), PAPER, 32)


def test_sharing_links_are_resolved_to_their_owner():
    # LIVs 1 and 3 tie their featurizer; LIVs 2 and 4 share key and value features.
    assert links(spec("21211-31112-21211-31112")) == [
        Link("featurizer", 0, 2, ("C", "B", "V")),
        Link("features", 1, 3, ("B", "V")),
    ]


def test_sharing_with_nobody_is_no_link():
    text = "21211-32212-22211-11132"
    assert str(canonical(Genome.parse(text))) != text
    assert links(spec(text)) == []


def test_featurizer_and_feature_sharing_of_one_pair_are_two_links():
    found = links(spec("31212-91111-31212"))
    assert found == [Link("featurizer", 0, 2, ("C",)), Link("features", 0, 2, ("B", "V"))]
    assert [link.distance for link in found] == [2, 2]


def test_counts_and_shares_by_hand():
    motifs = Motifs.of([spec("21211-31112-21211-31112"), spec("91111-51111-e1111-71111")])
    assert motifs.livs == 8
    assert motifs.classes == {"GConv-1": 1, "GMemless": 1, "Rec-1": 1, "Rec-1-Diff": 1, "SA-2": 2, "SA-3": 2}
    assert motifs.featurizer_sharing == motifs.feature_sharing == pytest.approx(2 / 8)
    assert motifs.mean_distance == 2
    assert class_shares([motifs], ["SA-2", "SA-4"]) == [[0.25], [0.0]]


def test_an_empty_population_has_no_shares():
    motifs = Motifs.of([])
    assert (motifs.livs, motifs.featurizer_sharing, motifs.mean_distance) == (0, 0.0, None)
    assert class_shares([motifs], ["SA-1"]) == [[0.0]]


def test_classes_are_ordered_by_family_plain_before_differential():
    order = class_order([spec("e1111-91111-71111-a1111-51111-11111")])
    assert [liv.name for liv in order] == ["SA-1", "SA-1-Diff", "Rec-1", "Rec-1-Diff", "GConv-1", "GMemless"]


def test_families_and_short_names():
    classes = class_table()
    assert [family_of(classes[index]).name for index in (3, 5, 8, 9)] == [
        "attention",
        "recurrence",
        "convolution",
        "gated unit",
    ]
    assert [short_name(classes[index]) for index in (3, 6, 7, 9, 14)] == ["S3", "R2", "C1", "G", "R1d"]
    assert len({short_name(liv_class) for liv_class in classes.values()}) == len(classes)


def test_a_class_of_its_own_is_named_by_its_code():
    attention = class_table()[12]
    for name, short in (("SA-02143.k3f0-Diff", "S.k3f0d"), ("SA-12143-Diff", "S12143d")):
        assert short_name(replace(attention, name=name)) == short
