"""A written graph computes what the model computes, whatever the genome and however a sequence is cut."""

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime import InferenceSession

from star_core import compile_genome
from star_core.errors import ConfigError
from star_core.genome.space import PRESETS, SearchSpace
from star_core.graphs import BLOCK, require_graphs, write_graph
from star_core.graphs.mixer import GRAPH_MIXERS
from star_core.graphs.quantised import BITS, quantise
from star_core.graphs.runner import Decoder
from star_core.structures.base import PAPER_STRUCTURES
from tests.graphs.written import (
    decoded,
    expected,
    graphs_of,
    model_at_work,
    relative_error,
    weights_of,
)
from tests.livs.layers import PLACES
from tests.models.language_models import VOCABULARY, stack

SPLITS = {"steps": [1] * 70, "blocks": [BLOCK, BLOCK, 22], "mixed": [3, BLOCK, 1, 70, 12]}


def sequence(length, seed=0):
    return np.random.default_rng(seed).integers(VOCABULARY, size=length).tolist()


@pytest.mark.parametrize("name", PLACES)
def test_graph_of_every_class_is_its_model(name):
    model = model_at_work(stack(name, depth=2))
    decoder, tokens = Decoder(*graphs_of(model)), sequence(150)
    logits = expected(model, tokens)
    for split in SPLITS.values():
        assert relative_error(decoded(decoder, tokens, split), logits) < 1e-5


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(PRESETS)), st.integers(0, 2**32), st.sampled_from((8, 24, 64)), st.data())
def test_graph_of_any_genome_is_its_model_at_any_split(preset, seed, width, data):
    space = SearchSpace.preset(preset, depth=6)
    arch = compile_genome(space.sample(np.random.default_rng(seed)), space, width, vocab_size=VOCABULARY)
    model = model_at_work(arch, seed % 1000)
    split = data.draw(st.lists(st.sampled_from((1, 2, 63, BLOCK, 65)), min_size=1, max_size=4))
    tokens = sequence(sum(split), seed)
    found = decoded(Decoder(*graphs_of(model)), tokens, split)
    assert relative_error(found, expected(model, tokens)) < 1e-4


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("length", [1, BLOCK])
def test_graphs_are_standard_onnx_and_states_have_the_sizes_predicted(name, length):
    arch = stack(name)
    graph = write_graph(arch, weights_of(model_at_work(arch)), length)
    onnx.checker.check_model(graph.proto, full_check=True)
    assert [opset.domain for opset in graph.proto.opset_import] == [""]
    held = 29
    sizes = [[held if size == "held" else size for size in state.shape] for state in graph.states]
    assert sum(map(np.prod, sizes)) == sum(layer.cache_elements(held) for layer in arch.layers)


def test_logits_of_every_token_of_a_block():
    model = model_at_work(stack("SA-3"))
    (_, block), tokens = graphs_of(model, every_logit=True), sequence(BLOCK)
    session = InferenceSession(block)
    inputs = {
        entry.name: np.zeros([1 if isinstance(size, str) else size for size in entry.shape], np.float32)
        for entry in session.get_inputs()
    }
    found = session.run(["logits"], inputs | {"tokens": np.array(tokens), "position": np.zeros(1, np.int64)})[
        0
    ]
    assert np.allclose(found, expected(model, tokens), atol=1e-5)


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("name", ["SA-3", "Rec-1", "GConv-2", "GMemless"])
@pytest.mark.parametrize("width", [32, 40])
def test_quantised_graph_is_the_model_with_its_matrices_rounded(name, precision, width):
    model, tokens = model_at_work(stack(name, width=width)), sequence(80)
    graphs = graphs_of(model, precision)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if weight.dim() == 2 and key.rpartition(".")[2] in ("embedding", "projection", "output"):
                weight.copy_(torch.tensor(quantise(weight.numpy(), BITS[precision]).restored()))
    found = decoded(Decoder(*graphs), tokens, [BLOCK, 15, 1])
    # ONNX Runtime rounds what such a matrix is multiplied by to 8 bit, too.
    assert relative_error(found, expected(model, tokens)) < 0.03


def test_a_structure_without_a_graph_is_named_with_what_to_do(monkeypatch):
    require_graphs(PAPER_STRUCTURES)
    monkeypatch.delitem(GRAPH_MIXERS._entries, "toeplitz")
    with pytest.raises(ConfigError, match=r"objectives\.runtime: 'toeplitz': .* no graph.*use eager"):
        require_graphs(PAPER_STRUCTURES)
