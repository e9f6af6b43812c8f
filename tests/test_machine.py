"""What of a machine is in the keys of evaluations, and what its environment may not change."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from star_core import machine
from star_core.config import Training
from star_core.machine import default_workers, machine_differences, machine_fingerprint
from star_core.training.processes.environment import candidate_environment
from star_core.training.processes.pool import CandidatePool
from tests.training import faults
from tests.training.jobs import small_data, small_job

AVX512 = "flags\t\t: avx2 avx512f avx512dq avx512bw avx512vl\n"
INTEL, AMD = (
    f"processor\t: 0\nvendor_id\t: {vendor}\n{AVX512}\nprocessor\t: 1\n"
    for vendor in ("GenuineIntel", "AuthenticAMD")
)
CHOICES = (
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "DNNL_DEFAULT_FPMATH_MODE",
    "OMP_THREAD_LIMIT",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)


@pytest.fixture
def on(monkeypatch, tmp_path):
    """Pretends to be on a machine with another ``/proc/cpuinfo``."""

    def pretend(cpuinfo):
        path = tmp_path / "cpuinfo"
        path.write_text(cpuinfo)
        monkeypatch.setattr(machine, "_CPUINFO", path)
        monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)

    return pretend


def test_vendors_have_keys_of_their_own_and_the_stored_ones_still_hold(on):
    on(INTEL)
    intel = machine_fingerprint("cpu")
    assert set(intel) == {"torch", "device", "instruction_set"}
    on(AMD)
    amd = machine_fingerprint("cpu")
    assert amd == {**intel, "vendor": "AuthenticAMD"}
    assert machine_differences(intel, amd) == ["vendor GenuineIntel there, AuthenticAMD here"]


def test_results_of_two_models_of_gpu_never_have_one_key(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_DRIVER", tmp_path)
    found = []
    for model in ("NVIDIA H100", "NVIDIA GeForce RTX 4090"):
        (tmp_path / "0").mkdir(exist_ok=True)
        (tmp_path / "0" / "information").write_text(f"Model: \t{model}\nIRQ: 5\n")
        found.append(machine_fingerprint("gpu"))
    assert [machine["gpu"] for machine in found] == ["NVIDIA H100", "NVIDIA GeForce RTX 4090"]
    assert machine_differences(*found) == ["gpu NVIDIA H100 there, NVIDIA GeForce RTX 4090 here"]
    assert "gpu" not in machine_fingerprint("cpu")


def test_every_difference_of_two_machines_is_said():
    theirs = {"torch": "1", "device": "cpu", "instruction_set": "avx2", "vendor": "AuthenticAMD"}
    ours = {"torch": "2", "device": "cpu", "instruction_set": "avx512"}
    assert machine_differences(theirs, ours) == [
        "vendor AuthenticAMD there, GenuineIntel here",
        "instruction set avx2 there, avx512 here",
        "torch 1 there, 2 here",
    ]
    assert machine_differences(ours, ours) == []


def test_what_chooses_kernels_does_not_reach_a_candidate(monkeypatch, tmp_path):
    for name in CHOICES:
        monkeypatch.setenv(name, "SSE4_2")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("UNRELATED", "kept")
    job = replace(
        small_job(small_data(tmp_path), tmp_path / "store"),
        genome=faults.tell_environment.__name__,
        data=str(tmp_path / "seen.json"),
    )
    with CandidatePool(1, 60, 256, preload=[], target=faults.act) as pool:
        assert pool.run(job).status == "ok"
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert not seen.keys() & set(CHOICES)
    assert (seen["OMP_NUM_THREADS"], seen["MKL_NUM_THREADS"], seen["UNRELATED"]) == ("1", "1", "kept")


def test_the_instruction_set_that_is_part_of_the_key_is_handed_on():
    found = candidate_environment({"ATEN_CPU_CAPABILITY": "avx2"}, threads=3)
    assert (found["ATEN_CPU_CAPABILITY"], found["OMP_NUM_THREADS"]) == ("avx2", "3")


def test_default_workers_follow_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert default_workers("cpu", 1) == 8
    assert default_workers("cpu", 3) == 2
    assert default_workers("cpu", 64) == 1


def test_every_place_gets_its_gpu(monkeypatch):
    monkeypatch.setattr(machine, "machine_fingerprint", lambda _: {"device": "gpu"})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    recipe = Training()
    assert default_workers(recipe.accelerator, recipe.threads) == 2
    assert [machine.device_of(slot, recipe.accelerator) for slot in range(3)] == ["4", "6", "4"]
    monkeypatch.setattr(machine, "machine_fingerprint", lambda _: {"device": "cpu"})
    assert machine.device_of(0, recipe.accelerator) is None
