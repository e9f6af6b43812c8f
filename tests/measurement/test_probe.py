"""What measuring processes report."""

from dataclasses import replace

import pytest

from star_core import Genome, SearchSpace, compile_genome
from star_core.config import Model, Objectives, Params, Training
from star_core.errors import ConfigError
from star_core.evaluation import Job
from star_core.measurement.device import Device
from star_core.measurement.inference import Conditions, least_bytes, open_session
from star_core.objectives.latency import DEVICE
from star_core.objectives.runtimes import RUNTIMES
from star_core.storage.evaluations import EvaluationStore
from star_core.training import CandidatePool

MIB = 1 << 20
PARAMS = Params(
    model=Model(width=64),
    training=Training(accelerator="cpu"),
    objectives=Objectives(prompt_length=64, cache_length=256, runtime="eager"),
)


@pytest.fixture(scope="module")
def pool():
    preload = ["star_core.measurement.probe", "star_core.training.processes.child"]
    with CandidatePool(1, 300, 2048, preload=preload) as made:
        yield made


def measuring(genome, storage, params=PARAMS):
    spec = compile_genome(Genome.parse(genome), SearchSpace.preset(), params.model.width)
    candidate = Job(
        genome, "paper", params.model, params.training, "", "", spec.digest, "0" * 64, str(storage)
    )
    job = DEVICE.job(candidate, params, 256)
    return replace(job, settings={**job.settings, "repeats": 3, "rounds": 1}), spec


def on(**changes):
    """The parameters with another part of objectives."""
    return PARAMS.model_copy(update={"objectives": PARAMS.objectives.model_copy(update=changes)})


@pytest.mark.parametrize(
    ("runtime", "weights"),
    [
        ("eager", "f32"),
        ("onnxruntime", "f32"),
        ("onnxruntime", "int4"),
        ("openvino", "f32"),
        ("openvino", "int8"),
    ],
)
def test_times_and_their_spread_and_the_machine_are_stored_and_not_measured_twice(
    pool, tmp_path, runtime, weights
):
    job, _ = measuring("11111-91111-71111-81111-51111", tmp_path, on(runtime=runtime, weights=weights))
    evaluation = pool.run(job)
    assert (evaluation.status, evaluation.tokens, evaluation.digest) == ("ok", 0, job.digest)
    metrics = evaluation.metrics
    for name in ("prefill_seconds", "decode_seconds_per_token"):
        assert 0 < metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"]
        assert metrics[f"{name}_spread"] >= 0
    assert 0 <= metrics["disturbed"] <= 1
    assert metrics["other_load"] >= 0
    assert metrics["flops_per_second"] > 1e8
    assert metrics["bytes_per_second"] > 1e7
    assert evaluation.machine["processor"]
    assert evaluation.machine["runtime"] == f"{runtime} {RUNTIMES[runtime].version}, {weights}"
    assert EvaluationStore(job.storage).get(job.key) == evaluation
    assert pool.run(job) == evaluation


def held(pool, tmp_path, genome, prompt, context, runtime="eager"):
    job, spec = measuring(genome, tmp_path, on(prompt_length=prompt, cache_length=context, runtime=runtime))
    found = pool.run(job).metrics["peak_memory_bytes"]
    return found, 4 * spec.num_parameters + spec.cache_bytes(context)


def test_memory_is_that_of_weights_and_cache_and_a_little(pool, tmp_path):
    """A longer context holds so much more as the cache grows; without a cache nothing."""
    short, needed_short = held(pool, tmp_path, "11111-91111", 64, 256)
    long, needed_long = held(pool, tmp_path, "11111-91111", 64, 32768)
    for found, needed in ((short, needed_short), (long, needed_long)):
        assert needed <= found + 0.1 * MIB
        assert found <= 1.1 * needed + 8 * MIB
    assert needed_long - needed_short > 15 * MIB
    assert long - short == pytest.approx(needed_long - needed_short, rel=0.1)


def test_memory_on_a_runtime_is_two_graphs_their_states_and_a_little(pool, tmp_path):
    short, needed_short = held(pool, tmp_path, "11111-91111", 64, 256, "onnxruntime")
    long, needed_long = held(pool, tmp_path, "11111-91111", 64, 32768, "onnxruntime")
    assert needed_short <= short + 0.1 * MIB
    assert short <= 2.5 * needed_short + 8 * MIB
    assert long - short == pytest.approx(needed_long - needed_short, rel=0.25)


def test_memory_is_that_of_reading_the_prompt_too(pool, tmp_path):
    short, _ = held(pool, tmp_path, "91111", 64, 256)
    behind_more, _ = held(pool, tmp_path, "91111", 64, 32768)
    assert behind_more == pytest.approx(short, abs=0.5 * MIB), "without a cache, a context holds nothing"
    long, _ = held(pool, tmp_path, "91111", 4096, 256)
    logits = 4 * 256 * (4096 - 64)
    assert logits < long - short < 10 * logits


@pytest.mark.parametrize(("prompt", "context"), [(64, 1 << 32), (1 << 32, 256)])
def test_what_no_memory_holds_is_out_of_memory_before_anything_is_allocated(pool, tmp_path, prompt, context):
    """The kernel would kill it, three times, and perhaps something else with it."""
    job, _ = measuring("11111-91111", tmp_path, on(prompt_length=prompt, cache_length=context))
    begun = []
    found = pool.run(job, begun.append)
    assert found.status == "out_of_memory"
    assert "TiB of weights, cache and logits" in found.detail
    assert len(begun) == 1
    assert found.limits == {"memory_mib": 2048}


def test_what_is_more_than_is_free_is_refused_by_what_it_holds_at_least():
    spec = compile_genome(Genome.parse("11111"), SearchSpace.preset(), 64)
    conditions = Conditions(256, 64, 4096, 1)
    needed = least_bytes(spec, conditions)
    assert needed == 4 * spec.num_parameters + 4 * 64 * 256 + spec.cache_bytes(4096 + 16)
    device = Device("cpu")
    device.free_bytes = lambda: needed - 1
    with pytest.raises(MemoryError, match="4,096 of context"):
        open_session(spec, conditions, device)
    device.free_bytes = lambda: needed
    open_session(spec, conditions, device)


def test_a_probe_may_take_no_more_than_is_free_whatever_the_limit(tmp_path, monkeypatch):
    from star_core.training.processes import child

    monkeypatch.setattr(child, "free_memory_bytes", lambda: 64 * MIB)
    job, _ = measuring("11111", tmp_path)

    def hungry(_job):
        return bytearray(128 * MIB)

    found = child._attempt(hungry, job, 1 << 20)
    assert found.status == "out_of_memory"
    assert found.detail.startswith("more than 64 MiB (all that is free): MemoryError")


def test_a_container_has_no_more_free_than_its_limit(tmp_path, monkeypatch):
    from star_core import machine

    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    whole = machine.free_memory_bytes()
    assert whole > 64 * MIB
    (tmp_path / "memory.max").write_text(f"{48 * MIB}\n")
    (tmp_path / "memory.current").write_text(f"{40 * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {8 * MIB}\n")
    assert machine.free_memory_bytes() == 16 * MIB
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.free_memory_bytes() > 64 * MIB


def test_a_job_that_cannot_be_measured_is_refused(pool, tmp_path):
    job, _ = measuring("91111", tmp_path)
    with pytest.raises(ConfigError, match="another architecture"):
        pool.run(replace(job, digest="f" * 64, key="1" * 64))


def test_a_device_that_cannot_be_timed_is_refused():
    with pytest.raises(ConfigError, match=r"training\.accelerator: 'mps': latency and memory are"):
        Device("mps")
