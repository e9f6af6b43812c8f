"""Every LIV class, of the paper and beyond, as a language model of its own."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from star_core import build_model
from star_core.structures import class_table
from tests.livs.layers import PLACES
from tests.models.language_models import (
    SPLITS,
    assert_every_parameter_learns,
    assert_forms_agree,
    assert_sizes_as_predicted,
    double,
    fed,
    stack,
    tokens,
)

CLASS_NAMES = [entry.name for entry in class_table().values()]
every_class = pytest.mark.parametrize("name", PLACES)


def test_all_named_classes_are_tested():
    assert set(CLASS_NAMES) <= set(PLACES)


@every_class
def test_forward_reference_prefill_and_step_agree(name, generator):
    assert_forms_agree(double(stack(name)), tokens(generator))


@every_class
def test_single_precision_agrees_too(name, generator):
    model, tokens_BL = build_model(stack(name, depth=3)), tokens(generator)
    with torch.no_grad():
        logits = model(tokens_BL)
    for split in SPLITS.values():
        torch.testing.assert_close(fed(model, tokens_BL, split), logits, rtol=1e-4, atol=1e-4)


@every_class
def test_parameters_and_cache_are_as_predicted(name):
    assert_sizes_as_predicted(build_model(stack(name)))


@every_class
def test_every_parameter_gets_a_gradient(name, generator):
    assert_every_parameter_learns(build_model(stack(name)), tokens(generator))


@every_class
def test_any_scale_of_the_residual_stream_is_finite(name, generator):
    model = build_model(stack(name))
    for scale in (1e-3, 1e3):
        x_BLD = (scale * torch.randn(2, 130, 16, generator=generator)).requires_grad_()
        y_BLD, _ = model.backbone(x_BLD)
        assert y_BLD.isfinite().all()
        y_BLD.square().sum().backward()
        assert x_BLD.grad.isfinite().all()


@every_class
def test_an_unexpected_input_of_zeros_is_finite(name):
    x_BLD = torch.zeros(1, 9, 16, requires_grad=True)
    y_BLD, _ = build_model(stack(name)).backbone(x_BLD)
    y_BLD.sum().backward()
    assert y_BLD.isfinite().all()
    assert x_BLD.grad.isfinite().all()


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_every_layer_starts_at_order_one(name, generator):
    arch = stack(name, depth=1, width=64)
    x_BLD = torch.randn(4, 128, 64, generator=generator)
    layer = build_model(arch).backbone
    with torch.no_grad():
        layer.layers[0].output *= 2**0.5
        added_BLD = _added(layer, x_BLD)
    assert 0.02 < added_BLD.square().mean().sqrt() < 4


def _added(backbone, x_BLD):
    """What the first layer adds to the residual stream."""
    seen = []
    handle = backbone.layers[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    backbone(x_BLD)
    handle.remove()
    return seen[0]


class OnMeta(TorchDispatchMode):
    """Refuses every operation that would allocate memory."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        assert all(x.device.type == "meta" for x in tree_leaves(made) if torch.is_tensor(x)), func
        return made


@every_class
def test_a_model_is_built_and_run_on_meta_without_memory(name):
    with OnMeta():
        model = build_model(stack(name), device="meta")
        tokens_BL = torch.zeros(2, 130, dtype=torch.long, device="meta")
        for form in ("parallel", "reference"):
            assert model(tokens_BL, form=form).shape == (2, 130, 50)
        cache = model.init_cache(2, 131)
        assert model.prefill(tokens_BL, cache)[0].shape == (2, 130, 50)
        assert model.step(tokens_BL[:, 0], cache)[0].shape == (2, 50)
    assert_sizes_as_predicted(model)
