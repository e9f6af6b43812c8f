"""Implicitly parametrised long filters as sums of modes: K_t = Re Σ_n c_n exp(p_n t).

A modal filter (arXiv 2310.18780, §3) is as long as the sequence in its parallel form and a recurrence
with one complex number per mode in its step form: s_i = exp(p) s_{i-1} + u_i, y_i = Re Σ_n c_n s_{i,n}.
A filter is one complex tensor (2, D, M): the residues c and the logarithms p of the poles.

Legend: B batch, L length, D channels, M modes, Q fine and K coarse time steps with L <= K · Q.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def modal_filter(
    real_DM: torch.Tensor, imaginary_DM: torch.Tensor, decay_DM: torch.Tensor, frequency_DM: torch.Tensor
) -> torch.Tensor:
    """(2, D, M) complex from four real weights; the decay rate is softplus(decay), so modes never grow."""
    weights = [real_DM, imaginary_DM, -functional.softplus(decay_DM), frequency_DM]
    # Complex numbers of half precision do not exist on every device.
    weights = [w.float() if w.dtype in (torch.bfloat16, torch.float16) else w for w in weights]
    return torch.stack([torch.complex(*weights[:2]), torch.complex(*weights[2:])])


def response(residue_DM: torch.Tensor, log_pole_DM: torch.Tensor, length: int) -> torch.Tensor:
    """K_0 … K_{L-1} per channel, (…, D, L).

    With t = Q k + q, exp(p t) = exp(p Q k) · exp(p q): one matrix product over the modes and O(√L)
    exponentials instead of O(L).
    """
    fine = 1 << (((length - 1).bit_length() + 1) // 2)
    coarse = -(-length // fine)
    fine_DMQ = _powers(log_pole_DM, 0, 1, fine)
    coarse_DKM = (residue_DM.unsqueeze(-1) * _powers(log_pole_DM, 0, fine, coarse)).mT
    return torch.real(coarse_DKM @ fine_DMQ).flatten(-2)[..., :length]


def convolve(u_BDL: torch.Tensor, filter_DL: torch.Tensor) -> torch.Tensor:
    """Causal convolution of two sequences of length L through the Fourier transform of length >= 2L."""
    length = u_BDL.shape[-1]
    size = fast_length(2 * length)
    product = torch.fft.rfft(u_BDL, n=size) * torch.fft.rfft(filter_DL, n=size)
    y_BDL: torch.Tensor = torch.fft.irfft(product, n=size)
    return y_BDL[..., :length]


def fast_length(length: int) -> int:
    """Smallest 2^k or 3 · 2^k that is at least ``length``: transforms of such lengths are fast."""
    power = 1 << (length - 1).bit_length()
    return 3 * power // 4 if 3 * power // 4 >= length else power


def carry_out(filter_2DM: torch.Tensor, state_BDM: torch.Tensor, length: int) -> torch.Tensor:
    """What a state left by earlier tokens adds to the next L outputs, (B, D, L)."""
    residue_DM, log_pole_DM = filter_2DM
    return response(residue_DM * log_pole_DM.exp() * state_BDM, log_pole_DM, length)


def advance(log_pole_DM: torch.Tensor, u_BDL: torch.Tensor, state_BDM: torch.Tensor) -> torch.Tensor:
    """The state after L more inputs: exp(p L) s + Σ_j exp(p (L-1-j)) u_j, in blocks as in ``response``."""
    length = u_BDL.shape[-1]
    fine = 1 << (((length - 1).bit_length() + 1) // 2)
    coarse = -(-length // fine)
    padded_BDL = functional.pad(u_BDL, (coarse * fine - length, 0))
    blocks_BDKQ = padded_BDL.reshape(*u_BDL.shape[:2], coarse, fine)
    fine_DQM = _powers(log_pole_DM, fine - 1, -1, fine).mT
    coarse_DMK = _powers(log_pole_DM, (coarse - 1) * fine, -fine, coarse)
    new_BDM = torch.einsum("bdkm,dmk->bdm", blocks_BDKQ.to(fine_DQM.dtype) @ fine_DQM, coarse_DMK)
    return (log_pole_DM * length).exp() * state_BDM + new_BDM


def _powers(log_pole_DM: torch.Tensor, start: int, stride: int, count: int) -> torch.Tensor:
    """exp(p t) for t = start, start + stride, …, (D, M, count)."""
    steps = start + stride * torch.arange(count, device=log_pole_DM.device, dtype=log_pole_DM.real.dtype)
    # In real arithmetic, which is vectorised on a CPU: 10 times as fast as the complex exponential.
    size_DMT = (log_pole_DM.real.unsqueeze(-1) * steps).exp()
    angle_DMT = log_pole_DM.imag.unsqueeze(-1) * steps
    return torch.complex(size_DMT * angle_DMT.cos(), size_DMT * angle_DMT.sin())
