"""Bytes of the weights, against models that are built and against blocks counted by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from star_core import Genome, SearchSpace, build_model, compile_genome
from star_core.config import Objectives, Params
from star_core.genome.space import PRESETS
from star_core.graphs.quantised import quantise
from star_core.objectives.base import objective
from star_core.objectives.stored import BITS, _bytes, stored_bytes
from tests.genome.strategies import seeds


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(sorted(PRESETS)), st.sampled_from([16, 40, 64]))
def test_every_weight_of_the_model_is_listed_once_with_its_bytes(seed, preset, width):
    space = SearchSpace.preset(preset, 6, 3)
    spec = compile_genome(space.sample(np.random.default_rng(seed)), space, width)
    model = dict(build_model(spec).named_parameters())
    assert stored_bytes(spec, "f32") == {name: 4 * weight.numel() for name, weight in model.items()}
    for precision in ("int8", "int4"):
        found = stored_bytes(spec, precision)
        assert list(found) == list(stored_bytes(spec, "f32"))
        for name, weight in model.items():
            dense = weight.dim() == 2 and name.rsplit(".")[-1] in ("embedding", "projection", "output")
            blocks = len(weight) * math.ceil(weight.shape[-1] / 32)
            expected = blocks * (32 * BITS[precision] // 8 + 4) if dense else 4 * weight.numel()
            assert found[name] == expected, name


@given(st.integers(1, 5), st.integers(1, 100), st.sampled_from(["int8", "int4"]))
def test_a_matrix_takes_what_the_graph_of_a_device_stores_of_it(rows, columns, precision):
    made = quantise(np.ones((rows, columns), np.float32), BITS[precision])
    assert _bytes((rows, columns), BITS[precision]) == made.packed.nbytes + made.scales.nbytes


def test_it_is_an_objective_whose_precision_is_a_setting():
    spec = compile_genome(Genome.parse("31111-91111-24111"), SearchSpace.preset("paper"), 64)
    entry = objective("file_bytes")
    found = [entry.measure(spec, {}, Objectives(weights=precision)) for precision in BITS]
    assert found[0] == 4 * spec.num_parameters == entry.measure(spec, {}, Objectives())
    assert found == sorted(found, reverse=True)
    # Blocks of 32 with a scale: 9 bits a weight, and 5; all matrices of this width are whole blocks.
    matrices = ("embedding", "projection", "output")
    dense = sum(size for name, size in stored_bytes(spec, "f32").items() if name.endswith(matrices))
    assert found[0] - found[1] == dense * 23 / 32
    assert found[0] - found[2] == dense * 27 / 32
    assert entry.text(found[2]).endswith("KiB")
    assert not entry.needs_process


def test_the_default_precision_is_no_part_of_an_identity():
    plain = Params()
    assert "weights" not in plain.identity()["objectives"]
    assert Params(objectives={"weights": "int4"}).digest != plain.digest


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_limits_below_what_the_smallest_backbone_has_are_found(precision):
    spec = compile_genome(Genome.parse("91111"), SearchSpace.preset("paper"), 64)
    section = Objectives(weights=precision)
    entry = objective("file_bytes")
    longer = compile_genome(Genome.parse("91111-11111"), SearchSpace.preset("paper"), 64)
    assert entry.least(spec, section) == entry.measure(spec, {}, section) < entry.measure(longer, {}, section)
