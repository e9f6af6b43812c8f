"""Every class on the device against float64 on the CPU, with the CPU's own error beside it.

A backbone is the class and a gated unit. Errors are ‖x - x₆₄‖ / ‖x₆₄‖: of logits; of the gradient of the
weight that is furthest off; of logits that a cache gives, in two prefills and single steps. bf16: forward and
backward under autocast, the cache with weights of that type, whose rounding is no error here.

Legend: B batch, L length, V vocabulary.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.autograd import DeviceType
from torch.nn import functional

from benchmarks.device.project import GATED, build_model, classes, compiled
from benchmarks.device.results import DEVICE_FAILED, Measured, Task, told
from benchmarks.device.setting import Setting

SECONDS, BATCH, STEPS = 4.0, 2, 20
SUSPECT, FLOOR = 5.0, {"fp32": 1e-5, "bf16": 1e-2}
"""A device whose error is so many times the CPU's, and beyond the floor, is to be looked at."""
KERNELS = ("flash", "cudnn", "fmha", "efficient", "softmax")
"""Parts of kernels' names that tell how attention was computed; the last: in single operations."""

Found = dict[str, Any]


def tasks(setting: Setting) -> Iterator[Task]:
    """Every class in both precisions."""
    for name in classes():
        for precision in ("fp32", "bf16"):
            yield Task(f"{name} {precision}", SECONDS, partial(measure, setting, name, precision))


@contextlib.contextmanager
def convolutions_in_tf32(allowed: bool) -> Iterator[None]:
    """Torch rounds their inputs to 10 bits on a GPU unless told otherwise; matrix products it does not."""
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def measure(setting: Setting, name: str, precision: str) -> Measured:
    """One class in one precision."""
    size, half = setting.agreement, precision == "bf16"
    model = build_model(compiled((name, GATED), size), seed=0)
    window_BL = setting.random_tokens(size, BATCH, size.length + 1).cpu()
    exact = trained(copy.deepcopy(model).double(), window_BL, half=False)
    deployed = copy.deepcopy(model).bfloat16() if half else model
    with torch.no_grad():
        cached = copy.deepcopy(deployed).double()(window_BL[:, :-1])
    errors: dict[str, dict[str, float | None]] = {}
    more: Found = {}
    for label, there in {"cpu": torch.device("cpu"), setting.kind: setting.device}.items():
        with convolutions_in_tf32(False):
            found = attempt(model, deployed, window_BL.to(there), half)
        errors[label] = compare(found, exact, cached)
        more[label] = {**errors[label], "worst weight": worst_weight(found, exact), **found["raised"]}
        if label != "cpu" and "forward" in found:
            more[label] |= shipped(model, window_BL, exact, half)
    ours, cpu = errors[setting.kind], errors["cpu"]
    suspects = [part for part, error in ours.items() if suspect(error, cpu[part], precision)]
    worst = max((error for error in cpu.values() if error is not None), default=None)
    return Measured({**ours, "cpu's worst": worst, "look at": ", ".join(suspects)}, more)


def attempt(model: nn.Module, deployed: nn.Module, window_BL: torch.Tensor, half: bool) -> Found:
    """All that can be computed where the tokens are; what raised is told under ``raised``.

    Raises:
        RuntimeError: The device itself failed.
    """
    found: Found = {"raised": {}}
    parts = {
        "trained": lambda: trained(copy.deepcopy(model).to(window_BL.device), window_BL, half),
        "decoded": lambda: decoded(copy.deepcopy(deployed).to(window_BL.device), window_BL[:, :-1]),
    }
    for part, compute in parts.items():
        try:
            found |= compute()
        except Exception as error:
            if DEVICE_FAILED in str(error):
                raise
            found["raised"][part] = told(error)
    return found


def suspect(error: float | None, cpus: float | None, precision: str) -> bool:
    """Whether an error is more than rounding explains; one that is no number is."""
    if error is None or not error <= FLOOR[precision]:
        return error is None or cpus is None or not error <= SUSPECT * cpus
    return False


