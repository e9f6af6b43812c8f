"""Objectives that need more than a training: which probes, which jobs, which noise."""

import importlib.metadata
import math
from dataclasses import replace

import pytest

from star_core import Genome, SearchSpace, compile_genome
from star_core.config import Objectives, Params, Training
from star_core.errors import ConfigError, StarError
from star_core.evaluation import Job
from star_core.objectives import probe as probing
from star_core.objectives.base import OBJECTIVES, measure, objective, probes, spreads
from star_core.objectives.latency import DEVICE, NOISE
from star_core.objectives.mad import TASKS
from star_core.objectives.runtimes import RUNTIMES
from star_core.training.processes.wire import decode_job, encode_job

ARCH = compile_genome(Genome.parse("91111"), SearchSpace.preset(), 16)
MEASURED = ["prefill_seconds", "decode_seconds_per_token", "peak_memory_bytes"]
METRICS = {
    "validation_loss": 1.0,
    "prefill_seconds": 0.5,
    "prefill_seconds_spread": 0.2,
    "decode_seconds_per_token": 0.01,
    "decode_seconds_per_token_spread": 0.001,
    "peak_memory_bytes": 2e6,
    "mad_accuracy": 0.75,
}


def section(*names, **others):
    return Objectives(names=list(names), **others)


def candidate(**changes):
    params = Params(training=Training(accelerator="cpu"))
    known = Job(
        "91111", "paper", params.model, params.training, "data", "d" * 64, ARCH.digest, "0" * 64, "store"
    )
    return replace(known, **changes)


def job(params=None, probe=DEVICE, vocab_size=256, **changes):
    return probe.job(candidate(**changes), params or Params(training=Training(accelerator="cpu")), vocab_size)


def test_a_version_that_reads_no_opset_23_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "1.22.1")
    for name in ("onnxruntime", "openvino"):
        with pytest.raises(ConfigError, match=rf"{name} 1.22.1 does not read. Fix: pip install '{name}>="):
            _ = RUNTIMES[name].version
    assert RUNTIMES["eager"].version == "1.22.1"


def test_values_come_from_the_metrics_of_training_and_probes():
    values, violation, _ = measure(
        ARCH, METRICS, section("perplexity", *MEASURED, "mad_error", constraints={"prefill_seconds": 0.4})
    )
    assert values == {
        "perplexity": math.e,
        "prefill_seconds": 0.5,
        "decode_seconds_per_token": 0.01,
        "peak_memory_bytes": 2e6,
        "mad_error": 0.25,
    }
    assert violation == pytest.approx(0.25)


@pytest.mark.parametrize("name", [*MEASURED, "mad_error"])
def test_a_candidate_that_failed_has_no_value_and_one_not_probed_is_an_error(name):
    assert measure(ARCH, None, section(name))[0] == {name: None}
    with pytest.raises(StarError, match="probe"):
        measure(ARCH, {"validation_loss": 1.0}, section(name))


def test_each_probe_runs_once_for_all_objectives_and_constraints_that_need_it():
    assert probes(section("perplexity", "parameters", "decode_flops")) == ()
    assert probes(section("perplexity", *MEASURED)) == (DEVICE,)
    assert probes(section("mad_error", constraints={"prefill_seconds": 1.0})) == (TASKS, DEVICE)
    assert [probe.alone for probe in (TASKS, DEVICE)] == [False, True]


def test_noise_is_the_spread_of_the_repeats_or_what_the_objective_states():
    assert spreads(METRICS, section("perplexity", *MEASURED)) == {
        "prefill_seconds": 0.2,
        "decode_seconds_per_token": NOISE,
        "peak_memory_bytes": objective("peak_memory_bytes").noise,
    }
    exact = [name for name in OBJECTIVES.names() if objective(name).probe is None]
    assert {"perplexity", "parameters", "cache_bytes", "decode_flops"} <= set(exact)
    assert not spreads(METRICS, section(*exact))


def test_the_job_of_a_probe_names_it_and_trains_nothing():
    made = job(checkpoint="w.safetensors", stop=5, states="states", resume="a" * 64)
    assert made.probe == "star_core.measurement.probe:measure"
    assert (made.checkpoint, made.states, made.resume, made.tokens) == (None, None, None, 0)
    conditions = {"vocab_size": 256, "prompt": 512, "context": 4096, "repeats": 15}
    runtime = {"runtime": "onnxruntime", "weights": "f32", "version": RUNTIMES["onnxruntime"].version}
    assert made.settings == conditions | runtime
    eager = DEVICE.settings(Params(objectives=Objectives(runtime="eager")), 256)
    assert eager == conditions, "as before there were runtimes: what was measured then is found"
    assert decode_job(encode_job(made)) == made
    assert (made.digest, made.storage) == (ARCH.digest, "store")


def test_the_key_says_what_the_result_depends_on(monkeypatch):
    def params(threads=1, steps=100, **lengths):
        recipe = Training(accelerator="cpu", threads=threads, steps=steps)
        return Params(training=recipe, objectives=Objectives(**lengths))

    known = job().key
    assert job(data_digest="e" * 64, key="1" * 64, storage="elsewhere").key == known
    assert job(params(steps=50)).key == known, "weights cost the same whatever they are"
    others = [
        job(digest="f" * 64).key,
        job(vocab_size=300).key,
        job(params(threads=2)).key,
        job(params(prompt_length=100)).key,
        job(params(cache_length=100)).key,
        job(params(runtime="eager")).key,
        job(params(runtime="openvino")).key,
        job(params(weights="int4")).key,
        job(Params(training=Training(accelerator="cpu"), objectives=Objectives(threads=2))).key,
        job(probe=TASKS).key,
    ]
    assert len({known, *others}) == 1 + len(others)
    assert job(params(steps=50), TASKS).key == job(probe=TASKS).key, "MAD has steps of its own"
    mad = job(probe=TASKS).key
    faster = {**probing.fingerprint("cpu"), "processor": "another"}
    monkeypatch.setattr(probing, "fingerprint", lambda *_: faster)
    assert job().key != known, "times of another processor are not these"
    assert job(probe=TASKS).key == mad, "accuracy is the same on any that has the instructions"


def test_a_runtime_that_is_broken_is_said_before_candidates_crash_by_it():
    broken = replace(RUNTIMES["openvino"], package="numpy", module="no_such_module", oldest="")
    with pytest.raises(ConfigError, match=r"cannot be imported \(ModuleNot.*--force-reinstall numpy"):
        broken.require()
    RUNTIMES["onnxruntime"].require()
