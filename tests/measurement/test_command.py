"""``star measure``: one real run, and its table from known figures."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from star_core import Genome, SearchSpace, compile_genome
from star_core.config import Objectives, Params, Training
from star_core.errors import StarError
from star_core.evaluation import Evaluation
from star_core.measurement import isolated
from star_core.measurement.table import measurement_parts
from star_core.objectives.flops import prefill_flops

ARCH = compile_genome(Genome.parse("11111-91111"), SearchSpace.preset(), 64)
TIMES = {
    name: value * factor
    for name, value in (("prefill_seconds", 0.004), ("decode_seconds_per_token", 0.0005))
    for name, factor in ((name, 1), (f"{name}_low", 0.9), (f"{name}_high", 1.2))
}
METRICS = {
    **TIMES,
    "prefill_seconds_spread": 0.034,
    "decode_seconds_per_token_spread": 0.051,
    "peak_memory_bytes": 4.0 * (1 << 20),
    "disturbed": 0.0,
    "other_load": 0.3,
    "flops_per_second": 2e11,
    "bytes_per_second": 1e10,
}
MACHINE = {
    "torch": "2",
    "device": "cpu",
    "instruction_set": "avx2",
    "processor": "some processor",
    "cores": "8",
    "threads": "1",
    "gpu": "",
}
MEASURED = Evaluation("0" * 64, ARCH.digest, "", "ok", METRICS, "", 0, 0, {}, {}, MACHINE, "now")


def shown(evaluation, width=80):
    console = Console(width=width, file=io.StringIO())
    section = Objectives(prompt_length=512, cache_length=4096)
    for part in measurement_parts(ARCH, evaluation, section):
        console.print(part)
    return console.file.getvalue()


def test_the_table_shows_cost_spec_and_floor():
    text = shown(MEASURED)
    rows = {line[:20].strip(): re.sub(r"\s+", " ", line[20:]) for line in text.splitlines()}
    floor = 512 * prefill_flops(ARCH, 512) / 2e11
    share = f"{100 * floor / 0.004:.0f} %"
    assert f"4.00 ms 3.60 ms – 4.80 ms 3.4 % {floor * 1e6:.0f} µs {share}" in rows["first token of 512"]
    read = 4 * ARCH.num_parameters + ARCH.cache_bytes(4096)
    floor = read / 1e10
    assert f"500 µs 450 µs – 600 µs 5.1 % {floor * 1e6:.0f} µs" in rows["token behind 4,096"]
    assert "2.00k" in rows["tokens per second"]
    assert "4.00 MiB" in rows["peak memory"]
    assert "some processor; 1 thread on 8 cores" in text
    assert "busy" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_disturbed_measurement_says_so():
    text = shown(replace(MEASURED, metrics={**METRICS, "disturbed": 0.4}))
    assert "40 % of the repeats had to wait" in text


def test_a_measurement_that_fails_is_an_error_that_says_why(monkeypatch):
    class Pool:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def run(self, job):
            assert job.settings["repeats"] == 7
            return replace(MEASURED, status="out_of_memory", metrics={}, detail="too much")

    monkeypatch.setattr(isolated, "CandidatePool", Pool)
    params = Params(training=Training(accelerator="cpu"))
    with pytest.raises(StarError, match=r"out of memory \(too much\).*--context"):
        list(isolated.measure_all([ARCH], params, repeats=7))


def test_the_command_measures(star, tmp_path):
    (tmp_path / "params.yaml").write_text("training: {accelerator: cpu}")
    sizes = ["--prompt", "8", "--context", "16", "--repeats", "3", "--width", "16"]
    output = star("measure", "91111", *sizes, cwd=tmp_path)
    assert output.count("first token of 8") == output.count("token behind 16") == 1
    assert "peak memory" in output
    assert not (tmp_path / ".star").exists()
