"""The recipe: next-token cross entropy, AdamW, warm-up and cosine (arXiv 2411.17800, §5, scaled down).

Shapes: B batch, L length, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from star_core.config import Training
from star_core.evaluation import MAX_LOSS
from star_core.training.processes.outcome import Diverged
from star_core.training.state import TrainingState

FINAL_RATE = 0.1
"""Learning rate at the last step, as a share of the peak."""
CHECK_EVERY = 10
"""Steps between two looks at the losses: on a GPU each look waits for it."""
_FUSED = ("cpu", "cuda", "mps")


def rate_factor(step: int, steps: int, warmup: int) -> float:
    """Learning rate at ``step`` (from 0) as a share of the peak.

    It rises linearly over the first ``warmup`` steps, which end at the peak, and falls along a half
    cosine to ``FINAL_RATE`` at the last of ``steps``.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup + 1) / max(1, steps - warmup))
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress))


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """AdamW's parameter groups: decayed are the weights that their modules name in ``decayed``."""
    decayed = {
        id(module.get_parameter(name))
        for module in model.modules()
        for name in getattr(module, "decayed", ())
    }
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    maps = [weight for weight in weights if id(weight) in decayed]
    others = [weight for weight in weights if id(weight) not in decayed]
    groups = [(maps, weight_decay), (others, 0.0)]
    return [{"params": members, "weight_decay": decay} for members, decay in groups if members]


class LanguageModelTraining(LightningModule):
    """Trains and measures a model of (B, L) tokens to (B, L, V) logits.

    Args:
        model: What is trained.
        recipe: Its steps, rates, decay and clip.
        peak_rate: Largest learning rate.
        state: Where an earlier training of this model stopped; its weights are in the model already.

    Attributes:
        losses: Training loss of every checked step, nats per token.
        validation_loss: Nats per token, once validated.

    Raises:
        Diverged: From ``fit`` or ``validate``: a loss or gradient is not finite, or the loss stayed
            far above where it began.
    """

    def __init__(
        self, model: nn.Module, recipe: Training, peak_rate: float, state: TrainingState | None = None
    ) -> None:
        super().__init__()
        self.model, self._recipe, self._peak_rate, self._state = model, recipe, peak_rate, state
        self.losses: list[float] = list(state.losses) if state else []
        self.validation_loss = math.nan
        self._pending: list[Tensor] = []
        self._summed, self._counted = torch.zeros((), dtype=torch.float64), 0

    def configure_optimizers(self) -> Any:
        """AdamW in one fused kernel where there is one, and its schedule, per step."""
        recipe = self._recipe
        fused = self.device.type in _FUSED
        optimizer = AdamW(
            decay_groups(self.model, recipe.weight_decay), lr=self._peak_rate, betas=recipe.betas, fused=fused
        )
        if self._state is not None:
            self._state.restore(self.model, optimizer)
        begun = self._state.step if self._state else 0
        schedule = LambdaLR(
            optimizer, lambda step: rate_factor(begun + step, recipe.steps, recipe.warmup_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips by norm, and keeps the norm: it is how a bad gradient is noticed."""
        assert gradient_clip_val is not None
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip_val)
        self._pending.append(norm.detach())

    def training_step(self, window_BL: Tensor, _index: int) -> Tensor:
        """Mean cross entropy of a batch of windows, nats per token."""
        loss = self._nats(window_BL).mean()
        self._pending.append(loss.detach())
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """Looks at the losses and gradient norms since the last look."""
        if len(self._pending) >= 2 * CHECK_EVERY:
            self._check()

    def on_train_end(self) -> None:
        """Looks at what is left."""
        self._check()

    def validation_step(self, window_BL: Tensor, _index: int) -> None:
        """Adds up the nats of a batch of windows, in float64."""
        nats = self._nats(window_BL)
        self._summed += nats.sum(dtype=torch.float64).cpu()
        self._counted += nats.numel()

    def on_validation_epoch_start(self) -> None:
        """Begins the sum anew."""
        self._summed, self._counted = torch.zeros((), dtype=torch.float64), 0

    def on_validation_epoch_end(self) -> None:
        """Divides the sum by the tokens."""
        self.validation_loss = float(self._summed) / max(1, self._counted)
        if not self.validation_loss <= MAX_LOSS:
            raise Diverged(f"the validation loss is {self.validation_loss:.3g}", len(self.losses))

    def _nats(self, window_BL: Tensor) -> Tensor:
        logits_BLV = self.model(window_BL[:, :-1])
        return functional.cross_entropy(
            logits_BLV.flatten(0, 1).float(), window_BL[:, 1:].flatten(), reduction="none"
        )

    def _check(self) -> None:
        if not self._pending:
            return
        seen = torch.stack([value.float() for value in self._pending]).tolist()
        self._pending.clear()
        for loss, norm in zip(seen[::2], seen[1::2], strict=True):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                what = "gradient norm" if math.isfinite(loss) else "loss"
                raise Diverged(f"the {what} is not finite at step {len(self.losses) + 1}", len(self.losses))
            self.losses.append(loss)
        limit = self.losses[0] * 1.5 + 1
        recent = self.losses[-CHECK_EVERY:]
        if len(recent) == CHECK_EVERY and min(recent) > limit:
            raise Diverged(
                f"the loss stayed above {limit:.2f} for {CHECK_EVERY} steps, to step {len(self.losses)}",
                len(self.losses),
            )
