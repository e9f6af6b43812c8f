"""The opponents: bare torch stacks, and transformers' models at the same size.

Each gets its fastest path on a CPU. Where that is not known beforehand a peer has variants, and the
fastest in the setting at hand is taken.

Legend: B batch, L length, D channels, H heads, E channels per head, V vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.stacks import Size

EXPANSION = 3
"""Of the gated unit, as GMemless has it."""

Build = Callable[[Size], nn.Module]


@dataclass(frozen=True, slots=True)
class Rival:
    """A peer.

    Attributes:
        name: In the table.
        variants: Ways to build it by name; the fastest counts.
        goal: Ours is at least this many times as fast; ``None``: shown without a goal.
    """

    name: str
    variants: Mapping[str, Build]
    goal: float | None = None


class GatedUnit(nn.Module):
    """SwiGLU with one matrix for gate and value."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size.width, bias=False)
        self.up = nn.Linear(size.width, 2 * EXPANSION * size.width, bias=False)
        self.down = nn.Linear(EXPANSION * size.width, size.width, bias=False)

    def forward(self, x_BLD: torch.Tensor) -> torch.Tensor:
        """What is added to the residual stream."""
        gate_BLE, value_BLE = self.up(self.norm(x_BLD)).chunk(2, -1)
        return self.down(functional.silu(gate_BLE) * value_BLE)


class Attention(nn.Module):
    """Causal attention as nanoGPT writes it: one projection, one fused kernel.

    Args:
        size: Width and heads.
        full_precision: Whether the kernel runs in float32 under autocast.
    """

    def __init__(self, size: Size, full_precision: bool = False) -> None:
        super().__init__()
        self.heads, self.full_precision = size.heads, full_precision
        self.norm = nn.LayerNorm(size.width, bias=False)
        self.qkv = nn.Linear(size.width, 3 * size.width, bias=False)
        self.output = nn.Linear(size.width, size.width, bias=False)

    def forward(self, x_BLD: torch.Tensor) -> torch.Tensor:
        """What is added to the residual stream."""
        qkv_BLD = self.qkv(self.norm(x_BLD))
        if self.full_precision:
            with torch.autocast("cpu", enabled=False):
                return self.output(self.mix(qkv_BLD.float()))
        return self.output(self.mix(qkv_BLD))

    def mix(self, qkv_BLD: torch.Tensor) -> torch.Tensor:
        """Attention of every head, (B, L, D)."""
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in qkv_BLD.chunk(3, -1))
        y_BHLE = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return y_BHLE.transpose(1, 2).flatten(2)


class LoopAttention(Attention):
    """Linear attention as a recurrence: S ← S + k vᵀ, y = Sᵀ q / √E, one token after the other.

    Tokens are taken apart by ``unbind``, whose backward is linear in the length; that of slices is not.
    """

    def mix(self, qkv_BLD: torch.Tensor) -> torch.Tensor:
        """The recurrence of every head, (B, L, D)."""
        q, k, v = (x.unflatten(-1, (self.heads, -1)) for x in qkv_BLD.chunk(3, -1))
        queries = (q * q.shape[-1] ** -0.5).unsqueeze(-2).unbind(1)
        keys, values = k.unsqueeze(-1).unbind(1), v.unsqueeze(-2).unbind(1)
        state_BHEE = torch.zeros((), dtype=qkv_BLD.dtype)
        read = []
        for q_BH1E, k_BHE1, v_BH1E in zip(queries, keys, values, strict=True):
            state_BHEE = torch.addcmul(state_BHEE, k_BHE1, v_BH1E)
            read.append(q_BH1E @ state_BHEE)
        return torch.stack(read, 1).flatten(2)


class SlicedLoopAttention(Attention):
    """The same recurrence as one writes it down first: slices in, slices out, products summed."""

    def mix(self, qkv_BLD: torch.Tensor) -> torch.Tensor:
        """The recurrence of every head, (B, L, D)."""
        q, k, v = (x.unflatten(-1, (self.heads, -1)) for x in qkv_BLD.chunk(3, -1))
        q = q * q.shape[-1] ** -0.5
        state_BHEE, y_BLHE = torch.zeros((), dtype=qkv_BLD.dtype), torch.zeros_like(v)
        for token in range(q.shape[1]):
            state_BHEE = state_BHEE + k[:, token].unsqueeze(-1) * v[:, token].unsqueeze(-2)
            y_BLHE[:, token] = (q[:, token].unsqueeze(-1) * state_BHEE).sum(-2)
        return y_BLHE.flatten(2)


class BareStack(nn.Module):
    """Mixers and gated units (if any) in turn, learnt absolute positions, a tied head."""

    def __init__(self, size: Size, mixer: Build, gated: bool = True) -> None:
        super().__init__()
        self.tokens = nn.Embedding(size.vocab_size, size.width)
        self.positions = nn.Embedding(size.length, size.width)
        self.layers = nn.ModuleList(
            layer
            for _ in range(size.blocks)
            for layer in (mixer(size), *([GatedUnit(size)] if gated else []))
        )
        self.norm = nn.LayerNorm(size.width, bias=False)
        nn.init.normal_(self.tokens.weight, std=size.width**-0.5)
        nn.init.normal_(self.positions.weight, std=size.width**-0.5)

    def forward(self, tokens_BL: torch.Tensor) -> torch.Tensor:
        """Logits (B, L, V)."""
        x_BLD = self.tokens(tokens_BL) + self.positions.weight[: tokens_BL.shape[1]]
        for layer in self.layers:
            x_BLD = x_BLD + layer(x_BLD)
        return functional.linear(self.norm(x_BLD), self.tokens.weight)


