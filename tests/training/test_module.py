"""The recipe: rates, decay groups, clipping, and noticing a training that has gone wrong."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from star_core import Genome, SearchSpace, build_model, compile_genome
from star_core.config import Training
from star_core.training.fit import make_trainer, quiet
from star_core.training.module import FINAL_RATE, LanguageModelTraining, decay_groups, rate_factor
from star_core.training.processes.outcome import Diverged

RECIPE = Training(steps=25, batch_size=2, sequence_length=8, warmup_steps=4, accelerator="cpu")


class Bigram(nn.Module):
    """Logits from the present token alone."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(16, 8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 16)

    def forward(self, tokens_BL):
        return self.head(self.norm(self.embedding(tokens_BL)))


class Shift(nn.Module):
    """Loss scripted by step: logits are wrong by what ``script`` says for each call."""

    def __init__(self, script):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.script = iter(script)

    def forward(self, tokens_BL):
        logits_BLV = torch.zeros(*tokens_BL.shape, 16)
        logits_BLV[..., 0] = next(self.script)
        return logits_BLV + self.weight * 0


def batches(count=25):
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(1, 16, (2, 9), generator=generator) for _ in range(count)]


def loader(windows):
    return DataLoader(windows, batch_size=None)


def fit(model, recipe=RECIPE, peak=1e-2, data=None):
    torch.manual_seed(0)
    module = LanguageModelTraining(model, recipe, peak)
    with quiet():
        trainer = make_trainer(recipe)
        trainer.fit(module, train_dataloaders=loader(batches(recipe.steps) if data is None else data))
    return module, trainer


def validate(module, data):
    with quiet():
        make_trainer(RECIPE).validate(module, dataloaders=loader(data), verbose=False)


def test_rate_rises_linearly_and_falls_along_a_cosine():
    rates = [rate_factor(step, 25, 4) for step in range(25)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[-1] == pytest.approx(FINAL_RATE)
    assert all(a > b for a, b in itertools.pairwise(rates[3:]))
    assert rates[14] == pytest.approx(0.1 + 0.45 * (1 + math.cos(math.pi * 11 / 21)))


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 10), (10, 10), (5, 10), (10, 0)])
def test_rate_is_sane_at_the_edges(steps, warmup):
    assert all(0 < rate_factor(step, steps, warmup) <= 1 for step in range(steps + 2))


def small_model():
    spec = compile_genome(Genome.parse("51111-71111-81111-a1111-91111"), SearchSpace.preset(), 16, None, 16)
    return build_model(spec)


def test_only_maps_between_channels_are_decayed():
    model = small_model()
    names = {id(weight): name.rpartition(".")[2] for name, weight in model.named_parameters()}
    groups = decay_groups(model, 0.1)
    decayed, free = ({names[id(weight)] for weight in group["params"]} for group in groups)
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert decayed == {"projection", "output", "embedding"}
    assert {"norm", "short_filter", "log_rate", "filter", "decay", "frequency", "difference"} <= free
    assert sum(len(group["params"]) for group in groups) == len(names)


def test_optimiser_follows_the_recipe():
    recipe = RECIPE.model_copy(update={"betas": (0.8, 0.9), "weight_decay": 0.3})
    module, trainer = fit(small_model(), recipe)
    optimizer = trainer.optimizers[0]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
    assert all(group["betas"] == (0.8, 0.9) for group in optimizer.param_groups)
    assert all(group["fused"] for group in optimizer.param_groups)
    assert len(module.losses) == 25


def test_lightning_trains_as_a_bare_loop_does():
    torch.manual_seed(1)
    ours = Bigram()
    bare = Bigram()
    bare.load_state_dict(ours.state_dict())
    module, _ = fit(ours)
    optimizer = torch.optim.AdamW(decay_groups(bare, 0.1), lr=1e-2, betas=(0.9, 0.95), fused=True)
    losses = []
    for step, window_BL in enumerate(batches()):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * rate_factor(step, 25, 4)
        logits_BLV = bare(window_BL[:, :-1])
        loss = nn.functional.cross_entropy(
            logits_BLV.flatten(0, 1), window_BL[:, 1:].flatten(), reduction="none"
        ).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(bare.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert module.losses == losses
    for ours_weight, bare_weight in zip(ours.parameters(), bare.parameters(), strict=True):
        assert torch.equal(ours_weight, bare_weight)


def test_gradients_are_clipped():
    model = Bigram()
    module = LanguageModelTraining(model, RECIPE, 1e-2)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 100.0)
    module.configure_gradient_clipping(torch.optim.SGD(model.parameters()), 0.5)
    norm = torch.stack([parameter.grad.norm() for parameter in model.parameters()]).norm()
    assert float(norm) == pytest.approx(0.5, rel=1e-4)


def test_a_loss_that_is_not_finite_is_noticed():
    with pytest.raises(Diverged, match="the loss is not finite at step 4") as caught:
        fit(Shift([0, 0, 0, math.nan, *[0] * 21]))
    assert caught.value.steps == 3


def test_a_gradient_that_is_not_finite_is_noticed():
    class Steep(Shift):
        def forward(self, tokens_BL):
            return super().forward(tokens_BL) + torch.sqrt(self.weight * 0) * 1e30

    with pytest.raises(Diverged, match="gradient norm is not finite at step 1"):
        fit(Steep([0] * 25))


def test_a_loss_that_runs_away_is_noticed_but_a_spike_is_not():
    start = math.log(16)
    high = start * 1.5 + 5
    module, _ = fit(Shift([0, *[high] * 9, 0, *[high] * 9, *[0] * 5]))
    assert len(module.losses) == 25
    with pytest.raises(Diverged, match=r"stayed above 5\.16 for 10 steps"):
        fit(Shift([*[0] * 9, *[high] * 16]))


def test_a_validation_loss_that_is_not_finite_is_noticed():
    module = LanguageModelTraining(Shift([math.inf]), RECIPE, 1e-2)
    with pytest.raises(Diverged, match="validation loss"):
        validate(module, batches(1))


def test_validation_loss_weighs_tokens_equally():
    module = LanguageModelTraining(Shift([0.0, 5.0]), RECIPE, 1e-2)
    long, short = torch.ones(3, 9, dtype=torch.int64), torch.ones(1, 9, dtype=torch.int64)
    validate(module, [long, short])
    wrong = math.log(15 + math.exp(5))
    assert module.validation_loss == pytest.approx((3 * math.log(16) + wrong) / 4, rel=1e-6)


def test_training_lowers_the_loss():
    pattern = torch.arange(18).remainder(6).repeat(2, 1)[:, :9] + 1
    recipe = RECIPE.model_copy(update={"steps": 60})
    module, _ = fit(Bigram(), recipe, 3e-2, [pattern] * 60)
    assert module.losses[-1] < 0.5 < 2 < module.losses[0]
