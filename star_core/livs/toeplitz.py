"""Scaled Toeplitz token mixing, a gated causal convolution: T_ij = C_i K_{i-j} B_j for j <= i.

The filter K is explicit (a few taps per channel, as in LFM2, arXiv 2511.23404) or implicit (modes,
as long as the sequence, as in Hyena, arXiv 2302.10866).

Legend: B batch, L length, D channels, I channels that one channel reads, K taps, M modes.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from star_core.architecture import Layer
from star_core.livs.long_filter import advance, carry_out, convolve, response
from star_core.livs.mixer import Features, Mixer, States, register
from star_core.livs.rotary import Positions
from star_core.livs.short_filter import short_filter, short_filter_step
from star_core.structures.toeplitz import TOEPLITZ
from star_core.vocabulary.tables import Sparsity


@register(TOEPLITZ)
class Toeplitz(Mixer):
    """y = C · (K ∗ (B · V)); taps may mix channels, modes do not."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer)
        self.explicit = self.groups["K"].sparsity is Sparsity.BANDED

    def reference(self, features: Features, positions: Positions) -> torch.Tensor:
        """T_BGOILL from the filter's values at every lag: in each of G blocks, O channels read I."""
        length, filter_ = features["C"].shape[1], features["K"]
        if self.explicit:
            K_DIL = functional.pad(filter_, (0, length))[..., :length]
        else:
            steps = torch.arange(length, device=filter_.device)
            K_DL = (filter_[0].unsqueeze(-1) * (filter_[1].unsqueeze(-1) * steps).exp()).sum(1).real
            K_DIL = K_DL.unsqueeze(1)
        size = K_DIL.shape[1]
        C_BLGI, B_BLGI, V_BLGI = (torch.unflatten(features[role].flatten(2), 2, (-1, size)) for role in "CBV")
        lag_L = torch.arange(length, device=K_DIL.device)
        K_GOILL = torch.unflatten(K_DIL[..., (lag_L.unsqueeze(1) - lag_L).clamp(min=0)].tril(), 0, (-1, size))
        C_BGO1L1 = C_BLGI.permute(0, 2, 3, 1)[:, :, :, None, :, None]
        B_BG1I1L = B_BLGI.permute(0, 2, 3, 1)[:, :, None, :, None, :]
        T_BGOILL = C_BGO1L1 * K_GOILL.to(C_BLGI.dtype) * B_BG1I1L
        return torch.einsum("bgoixy,bygi->bxgo", T_BGOILL, V_BLGI).flatten(2)

    def parallel(
        self, features: Features, states: States | None, positions: Positions
    ) -> tuple[torch.Tensor, States]:
        """A short convolution for taps, a Fourier transform for modes."""
        C_BLD, B_BLD, V_BLD = (features[role].flatten(2) for role in "CBV")
        u_BLD, filter_ = B_BLD * V_BLD, features["K"]
        if self.explicit:
            window = None if states is None else states["window"]
            y_BLD, window = short_filter(u_BLD, filter_, window)
            return C_BLD * y_BLD, {} if states is None else {"window": window}
        u_BDL = u_BLD.transpose(1, 2).to(filter_.real.dtype)
        length = u_BDL.shape[-1]
        y_BDL = convolve(u_BDL, response(filter_[0], filter_[1], length))
        kept: States = {}
        if states is not None:
            state_BDM = _complex(states["modes"], filter_)
            y_BDL = y_BDL + carry_out(filter_, state_BDM, length)
            kept["modes"] = torch.view_as_real(advance(filter_[1], u_BDL, state_BDM))
        return C_BLD * y_BDL.transpose(1, 2).to(C_BLD.dtype), kept

    def step(self, features: Features, states: States, positions: Positions) -> tuple[torch.Tensor, States]:
        """Taps against a window of inputs, or one complex update per mode."""
        C_B1D, B_B1D, V_B1D = (features[role].flatten(2) for role in "CBV")
        u_B1D, filter_ = B_B1D * V_B1D, features["K"]
        if self.explicit:
            y_B1D, window = short_filter_step(u_B1D, filter_, states["window"])
            return C_B1D * y_B1D, {"window": window}
        state_BDM = filter_[1].exp() * _complex(states["modes"], filter_) + u_B1D.squeeze(1).unsqueeze(-1)
        y_BD = (filter_[0] * state_BDM).sum(-1).real.to(C_B1D.dtype)
        return C_B1D * y_BD.unsqueeze(1), {"modes": torch.view_as_real(state_BDM)}


def _complex(modes_BDM2: torch.Tensor, filter_: torch.Tensor) -> torch.Tensor:
    """The state as complex numbers of the filter's precision."""
    return torch.view_as_complex(modes_BDM2.to(filter_.real.dtype))
