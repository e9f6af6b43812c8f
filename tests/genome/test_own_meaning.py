"""What genomes mean that bring their own classes: architectures, canonical forms, sharing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from star_core import Genome, SearchSpace, compile_genome
from star_core.errors import GenomeError
from star_core.genome import canonical
from star_core.genome.baselines import baseline
from star_core.genome.class_alleles import REPEATS
from star_core.genome.class_genome import PAPER_GENES, class_text
from star_core.genome.founding import sampled_class
from star_core.genome.scaling import at_depth
from star_core.structures import class_table
from tests.genome.contract import canonical_form
from tests.genome.strategies import seeds

FULL = SearchSpace.preset("full")
SMALL = SearchSpace.preset("full", depth=4, classes=3)


def shared_classes(genome):
    """The genome of the class table that means the same."""
    numbers = {entry.name: number for number, entry in class_table().items()}
    space = FULL.reading(genome)
    livs = [(numbers[space.classes[liv.liv_class].name], *list(liv)[1:]) for liv in genome.livs]
    return Genome.from_vector(np.array(livs).ravel())


@given(seeds)
def test_a_genome_that_brings_named_classes_is_the_architecture_of_the_class_table(seed):
    space = SearchSpace.preset("extended", depth=6)
    plain = space.sample(np.random.default_rng(seed))
    own = FULL.adopt(plain)
    FULL.validate(own)
    assert len(own.table) == 8
    digest = compile_genome(plain, space, 64).digest
    for reader in (FULL, space, SearchSpace.preset("lfm2")):
        assert compile_genome(own, reader, 64).digest == digest
    assert compile_genome(shared_classes(own), space, 64).digest == digest
    assert FULL.adopt(own) == own


def test_baselines_and_fewer_classes_are_adopted_and_more_are_refused():
    for name in ("transformer++", "striped-hybrid"):
        own = FULL.adopt(baseline(name, 8))
        FULL.validate(own)
        plain = compile_genome(baseline(name, 8), SearchSpace.preset("paper"), 64)
        assert compile_genome(own, FULL, 64).digest == plain.digest
    few = Genome.parse("41111-11112-11112_12123_02143-111211-111211-111211")
    own = FULL.adopt(few)
    FULL.validate(own)
    assert compile_genome(own, FULL, 64).digest == compile_genome(few, FULL, 64).digest
    with pytest.raises(GenomeError, match=r"at most 3 classes.*Fix: set space.classes to 4"):
        SMALL.adopt(Genome.parse("11111-21111-31111-51111"))
    with pytest.raises(GenomeError, match="not a row of the class table"):
        FULL.adopt(Genome.parse("z1111"))


@settings(max_examples=150)
@given(seeds, st.integers(1, 10))
def test_the_canonical_form_drops_and_renumbers_classes_and_is_the_same_architecture(seed, depth):
    space = SearchSpace.preset("full", depth)
    genome = space.sample(np.random.default_rng(seed))
    form = canonical_form(space, genome)
    assert len(form.table) == len({(liv.liv_class - 1) % 8 for liv in genome.livs})


@given(seeds)
def test_classes_in_another_order_are_the_same_genome(seed):
    rng = np.random.default_rng(seed)
    genome = FULL.sample(rng)
    order = rng.permutation(8)
    vector = genome.to_vector()
    classes = vector[0:40:5] - 1
    vector[0:40:5] = np.argsort(order)[classes % 8] + classes // 8 * 8 + 1
    vector[40:] = vector[40:].reshape(8, PAPER_GENES.size)[order].ravel()
    moved = FULL.layout.decode(vector)
    assert canonical(moved) == canonical(genome)
    assert compile_genome(moved, FULL, 64).digest == compile_genome(genome, FULL, 64).digest


def test_classes_that_no_liv_uses_and_roles_a_class_lacks_are_in_no_digest():
    rng = np.random.default_rng(0)
    genome = Genome.parse("11111-21111_12123_91142_54111")
    digest = compile_genome(genome, FULL, 64).digest
    vector = genome.to_vector()
    absent = [10 + k * 34 + o for k in (0, 1) for o, (role, _) in enumerate(PAPER_GENES.genes)
              if role and role not in genome.table[k].featurizer.roles]  # fmt: skip
    for position in [*absent, *range(10 + 2 * 34, 10 + 3 * 34)]:
        gene = PAPER_GENES.genes[(position - 10) % 34][1]
        changed = vector.copy()
        changed[position] = int(rng.integers(gene.low, gene.high + 1))
        assert compile_genome(Genome.from_vector(changed, 3), FULL, 64).digest == digest


def test_every_active_integer_of_a_used_class_is_in_the_digest():
    rng = np.random.default_rng(1)
    for _ in range(30):
        entry = sampled_class(PAPER_GENES, rng)
        own = Genome.parse(f"11111_{class_text(entry)}")
        digests = {compile_genome(own, FULL, 64).digest}
        others = {sampled_class(PAPER_GENES, rng) for _ in range(3)} - {entry}
        for other in others:
            digests.add(compile_genome(Genome.parse(f"11111_{class_text(other)}"), FULL, 64).digest)
        assert len(digests) == len(others) + 1


def test_sharing_joins_own_classes_by_the_rules_of_all_classes():
    # Keys with another nonlinearity fit; a class with one head does not; a differential variant does not.
    own = "_12123_02123-111211-114211-111211_12122"
    spec = compile_genome(Genome.parse("11112-21113" + own), FULL, 64)
    assert {g.role: g.computed_by for g in spec.layers[1].groups} == {"C": 1, "B": 0, "V": 1}
    for other in ("31112", "41112"):
        with pytest.raises(GenomeError, match="cannot reuse these features of SA-1"):
            compile_genome(Genome.parse(f"11112-{other}{own}"), FULL, 64)


def test_scaling_keeps_the_classes():
    genome = Genome.parse("11112-21111-11112_12123_02143-111211-111211-114211")
    assert str(at_depth(genome, 6)).endswith("_12123_02143-111211-111211-114211")
    single, doubled = (compile_genome(g, FULL, 64).cache_bytes(64) for g in (genome, at_depth(genome, 6)))
    assert doubled == 2 * single


def test_a_repeat_factor_that_does_not_divide_the_heads_is_refused_when_it_is_built():
    genome = Genome.parse("11111_32123")
    with pytest.raises(GenomeError, match="divides the number of heads"):
        compile_genome(genome, FULL, 64, head_dim=32)
    assert all(4 % repeat == 0 for repeat in REPEATS)
