"""A genome that brings its own classes goes wherever genome text goes."""

from dataclasses import replace

import numpy as np
import pytest

from star_core import Genome, SearchSpace, build_model
from star_core.errors import GenomeError
from star_core.genome.space import CLASS_TABLE
from star_core.training.checkpoint import load_checkpoint
from star_core.training.fit import train
from tests.training.jobs import small_job

GENOME = Genome.parse("11112-21111-41111_12123_73111_02143-114211-114211-321214")


def test_a_job_of_any_space_trains_it_and_its_checkpoint_brings_the_classes(data, tmp_path):
    path = tmp_path / "model.safetensors"
    job = replace(small_job(data, tmp_path, GENOME, str(path)), space=CLASS_TABLE)
    evaluation = train(job)
    assert evaluation.status == "ok"
    assert evaluation.genome == str(GENOME)
    checkpoint = load_checkpoint(path)
    assert checkpoint.architecture.genome == GENOME
    names = [layer.liv_class.name for layer in checkpoint.architecture.layers]
    assert names == ["SA-1", "GConv-1", "SA-1-Diff"]
    checkpoint.restore(build_model(checkpoint.architecture))


def test_named_classes_that_it_brings_train_as_those_of_the_table(data, tmp_path):
    own = SearchSpace.preset("full", classes=3).adopt(Genome.parse("11111-71111-91111"))
    named = small_job(data, tmp_path, Genome.parse("11111-71111-91111"))
    brought = small_job(data, tmp_path, own)
    assert (brought.digest, brought.key) == (named.digest, named.key)
    assert train(brought).metrics == train(named).metrics


def test_an_own_class_that_cannot_be_built_is_refused(data, tmp_path):
    job = small_job(data, tmp_path, GENOME)
    with pytest.raises(GenomeError, match="admits nonlinearity"):
        train(replace(job, genome="11111_73121"))


@pytest.mark.parametrize("seed", range(4))
def test_invented_founders_train(data, tmp_path, seed):
    space = SearchSpace.preset("full", depth=3, classes=3, novelty=1.0)
    evaluation = train(small_job(data, tmp_path, space.sample(np.random.default_rng(seed))))
    assert evaluation.status == "ok"
    assert evaluation.metrics["validation_loss"] < 6
