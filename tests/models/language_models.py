"""Small language models to test, and the ways a sequence can be fed to them."""

import torch

from star_core import Genome, build_model, compile_genome
from star_core.livs import linear_attention, semi_separable
from star_core.structures.low_rank import WINDOW
from tests.livs.layers import PLACES

VOCABULARY = 50

BORDERS = sorted(
    {size + d for size in (16, semi_separable.CHUNK, linear_attention.CHUNK, WINDOW) for d in (-1, 0, 1)}
)
"""Positions and lengths at the borders of chunks and windows."""


def compiled(genome, space, width=16, head_dim=None):
    genome = Genome.parse(genome) if isinstance(genome, str) else genome
    return compile_genome(genome, space, width, head_dim, VOCABULARY)


def stack(name, depth=2, width=16):
    """The architecture of ``depth`` LIVs of one class that share nothing."""
    space, allele = PLACES[name]
    return compiled("-".join([f"{allele}1111"] * depth), space, width, head_dim=width // 4)


def double(arch, seed=0):
    """A float64 model whose weights are all at work: norms and λ moved away from their start."""
    model = build_model(arch, seed=seed, dtype=torch.float64)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=noise, dtype=torch.float64)
    return model


def tokens(generator, batch=2, length=37):
    return torch.randint(0, VOCABULARY, (batch, length), generator=generator)


def fed(model, tokens_BL, split, max_length=None):
    """Logits of a sequence fed piece by piece; a 0 in the split is one ``step``, else a ``prefill``."""
    batch, length = tokens_BL.shape
    cache = model.init_cache(batch, max_length or length)
    held, logits, start = cache.num_bytes, [], 0
    for size in split:
        if size == 0:
            new, cache = model.step(tokens_BL[:, start], cache)
            new = new.unsqueeze(1)
        else:
            new, cache = model.prefill(tokens_BL[:, start : start + size], cache)
        start += size or 1
        logits.append(new)
    assert start == length == cache.length
    assert cache.num_bytes == held
    return torch.cat(logits, 1)


SPLITS = {
    "prefill": [37],
    "steps": [0] * 37,
    "prefill, steps": [19] + [0] * 18,
    "all mixed": [0, 0, 1, 17, 0, 2, 0, 0, 11, 1],
}


def assert_forms_agree(model, tokens_BL, splits=SPLITS):
    """Forward, reference and every split of the sequence give the same logits."""
    with torch.no_grad():
        logits = model(tokens_BL)
        torch.testing.assert_close(model(tokens_BL, form="reference"), logits, rtol=1e-8, atol=1e-8)
    for split in splits.values():
        torch.testing.assert_close(fed(model, tokens_BL, split), logits, rtol=1e-8, atol=1e-8)


def assert_sizes_as_predicted(model, batch=3, length=29):
    """Parameters and bytes of cache are those the spec predicts."""
    arch = model.arch
    assert sum(parameter.numel() for parameter in model.parameters()) == arch.num_parameters
    width = next(model.parameters()).element_size()
    assert model.init_cache(batch, length).num_bytes == arch.cache_bytes(length, batch, width)


def assert_every_parameter_learns(model, tokens_BL):
    model.zero_grad()
    logits = model(tokens_BL[:, :-1]).flatten(0, 1)
    torch.nn.functional.cross_entropy(logits, tokens_BL[:, 1:].flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def losses_of_training(model, tokens_BL, steps, rate):
    """Cross entropy at each of a few steps of AdamW on one batch."""
    optimiser, losses = torch.optim.AdamW(model.parameters(), lr=rate), []
    for _ in range(steps):
        logits = model(tokens_BL[:, :-1]).flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, tokens_BL[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses
