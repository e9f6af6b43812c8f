"""What holds of the genomes of every search space."""

from __future__ import annotations

import pytest

from star_core import compile_genome
from star_core.errors import GenomeError
from star_core.genome import Genome, canonical


def problems_of(space, genome):
    """The problems of a genome: validation raises the first, and each names its rule and a fix."""
    problems = list(space.problems(genome))
    if not problems:
        space.validate(genome)
        return problems
    with pytest.raises(GenomeError) as caught:
        space.validate(genome)
    assert caught.value.position == problems[0].position
    for problem in problems:
        assert problem.rule
        assert problem.fix
    return problems


def replayed(vector, changes):
    """A vector after the changes of a repair, each of which found what it says it replaced."""
    for change in changes:
        assert vector[change.position] == change.old
        vector[change.position] = change.new
        assert change.rule
    return vector


def assert_repaired(space, genome, rng):
    """Repairing it again changes and draws nothing."""
    before = rng.bit_generator.state
    assert space.repair(genome, rng) == (genome, [])
    assert rng.bit_generator.state == before


def canonical_form(space, genome):
    """The canonical form of a genome, which has itself as its own and is the same architecture."""
    form = canonical(genome)
    assert canonical(form) == form
    assert compile_genome(form, space, 64).digest == compile_genome(genome, space, 64).digest
    return form


def assert_refused(text, position, message):
    """The text is no genome; the error says what, how to mend it, and at which position of the vector."""
    with pytest.raises(GenomeError) as caught:
        Genome.parse(text)
    assert message in str(caught.value)
    assert "Fix:" in str(caught.value)
    assert caught.value.position == position
