"""Every class under torch.compile and torch.export, as one graph, gives what it gives without."""

import pytest
import torch

from star_core import build_model
from tests.livs.layers import ARITHMETIC, NAMED, PLACES, layer_of
from tests.models.language_models import compiled, tokens

LENGTH = 70
"""Tokens: more than one window and chunk."""


every_class = pytest.mark.parametrize("name", PLACES)
traced = pytest.mark.filterwarnings(
    # From torch, which makes an instance of its own class whenever it traces one derived from it.
    "ignore:.*autograd.function.Function.* should not be instantiated:DeprecationWarning"
)


@pytest.fixture(autouse=True)
def forget_graphs():
    """Torch keeps compiled graphs by code object, and only so many of one."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def one_layer(name):
    """A model with as few heads as its class allows: some graphs have a part for each of them."""
    space, allele = PLACES[name]
    heads = max(2, *(group.genome.repeat for group in layer_of(name).groups))
    return build_model(compiled(f"{allele}1111", space, width=16, head_dim=16 // heads))


def logits_and_gradients(model, tokens_BL, call):
    logits_BLV = call(tokens_BL)
    pull_BLV = torch.linspace(-1, 1, logits_BLV.numel()).view_as(logits_BLV)
    return logits_BLV.detach(), *torch.autograd.grad((logits_BLV * pull_BLV).mean(), list(model.parameters()))


def assert_equal(computed, expected):
    for actual, wanted in zip(computed, expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-5)


@traced
@every_class
def test_one_graph_of_logits_and_gradients_is_compiled(name, generator):
    model, tokens_BL = one_layer(name), tokens(generator, length=LENGTH)
    # The classes that only double another one are traced, but not their backward pass, which is slow.
    backend = "aot_eager" if name in ARITHMETIC else "eager"
    one_graph = torch.compile(model, backend=backend, fullgraph=True)
    computed, expected = (logits_and_gradients(model, tokens_BL, call) for call in (one_graph, model))
    assert_equal(computed, expected)


@traced
def test_a_compiled_model_takes_other_lengths_and_batches(generator):
    model = build_model(compiled("31111", NAMED))
    one_graph = torch.compile(model, backend="eager", fullgraph=True)
    for batch, length in ((2, LENGTH), (2, 33), (3, 130)):
        tokens_BL = tokens(generator, batch, length)
        computed, expected = (logits_and_gradients(model, tokens_BL, call) for call in (one_graph, model))
        assert_equal(computed, expected)


@every_class
def test_a_program_is_exported(name, generator):
    model, tokens_BL = one_layer(name), tokens(generator, length=LENGTH)
    program = torch.export.export(model, (tokens_BL,))
    assert len(program.state_dict) == len(model.state_dict())
    assert_equal([program.module()(tokens_BL)], [model(tokens_BL)])


def test_a_program_of_all_structures_takes_any_batch(generator):
    model = build_model(compiled("31112-51111-81111-31112-i1111-k1111", NAMED))
    shapes = {"tokens_BL": {0: torch.export.Dim("batch", min=1, max=64)}}
    program = torch.export.export(model, (tokens(generator, 2, LENGTH),), dynamic_shapes=shapes).module()
    for batch in (1, 2, 5):
        tokens_BL = tokens(generator, batch, LENGTH)
        assert_equal([program(tokens_BL)], [model(tokens_BL)])
