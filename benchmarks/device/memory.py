"""Peak memory of a training step in bf16 against what the plan says of it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.device.project import Device, Size, Training, build_model, training_bytes
from benchmarks.device.results import Measured, Task
from benchmarks.device.setting import Setting
from benchmarks.device.stacks import STACKS, TRANSFORMER, TrainingStep, architecture

SECONDS, LARGE_VOCABULARY = 8.0, 32768
GIB = 2**30


def tasks(setting: Setting) -> Iterator[Task]:
    """The four backbones on bytes in bf16; one of them in fp32, and one with a large vocabulary."""
    small = setting.memory
    for stack in STACKS:
        yield Task(f"{stack} bf16", SECONDS, partial(measure, setting, stack, small, "bf16"))
    yield Task(f"{TRANSFORMER} fp32", SECONDS, partial(measure, setting, TRANSFORMER, small, "fp32"))
    large = replace(small, vocab_size=LARGE_VOCABULARY if setting.kind == "gpu" else 2 * small.vocab_size)
    name = f"{TRANSFORMER} bf16 V={large.vocab_size}"
    yield Task(name, SECONDS, partial(measure, setting, TRANSFORMER, large, "bf16"))


def measure(setting: Setting, stack: str, size: Size, precision: str) -> Measured:
    """The peak of the second step: by then the optimiser has its moments."""
    arch = architecture(stack, size)
    recipe = Training(batch_size=setting.memory_batch, sequence_length=size.length, precision=precision)
    tokens_BL = setting.random_tokens(size, setting.memory_batch, size.length + 1)
    gc.collect()
    device = Device(setting.kind)
    before = device.held_bytes()
    step = TrainingStep(build_model(arch, seed=0).to(setting.device), precision == "bf16")
    step(tokens_BL)
    held = device.held_bytes() - before
    device.reset_peak()
    step(tokens_BL)
    peak, planned = device.peak_bytes() - before, training_bytes(arch, recipe)
    return Measured(
        {
            "million weights": arch.num_parameters / 1e6,
            "peak GiB": peak / GIB,
            "held after GiB": held / GIB,
            "planned GiB": planned / GIB,
            "planned / peak": planned / peak if peak else None,
        },
        {"genome": str(arch.genome)},
    )
