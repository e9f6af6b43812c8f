"""Tokens a second of a whole training step in bf16, and the share of the matmul peak.

Ours beside transformers' Llama of the same shape and a bare stack around the fused attention kernel, all with
the project's loss, clipping and optimiser. FLOPs of ours are those of the spec; of the others six for each
weight and token, and attention's own.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import torch
from torch import nn
from torch.autograd import DeviceType

from benchmarks.device.project import Attention, BareStack, Size, Uncached, build_model, llama, millions
from benchmarks.device.results import Measured, Task
from benchmarks.device.setting import Setting, datasheet_peak, device_name
from benchmarks.device.stacks import (
    ATTENTION,
    HYBRID,
    STACKS,
    TRANSFORMER,
    TrainingStep,
    architecture,
    seconds_of,
)

PEAK_SECONDS, EAGER_SECONDS, COMPILED_SECONDS = 8.0, 14.0, 80.0
WARMUP, REPEATS = 3, 7
BARE, LLAMA = "bare SDPA", "transformers' Llama"


def tasks(setting: Setting) -> Iterator[Task]:
    """The peak, then every model as it is."""
    yield Task("matmul peak", PEAK_SECONDS, partial(measure_peak, setting))
    for name in (TRANSFORMER, LLAMA, BARE, HYBRID, *STACKS[2:]):
        yield Task(name, EAGER_SECONDS, partial(measure, setting, name, False))


def compiled_tasks(setting: Setting) -> Iterator[Task]:
    """The same, compiled."""
    for name in (TRANSFORMER, LLAMA, HYBRID, BARE, *STACKS[2:]):
        yield Task(f"{name}, compiled", COMPILED_SECONDS, partial(measure, setting, name, True))


@lru_cache(maxsize=1)
def matmul_speeds(setting: Setting) -> dict[str, float]:
    """FLOP/s in bf16 of a large square product and of one of the model's shape."""
    size, found = setting.speed, {}
    shapes = [(setting.square,) * 3, (setting.speed_batch * size.length, size.width, 3 * size.width)]
    for rows, inner, columns in shapes:
        left = torch.randn(rows, inner, device=setting.device, dtype=torch.bfloat16)
        right = torch.randn(inner, columns, device=setting.device, dtype=torch.bfloat16)
        ten = partial(products, left, right, 10)
        ten()
        seconds = seconds_of(ten, setting.finish, REPEATS) / 10
        found[f"{rows}x{inner}x{columns}"] = 2 * rows * inner * columns / seconds
    return found


def products(left: torch.Tensor, right: torch.Tensor, count: int) -> None:
    """So many matrix products."""
    for _ in range(count):
        left @ right


def measure_peak(setting: Setting) -> Measured:
    """What the device can do at best: matrix products, and copying memory."""
    speeds = matmul_speeds(setting)
    source = torch.randn(4 * setting.square**2, device=setting.device)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / seconds_of(lambda: target.copy_(source), setting.finish, REPEATS)
    shown: dict[str, Any] = {f"{shape}, TFLOP/s": speed / 1e12 for shape, speed in speeds.items()}
    shown["copy GB/s"] = copied / 1e9
    return Measured(shown, {"datasheet": datasheet_peak(device_name(setting.kind))})


def build(name: str, size: Size) -> tuple[nn.Module, float]:
    """A model, and the FLOPs of training it on one token."""
    if name in STACKS:
        arch = architecture(name, size)
        return build_model(arch, seed=0), arch.training_flops(1, size.length)
    torch.manual_seed(0)
    if name == LLAMA:
        # As many key-value heads as our grouped queries have.
        layer = architecture(TRANSFORMER, size).layers[0]
        assert layer.liv_class.name == ATTENTION
        keys = next(group.shape.heads for group in layer.groups if group.role == "B")
        model: nn.Module = Uncached(llama(keys, None).variants["sdpa"](size))
    else:
        model = BareStack(size, Attention)
    attention = 6 * size.blocks * size.length * size.width  # half of all pairs, twice for scores and values
    return model, 6e6 * millions(model) + attention


def measure(setting: Setting, name: str, compiled: bool) -> Measured:
    """One model, eager or compiled."""
    gc.collect()
    if setting.kind == "gpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    if compiled:
        torch._dynamo.reset()
    size = setting.speed
    model, flops = build(name, size)
    weights = millions(model)
    step = TrainingStep(model.to(setting.device), half=True, compiled=compiled)
    tokens_BL = setting.random_tokens(size, setting.speed_batch, size.length + 1)
    first = seconds_of(lambda: step(tokens_BL), setting.finish, 1)
    for _ in range(WARMUP):
        step(tokens_BL)
    seconds = seconds_of(lambda: step(tokens_BL), setting.finish, REPEATS)
    tokens = setting.speed_batch * size.length
    speed = flops * tokens / seconds
    peak = datasheet_peak(device_name(setting.kind))
    shown: dict[str, Any] = {
        "million weights": weights,
        "tokens/s": round(tokens / seconds),
        "ms a step": 1e3 * seconds,
        "TFLOP/s": speed / 1e12,
        "% of datasheet": 100 * speed / peak if peak else None,
        "% of matmul": 100 * speed / max(matmul_speeds(setting).values()),
    }
    more: dict[str, Any] = {"first step": first}
    if setting.kind == "gpu":
        shown["peak GiB"] = torch.cuda.max_memory_allocated() / 2**30
        try:
            shown["launches"], more["slowest kernels"] = kernels(step, tokens_BL)
        except Exception as error:  # a profiler that does not run is no failure of the model
            more["kernels"] = f"{type(error).__name__}: {error}"[:300]
    return Measured(shown, more)


def kernels(step: TrainingStep, tokens_BL: torch.Tensor) -> tuple[int, list[list[Any]]]:
    """Kernels that a step launches, and those that take longest: name, launches, ms in all."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        step(tokens_BL)
        torch.cuda.synchronize()
    spent: dict[str, list[float]] = {}
    for event in profile.events():
        if event.device_type is DeviceType.CUDA:
            spent.setdefault(event.name[:90], []).append(event.time_range.elapsed_us() / 1e3)
    slowest = sorted(spent.items(), key=lambda item: -sum(item[1]))[:12]
    return sum(map(len, spent.values())), [[name, len(ms), round(sum(ms), 3)] for name, ms in slowest]
