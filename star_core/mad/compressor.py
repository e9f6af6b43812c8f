"""A model whose last output has to hold a whole sequence, and the network that reads it from there.

Shapes: B batch, L length, D channels, V vocabulary.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from star_core.livs.norm import rms_norm
from star_core.models import LanguageModel


class Compressor(nn.Module):
    """The protocol of the compression task (arXiv 2403.17844, §3).

    To the backbone's output at the last token the code of each position is added, and a perceptron of two
    layers, as wide as the model and with a head of its own, names the token at that position.

    Args:
        model: Gathers the sequence; its head is not used.
        length: Tokens L of every sequence.
        seed: Of the reading network's weights.
    """

    code: Tensor
    decayed = ("output",)

    def __init__(self, model: LanguageModel, length: int, seed: int) -> None:
        super().__init__()
        width = model.arch.width
        generator = torch.Generator().manual_seed(seed)

        def drawn(rows: int) -> Tensor:
            return torch.randn(rows, width, generator=generator) / math.sqrt(width)

        self.model = model
        self.layers = nn.ModuleList(_Layer(drawn(width)) for _ in range(2))
        self.norm, self.output = nn.Parameter(torch.ones(width)), nn.Parameter(drawn(model.arch.vocab_size))
        self.register_buffer("code", position_code(length, width), persistent=False)

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """Logits (B, L, V) of every token of the input, from the output at the last."""
        x_BLD, _ = self.model.backbone(functional.embedding(tokens_BL, self.model.embedding))
        x_BLD = x_BLD[:, -1:] + self.code
        for layer in self.layers:
            x_BLD = layer(x_BLD)
        return functional.linear(rms_norm(x_BLD, self.norm), self.output)


class _Layer(nn.Module):
    decayed = ("projection",)

    def __init__(self, projection_DD: Tensor) -> None:
        super().__init__()
        self.norm = nn.Parameter(torch.ones(len(projection_DD)))
        self.projection = nn.Parameter(projection_DD)

    def forward(self, x_BLD: Tensor) -> Tensor:
        return functional.gelu(functional.linear(rms_norm(x_BLD, self.norm), self.projection))


def position_code(length: int, width: int) -> Tensor:
    """Sines and cosines of the position at D / 2 wavelengths from 2π to 20 000π, (L, D)."""
    waves = -(-width // 2)
    rates = 10_000.0 ** (-torch.arange(waves) / max(1, waves - 1))
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)[:, :width]