class Uncached(nn.Module):
    """A model of transformers as a map from tokens to logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens_BL: torch.Tensor) -> torch.Tensor:
        """Logits (B, L, V)."""
        return self.model(tokens_BL, use_cache=False).logits


def uncached(rival: Rival) -> Rival:
    """A peer of transformers to be trained: every variant a map from tokens to logits."""

    def wrap(build: Build) -> Build:
        return lambda size: Uncached(build(size))

    return Rival(rival.name, {name: wrap(build) for name, build in rival.variants.items()}, rival.goal)


def bare_sdpa(goal: float | None, bf16: bool = False) -> Rival:
    """The nanoGPT-like stack; under autocast, its attention in whichever precision is faster."""
    variants: dict[str, Build] = {"": lambda size: BareStack(size, Attention)}
    if bf16:
        variants["fp32 kernel"] = lambda size: BareStack(size, lambda _: Attention(size, True))
    return Rival("bare SDPA", variants, goal)


def recurrent_loop(goal: float | None, gated: bool = True) -> Rival:
    """The same stack, with or without gated units, with linear attention as a loop over tokens."""
    return Rival("loop over tokens", {"": lambda size: BareStack(size, LoopAttention, gated)}, goal)


def sliced_loop(goal: float | None, gated: bool = True) -> Rival:
    """The same, written plainly."""
    return Rival(
        "plain loop over tokens", {"": lambda size: BareStack(size, SlicedLoopAttention, gated)}, goal
    )


def transformers() -> Any:
    """The package, told not to look for anything outside this machine.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import transformers as package

    return package


def pretrained(kind: str, settings: Callable[[Size], dict[str, Any]]) -> Build:
    """Builds ``{kind}ForCausalLM`` with random weights and a tied head."""

    def build(size: Size) -> nn.Module:
        package = transformers()
        config = getattr(package, f"{kind}Config")(
            vocab_size=size.vocab_size,
            hidden_size=size.width,
            num_hidden_layers=size.blocks,
            tie_word_embeddings=True,
            **settings(size),
        )
        return getattr(package, f"{kind}ForCausalLM")(config)

    return build


def llama(key_heads: int | None, goal: float | None, kind: str = "Llama") -> Rival:
    """Llama or DiffLlama with so many key-value heads (``None``: one per query), SDPA or eager attention."""

    def build(attention: str) -> Build:
        return pretrained(
            kind,
            lambda size: {
                "intermediate_size": EXPANSION * size.width,
                "num_attention_heads": size.heads,
                "num_key_value_heads": key_heads or size.heads,
                "head_dim": size.head_dim,
                "max_position_embeddings": 2 * size.length,
                "attn_implementation": attention,
            },
        )

    label = f"{kind}, {key_heads or 'all'} kv"
    return Rival(label, {attention: build(attention) for attention in ("sdpa", "eager")}, goal)


def lfm2(goal: float | None) -> Rival:
    """LFM2 of gated short convolutions only: the same gates, 3 taps and SwiGLU as ours."""
    build = pretrained(
        "Lfm2",
        lambda size: {
            "intermediate_size": EXPANSION * size.width,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.heads,
            "layer_types": ["conv"] * size.blocks,
            "conv_L_cache": 3,
            "block_auto_adjust_ff_dim": False,
        },
    )
    return Rival("LFM2", {"": build}, goal)


def mamba2(state: int, goal: float | None) -> Rival:
    """Mamba-2 with our depth, inner width, heads and state, and B and C of every head's own.

    It is larger than our recurrences by its output gate, a D × D matrix per layer that they do not have.
    """

    def build(chunk: int) -> Build:
        return pretrained(
            "Mamba2",
            lambda size: {
                "expand": 1,
                "num_heads": size.heads,
                "head_dim": size.head_dim,
                "n_groups": size.heads,
                "state_size": state,
                "chunk_size": chunk,
            },
        )

    return Rival(f"Mamba-2 N={state}", {f"chunk {chunk}": build(chunk) for chunk in (16, 32, 64, 128)}, goal)


def mamba(state: int, goal: float | None) -> Rival:
    """Mamba with our depth, inner width and state; scanned by mambapy (else it is ten times slower)."""

    def build(size: Size) -> nn.Module:
        if find_spec("mambapy") is None:
            raise ModuleNotFoundError("its fastest scan on a CPU is not installed (pip install mambapy)")
        settings = {"expand": 1, "state_size": state, "use_mambapy": True}
        return pretrained("Mamba", lambda _: settings)(size)

    return Rival(f"Mamba N={state}", {"mambapy": build}, goal)
