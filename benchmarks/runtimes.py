"""Models on the runtime that people deploy, beside eager steps and llama.cpp. One core, batch 1.

    python -m benchmarks.runtimes [--rounds 9] [--large]

All runtimes of one model take turns. Ours is ONNX Runtime with the written graph. llama.cpp (`pip install
llama-cpp-python`, ten minutes of compiling) has the genomes that are a Llama or an LFM2. --large adds
width 768.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from statistics import median

import torch

from benchmarks.table import Line, Skipped, heading
from benchmarks.timing import CLOCKS, Member, Ratio, in_turn
from star_core.architecture import Architecture
from star_core.compiler import compile_genome
from star_core.errors import ConfigError
from star_core.exported.native import Unmapped
from star_core.genome import Genome
from star_core.genome.space import reading_space
from star_core.graphs import random_weights, write_graph
from star_core.graphs.runner import Decoder
from star_core.measurement.alone import one_at_a_time, pin
from star_core.measurement.device import Device
from star_core.measurement.inference import Conditions, Session, open_session

CONTEXT = PROMPT = 512
PATTERNS = {"LFM2": "79q9", "Transformer++": "39", "hybrid": "59798919"}
"""Name → classes, over and over."""
SIZES = ((64, 16), (256, 12))
LARGE = (768, 24)
EAGER_GOALS = {64: 5.0, 256: 2.3}
"""Width → how many times as fast as eager steps decoding is to be."""
LLAMA_DECODE, LLAMA_PREFILL, EAGER_PREFILL = 0.95, 0.8, 1.0
WRITING = {64: 0.05, 256: 0.15}
"""Width → seconds that a graph and its session are to take at most."""
RUNTIMES = (
    ("onnxruntime", "f32"),
    ("eager", "f32"),
    ("llama.cpp", "f32"),
    ("onnxruntime", "int4"),
    ("llama.cpp", "int4"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    with one_at_a_time():
        pin(1)
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        for width, depth in (*SIZES, *([LARGE] if arguments.large else [])):
            print(heading(f"{depth} LIVs of width {width}, {CONTEXT} tokens", "ms"), flush=True)
            for name, classes in PATTERNS.items():
                architecture = repeated(classes, width, depth)
                for line in compare(name, architecture, arguments.rounds):
                    print(line, flush=True)


def repeated(classes: str, width: int, depth: int) -> Architecture:
    """LIVs of these classes, over and over, that share nothing."""
    livs = [f"{classes[index % len(classes)]}1111" for index in range(depth)]
    return compile_genome(Genome.parse("-".join(livs)), reading_space(), width)


def compare(name: str, architecture: Architecture, rounds: int) -> Iterator[Line | Skipped | str]:
    """A model's prefill and decoding on every runtime that has it."""
    yield writing(name, architecture)
    sessions: dict[tuple[str, str], Session] = {}
    for runtime, weights in RUNTIMES:
        conditions = Conditions(architecture.vocab_size, PROMPT, CONTEXT, 1, runtime=runtime, weights=weights)
        try:
            sessions[runtime, weights] = open_session(architecture, conditions, Device("cpu"))
        except (ConfigError, ModuleNotFoundError, Unmapped) as error:
            yield Skipped(name, f"{runtime}, {weights}", str(error))
    for what in ("prefill", "decode"):
        members = {}
        for key, session in sessions.items():
            task = session.reading() if what == "prefill" else session.writing()
            members[key] = Member(" ".join(key), task.work, task.prepare, task.share)
        seconds = in_turn(list(members.values()), rounds, CLOCKS["cpu"])
        for key, member in members.items():
            ours = members["onnxruntime", key[1]]
            if member is not ours:
                yield Line(
                    f"{name}, {what}, {key[1]}",
                    key[0],
                    (1e3 * median(seconds[ours.name]), 1e3 * median(seconds[member.name])),
                    Ratio.of(seconds[ours.name], seconds[member.name]),
                    goal(what, key[0], architecture.width),
                )


def goal(what: str, runtime: str, width: int) -> float | None:
    """Least ratio asked for."""
    if runtime == "eager":
        return EAGER_PREFILL if what == "prefill" else EAGER_GOALS.get(width)
    if what == "prefill":
        return LLAMA_PREFILL
    return LLAMA_DECODE if width > 64 else None


def writing(name: str, architecture: Architecture) -> str:
    """Seconds from weights to a decoder of one token, the best of three."""
    weights, seconds = random_weights(architecture), []
    for _ in range(3):
        begin = time.process_time()
        Decoder(write_graph(architecture, weights).proto.SerializeToString())
        seconds.append(time.process_time() - begin)
    wanted = WRITING.get(architecture.width)
    state = "" if wanted is None else f", wanted {wanted:g}: {'met' if min(seconds) <= wanted else 'MISSED'}"
    return f"{name}: graph and session in {min(seconds):.3f} s{state}"


if __name__ == "__main__":
    main()
