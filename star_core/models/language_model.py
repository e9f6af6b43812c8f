"""The language model: embedding → backbone → head tied to the embedding; prefill, step, generate.

Legend: B batch, L length, D channels, V vocabulary.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from star_core.architecture import Architecture
from star_core.errors import ConfigError, DataError, is_whole, nearest
from star_core.livs import Form
from star_core.models.backbone import Backbone
from star_core.models.cache import Cache, allocate_cache


class LanguageModel(nn.Module):
    """A causal language model of one architecture. Build it with ``build_model``."""

    decayed = ("embedding",)

    def __init__(
        self, arch: Architecture, generator: torch.Generator, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.arch = arch
        self.embedding = nn.Parameter(torch.empty(arch.vocab_size, arch.width, device=device, dtype=dtype))
        if device.type != "meta":
            with torch.no_grad():
                # Rows of length one give first logits of variance one, since the head is tied and reads
                # a normalised stream. Rows of standard deviation 0.02, as of GPT-2, learnt slower here.
                rows_VD = torch.randn(self.embedding.shape, generator=generator)
                self.embedding.copy_(rows_VD / math.sqrt(arch.width))
        self.backbone = Backbone(arch, generator, device, dtype)

    def forward(self, tokens_BL: torch.Tensor, form: str = "parallel") -> torch.Tensor:
        """Logits (B, L, V); those at position i depend on tokens 0 … i.

        Args:
            tokens_BL: int64 (or int32) token ids.
            form: ``parallel``, or ``reference``: every operator materialised, for tests and readers.

        Raises:
            DataError: Wrong shape, type, device or a token outside the vocabulary.
            ConfigError: No such form.
        """
        forms = (Form.PARALLEL.value, Form.REFERENCE.value)
        if form not in forms:
            raise ConfigError("no such form of a pass", value=form, place="form", fix=nearest(form, forms))
        self._check_tokens(tokens_BL, 2)
        x_BLD, _ = self.backbone(self._embed(tokens_BL), Form(form))
        return self._head(x_BLD)

    def init_cache(self, batch_size: int = 1, max_length: int = 512) -> Cache:
        """An empty cache of ``arch.cache_bytes(max_length, batch_size)`` bytes (at float32)."""
        return allocate_cache(self.arch, batch_size, max_length, self.embedding.device, self.embedding.dtype)

    @torch.no_grad()
    def prefill(self, tokens_BL: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        """Logits (B, L, V) of L tokens that follow those in the cache, and the cache with them.

        May be called again and mixed with ``step``: any split of a sequence gives ``forward``'s logits.

        Raises:
            DataError: As ``forward``; also no token at all, or another batch size than the cache's.
            ConfigError: The tokens do not fit into the cache, or the cache is another model's.
        """
        self._check_tokens(tokens_BL, 2)
        return self._advance(tokens_BL, cache, Form.PARALLEL), cache

    @torch.no_grad()
    def step(self, tokens_B: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        """Logits (B, V) of one token per sequence that follows those in the cache, and the cache with it.

        Raises:
            DataError, ConfigError: As ``prefill``.
        """
        self._check_tokens(tokens_B, 1)
        return self._advance(tokens_B.unsqueeze(1), cache, Form.STEP).squeeze(1), cache

    @torch.no_grad()
    def generate(
        self,
        tokens_BL: torch.Tensor,
        new_tokens: int,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Continues each sequence by ``new_tokens`` tokens: (B, L + new_tokens).

        Args:
            tokens_BL: Prompts of one length.
            new_tokens: Tokens to add.
            temperature: 0 takes the likeliest token; above, samples from softmax(logits / temperature).
            generator: Source of the samples; needed at a temperature above 0.

        Raises:
            DataError: As ``forward``.
            ConfigError: Negative count or temperature, or sampling without a generator.
        """
        if not is_whole(new_tokens) or new_tokens < 0 or not 0 <= temperature < math.inf:
            raise ConfigError(
                "new_tokens is a whole number and temperature a number, neither negative",
                value=(new_tokens, temperature),
                place="generate",
                fix="use e.g. new_tokens=32, temperature=0.8",
            )
        if temperature > 0 and generator is None:
            raise ConfigError(
                "sampling draws from a passed generator",
                value=temperature,
                place="generate, temperature",
                fix="pass generator=torch.Generator().manual_seed(0), or temperature=0",
            )
        self._check_tokens(tokens_BL, 2)
        cache = self.init_cache(tokens_BL.shape[0], tokens_BL.shape[1] + max(new_tokens, 1))
        logits_BV = self.prefill(tokens_BL, cache)[0][:, -1]
        sequence = [tokens_BL]
        for left in range(new_tokens, 0, -1):
            if temperature > 0:
                chances_BV = (logits_BV.float() / temperature).softmax(-1)
                tokens_B1 = torch.multinomial(chances_BV, 1, generator=generator)
            else:
                tokens_B1 = logits_BV.argmax(-1, keepdim=True)
            sequence.append(tokens_B1.to(tokens_BL.dtype))
            if left > 1:
                logits_BV, cache = self.step(tokens_B1.squeeze(1), cache)
        return torch.cat(sequence, 1)

    def _embed(self, tokens_BL: torch.Tensor) -> torch.Tensor:
        return functional.embedding(tokens_BL, self.embedding)

    def _head(self, x_BLD: torch.Tensor) -> torch.Tensor:
        return functional.linear(x_BLD, self.embedding)

    def _advance(self, tokens_BL: torch.Tensor, cache: Cache, form: Form) -> torch.Tensor:
        self._check_cache(tokens_BL, cache)
        x_BLD, updates = self.backbone(self._embed(tokens_BL), form, cache.length, cache.tensors)
        cache.commit(updates, tokens_BL.shape[1])
        return self._head(x_BLD)

    def _check_tokens(self, tokens: torch.Tensor, axes: int) -> None:
        shape = "(batch, length)" if axes == 2 else "(batch,)"
        if not isinstance(tokens, torch.Tensor) or tokens.dtype not in (torch.int64, torch.int32):
            got = tokens.dtype if isinstance(tokens, torch.Tensor) else type(tokens).__name__
            raise DataError(
                "token ids are an int64 tensor", value=str(got), place="tokens", fix="use tokens.long()"
            )
        if tokens.dim() != axes:
            raise DataError(
                f"tokens have the shape {shape}",
                value=tuple(tokens.shape),
                place="tokens",
                fix="reshape them",
            )
        if tokens.numel() == 0:
            raise DataError(
                f"tokens have the shape {shape}, each of at least 1",
                value=tuple(tokens.shape),
                place="tokens",
                fix="put a start token into an empty prompt" if tokens.shape[0] else "pass a sequence",
            )
        if tokens.device != self.embedding.device:
            raise DataError(
                f"tokens are on the device of the model ({self.embedding.device})",
                value=str(tokens.device),
                place="tokens",
                fix=f"use tokens.to({str(self.embedding.device)!r})",
            )
        # Elsewhere than on a CPU, reading the values back would stall the device at every pass; and in a
        # traced program there are none.
        if tokens.device.type == "cpu" and not torch.compiler.is_compiling():
            low, high = (int(value) for value in tokens.aminmax())
            if low < 0 or high >= self.arch.vocab_size:
                raise DataError(
                    f"a token id is an integer from 0 to {self.arch.vocab_size - 1}",
                    value=low if low < 0 else high,
                    place="tokens",
                    fix=f"tokenise for this vocabulary, or compile with vocab_size={max(high + 1, 2)}",
                )

    def _check_cache(self, tokens_BL: torch.Tensor, cache: Cache) -> None:
        if not isinstance(cache, Cache):
            raise ConfigError(
                "the cache is one of this model's",
                value=type(cache).__name__,
                place="cache",
                fix="make it with init_cache(batch_size, max_length)",
            )
        batch, length = tokens_BL.shape
        if batch != cache.batch_size:
            raise DataError(
                f"the cache is for {cache.batch_size} sequences",
                value=batch,
                place="tokens, batch size",
                fix=f"use init_cache(batch_size={batch})",
            )
        if cache.length + length > cache.max_length:
            raise ConfigError(
                f"the cache holds {cache.length} of at most {cache.max_length} tokens",
                value=length,
                place="tokens to add",
                fix=f"use init_cache(max_length={cache.length + length}) or more",
            )
        if cache.digest != self.arch.digest:
            raise ConfigError(
                "the cache was made for another architecture",
                value=cache.digest[:12],
                place="cache",
                fix="make it with this model's init_cache",
            )
        wanted = f"{self.embedding.dtype} on {self.embedding.device}"
        first = next(iter(cache.tensors.values()), self.embedding)
        if f"{first.dtype} on {first.device}" != wanted:
            raise ConfigError(
                f"the cache is {wanted}, as the model",
                value=f"{first.dtype} on {first.device}",
                place="cache",
                fix="make it with this model's init_cache after moving the model",
            )


