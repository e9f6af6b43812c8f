"""``--format gguf``: what other readers find in the file is the model, number by number, logit by logit."""

from __future__ import annotations

import copy

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Lfm2Config, Lfm2ForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from star_core import Genome, SearchSpace, compile_genome
from star_core.errors import ConfigError, StoreError
from star_core.exported.format import EXPORT_FORMATS
from star_core.exported.gguf_file import F32, Q4_0, Q8_0, write_gguf
from star_core.exported.manifest import tokens_of
from tests.exported.models import trained
from tests.livs.layers import PLACES, liv_class

GGUF = EXPORT_FORMATS["gguf"]
TABLE = PLACES["SA-1"][0]
BYTES = tokens_of(256, 0)
MAPPED = {
    "attention and units": "11111-91111-11111-91111",
    "grouped queries": "31111-91111-31111-91111",
    "tied weights": "11121-91121-11121-91121",
    "two mixers in turn": "11111-11111-91111",
    "a unit first": "91111-11111-91111",
    "units alone": "91111-91111",
    "LFM2": "71111-91111-q1111-91111",
    "LFM2 in another order": "q1111-71111-71111-91111-91111",
    "normed attention alone": "q1111",
    "convolutions alone": "71111-91111-71111-91111",
}


def as_transformers_reads(path):
    """The model that transformers makes of a file: another reader of names, sizes and layouts."""
    config = load_gguf_checkpoint(path)["config"]
    lfm2 = config.pop("model_type") == "lfm2"
    model = Lfm2ForCausalLM(Lfm2Config(**config)) if lfm2 else LlamaForCausalLM(LlamaConfig(**config))
    tensors = load_gguf_checkpoint(path, return_tensors=True, model_to_load=model)["tensors"]
    missing = model.load_state_dict(tensors, strict=False)
    assert (missing.missing_keys, missing.unexpected_keys) == (["lm_head.weight"], [])
    return model.eval()


def logits_of(path, model, length=100):
    tokens_BL = torch.randint(0, 256, (2, length), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return as_transformers_reads(path)(tokens_BL).logits, model(tokens_BL)


@pytest.mark.parametrize("genome", MAPPED.values(), ids=MAPPED)
def test_other_readers_compute_the_same(genome, tmp_path):
    source = trained(genome, TABLE, width=32)
    assert GGUF.refusal(source.model.arch, BYTES) is None
    GGUF.write(tmp_path, source, ["f32", "int8", "int4"])
    assert GGUF.check(tmp_path, source) is None
    found, wanted = logits_of(tmp_path / "model-f32.gguf", source.model)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    errors = []
    for name in ("q8_0", "q4_0"):
        found, wanted = logits_of(tmp_path / f"model-{name}.gguf", source.model)
        errors.append(float((found - wanted).norm() / wanted.norm()))
    assert 0 < errors[0] < 0.1 < errors[1] * 2 < 2


def test_hyperparameters_and_tokens(tmp_path):
    source = trained("71111-91111-q1111-91111", TABLE, width=64)
    GGUF.write(tmp_path, source, ["f32"])
    reader = gguf.GGUFReader(tmp_path / "model-f32.gguf")
    found = {name: field.contents() for name, field in reader.fields.items()}
    assert found["general.architecture"] == "lfm2"
    expected = {
        "context_length": 128,
        "embedding_length": 64,
        "block_count": 2,
        "feed_forward_length": 192,
        "vocab_size": 256,
        "attention.head_count": 4,
        "attention.head_count_kv": [0, 1],
        "attention.key_length": 16,
        "attention.value_length": 16,
        "attention.layer_norm_rms_epsilon": pytest.approx(1e-5),
        "rope.dimension_count": 16,
        "rope.freq_base": 1e4,
        "shortconv.l_cache": 3,
    }
    assert {
        name.removeprefix("lfm2."): value for name, value in found.items() if name.startswith("lfm2.")
    } == (expected)
    letters = found["tokenizer.ggml.tokens"]
    assert len(set(letters)) == 256
    assert [letters[byte] for byte in b" A\n\xff"] == ["Ġ", "A", "Ċ", "ÿ"]
    assert letters[0] == "<|end|>"
    assert found["tokenizer.ggml.token_type"] == [3] + [1] * 255
    assert found["tokenizer.ggml.eos_token_id"] == 0
    assert not found["tokenizer.ggml.add_bos_token"]


@pytest.mark.parametrize(
    ("storage", "kind"),
    [(Q8_0, gguf.GGMLQuantizationType.Q8_0), (Q4_0, gguf.GGMLQuantizationType.Q4_0)],
)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1e4]))
@settings(max_examples=30)
def test_blocks_are_rounded_as_ggml_does(tmp_path_factory, storage, kind, seed, scale):
    numbers = (np.random.default_rng(seed).normal(size=(6, 64)) * scale).astype(np.float32)
    numbers[0, :32] = 0
    path = tmp_path_factory.mktemp("gguf") / "a.gguf"
    write_gguf(path, {"general.architecture": "llama"}, [("a", numbers, storage), ("b", numbers[0], F32)])
    first, second = gguf.GGUFReader(path).tensors
    assert (first.tensor_type, list(first.shape)) == (kind, [64, 6])
    assert bytes(first.data) == bytes(gguf.quantize(numbers, kind))
    assert np.array_equal(second.data, numbers[0])


