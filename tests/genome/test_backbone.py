import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from star_core.errors import GenomeError
from star_core.genome import Genome
from star_core.structures import structures
from star_core.vocabulary.tables import BACKBONE_GENES
from tests.genome.contract import assert_refused
from tests.genome.strategies import any_genome


@given(any_genome)
def test_text_and_vector_codecs_are_inverse(genome):
    assert Genome.parse(str(genome)) == genome
    vector = genome.to_vector()
    assert vector.dtype == np.int64
    assert vector.shape == (5 * genome.depth,)
    assert Genome.from_vector(vector) == genome


@given(st.text(max_size=40))
def test_any_text_parses_or_is_a_genome_error(text):
    try:
        genome = Genome.parse(text)
    except GenomeError as error:
        assert error.rule
        assert error.fix
    else:
        assert str(genome) == text.strip()


@given(
    st.lists(
        st.one_of(st.integers(), st.floats(allow_subnormal=False), st.text(), st.none(), st.booleans()),
        max_size=12,
    )
)
def test_any_vector_is_read_or_is_a_genome_error(values):
    try:
        genome = Genome.from_vector(values)
    except GenomeError as error:
        assert error.rule
    else:
        assert list(genome.to_vector()) == values


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("11111-1A111", 6, "LIV 2, gene 2 (featurizer_group): 'A': an allele is one character"),
        (
            "11111-11311",
            7,
            "LIV 2, gene 3 (featurizer_strategy): 3: featurizer_strategy is an integer from 1 to 2",
        ),
        ("01111", 0, "LIV 1, gene 1 (class): 0: class is an integer from 1 to 35. Fix: use 1"),
        ("11111-111", None, "LIV 2: '111': a LIV is written with 5 characters, not 3"),
        ("", None, "LIV 1: '': a LIV is written with 5 characters"),
        ("11111-" * 300 + "11111", None, "a genome has at most 256 LIVs"),
    ],
)
def test_malformed_text_names_position_value_rule_and_fix(text, position, message):
    assert_refused(text, position, message)


def test_the_range_of_strategies_is_the_largest_alphabet():
    alphabets = [structure.strategies for structure in structures()]
    assert BACKBONE_GENES[4].high == max(map(max, alphabets))
