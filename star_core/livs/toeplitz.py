"""Scaled Toeplitz token mixing, a gated causal convolution: T_ij = C_i K_{i-j} B_j for j <= i.

The filter K is explicit (a few taps per channel, as in LFM2, arXiv 2511.23404) or implicit (modes,
as long as the sequence, as in Hyena, arXiv 2302.10866).

Legend: B batch, L length, D channels, K taps, M modes.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from star_core.architecture import Layer
from star_core.genome.tables import Sparsity, TokenMixing
from star_core.livs.long_filter import advance, carry_out, convolve, response
from star_core.livs.mixer import Features, Mixer, States, register
from star_core.livs.short_filter import short_filter, short_filter_step


@register(TokenMixing.TOEPLITZ)
class Toeplitz(Mixer):
    """y = C · (K ∗ (B · V)), channel by channel."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer)
        self.explicit = self.groups["K"].sparsity is Sparsity.BANDED

    def reference(self, features: Features) -> torch.Tensor:
        """T_BDLL from the filter's values at every lag."""
        C_BLD, B_BLD, V_BLD = (features[role].flatten(2) for role in "CBV")
        length, filter_ = C_BLD.shape[1], features["K"]
        if self.explicit:
            K_DL = functional.pad(filter_, (0, length))[:, :length]
        else:
            steps = torch.arange(length, device=C_BLD.device)
            K_DL = (filter_[0].unsqueeze(-1) * (filter_[1].unsqueeze(-1) * steps).exp()).sum(1).real
        lag_LL = torch.arange(length, device=C_BLD.device)[:, None] - torch.arange(
            length, device=C_BLD.device
        )
        K_DLL = K_DL[:, lag_LL.clamp(min=0)].tril().to(C_BLD.dtype)
        T_BDLL = C_BLD.mT.unsqueeze(-1) * K_DLL * B_BLD.mT.unsqueeze(-2)
        return torch.einsum("bdij,bjd->bid", T_BDLL, V_BLD)

    def parallel(self, features: Features, states: States | None) -> tuple[torch.Tensor, States]:
        """A depthwise convolution for taps, a Fourier transform for modes."""
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

    def step(self, features: Features, states: States) -> tuple[torch.Tensor, States]:
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