@pytest.mark.parametrize(
    ("genome", "reason"),
    [
        ("51111-91111", r"LIV 1 \(Rec-1\) is in neither Llama.*preset lfm2-norm"),
        ("11111-a1111", r"LIV 2 \(SA-1-Diff\) is in neither"),
        ("11111-21111", r"LIV 2 \(SA-2\) is in neither"),
        ("11111-31111", r"LIV 1 \(SA-1\) and LIV 2 \(SA-3\) differ in their heads"),
        (
            "71111-31111-91111",
            r"LIV 2 \(SA-3\) has no norm.*LIV 1 \(GConv-1\).*SA-3-Norm",
        ),
        ("q1111-31111", r"LIV 2 \(SA-3\) has no norm of queries and keys.*LIV 1 \(SA-3-Norm\)"),
        ("11112-11112", r"LIV 2 \(SA-1\) reuses features of LIV 1.*strategy 1"),
    ],
)
def test_what_does_not_map_says_which_liv_why_and_what_would(genome, reason):
    architecture = compile_genome(Genome.parse(genome), TABLE, 32)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(GGUF.refusal(architecture, BYTES))


OWN = [
    liv_class("narrow unit", "91142", "111211-111211", "CV"),
    liv_class("two taps", "73111", "111211-111211-111211-321121", "CBVK"),
    liv_class("dense attention", "12122", "111211-111211-111211"),
    liv_class("wide attention", "12123", "111221-111221-111221"),
    liv_class("wide normed attention", "12123", "115221-115221-111221"),
    liv_class("normed values", "12123", "111211-111211-115211"),
    liv_class("grouped unit", "91143", "111211-111211", "CV"),
]
OWN_SPACE = SearchSpace(
    "own", dict(enumerate([*OWN, *map(TABLE.classes.get, (7, 9, 26))], 1)), depth=6, groups=3
)


@pytest.mark.parametrize("genome", ["31111-11111", "41111-11111-41111-91111", "21111-a1111-81111-91111"])
def test_classes_of_a_genome_s_own_map_where_they_can(genome, tmp_path):
    source = trained(genome, OWN_SPACE, width=32)
    assert GGUF.refusal(source.model.arch, BYTES) is None
    GGUF.write(tmp_path, source, ["f32"])
    found, wanted = logits_of(tmp_path / "model-f32.gguf", source.model)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("genome", "reason"),
    [("51111", "wide as the model"), ("61111", "neither"), ("71111", "neither")],
)
def test_other_own_classes_are_refused(genome, reason):
    assert reason in GGUF.refusal(compile_genome(Genome.parse(genome), OWN_SPACE, 32), BYTES)


def test_ids_of_an_unknown_vocabulary_are_refused():
    architecture = compile_genome(Genome.parse("11111"), TABLE, 32, vocab_size=300)
    assert "tokenizer" in GGUF.refusal(architecture, tokens_of(300, None))


def test_widths_that_are_no_whole_blocks_have_no_fewer_bits(tmp_path):
    source = trained("11111-91111", TABLE, width=16)
    GGUF.write(tmp_path, source, ["f32"])
    with pytest.raises(ConfigError, match=r"16: int4 weights are in blocks of 32, of which.*another --width"):
        GGUF.write(tmp_path, source, ["int4"])


@pytest.mark.parametrize("precision", ["f32", "int8", "int4"])
def test_what_is_not_the_model_is_refused(precision, tmp_path):
    source = trained("71111-91111-q1111-91111", TABLE, width=32)
    GGUF.write(tmp_path, source, [precision])
    other = copy.deepcopy(source.model)
    with torch.no_grad():
        other.get_parameter("backbone.layers.2.featurizers.0.C.projection")[:] = source.model.get_parameter(
            "backbone.layers.2.featurizers.0.B.projection"
        ).repeat(4, 1)
    with pytest.raises(StoreError, match=r"the tensor blk\.1\.attn_q\.weight is not the model's"):
        GGUF.check(tmp_path, type(source)(other, source.manifest, source.weights))
