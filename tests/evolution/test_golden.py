"""The default search does not change silently: stored generations stay what their parameters say.

The outcomes are made from the genome's text, so that nothing but sampling, variation, repair and survival can
move these digests. Whoever moves them on purpose raises ``SEARCH`` in ``star_core/semantics.py``.
"""

import hashlib

import numpy as np
import pytest

from star_core import SearchSpace, compile_genome
from star_core.config import digest_json
from star_core.evaluation import Evaluation
from star_core.evolution.step import assess, offspring_of, select
from star_core.genome.backbone import Genome
from tests.evolution.experiments import DATA, experiment

FLOAT32 = {"objectives": {"cache": "f32"}}
"""By default the cache has counted in the precision that is deployed since; searches are what they were."""
SETTINGS = {
    "defaults": (
        FLOAT32,
        "bf8f9daf44fda9742e7fb61f145d7c65e3c5be7b0e683fd68c1643f93434ea3b",
    ),
    "one objective, wide": (
        {
            "objectives": {"preset": "quality"},
            "evolution": {"population": 12, "offspring": 20, "tournament": 3, "mutation_rate": 0.2},
        },
        "ca3c89f13fd9657ff04f65efcf8147e043337427ac43125251138a8e4c609aa5",
    ),
    "deep, constrained": (
        {
            "space": {"preset": "extended", "depth": 24, "groups": 6},
            "objectives": {"cache": "f32", "preset": "quality+cache", "constraints": {"parameters": 700_000}},
            "evolution": {"population": 6, "seed": 3, "crossover_points": 3, "seeds": ["transformer++"]},
        },
        "7978468386f03b4580c97c6dd9c3879d6b37d9f268627d44dff2955d8f909d35",
    ),
}


def outcome(offspring):
    """A loss and a status made of the genome's letters."""
    draw = hashlib.sha256(offspring.genome.encode()).digest()
    failed = draw[0] < 32
    metrics = {} if failed else {"validation_loss": 1 + draw[1] / 256}
    status = "diverged" if failed else "ok"
    return Evaluation("0" * 64, offspring.digest, offspring.genome, status, metrics, "", 1, 1, {}, {}, {}, "")


def course(problem, generations=4):
    """What a few generations made and kept, without what other parts of the code put into the files."""
    told, parent = [], None
    for _ in range(generations + 1):
        made = offspring_of(problem, parent)
        specs = [problem.compile(Genome.parse(child.genome)) for child in made]
        assessed = [
            assess(problem, child, spec, outcome(child), DATA)
            for child, spec in zip(made, specs, strict=True)
        ]
        parent = select(problem, "golden", parent, assessed, DATA)
        told.append(
            [
                [
                    [child.id, child.genome, child.parents, child.origin.model_dump(mode="json")]
                    for child in made
                ],
                [
                    [member.id, member.rank, None if member.crowding is None else repr(member.crowding)]
                    for member in parent.population
                ],
            ]
        )
    return told


@pytest.mark.parametrize("name", SETTINGS)
def test_the_default_search_is_what_it_was(name):
    sections, digest = SETTINGS[name]
    assert digest_json(course(experiment(**sections))) == digest


def test_what_generations_depend_on_is_what_it_was():
    assert (
        experiment(**FLOAT32).params.digest
        == "f2f90a84186690608f7fc8ce3aaf69dd4b9ef4f97e8f7e941a240639213e8cab"
    )


SAMPLES = {
    "paper": "eac196b6bbac757839d7884611ea5f7651604dbf9dab23325f547828f7e00494",
    "extended": "ebcff159325dab275f12b579f01ac547f348704dec998f38f8e0708d38fd92ee",
    "lfm2": "e400c128cc696b208994564d9f166a45d415a06cf5d66db77c1df2e8e4a3d8ec",
    "attention": "dfdae931dc71c6809469b8f7e862e47bd339787b74bc8e61e1d31987e3418fdf",
    "full": "a33c520ba2a3658cee5c66f21866c10dc68b849bbcbe03f92f88b5690db595f1",
}


@pytest.mark.parametrize("preset", SAMPLES)
def test_what_spaces_sample_and_what_that_computes_is_what_it_was(preset):
    space, rng, told = SearchSpace.preset(preset), np.random.default_rng(0), hashlib.sha256()
    for _ in range(60):
        genome = space.sample(rng)
        told.update(f"{genome} {compile_genome(genome, space, 64).digest}\n".encode())
    assert told.hexdigest() == SAMPLES[preset]
