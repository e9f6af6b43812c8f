import numpy as np
import pytest

from star_core.analysis.motifs.encoding import ABSENT, Encoding
from star_core.analysis.motifs.motifs import links
from star_core.compiler import compile_genome
from star_core.genome import Genome
from star_core.genome.space import SearchSpace


def found(encoding, genes):
    joined = encoding.links(genes)
    listed = set()
    for row, tied, follower, roles, distance in zip(
        joined.genome, joined.tied, joined.follower, joined.roles, joined.distance, strict=True
    ):
        named = tuple(role for bit, role in enumerate(encoding.roles) if roles >> bit & 1)
        entry = (int(row), int(tied), encoding.classes[follower].name, named, int(distance))
        listed.add(entry)
    return listed


@pytest.mark.parametrize("preset", ["paper", "extended", "attention"])
@pytest.mark.parametrize("groups", [1, 3])
def test_links_of_a_batch_are_those_of_each_architecture(preset, groups):
    rng = np.random.default_rng(groups)
    space = SearchSpace.preset(preset, 20, groups)
    architectures = [compile_genome(space.sample(rng), space, 32) for _ in range(80)]
    encoding = Encoding.of(architectures)
    expected = set()
    for row, architecture in enumerate(architectures):
        for link in links(architecture):
            kind = architecture.layers[link.follower].liv_class.name
            tied = link.sharing == "featurizer"
            expected.add((row, int(tied), kind, () if tied else tuple(sorted(link.roles)), link.distance))
    assert len(expected) > 80
    assert found(encoding, encoding.encode(architectures)) == expected


def test_what_does_not_fit_is_no_link():
    space = SearchSpace.preset("paper", 2, 4)
    shallow, deep = (
        compile_genome(Genome.parse(text), space, 32) for text in ("11112-11112", "51112-51112-51111")
    )
    encoding = Encoding.of([shallow, deep])
    mixed = encoding.encode([shallow])
    assert len(found(encoding, mixed)) == 1
    mixed[0, 1, 0] = 1 - mixed[0, 1, 0]
    assert found(encoding, mixed) == set()
    assert encoding.encode([shallow])[0, 2, 0] == ABSENT
