"""``--format hf``: transformers computes what the model does, from the files of the folder and nothing else."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import textwrap
from contextlib import nullcontext
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from star_core import SearchSpace
from star_core.errors import StoreError
from star_core.exported.format import EXPORT_FORMATS
from star_core.exported.formats import hf
from star_core.exported.hf.comparison import load
from star_core.exported.hf.tokenizer import tokenizer_files
from tests.exported.models import trained
from tests.livs.layers import PLACES

HF = EXPORT_FORMATS["hf"]
LENGTH, PROMPT = 150, 129
NATIVE = {
    "attention and units": "11111-91111-11111-91111",
    "grouped queries": "31111-91111",
    "tied weights": "11121-91121-11121-91121",
    "two mixers in turn": "11111-11111-91111",
    "a unit first": "91111-11111-91111",
    "units alone": "91111-91111",
    "attention alone": "11111",
    "LFM2": "71111-91111-q1111-91111",
    "LFM2 in another order": "q1111-71111-71111-91111-91111",
    "normed attention alone": "q1111",
}


TABLE = PLACES["SA-1"][0]


def written(folder, source, own=False):
    """What transformers makes of a folder; ``own``: of the modelling file, though the genome be a Llama."""
    with patch.object(hf, "_native", lambda _: None) if own else nullcontext():
        HF.write(folder, source, ["f32"])
        return load(folder, hf._native(source.model.arch)).double()


def assert_same(loaded, model, batch=2, tolerance=1e-9):
    """Whole sequences, and any split of them that a cache is fed with."""
    model = copy.deepcopy(model).double()
    generator = torch.Generator().manual_seed(0)
    tokens_BL = torch.randint(0, model.arch.vocab_size, (batch, LENGTH), generator=generator)
    with torch.no_grad():
        wanted_BLV = model(tokens_BL)
        close = {"rtol": tolerance, "atol": tolerance}
        torch.testing.assert_close(loaded(input_ids=tokens_BL).logits, wanted_BLV, **close)
        cache, parts, start = None, [], 0
        for size in (3, 1, PROMPT - 4, 1, 1, 7, 1, LENGTH - PROMPT - 10):
            seen = loaded(input_ids=tokens_BL[:, start : start + size], past_key_values=cache, use_cache=True)
            cache, start = seen.past_key_values, start + size
            parts.append(seen.logits)
        torch.testing.assert_close(torch.cat(parts, 1), wanted_BLV, **close)


@pytest.mark.parametrize("name", PLACES)
def test_every_class_is_computed_alike(name, tmp_path):
    space, allele = PLACES[name]
    source = trained(f"{allele}1111-{allele}1111", space, head_dim=4)
    assert_same(written(tmp_path, source, own=True), source.model)


@settings(max_examples=60)
@given(
    st.sampled_from(["paper", "extended", "lfm2", "lfm2-norm", "attention", "full"]),
    st.integers(0, 2**32 - 1),
    st.integers(1, 8),
)
def test_any_genome_is_computed_alike(tmp_path_factory, preset, seed, depth):
    space = SearchSpace.preset(preset, depth=depth, groups=2)
    source = trained(space.sample(np.random.default_rng(seed)), space, head_dim=4)
    assert_same(written(tmp_path_factory.mktemp("hf"), source, own=True), source.model)


@pytest.mark.parametrize("genome", NATIVE.values(), ids=NATIVE)
def test_what_is_a_llama_or_an_lfm2_needs_no_code(genome, tmp_path):
    source = trained(genome, TABLE)
    loaded = written(tmp_path, source)
    assert not list(tmp_path.glob("*.py"))
    assert type(loaded).__name__ in ("LlamaForCausalLM", "Lfm2ForCausalLM")
    assert "native" in HF.kind(source.model.arch)
    assert_same(loaded, source.model, tolerance=1e-6)  # rotations in float32
