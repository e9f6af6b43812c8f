"""From a job to its evaluation."""

import json
import math
import os
from dataclasses import replace

import pytest
import torch

from star_core import Genome, SearchSpace, build_model, compile_genome
from star_core.config import Training
from star_core.errors import ConfigError, DataError, StoreError
from star_core.storage.weights import checkpoint_key
from star_core.training.checkpoint import load_checkpoint, save_checkpoint
from star_core.training.fit import train
from tests.training.jobs import small_genome, small_job


def test_trains_measures_and_accounts(data, tmp_path):
    job = small_job(data, tmp_path, steps=40, learning_rate=1e-2)
    evaluation = train(job)
    assert evaluation.status == "ok"
    assert (evaluation.key, evaluation.digest, evaluation.genome) == (job.key, job.digest, job.genome)
    assert evaluation.metrics["train_loss"] < evaluation.metrics["validation_loss"] + 1 < math.log(256)
    assert evaluation.tokens == 40 * 2 * 32
    assert evaluation.flops > evaluation.tokens
    parts = [evaluation.seconds[name] for name in ("setup", "training", "validation")]
    assert 0 < sum(parts) <= evaluation.seconds["total"]
    assert evaluation.machine["device"] == "cpu"
    assert train(job).metrics == evaluation.metrics


def test_bf16_and_gpu_choice_are_lightnings(data, tmp_path):
    wide, narrow = (train(small_job(data, tmp_path, precision=name)) for name in ("fp32", "bf16"))
    assert narrow.status == "ok"
    assert narrow.metrics != wide.metrics
    assert narrow.metrics["validation_loss"] == pytest.approx(wide.metrics["validation_loss"], abs=0.1)


def test_divergence_is_an_outcome(data, tmp_path):
    evaluation = train(small_job(data, tmp_path, steps=30, learning_rate=1e30, warmup_steps=0))
    assert evaluation.status == "diverged"
    assert evaluation.metrics == {}
    assert "step" in evaluation.detail
    assert 0 < evaluation.tokens < 30 * 2 * 32


def test_a_job_that_does_not_fit_is_refused(data, tmp_path):
    job = small_job(data, tmp_path)
    with pytest.raises(DataError, match="another digest"):
        train(replace(job, data_digest="0" * 64))
    with pytest.raises(ConfigError, match="another architecture"):
        train(replace(job, genome=str(small_genome(1))))
    with pytest.raises(DataError, match="at least one sequence"):
        train(replace(job, training=Training(sequence_length=10**6, accelerator="cpu")))


def test_sharing_groups_beyond_the_presets_default_are_trained(data, tmp_path):
    # A lone member of a group shares with nobody, whatever the group is called.
    first, second = Genome.parse("11111"), Genome.parse("19111")
    job = small_job(data, tmp_path, genome=first)
    evaluation = train(replace(job, genome=str(second)))
    assert evaluation.metrics == train(job).metrics


def test_checkpoint_restores_the_trained_model(data, tmp_path):
    path = tmp_path / "weights" / "model.safetensors"
    job = small_job(data, tmp_path, checkpoint=str(path))
    evaluation = train(job)
    checkpoint = load_checkpoint(path)
    assert checkpoint.architecture.digest == job.digest
    assert checkpoint.metadata["genome"] == job.genome
    assert float(checkpoint.metadata["validation_loss"]) == evaluation.metrics["validation_loss"]
    fresh, restored = (build_model(checkpoint.architecture, seed=9) for _ in range(2))
    checkpoint.restore(restored)
    tokens_BL = torch.arange(10)[None]
    assert not torch.equal(fresh(tokens_BL), restored(tokens_BL))
    job = small_job(data, tmp_path, checkpoint=str(tmp_path / "again.safetensors"))
    train(job)
    again = load_checkpoint(tmp_path / "again.safetensors")
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in checkpoint.tensors.items())
    assert os.listdir(path.parent) == ["model.safetensors"]


def test_checkpoint_of_another_model_is_refused(data, tmp_path):
    path = tmp_path / "model.safetensors"
    train(small_job(data, tmp_path, checkpoint=str(path)))
    checkpoint = load_checkpoint(path)
    with pytest.raises(StoreError, match="weights"):
        checkpoint.restore(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\xff" * 64, b"\x10\0\0\0\0\0\0\0{}"])
def test_malformed_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(StoreError, match=r"x\.safetensors"):
        load_checkpoint(tmp_path / "x.safetensors")
    with pytest.raises(StoreError, match=r"y\.safetensors"):
        load_checkpoint(tmp_path / "y.safetensors")


def test_foreign_checkpoint_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", {"format": "other"})
    with pytest.raises(StoreError, match="star-checkpoint"):
        load_checkpoint(tmp_path / "x.safetensors")
    metadata = {"format": "star-checkpoint", "version": "1", "space": "paper", "width": "x"}
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", {"star-checkpoint": json.dumps(metadata)})
    with pytest.raises(StoreError, match="incomplete metadata"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_a_checkpoint_is_the_same_bytes_whenever_it_is_written(tmp_path):
    spec = compile_genome(Genome.parse("51111-91111"), SearchSpace.preset(), 16)
    model, extra = build_model(spec), {"key": "a" * 64, "data_digest": "b" * 64}
    written = set()
    for number in range(8):
        path = tmp_path / f"{number}.safetensors"
        save_checkpoint(path, model, spec, "paper", extra)
        written.add(path.read_bytes())
        assert checkpoint_key(path) == "a" * 64
    assert len(written) == 1
    assert checkpoint_key(tmp_path / "none.safetensors") is None
