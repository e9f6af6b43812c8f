"""Speed of the operators beside bare torch and transformers, one thread.

    python -m benchmarks.operators [--rows sa,gqa,...] [--rounds 7] [--quick] [--clock cpu]

Rows: sa, gqa, gconv, gconv2, rec, linear, diff (training: forward, cross entropy and backward of six
blocks of width 256 on 4096 tokens of a vocabulary of 256), decode, floor (against the memory's
bandwidth), static (objectives that need no training) and lengths (exponents of time and memory, also
as --lengths). transformers is in the extra `test`; Mamba's scan is the package mambapy.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from statistics import median

import numpy as np
import torch

from benchmarks import alone, contests, decoding, lengths
from benchmarks.machine import Peak, machine, peak_of
from benchmarks.table import Line, Skipped, heading
from benchmarks.timing import CLOCKS, Clock, Member, Ratio, in_turn
from star_core import SearchSpace, compile_genome

TRAINING = tuple(dict.fromkeys(contest.row for contest in contests.CONTESTS))
ROWS = (*TRAINING, "decode", "floor", "static", "lengths")
GENOMES, PER_SECOND = 400, 2000

NOTES = """
Each peer in the fastest of its variants, which is named. Same width, head size, depth, batch and loss.
Mamba and Mamba-2 have no gated units, so neither have ours beside them; expand=1 gives them our inner
width, and their state is as large as ours. Their output gate, which ours have not, makes them larger:
"x8" and "x9" are ours at about their number of parameters. % peak: of the fp32 or bf16 matmul peak,
measured in the same rounds; FLOPs are those of the spec, times three for forward and backward."""


def training(
    rows: set[str], rounds: int, clock: Clock, peaks: Mapping[bool, Peak]
) -> Iterator[Line | Skipped]:
    """The selected contests."""
    for contest in contests.CONTESTS:
        if contest.row in rows:
            yield from contests.measure(contest, rounds, clock, peaks)
    if "linear" in rows:
        yield from alone.measure(rounds, clock)


def static(rounds: int, clock: Clock) -> Iterator[Line]:
    """Genome → spec → parameters and cache bytes, of random genomes of 24 LIVs."""
    space, rng = SearchSpace.preset("paper", depth=24), np.random.default_rng(0)
    genomes = [space.sample(rng) for _ in range(GENOMES)]

    def work() -> None:
        for genome in genomes:
            arch = compile_genome(genome, space, 256)
            _ = arch.num_parameters, arch.cache_bytes(4096)

    mine = in_turn([Member("ours", work, share=GENOMES)], rounds, clock)["ours"]
    yield Line(
        "compile, parameters, cache; depth 24",
        "goal",
        (1 / median(mine), PER_SECOND),
        Ratio.of(mine, [1 / PER_SECOND] * len(mine)),
        1.0,
    )


def show(title: str, lines: Iterable[Line | Skipped | lengths.Growth]) -> Counter[str]:
    """Prints lines as they come; returns how many there are of each state."""
    print(title, flush=True)
    states: Counter[str] = Counter()
    for line in lines:
        print(line, flush=True)
        states[line.state] += 1
    return states


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default=",".join(ROWS), help=f"some of {','.join(ROWS)}")
    parser.add_argument("--lengths", action="store_true", help="the same as --rows lengths")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="three rounds, fewer decoded tokens")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="cpu", help="of this process, or all time")
    arguments = parser.parse_args()
    rows = {"lengths"} if arguments.lengths else set(arguments.rows.split(","))
    if unknown := rows - set(ROWS):
        parser.error(f"no such rows: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    clock, rounds = CLOCKS[arguments.clock], 3 if arguments.quick else arguments.rounds
    steps = 16 if arguments.quick else decoding.STEPS
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    states: Counter[str] = Counter()
    if rows & set(TRAINING):
        peaks = {False: peak_of(torch.float32, clock), True: peak_of(torch.bfloat16, clock)}
        print(f"{peaks[False]}; {peaks[True]}")
        title = "Training, 4096 tokens: forward, cross entropy, backward"
        states += show(heading(title, "tokens/s"), training(rows, rounds, clock, peaks))
    if "decode" in rows:
        title = f"Cached decoding behind {decoding.PROMPT} tokens, all sequences one step"
        states += show(heading(title, "ms/step"), decoding.measure(rounds, clock, steps))
    if "floor" in rows:
        title = "Decoding against reading all weights and the cache once"
        states += show(heading(title, "ms/step"), decoding.measure_floor(rounds, clock))
    if "static" in rows:
        states += show(heading("Static objectives", "genomes/s"), static(rounds, clock))
    if "lengths" in rows:
        states += show(lengths.heading(), lengths.measure(min(rounds, 3), clock))
    if rows & set(TRAINING):
        print(NOTES)
    found = ", ".join(f"{states[state]} {state}" for state in ("met", "MISSED", "skipped"))
    print(f"\ngoals: {found}; {arguments.clock} clock, {rounds} rounds\n{machine()}")


if __name__ == "__main__":
    main()
