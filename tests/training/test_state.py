"""A training that stops and goes on ends with the bits of one that never stopped."""

from dataclasses import replace

import pytest
import torch

from star_core.config import Model, Params
from star_core.evaluation import evaluation_key
from star_core.storage.weights import checkpoint_key
from star_core.training.checkpoint import load_checkpoint
from star_core.training.fit import state_path, train
from star_core.training.state import read_state
from tests.training.jobs import small_genome, small_job

STEPS = 40


@pytest.fixture
def jobs(data, tmp_path):
    """Three jobs of one candidate: to a quarter, to a half, to the end."""
    whole = small_job(data, tmp_path, genome=small_genome(3), steps=STEPS, learning_rate=1e-2)
    params = Params(model=Model(width=16), training=whole.training)
    states, made, resume = str(tmp_path / "states"), [], None
    for stop in (10, 20, None):
        key = evaluation_key(whole.digest, params, data.digest, stop)
        made.append(replace(whole, key=key, stop=stop, states=states, resume=resume))
        resume = key
    return whole, made


def test_stopping_and_going_on_changes_no_bit(jobs, tmp_path):
    whole, (first, second, last) = jobs
    plain = train(replace(whole, checkpoint=str(tmp_path / "plain.safetensors")))
    measured = [
        train(first),
        train(second),
        train(replace(last, checkpoint=str(tmp_path / "on.safetensors"))),
    ]
    assert measured[-1].metrics == plain.metrics
    assert [evaluation.tokens for evaluation in measured] == [10 * 64, 20 * 64, STEPS * 64]
    assert measured[0].metrics["validation_loss"] > measured[1].metrics["validation_loss"]
    tensors = [load_checkpoint(tmp_path / f"{name}.safetensors").tensors for name in ("plain", "on")]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    assert checkpoint_key(tmp_path / "on.safetensors") == whole.key


def test_going_on_trains_only_what_is_left(jobs, monkeypatch):
    _, (first, second, _) = jobs
    train(first)
    seen = []
    original = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *a, **k: (seen.append(1), original(*a, **k))[1])
    train(second)
    assert len(seen) == 10


@pytest.mark.parametrize("damage", ["gone", "truncated", "another", "text"])
def test_without_its_state_the_training_begins_anew_and_ends_the_same(jobs, damage):
    _, (first, second, _last) = jobs
    train(first)
    expected = train(second).metrics
    path = state_path(second.states, first.key)
    if damage == "gone":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "another":
        path.write_bytes(state_path(second.states, second.key).read_bytes())
    else:
        path.write_text("{}")
    assert read_state(path, first.key) is None
    assert train(second).metrics == expected


def test_keys_tell_where_a_training_was_measured(jobs):
    whole, (first, second, last) = jobs
    assert len({first.key, second.key, whole.key}) == 3
    assert last.key == whole.key
