"""Models and the graphs that are written of them."""

from __future__ import annotations

import numpy as np
import torch

from star_core import build_model
from star_core.graphs import BLOCK, write_graph
from star_core.graphs.runner import Decoder


def model_at_work(arch, seed=0):
    """A float32 model whose weights are all at work: norms and λ moved away from their start."""
    model = build_model(arch, seed=seed)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn(parameter.shape, generator=noise)
    return model.eval()


def weights_of(model):
    return {name: weight.detach().numpy() for name, weight in model.state_dict().items()}


def graphs_of(model, precision="f32", **options):
    """(step, block) as bytes."""
    weights = weights_of(model)
    return [
        write_graph(model.arch, weights, length, precision, **options).proto.SerializeToString()
        for length in (1, BLOCK)
    ]


def decoded(decoder, tokens, split):
    """Logits after each piece of a sequence, by the position of its last token."""
    decoder.reset()
    found, start = {}, 0
    for size in split:
        found[start + size - 1] = decoder.feed(tokens[start : start + size]).copy()
        start += size
    return found


def expected(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens]))[0].numpy()


def relative_error(found, logits):
    """Largest difference, in units of the largest logit."""
    worst = max(np.abs(row - logits[position]).max() for position, row in found.items())
    return worst / np.abs(logits).max()


__all__ = ["Decoder", "decoded", "expected", "graphs_of", "model_at_work", "relative_error", "weights_of"]
