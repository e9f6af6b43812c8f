"""Softmax attention against transformers: Llama's, of all tokens or the last few, LFM2's and DiffLlama's."""

from functools import partial

import pytest

from tests.livs.layers import liv_class
from tests.oracles.comparison import BANDED_LENGTH, FORMS, WINDOW, assert_same_model, model_of
from tests.oracles.peers import diffllama_attention, lfm2_attention, llama_attention

DIFFERENTIAL = [
    liv_class("differential", "12123", "111211-111211-111221", differential=True),
    liv_class("grouped differential", "12123", "111211-111212-111222", differential=True),
]
"""Differential attention as published has values of two heads' size."""

NORMED = liv_class("normed differential", "12123", "115211-115212-111212", differential=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["SA-1", "SA-2", "SA-3", "SA-4", "SA-2-Diff", "SA-3-Diff"])
def test_attention_is_that_of_llama(name, form):
    assert_same_model(model_of(name), llama_attention, form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("liv", ["SA-3-Norm", NORMED], ids=["SA-3-Norm", "differential"])
def test_attention_of_normed_queries_and_keys_is_that_of_lfm2(liv, form):
    assert_same_model(model_of(liv), lfm2_attention, form)


@pytest.mark.parametrize("form", FORMS)
def test_attention_without_heads_is_that_of_llama_with_one_head(form):
    assert_same_model(model_of("dense attention"), partial(llama_attention, head_dim=16), form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["SA-1-Band", "SA-3-Band"])
def test_banded_attention_is_that_of_llama_with_a_sliding_window(name, form):
    model = model_of(name, length=BANDED_LENGTH)
    assert_same_model(model, partial(llama_attention, window=WINDOW), form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("liv", DIFFERENTIAL, ids=lambda liv: liv.name)
def test_differential_attention_is_that_of_diffllama(liv, form):
    model = model_of(liv)
    first, second = (model.get_submodule(f"backbone.layers.0.featurizers.{i}.V") for i in range(2))
    second.projection = first.projection  # the published one has one set of values for both maps
    assert_same_model(model, diffllama_attention, form)
