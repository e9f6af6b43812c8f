"""Every mixer: three forms that agree, causality, gradients, extreme inputs."""

import pytest
import torch

from star_core.errors import ConfigError, GenomeError
from star_core.livs import chunks, linear_attention, mixer_of, semi_separable
from star_core.livs.low_rank import LowRank
from star_core.livs.mixer import MIXERS
from star_core.livs.rotary import Positions
from star_core.structures.low_rank import LOW_RANK
from tests.livs.layers import ARITHMETIC, features_for, histories, mixer_for, states_for

SPLITS = [[37], [1] * 37, [16, 16, 5], [3, 1, 1, 20, 12], [36, 1]]


def in_pieces(name, features, split):
    """The features in pieces, through ``step`` for single tokens and ``parallel`` for more."""
    mixer, states, outputs, start = mixer_for(name), states_for(name), [], 0
    for size in split:
        end = start + size
        piece = {
            role: x if role == "K" else x[:, 0 if role in histories(name) else start : end]
            for role, x in features.items()
        }
        form = mixer.step if size == 1 else mixer.parallel
        y_BLE, states = form(piece, states, Positions(start, size))
        outputs.append(y_BLE)
        start = end
    return torch.cat(outputs, 1)


@pytest.mark.parametrize("name", ARITHMETIC)
def test_the_three_forms_agree(name, generator):
    features = features_for(name, 37, generator)
    reference = mixer_for(name).reference(features, Positions(0, 37))
    parallel, kept = mixer_for(name).parallel(features, None, Positions(0, 37))
    torch.testing.assert_close(parallel, reference, rtol=1e-9, atol=1e-9)
    assert kept == {}
    for split in SPLITS:
        torch.testing.assert_close(in_pieces(name, features, split), reference, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ARITHMETIC)
def test_states_are_of_the_shape_the_spec_says(name, generator):
    features = features_for(name, 5, generator)
    for form, length in (("parallel", 5), ("step", 1)):
        piece = {role: x if role == "K" else x[:, :length] for role, x in features.items()}
        _, states = getattr(mixer_for(name), form)(piece, states_for(name), Positions(0, length))
        assert {k: v.shape for k, v in states.items()} == {k: v.shape for k, v in states_for(name).items()}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_a_later_token_does_not_change_an_earlier_output(name, generator):
    features = features_for(name, 21, generator)
    changed = {
        role: x if role == "K" else torch.cat([x[:, :9], 2 * x[:, 9:]], 1) for role, x in features.items()
    }
    for form in ("reference", "parallel"):
        before, after = (self_outputs(name, form, f) for f in (features, changed))
        torch.testing.assert_close(before[:, :9], after[:, :9], rtol=1e-12, atol=1e-12)
        assert not torch.allclose(before[:, 9:], after[:, 9:])


def self_outputs(name, form, features):
    mixer, positions = mixer_for(name), Positions(0, features["V"].shape[1])
    if form == "reference":
        return mixer.reference(features, positions)
    return mixer.parallel(features, None, positions)[0]


@pytest.mark.parametrize("name", ARITHMETIC)
def test_gradients_of_the_parallel_form_match_finite_differences(name, generator):
    features = features_for(name, 5, generator, batch=1)
    roles = list(features)

    def function(*tensors):
        return self_outputs(name, "parallel", dict(zip(roles, tensors, strict=True)))

    leaves = [features[role].requires_grad_() for role in roles]
    assert torch.autograd.gradcheck(function, leaves, fast_mode=True)


@pytest.mark.parametrize("name", ARITHMETIC)
def test_gradients_of_the_two_forms_agree_across_chunks(name, generator):
    features = {role: x.requires_grad_() for role, x in features_for(name, 37, generator).items()}
    grads = [
        torch.autograd.grad(self_outputs(name, form, features).square().sum(), list(features.values()))
        for form in ("reference", "parallel")
    ]
    for expected, computed in zip(*grads, strict=True):
        torch.testing.assert_close(computed, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", ARITHMETIC)
def test_any_scale_of_input_is_finite_with_its_gradient(name, scale, generator):
    features = features_for(name, 70, generator, scale=scale, dtype=torch.float32)
    leaves = [x.requires_grad_() for x in features.values()]
    for form in ("reference", "parallel"):
        y_BLE = self_outputs(name, form, features)
        assert y_BLE.isfinite().all()
        for gradient in torch.autograd.grad(y_BLE.sum(), leaves):
            assert gradient.isfinite().all()
    y_BLE, states = mixer_for(name).step(
        {role: x if role == "K" else x[:, :1] for role, x in features.items()},
        states_for(name, dtype=torch.float32),
        Positions(0, 1),
    )
    assert y_BLE.isfinite().all()
    assert all(state.isfinite().all() for state in states.values())


def test_slow_decay_after_total_forgetting_keeps_its_precision(generator):
    features = features_for("Rec-1", 64, generator)
    features["A"] = torch.full_like(features["A"], 1e-3)
    features["A"][:, ::5] = 1e6
    features["V"][:, ::5] = 0
    exact = self_outputs("Rec-1", "reference", features)
    single = {role: x.float() for role, x in features.items()}
    for form in ("reference", "parallel"):
        close = self_outputs("Rec-1", form, single).double()
        torch.testing.assert_close(close, exact, rtol=1e-3, atol=1e-6)


def test_a_recurrence_averages_over_its_memory(generator):
    features = features_for("Rec-1", 4000, generator, batch=1)
    features = {role: torch.ones_like(x) for role, x in features.items()}
    features["A"] *= 0.01
    features["C"] /= features["C"].shape[-1] ** 0.5
    y_BLE = self_outputs("Rec-1", "parallel", features)
    torch.testing.assert_close(y_BLE[:, -1], torch.ones_like(y_BLE[:, -1]), rtol=0.01, atol=0)


def test_a_structure_without_arithmetic_is_named():
    assert mixer_of(LOW_RANK.allele) is LowRank
    with pytest.raises(
        GenomeError, match=r"'?35'?: no structure has this token-mixing allele.*use one of 1, 2"
    ):
        mixer_of(35)
    with pytest.raises(ConfigError, match=r"star_core/livs: 'low-rang'.*mean 'low-rank'"):
        MIXERS["low-rang"]


@pytest.mark.parametrize("name", ["Rec-1", "repeated recurrence", "LA-1", "linear attention of groups"])
@pytest.mark.parametrize("group", [1, 2, 3])
def test_states_are_carried_over_many_groups_of_chunks(name, group, generator, monkeypatch):
    for module in (chunks, linear_attention):
        monkeypatch.setattr(module, "GROUP", group)
    for module in (linear_attention, semi_separable):
        monkeypatch.setattr(module, "CHUNK", 16)
    features = {role: x.requires_grad_() for role, x in features_for(name, 137, generator).items()}
    outputs = [self_outputs(name, form, features) for form in ("reference", "parallel")]
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(in_pieces(name, features, [1, 136]), outputs[0], rtol=1e-9, atol=1e-9)
    grads = [torch.autograd.grad(y_BLE.square().sum(), list(features.values())) for y_BLE in outputs]
    for expected, computed in zip(*grads, strict=True):
        torch.testing.assert_close(computed, expected, rtol=1e-8, atol=1e-8)
