"""Rotary position embedding (arXiv 2104.09864): scores of attention depend on i - j only.

Legend: B batch, L length, H heads, E channels per head (even).
"""

from __future__ import annotations

import torch

BASE = 10_000.0


class Positions:
    """Positions start … start + length - 1 of the tokens of one pass, and their rotation angles.

    Angles are computed once per pass and number of channels, not once per layer.
    """

    def __init__(self, start: int, length: int) -> None:
        self.start, self.length = start, length
        self._angles: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def rotate(self, x_BLHE: torch.Tensor) -> torch.Tensor:
        """Turns the pair (x_e, x_{e+E/2}) by position · base^(-2e/E)."""
        channels = x_BLHE.shape[-1]
        if channels not in self._angles:
            self._angles[channels] = self._compute(channels, x_BLHE)
        cosine_L1E, sine_L1E = self._angles[channels]
        return x_BLHE * cosine_L1E + x_BLHE.roll(channels // 2, -1) * sine_L1E

    def _compute(self, channels: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        precise = torch.float64 if like.dtype == torch.float64 else torch.float32
        pairs = torch.arange(0, channels, 2, device=like.device, dtype=precise)
        steps = torch.arange(self.start, self.start + self.length, device=like.device, dtype=precise)
        angles = torch.outer(steps, BASE ** (-pairs / channels))
        cosine, sine = angles.cos().to(like.dtype), angles.sin().to(like.dtype)
        return torch.cat([cosine, cosine], -1).unsqueeze(1), torch.cat([-sine, sine], -1).unsqueeze(1)
