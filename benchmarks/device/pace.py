"""Candidates a minute of the default recipe, several at once; and milliseconds a decoded token."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.device.project import (
    CandidatePool,
    Params,
    SearchSpace,
    Size,
    Training,
    baselines,
    build_model,
    llama,
    make_jobs,
    random_candidates,
    run_jobs,
    transformers,
)
from benchmarks.device.results import Measured, Task
from benchmarks.device.setting import Setting
from benchmarks.device.stacks import HYBRID, RANDOM, TRANSFORMER, architecture, seconds_of

CANDIDATE_SECONDS, START_SECONDS, DECODE_SECONDS = 8.0, 10.0, 8.0
MEMORY_MIB, DEADLINE = 8192, 120.0
STEPS, REPEATS = 32, 5
LLAMA = "transformers' Llama"


def tasks(setting: Setting) -> Iterator[Task]:
    """Decoding, which is quick, then candidates; those on the CPU of the same machine last."""
    for width, blocks in setting.decode:
        for stack in (TRANSFORMER, LLAMA, HYBRID, RANDOM[0]):
            work = partial(measure_decoding, setting, stack, width, blocks)
            yield Task(f"decode {stack} {width}x{2 * blocks}", DECODE_SECONDS, work)
    for kind in dict.fromkeys((setting.kind, "cpu")):
        for workers, count in setting.workers:
            seconds = START_SECONDS + CANDIDATE_SECONDS * count / workers
            work = partial(measure_candidates, setting, kind, workers, count)
            yield Task(f"candidates, {workers} at once, {kind}", seconds, work)


def measure_candidates(setting: Setting, kind: str, workers: int, count: int) -> Measured:
    """The baselines and random genomes of the default space, from nothing to the last loss."""
    params = Params(training=Training(steps=setting.steps, accelerator=kind))
    space = SearchSpace.preset(params.space.preset, params.space.depth, params.space.groups)
    fixed = baselines(params.space.depth)
    with tempfile.TemporaryDirectory() as folder:
        data = setting.prepare(Path(folder))
        chosen = fixed + random_candidates(space, count - len(fixed))
        jobs = make_jobs(chosen, params, data, Path(folder) / "stored")
        begin = time.perf_counter()
        with CandidatePool(workers, DEADLINE, MEMORY_MIB) as pool:
            found = list(run_jobs(pool, jobs, workers))
            wall = time.perf_counter() - begin
    start = min(finished.began for finished in found) - begin
    failed = [f"{f.name}: {f.evaluation.status}, {f.evaluation.detail}" for f in found if f.loss is None]
    each = [finished.ended - finished.began for finished in found]
    return Measured(
        {
            "a minute": 60 * count / (wall - start),
            "with start": 60 * count / wall,
            "s each": sum(each) / count,
            "failed": len(failed),
        },
        {"failures": failed, "seconds": [f.evaluation.seconds for f in found]},
    )


def measure_decoding(setting: Setting, stack: str, width: int, blocks: int) -> Measured:
    """One sequence, token by token behind a prompt, in float32 and with weights of bfloat16."""
    size = Size(width, setting.speed.head_dim, blocks, 256, setting.prompt + 2 * STEPS)
    shown: dict[str, Any] = {}
    for label, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with torch.inference_mode():
            step = begin_llama(setting, size, dtype) if stack == LLAMA else begin(setting, stack, size, dtype)
            token_B = setting.random_tokens(size, 1, 1)[:, 0]

            def steps(
                count: int = STEPS // REPEATS, step: Any = step, token_B: torch.Tensor = token_B
            ) -> None:
                for _ in range(count):
                    token_B = step(token_B).argmax(-1)

            steps(STEPS // 2)
            shown[f"{label} ms a token"] = (
                1e3 * seconds_of(steps, setting.finish, REPEATS) / (STEPS // REPEATS)
            )
    return Measured(shown)


def begin(
    setting: Setting, stack: str, size: Size, dtype: torch.dtype
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Our model behind the prompt: token (B,) to logits (B, V)."""
    model = build_model(architecture(stack, size), seed=0, dtype=dtype).to(setting.device)
    cache = model.init_cache(1, size.length)
    model.prefill(setting.random_tokens(size, 1, setting.prompt), cache)
    return lambda token_B: model.step(token_B, cache)[0]


def begin_llama(setting: Setting, size: Size, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    """The same of transformers' model, as many key-value heads as ours has."""
    keys = max(1, size.heads // 4)
    model: Any = llama(keys, None).variants["sdpa"](size).to(setting.device, dtype).eval()
    cache = transformers().DynamicCache(config=model.config)
    model(
        setting.random_tokens(size, 1, setting.prompt),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return lambda token_B: model(token_B[:, None], past_key_values=cache, use_cache=True).logits[:, -1]
