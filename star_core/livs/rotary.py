"""Rotary position embedding (arXiv 2104.09864): scores of attention depend on i - j only.

Legend: B batch, L length, H heads, E channels per head (even), F = E / 2 pairs of channels.
"""

from __future__ import annotations

import torch

from star_core.structures.low_rank import ROTARY_BASE


class Positions:
    """Positions start … start + length - 1 of the tokens of one pass, and their rotation angles.

    Angles are computed once per pass and number of channels, not once per layer.
    """

    def __init__(self, start: int, length: int) -> None:
        self.start, self.length = start, length
        self._turns: dict[tuple[int, torch.dtype], torch.Tensor] = {}

    def counts(self, like: torch.Tensor) -> torch.Tensor:
        """How many tokens each of them may read, itself included: start + 1 … start + length, (L,)."""
        return torch.arange(
            self.start + 1, self.start + self.length + 1, device=like.device, dtype=like.dtype
        )

    def rotate(self, x_BLHE: torch.Tensor) -> torch.Tensor:
        """Turns the pair (x_2f, x_2f+1), read as a complex number, by position · base^(-f/F) radians.

        At least in float32: complex numbers of half precision do not exist on every device.
        """
        precise = torch.promote_types(x_BLHE.dtype, torch.float32)
        pairs_BLHF2 = x_BLHE.to(precise).reshape(*x_BLHE.shape[:-1], -1, 2)
        key = (x_BLHE.shape[-1], precise)
        if key not in self._turns:
            self._turns[key] = self._compute(pairs_BLHF2)
        turn_L1F = self._turns[key]
        if torch.compiler.is_compiling():
            # A compiler fuses real arithmetic only. Otherwise a complex product is one pass over x, not six.
            real, imaginary = pairs_BLHF2.unbind(-1)
            cosine, sine = turn_L1F.real, turn_L1F.imag
            turned = [real * cosine - imaginary * sine, imaginary * cosine + real * sine]
            return torch.stack(turned, -1).flatten(-2).to(x_BLHE.dtype)
        turned_BLHF = torch.view_as_complex(pairs_BLHF2.contiguous()) * turn_L1F
        turned_BLHE = torch.view_as_real(turned_BLHF).flatten(-2)
        return turned_BLHE if precise == x_BLHE.dtype else turned_BLHE.to(x_BLHE.dtype)

    def _compute(self, pairs_BLHF2: torch.Tensor) -> torch.Tensor:
        device, dtype, pairs = pairs_BLHF2.device, pairs_BLHF2.dtype, pairs_BLHF2.shape[-2]
        steps = torch.arange(self.start, self.start + self.length, device=device, dtype=dtype)
        rates = ROTARY_BASE ** (-torch.arange(pairs, device=device, dtype=dtype) / pairs)
        angles_LF = torch.outer(steps, rates)
        return torch.complex(angles_LF.cos(), angles_LF.sin()).unsqueeze(1)
