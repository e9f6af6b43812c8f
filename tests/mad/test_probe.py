"""Learning the synthetic tasks: who can and who cannot, and that nothing but the recipe decides."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from star_core import Genome, SearchSpace, build_model, compile_genome
from star_core.config import Objectives, Params, Training
from star_core.errors import ConfigError
from star_core.mad import probe as mad
from star_core.mad.compressor import Compressor, position_code
from star_core.mad.probe import learn, training_batches
from star_core.mad.tasks import TASKS, compression, memorisation, recall
from star_core.objectives.mad import TASKS as PROBE
from tests.training.jobs import small_job

RECIPE = Training(steps=120, batch_size=16, warmup_steps=10, learning_rate=1e-2, accelerator="cpu")
SHORT = recall(length=32)
MEMORYLESS = "91111-91111"


def spec(genome, vocab_size=16, width=32):
    return compile_genome(Genome.parse(genome), SearchSpace.preset("paper"), width, None, vocab_size)


def test_attention_learns_to_recall_and_gated_units_cannot():
    able, unable = (learn(SHORT, spec(genome), RECIPE) for genome in ("21111-91111-21111-91111", MEMORYLESS))
    assert able.accuracy > 0.9
    assert able.loss < 0.5
    assert unable.accuracy == pytest.approx(SHORT.chance, abs=0.03)
    assert unable.loss > 2


def test_a_dictionary_is_learnt_by_what_reads_one_token_back():
    task = memorisation(vocab_size=32, length=16)
    able, unable = (learn(task, spec(genome, 32), RECIPE) for genome in ("71111-91111", MEMORYLESS))
    assert able.accuracy > 0.9
    assert unable.accuracy == pytest.approx(task.chance, abs=0.04)


def test_a_sequence_is_gathered_by_what_has_memory():
    task = compression(vocab_size=5, length=6)
    able, unable = (
        learn(task, spec(genome, 5), RECIPE) for genome in ("21111-91111-21111-91111", MEMORYLESS)
    )
    assert able.accuracy > 0.6
    assert unable.accuracy == pytest.approx(task.chance, abs=0.05)


def test_the_result_follows_from_the_recipe_alone():
    brief = RECIPE.model_copy(update={"steps": 5})
    torch.manual_seed(3)
    first = learn(SHORT, spec("21111-91111"), brief)
    state = torch.get_rng_state()
    second = learn(SHORT, spec("21111-91111"), brief)
    assert torch.equal(torch.get_rng_state(), state)
    assert (second.accuracy, second.loss) == (first.accuracy, first.loss)
    other = learn(SHORT, spec("21111-91111"), brief.model_copy(update={"seed": 1}))
    assert other.loss != first.loss


def test_what_is_not_asked_is_not_learnt():
    """The loss is over the questions: nats of the answers, not of the random rest."""
    score = learn(SHORT, spec(MEMORYLESS), RECIPE.model_copy(update={"steps": 60}))
    assert score.loss == pytest.approx(math.log(8), abs=0.1)


def test_divergence_is_an_accuracy_of_nothing():
    score = learn(SHORT, spec(MEMORYLESS), RECIPE.model_copy(update={"learning_rate": 1e30, "steps": 20}))
    assert score.accuracy == 0
    assert math.isnan(score.loss)


def test_an_architecture_for_another_vocabulary_is_refused():
    with pytest.raises(ConfigError, match="vocabulary"):
        learn(SHORT, spec(MEMORYLESS, 256), RECIPE)


def test_every_instance_comes_once_before_any_comes_again():
    instances = memorisation(vocab_size=32).training(256, memorisation(vocab_size=32).validation(10))
    recipe = RECIPE.model_copy(update={"steps": 40, "batch_size": 16})
    batches = list(training_batches(instances, recipe))
    assert len(batches) == 40
    rows = np.concatenate([inputs.numpy() for inputs, _ in batches])
    assert sorted(map(bytes, rows[:256])) == sorted(map(bytes, instances.inputs))
    assert sorted(map(bytes, rows[256:512])) == sorted(map(bytes, instances.inputs))
    assert (rows[:256] != rows[256:512]).any()


def test_a_compressed_sequence_is_read_from_the_last_output_alone(generator):
    model = build_model(spec(MEMORYLESS))
    reader = Compressor(model, 8, seed=0)
    tokens_BL = torch.randint(15, (2, 8), generator=generator)
    tokens_BL[:, -1] = 15
    logits_BLV = reader(tokens_BL)
    assert logits_BLV.shape == (2, 8, 16)
    # Without memory the last output knows its own token only, which is the same in both.
    assert torch.equal(logits_BLV[0], logits_BLV[1])
    assert not torch.equal(logits_BLV[:, 0], logits_BLV[:, 1])
    remembering = Compressor(build_model(spec("51111-91111")), 8, seed=0)(tokens_BL)
    assert not torch.equal(remembering[0], remembering[1])
    remembering.square().sum().backward()


def test_the_reader_learns_with_the_model():
    reader = Compressor(build_model(spec("51111")), 8, seed=0)
    tokens_BL = torch.arange(8)[None]
    torch.nn.functional.cross_entropy(reader(tokens_BL)[0], tokens_BL[0]).backward()
    for name, weight in reader.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_positions_have_different_codes():
    code = position_code(64, 7)
    assert code.shape == (64, 7)
    assert torch.cdist(code, code).add(torch.eye(64)).min() > 0.05
    assert position_code(3, 1).shape == (3, 1)


def test_the_probe_measures_all_tasks_from_a_job(data, tmp_path, monkeypatch):
    monkeypatch.setattr(mad, "HELD_OUT", 16)
    candidate = small_job(data, tmp_path, genome=Genome.parse("71111-91111"))
    params = Params(training=candidate.training, objectives=Objectives(mad_steps=2))
    job = PROBE.job(candidate, params, 256)
    evaluation = mad.probe(job)
    assert (evaluation.status, evaluation.key, evaluation.digest) == ("ok", job.key, candidate.digest)
    accuracies = [evaluation.metrics[f"mad_accuracy_{name.replace('-', '_')}"] for name in TASKS]
    assert evaluation.metrics["mad_accuracy"] == pytest.approx(np.mean(accuracies))
    assert evaluation.tokens == 0
    assert evaluation.flops > 0
    assert mad.probe(job).metrics == evaluation.metrics
    longer = params.model_copy(update={"objectives": Objectives(mad_steps=3)})
    assert PROBE.job(candidate, longer, 256).key != job.key
    assert PROBE.job(replace(candidate, checkpoint="x"), params, 256) == job
