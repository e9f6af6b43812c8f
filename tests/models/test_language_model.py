"""Building, caching, generating, and what is said when they are used wrongly."""

import hashlib
import math
import os
import subprocess
import sys

import pytest
import torch

from star_core import build_model, compile_genome
from star_core.errors import ConfigError, DataError, StarError
from star_core.genome import Genome, SearchSpace
from star_core.models import LanguageModel
from tests.livs.layers import NAMED
from tests.models.language_models import VOCABULARY, compiled, fed, tokens

MIXED = compiled("31112-51211-81211-71111-91111-51211-31112-g1111", NAMED)


def fingerprint(model):
    digest = hashlib.sha256()
    for name, parameter in sorted(model.state_dict().items()):
        digest.update(name.encode() + parameter.numpy().tobytes())
    return digest.hexdigest()


def test_one_seed_gives_the_same_weights_in_another_process():
    program = (
        "from tests.models.test_language_model import MIXED, build_model, fingerprint;"
        "print(fingerprint(build_model(MIXED, seed=3)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert run.stdout.strip() == fingerprint(build_model(MIXED, seed=3)), run.stderr


def test_seeds_matter_and_precision_does_not():
    model = build_model(MIXED, seed=1)
    assert fingerprint(model) != fingerprint(build_model(MIXED, seed=2))
    double = build_model(MIXED, seed=1, dtype=torch.float64)
    assert fingerprint(double.float()) == fingerprint(model)


def test_building_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    build_model(MIXED, seed=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_too_large_for_memory_is_built_and_run_on_meta():
    space = SearchSpace.preset("paper", depth=48)
    arch = compile_genome(
        Genome.parse("-".join(["31112", "51111", "81111", "91111", "g1111"] * 10)), space, 8192
    )
    model = build_model(arch, device="meta")
    assert sum(parameter.numel() for parameter in model.parameters()) == arch.num_parameters > 3e9
    assert all(parameter.device.type == "meta" for parameter in model.parameters())
    assert model(torch.zeros(2, 64, dtype=torch.long, device="meta")).shape == (2, 64, 256)
    cache = model.init_cache(2, 4096)
    assert cache.num_bytes == arch.cache_bytes(4096, 2)


def test_the_first_loss_is_near_that_of_guessing(generator):
    for text in ("11111-91111", "51111-91111", "71111-91111", "81111-91111", "c1111-h1111"):
        arch = compile_genome(Genome.parse("-".join([text] * 4)), NAMED, 64)
        tokens_BL = torch.randint(0, 256, (4, 65), generator=generator)
        with torch.no_grad():
            logits = build_model(arch)(tokens_BL[:, :-1]).flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, tokens_BL[:, 1:].flatten()).item()
        assert math.log(256) - 0.1 < loss < math.log(256) + 1


def test_a_model_survives_a_round_trip_through_its_state(generator):
    model, other, tokens_BL = build_model(MIXED), build_model(MIXED, seed=9), tokens(generator)
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(model(tokens_BL), other(tokens_BL))


def test_greedy_generation_takes_the_likeliest_token_of_forward(generator):
    model, prompt_BL = build_model(MIXED), tokens(generator, length=5)
    made_BL = model.generate(prompt_BL, 7)
    assert made_BL.shape == (2, 12)
    assert torch.equal(made_BL[:, :5], prompt_BL)
    with torch.no_grad():
        likeliest = model(made_BL)[:, 4:-1].argmax(-1)
    assert torch.equal(made_BL[:, 5:], likeliest)
    assert torch.equal(model.generate(prompt_BL, 0), prompt_BL)


def test_sampling_depends_on_the_passed_generator_only(generator):
    model, prompt_BL = build_model(MIXED), tokens(generator, length=5)
    first, again, other = (
        model.generate(prompt_BL, 20, temperature=1.0, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_reset_cache_is_as_good_as_new(generator):
    model, tokens_BL = build_model(MIXED), tokens(generator)
    cache = model.init_cache(2, 40)
    first, _ = model.prefill(tokens_BL, cache)
    cache.reset()
    assert (cache.length, cache.max_length) == (0, 40)
    assert torch.equal(model.prefill(tokens_BL, cache)[0], first)


def test_a_cache_made_in_inference_mode_can_be_used_outside(generator):
    model, tokens_BL = build_model(MIXED), tokens(generator)
    with torch.inference_mode():
        cache = model.init_cache(2, 40)
        model.step(tokens_BL[:, 0], cache)
    logits, _ = model.step(tokens_BL[:, 1], cache)
    torch.testing.assert_close(logits, model(tokens_BL)[:, 1].detach(), rtol=1e-4, atol=1e-4)


def test_sequences_of_a_batch_do_not_mix(generator):
    model, tokens_BL = build_model(MIXED), tokens(generator, batch=3)
    alone = fed(model, tokens_BL[1:2], [9] + [0] * 28)
    torch.testing.assert_close(fed(model, tokens_BL, [9] + [0] * 28)[1:2], alone, rtol=1e-4, atol=1e-5)


def test_a_refused_call_leaves_the_cache_as_it_was(generator):
    model, tokens_BL = build_model(MIXED), tokens(generator, length=10)
    cache = model.init_cache(2, 8)
    model.prefill(tokens_BL[:, :6], cache)
    with pytest.raises(ConfigError):
        model.prefill(tokens_BL[:, 6:], cache)
    logits, _ = model.step(tokens_BL[:, 6], cache)
    torch.testing.assert_close(logits, model(tokens_BL)[:, 6].detach(), rtol=1e-4, atol=1e-4)


def good(*shape):
    return torch.zeros(*shape, dtype=torch.long)


MODEL = build_model(MIXED)
WRONG = {
    "other vocabulary": (
        lambda: build_model(MIXED, vocab_size=99),
        ConfigError,
        r"vocab_size: 99: .*compiled for a vocabulary of 50.*Fix: use 50",
    ),
    "integer weights": (lambda: build_model(MIXED, dtype=torch.int64), ConfigError, r"dtype: .*int64.*Fix"),
    "unknown form": (lambda: MODEL(good(1, 2), form="paralel"), ConfigError, r"'paralel'.*mean 'parallel'"),
    "step as a form": (lambda: MODEL(good(1, 2), form="step"), ConfigError, r"'step'.*no such form"),
    "floats": (lambda: MODEL(torch.zeros(1, 2)), DataError, r"tokens: .*float32.*Fix: use tokens.long\(\)"),
    "a list": (lambda: MODEL([[1, 2]]), DataError, r"tokens: 'list'"),
    "no batch axis": (lambda: MODEL(good(3)), DataError, r"tokens: \(3,\).*\(batch, length\)"),
    "empty prompt": (
        lambda: MODEL.prefill(good(1, 0), MODEL.init_cache()),
        DataError,
        r"\(1, 0\).*start token",
    ),
    "prompts of no sequence": (
        lambda: MODEL.prefill(good(0, 3), MODEL.init_cache()),
        DataError,
        r"tokens: \(0, 3\): .*\(batch, length\).*Fix: pass a sequence",
    ),
    "step of no sequence": (lambda: MODEL.step(good(0), MODEL.init_cache()), DataError, r"tokens: \(0,\): "),
    "generation from no token": (lambda: MODEL.generate(good(1, 0), 3), DataError, r"\(1, 0\).*start token"),
    "token too large": (
        lambda: MODEL(good(1, 2) + VOCABULARY),
        DataError,
        r"tokens: 50: .*from 0 to 49.*vocab_size=51",
    ),
    "negative token": (lambda: MODEL(good(1, 2) - 1), DataError, r"tokens: -1: "),
    "other device": (
        lambda: MODEL(good(1, 2).to("meta")),
        DataError,
        r"'meta': .*cpu.*Fix: use tokens.to\('cpu'\)",
    ),
    "prompt longer than the cache": (
        lambda: MODEL.prefill(good(1, 9), MODEL.init_cache(1, 8)),
        ConfigError,
        r"tokens to add: 9: .*0 of at most 8.*init_cache\(max_length=9\)",
    ),
    "step on a full cache": (
        lambda: MODEL.step(good(1), MODEL.prefill(good(1, 8), MODEL.init_cache(1, 8))[1]),
        ConfigError,
        r"tokens to add: 1: .*8 of at most 8",
    ),
    "other batch": (
        lambda: MODEL.step(good(3), MODEL.init_cache(2)),
        DataError,
        r"batch size: 3: .*for 2 sequences.*init_cache\(batch_size=3\)",
    ),
    "cache of other precision": (
        lambda: MODEL.step(good(1), build_model(MIXED, dtype=torch.float64).init_cache()),
        ConfigError,
        r"cache: .*float64.*float32",
    ),
    "cache on another device": (
        lambda: MODEL.step(good(1), build_model(MIXED, device="meta").init_cache()),
        ConfigError,
        r"cache: .*on meta.*on cpu.*Fix: make it with this model's init_cache",
    ),
    "cache of another architecture": (
        lambda: MODEL.step(good(1), build_model(compiled("11111", NAMED)).init_cache()),
        ConfigError,
        r"cache: .*another architecture.*init_cache",
    ),
    "step of two axes": (
        lambda: MODEL.step(good(1, 1), MODEL.init_cache()),
        DataError,
        r"\(1, 1\).*\(batch,\)",
    ),
    "cache of no length": (lambda: MODEL.init_cache(1, 0), ConfigError, r"init_cache: 0: max_length"),
    "cache for no sequence": (lambda: MODEL.init_cache(0), ConfigError, r"init_cache: 0: batch_size.*Fix"),
    "cache for half a sequence": (lambda: MODEL.init_cache(0.5), ConfigError, r"init_cache: 0.5: batch_size"),
    "width that heads do not divide": (
        lambda: compiled("11111", NAMED, width=16, head_dim=6),
        ConfigError,
        r"head_dim: 6: .*divisor of the width \(16\).*Fix: use 4",
    ),
    "sampling from nowhere": (
        lambda: MODEL.generate(good(1, 2), 3, temperature=1.0),
        ConfigError,
        r"temperature: 1.0: .*generator",
    ),
    "no cache": (lambda: MODEL.prefill(good(1, 2), None), ConfigError, r"cache: 'NoneType'.*init_cache"),
    "half a token": (lambda: MODEL.generate(good(1, 2), 1.5), ConfigError, r"generate: \(1.5.*whole number"),
    "type in words": (
        lambda: build_model(MIXED, dtype="float32"),
        ConfigError,
        r"dtype: 'float32'.*torch.float32",
    ),
    "device in words": (lambda: build_model(MIXED, device="gpu"), ConfigError, r"device: 'gpu'.*cuda"),
    "seed in words": (lambda: build_model(MIXED, seed="a"), ConfigError, r"seed: 'a': a seed is a whole"),
    "half a head": (
        lambda: compiled("11111", NAMED, width=16, head_dim=4.0),
        ConfigError,
        r"head_dim: 4.0.*use",
    ),
    "no head that fits": (
        lambda: compiled("11111", NAMED, width=18, head_dim=4),
        ConfigError,
        r"head_dim: 4: .*width \(18\).*Fix: use 2",
    ),
    "true as a width": (lambda: compiled("11111", NAMED, width=True), ConfigError, r"width: True"),
    "negative count": (lambda: MODEL.generate(good(1, 2), -3), ConfigError, r"generate: \(-3"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_explained(case):
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, StarError)


def test_the_package_offers_the_model_half_lazily():
    assert isinstance(MODEL, LanguageModel)
    assert torch.is_tensor(MODEL(good(1, 2)))
