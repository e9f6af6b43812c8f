"""``--format hf``: transformers computes what the model does, from the files in the folder alone."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
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
    "convolutions alone": "71111-91111-71111-91111",
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
    assert_same(loaded, source.model, tolerance=2e-5)  # rotations in float32


MIXED = "51112-51112-11122-11122-81132-81132-31111-k1111-e1111-j1111-m1111-91111"
"""Recurrences, filters, attention of all kinds, differential ones; features are reused."""


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    source = trained(MIXED, TABLE, head_dim=4)
    return source, written(tmp_path_factory.mktemp("mixed"), source)


@pytest.mark.parametrize("genome", [MIXED, "31111-91111", "71111-91111-q1111-91111"])
def test_it_generates_as_the_model(genome, tmp_path):
    source = trained(genome, TABLE, head_dim=4)
    loaded, model = written(tmp_path, source), copy.deepcopy(source.model).double()
    prompts_BL = torch.randint(1, 256, (2, 70), generator=torch.Generator().manual_seed(3))
    found = loaded.generate(prompts_BL, max_new_tokens=20, do_sample=False, eos_token_id=None)
    assert torch.equal(found, model.generate(prompts_BL, 20))


def test_prompts_of_different_length_are_padded_before(mixed):
    _, loaded = mixed
    generator = torch.Generator().manual_seed(4)
    prompts = [torch.randint(1, 256, (length,), generator=generator) for length in (3, 90, 66)]
    longest = max(map(len, prompts))
    pad = [torch.full((longest - len(prompt),), 7) for prompt in prompts]
    tokens_BL = torch.stack([torch.cat(pair) for pair in zip(pad, prompts, strict=True)])
    mask_BL = torch.stack(
        [torch.cat([torch.zeros(longest - len(x)), torch.ones(len(x))]).long() for x in prompts]
    )
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None}
    together = loaded.generate(tokens_BL, attention_mask=mask_BL, **options)[:, longest:]
    for prompt, found in zip(prompts, together, strict=True):
        assert torch.equal(loaded.generate(prompt[None], **options)[0, len(prompt) :], found)
    with torch.no_grad():  # behind: no earlier token sees it
        whole = loaded(input_ids=tokens_BL.flip(1), attention_mask=mask_BL.flip(1)).logits
        for prompt, found in zip(prompts, whole, strict=True):
            alone = loaded(input_ids=prompt.flip(0)[None]).logits[0]
            torch.testing.assert_close(found[: len(prompt)], alone, rtol=1e-9, atol=1e-9)


def test_beams_are_reordered_with_their_states(mixed):
    _, loaded = mixed
    prompt = torch.randint(1, 256, (1, 9), generator=torch.Generator().manual_seed(5))
    options = {"max_new_tokens": 10, "num_beams": 3, "do_sample": False, "eos_token_id": None}
    assert torch.equal(
        loaded.generate(prompt, **options), loaded.generate(prompt, use_cache=False, **options)
    )


def test_a_mask_that_is_too_short_is_refused(mixed):
    _, loaded = mixed
    with torch.no_grad():
        seen = loaded(input_ids=torch.ones(1, 4, dtype=torch.long), use_cache=True)
        with pytest.raises(ValueError, match="covers 1 tokens, 4 held, 1 new"):
            loaded(
                input_ids=torch.ones(1, 1, dtype=torch.long),
                attention_mask=torch.ones(1, 1),
                past_key_values=seen.past_key_values,
            )


def test_it_can_be_trained_further(mixed):
    _, loaded = mixed
    tokens_BL = torch.randint(1, 256, (2, 70), generator=torch.Generator().manual_seed(6))
    loss = loaded(input_ids=tokens_BL, labels=tokens_BL).loss
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in loaded.parameters())
    loaded.zero_grad()


RECEIVER = r"""
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("star_core", "star_flows", "flows", "tests"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, trust = sys.argv[1], bool(int(sys.argv[2]))
model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=trust)
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
text = "Ā née \U0001f600\n\t  x<|end|>\x7f"
for piece in (text, text + chr(0) + text):
    ids = tokenizer(piece).input_ids
    assert ids == list(piece.encode()), ids
    assert tokenizer.decode(ids) == piece, tokenizer.decode(ids)
batch = tokenizer(["In the beginning", "a"], return_tensors="pt", padding=True)
assert batch.attention_mask[1].tolist() == [0] * 15 + [1]
tokens = model.generate(**batch, max_new_tokens=8, do_sample=False)
print(type(model).__name__, tokens[0, 16:].tolist(), tokens[1, 16:].tolist())
sampled = model.generate(**batch, max_new_tokens=8)
assert "star_core" not in sys.modules
"""


@pytest.mark.parametrize(
    ("genome", "kind"),
    [
        (MIXED, "StarForCausalLM"),
        ("31111-91111", "LlamaForCausalLM"),
        ("71111-91111-q1111-91111", "Lfm2ForCausalLM"),
    ],
)
def test_a_receiver_needs_torch_and_transformers_only(genome, kind, tmp_path):
    source = trained(genome, TABLE, head_dim=4)
    (tmp_path / "hf").mkdir()
    HF.write(tmp_path / "hf", source, ["f32"])
    trust = "1" if kind == "StarForCausalLM" else "0"
    result = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", RECEIVER, str(tmp_path / "hf"), trust],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(kind)
    print(result.stderr)
    for text in ("In the beginning", "a"):
        prompt = list(text.encode())
        wanted = source.model.generate(torch.tensor([prompt]), 8)[0, len(prompt) :].tolist()
        if 0 in wanted:
            wanted[wanted.index(0) :] = [0] * (8 - wanted.index(0))
        assert str(wanted) in result.stdout


def test_the_tokenizer_is_the_bytes(tmp_path):
    from transformers import PreTrainedTokenizerFast

    for name, content in tokenizer_files(64).items():
        (tmp_path / name).write_text(json.dumps(content))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path)

    @given(st.text())
    def any_text(text):
        ids = tokenizer(text).input_ids
        assert ids == list(text.encode("utf-8", "replace"))
        assert tokenizer.decode(ids) == text

    any_text()
    assert len(tokenizer) == 256
    assert tokenizer.decode([*b"ab", 0], skip_special_tokens=True) == "ab"


def test_what_computes_something_else_is_refused(tmp_path):
    source = trained("51111-91111", TABLE, head_dim=4)
    HF.write(tmp_path, source, ["f32"])
    assert HF.check(tmp_path, source) is None
    with torch.no_grad():
        source.model.get_parameter("backbone.norm").mul_(1.01)
    with pytest.raises(StoreError, match="its logits differ from the model's"):
        HF.check(tmp_path, source)


def test_ids_of_an_unknown_vocabulary_have_no_tokenizer(tmp_path):
    source = trained("51111-91111", TABLE, vocab_size=300, separator=None)
    HF.write(tmp_path, source, ["f32"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "modeling_star.py",
    ]
    assert "AutoTokenizer" not in HF.guide(source.manifest, "hf")


def test_without_transformers_the_check_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    source = trained("51111-91111", TABLE, head_dim=4)
    HF.write(tmp_path, source, ["f32"])
    assert "transformers is not installed" in HF.check(tmp_path, source)
