"""Several models at once: one real run, and tables from known figures."""

import importlib.metadata
import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from star_core import Genome, SearchSpace, compile_genome
from star_core.analysis.terminal.output import plain
from star_core.config import Model, Objectives, Params, Training
from star_core.errors import ConfigError
from star_core.evaluation import Job
from star_core.measurement import turns
from star_core.measurement.command import measure_command
from star_core.measurement.side_by_side import DECODE, PREFILL, Entry, Row, SideBySide
from star_core.measurement.side_by_side_table import side_by_side
from star_core.measurement.sizes import weight_bytes
from star_core.measurement.timing import Timing
from star_core.objectives.latency import settings

GENOMES = ("31111-91111", "71111-91111", "51111-91111")
MACHINE = {"processor": "some processor", "gpu": "", "threads": "1", "cores": "2", "instruction_set": "avx2"}
SPECS = [compile_genome(Genome.parse(text), SearchSpace.preset(), 64) for text in GENOMES]


def params(**changes):
    section = Objectives(prompt_length=64, cache_length=128, **changes)
    return Params(model=Model(width=64), training=Training(accelerator="cpu"), objectives=section)


def measured(decode, runtime="onnxruntime", weights="f32"):
    """Rows of the three genomes with these seconds a token."""
    for number, (spec, seconds) in enumerate(zip(SPECS, decode, strict=True), 1):
        metrics = {"peak_memory_bytes": 3.0 * (1 << 20), "bytes_per_second": 1e10}
        for name, value in ((PREFILL, 10 * seconds), (DECODE, seconds)):
            metrics |= {name: value, f"{name}_spread": 0.031, f"{name}_disturbed": 0.0}
        yield Row(Entry(number, GENOMES[number - 1], spec, params(runtime=runtime, weights=weights)), metrics)


def shown(found, width, kernels=None):
    console = Console(width=width, file=io.StringIO(), markup=False, highlight=False)
    for part in side_by_side(found, kernels or {}).parts:
        console.print(part, crop=False)
    return console.file.getvalue()


ALONE = SideBySide(tuple(measured((1e-4, 5e-5, 2e-4))), 1e11, 0.2, MACHINE)
BOTH = SideBySide((*ALONE.rows, *measured((1e-3, 4e-3, 2e-3), "eager")), 1e11, 0.2, MACHINE)


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("found", [ALONE, BOTH])
def test_times_their_noise_ratios_and_the_runtime_stand_in_any_width(found, width):
    text = shown(found, width)
    rows = [line.split() for line in text.splitlines()]
    table = [row for row in rows if row[:1] == ["2"] and "±3" in row]
    assert len(table) == len(found.by_runtime())
    assert " ".join(table[0]).startswith("2 500 µs ±3 % 0.50 × ") or "500 µs ±3 % 0.50 ×" in " ".join(
        table[0]
    )
    assert "50.0 µs ±3 % 0.50 ×" in " ".join(table[0])
    for on in found.by_runtime():
        assert on in text
    assert all(len(line) <= width for line in text.splitlines() if "some processor" not in line)


def test_the_limit_of_the_machine_is_of_the_precision_that_is_read():
    row = next(measured((1e-4, 5e-5, 2e-4), weights="int4"))
    spec = row.entry.architecture
    found = SideBySide((row,), 1e15, 0.0, MACHINE)
    assert weight_bytes(spec, "int4") < weight_bytes(spec, "f32") / 4
    assert weight_bytes(spec, "f32") == 4 * spec.num_parameters
    assert found.at_best(row, DECODE) == (weight_bytes(spec, "int4") + spec.cache_bytes(128)) / 1e10
    slow = SideBySide((row,), 1e3, 0.0, MACHINE)
    assert slow.at_best(row, DECODE) == spec.flops_per_token(128) / 1e3


def test_orders_of_runtimes_flops_and_cache_are_compared_from_three_genomes_on():
    taus = {(order.of, order.first, order.second): order.correlation.tau for order in BOTH.orders()}
    onnxruntime, eager = BOTH.by_runtime()
    assert taus[DECODE, onnxruntime, eager] == pytest.approx(-1 / 3)
    flops = sorted(range(3), key=lambda index: SPECS[index].flops_per_token(128))
    same = sorted(range(3), key=lambda index: (1e-4, 5e-5, 2e-4)[index])
    assert (taus[DECODE, onnxruntime, "FLOPs"] == 1) == (flops == same)
    assert {key[2] for key in taus} == {eager, "FLOPs", "cache bytes"}
    assert "−0.33" in shown(BOTH, 100)
    two = SideBySide(BOTH.rows[:2], 1e11, 0.2, MACHINE)
    assert not list(two.orders())