def build_model(
    arch: Architecture,
    vocab_size: int | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> LanguageModel:
    """Builds the model of a compiled genome, with exactly ``arch.num_parameters`` parameters.

    Args:
        arch: The compiled genome.
        vocab_size: If given, checked against the size the genome was compiled for.
        seed: Of the initial weights; one seed gives the same weights bit for bit on every device.
            The global random state is neither read nor changed.
        device: Where the weights go; ``meta`` allocates none.
        dtype: Of the weights.

    Raises:
        ConfigError: The vocabulary is not the one compiled for, or the type is no real floating type.
    """
    if vocab_size is not None and vocab_size != arch.vocab_size:
        raise ConfigError(
            f"the architecture was compiled for a vocabulary of {arch.vocab_size}",
            value=vocab_size,
            place="vocab_size",
            fix=f"use {arch.vocab_size}, or compile_genome(..., vocab_size={vocab_size})",
        )
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ConfigError(
            "weights are floating-point numbers", value=str(dtype), place="dtype", fix="use torch.float32"
        )
    if not is_whole(seed) or not 0 <= seed < 2**63:
        raise ConfigError(
            "a seed is a whole number from 0 to 2^63 - 1", value=seed, place="seed", fix="use 0"
        )
    try:
        target = torch.device(device or "cpu")
    except (RuntimeError, TypeError):
        raise ConfigError(
            "torch knows no such device", value=device, place="device", fix="use cpu, cuda, mps or meta"
        ) from None
    generator = torch.Generator().manual_seed(seed)
    return LanguageModel(arch, generator, target, dtype)