def trained(model: nn.Module, window_BL: torch.Tensor, half: bool) -> Found:
    """Logits and gradients, on the CPU."""
    device = window_BL.device.type
    with torch.autocast(device, torch.bfloat16) if half else contextlib.nullcontext():
        logits_BLV = model(window_BL[:, :-1])
        loss = functional.cross_entropy(
            logits_BLV.flatten(0, 1).to(torch.promote_types(logits_BLV.dtype, torch.float32)),
            window_BL[:, 1:].flatten(),
        )
    loss.backward()
    gradients = {n: w.grad.cpu() for n, w in model.named_parameters() if w.grad is not None}
    return {"forward": logits_BLV.detach().cpu(), "gradients": gradients}


def decoded(model: Any, tokens_BL: torch.Tensor) -> Found:
    """Logits of two prefills and of single steps behind them, on the CPU."""
    length = tokens_BL.shape[1]
    cut, split = length - STEPS, (length - STEPS) * 3 // 4
    cache = model.init_cache(BATCH, length)
    prefills = [model.prefill(part, cache)[0] for part in (tokens_BL[:, :split], tokens_BL[:, split:cut])]
    steps = [model.step(tokens_BL[:, i], cache)[0] for i in range(cut, length)]
    return {"prefill": torch.cat(prefills, 1).cpu(), "steps": torch.stack(steps, 1).cpu()}


def compare(found: Found, exact: Found, cached_BLV: torch.Tensor) -> dict[str, float | None]:
    """Errors by part; ``None``: it was not computed."""
    cut = cached_BLV.shape[1] - STEPS
    wanted = {"forward": exact["forward"], "prefill": cached_BLV[:, :cut], "steps": cached_BLV[:, cut:]}
    errors = {part: distance(found[part], x) if part in found else None for part, x in wanted.items()}
    backward = max(gradient_errors(found, exact).values(), default=None)
    return {"forward": errors.pop("forward"), "backward": backward, **errors}


def gradient_errors(found: Found, exact: Found) -> dict[str, float]:
    """Of every weight; a gradient that is a millionth of the largest has the error of one that is not."""
    if "gradients" not in found:
        return {}
    if found["gradients"].keys() != exact["gradients"].keys():
        raise ValueError("gradients of other weights than on the CPU")
    largest = max(float(g.norm()) for g in exact["gradients"].values())
    return {n: distance(g, exact["gradients"][n], 1e-6 * largest) for n, g in found["gradients"].items()}


def worst_weight(found: Found, exact: Found) -> str:
    """Name of the weight whose gradient is furthest off."""
    errors = gradient_errors(found, exact)
    return max(errors, key=lambda name: errors[name]) if errors else ""


def distance(x: torch.Tensor, exact: torch.Tensor, least: float = 0.0) -> float:
    """‖x - exact‖ / ‖exact‖; infinite for what is no number."""
    error = float((x.double() - exact).norm() / exact.norm().clamp(min=max(least, 1e-300)))
    return error if error == error else float("inf")


def shipped(model: nn.Module, window_BL: torch.Tensor, exact: Found, half: bool) -> Found:
    """With torch's defaults (convolutions in TF32), and the kernels of a forward and backward pass."""
    window_BL = window_BL.cuda()
    with convolutions_in_tf32(True):
        found = trained(copy.deepcopy(model).cuda(), window_BL, half)
    errors = gradient_errors(found, exact)
    more: Found = {
        "default tf32 forward": distance(found["forward"], exact["forward"]),
        "default tf32 backward": max(errors.values()),
    }
    try:
        more |= kernels(copy.deepcopy(model).cuda(), window_BL, half)
    except Exception as error:  # a profiler that does not run is no failure of the class
        more["kernels"] = f"{type(error).__name__}: {error}"[:300]
    return more


def kernels(model: nn.Module, window_BL: torch.Tensor, half: bool) -> Found:
    """How many kernels a forward and backward pass launches, and which of them are attention's."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        trained(model, window_BL, half)
        torch.cuda.synchronize()
    names = [event.name for event in profile.events() if event.device_type is DeviceType.CUDA]
    told = sorted({part for part in KERNELS for name in names if part in name.lower()})
    return {"kernels": len(names), "attention kernels": told}