def test_what_others_disturbed_is_said_and_kernels_only_where_they_are_asked_for():
    row = ALONE.rows[0]
    busy = Row(row.entry, {**row.metrics, f"{DECODE}_disturbed": 0.4})
    text = shown(SideBySide((busy,), 1e11, 1.5, MACHINE), 100, {(1, row.entry.on): {"MatMul": 3, "Mul": 1}})
    assert "up to 40 % of the repeats" in text
    assert "MatMul 3, Mul 1" in text
    assert "busy" not in (quiet := shown(ALONE, 100))
    assert "Kernels" not in quiet


def test_all_models_are_timed_by_one_process(monkeypatch):
    """With the sessions and the clock of the test."""
    opened, timed = [], []

    def session(architecture, conditions, device):
        opened.append((architecture.digest, conditions.runtime, conditions.threads))
        return SimpleNamespace(reading=lambda: "reading", writing=lambda: "writing", device=device)

    def in_turns(tasks, repeats):
        timed.append((tasks, repeats))
        return [Timing(number + 1.0, 0.1, 1.0, 9.0, repeats, 0.0) for number in range(len(tasks))]

    monkeypatch.setattr(turns, "open_session", session)
    monkeypatch.setattr(turns, "in_turns", in_turns)
    monkeypatch.setattr(turns, "pin", lambda threads: ())
    plans = [
        {
            "genome": text,
            "width": 64,
            "head_dim": 16,
            "conditions": {**settings(params(runtime=runtime), 256), "repeats": 7},
        }
        for text, runtime in ((GENOMES[0], "onnxruntime"), (GENOMES[1], "eager"))
    ]
    training = Training(accelerator="cpu", threads=1)
    job = Job(GENOMES[0], "paper", Model(width=64), training, "", "", SPECS[0].digest, "0" * 64, "")
    job.settings["entries"] = plans
    metrics = turns.times(job).metrics
    assert opened == [(SPECS[0].digest, "onnxruntime", 1), (SPECS[1].digest, "eager", 1)]
    assert timed == [(["reading"] * 2, 7), (["writing"] * 2, 7)]
    assert (metrics["0/prefill_seconds"], metrics["1/decode_seconds_per_token"]) == (1.0, 2.0)
    assert metrics["1/decode_seconds_per_token_disturbed"] == 0
    assert metrics["1/bytes_per_second"] > 1e7


def test_the_command_measures_side_by_side(star, tmp_path):
    (tmp_path / "params.yaml").write_text("training: {accelerator: cpu}")
    sizes = ["--prompt", "8", "--context", "16", "--repeats", "3", "--width", "16"]
    output = star(
        "measure",
        "31111",
        "91111",
        *sizes,
        "--runtime",
        "onnxruntime,openvino",
        "--verbose",
        "--json",
        cwd=tmp_path,
    )
    found = json.loads(output)
    assert [row["name"] for row in found["measurements"]] == ["31111", "91111"] * 2
    assert [row["runtime"].split()[0] for row in found["measurements"]] == ["onnxruntime"] * 2 + [
        "openvino"
    ] * 2
    for row in found["measurements"]:
        assert row["metrics"]["decode_seconds_per_token"] > 0
        assert row["metrics"]["peak_memory_bytes"] > 0
        assert sum(row["kernels"].values()) > 5
    assert plain(found) == found
    assert not (tmp_path / ".star").exists()


def test_a_runtime_that_cannot_be_used_is_refused_before_anything_runs(monkeypatch):
    def missing(package):
        raise importlib.metadata.PackageNotFoundError(package)

    named = [(GENOMES[0], SPECS[0])]
    with pytest.raises(ConfigError, match="eager does not compute with such weights"):
        measure_command(named, [params(), params(runtime="eager", weights="int4")], 3, False)
    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ConfigError, match="not installed here"):
        measure_command(named, [params(runtime="llama.cpp")], 3, False)
