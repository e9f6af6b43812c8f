"""The headline of deployment: backbones found for perplexity and decoding time, against hand designs.

    python -m benchmarks.deployed [--folder .star/deployed] [--quick]

The protocol, which was committed before the run it governs:

1. Two searches, as `star evolve` makes them, each with a seed of its own and from random founders of the
   space `extended`: 16 LIVs, width 64, 72 candidates of 100 steps. Objectives are perplexity and the
   seconds of a decoded token behind 4,096 others on ONNX Runtime, one thread; matrices in float32 for the
   first search, in 4 bit for the second. Both have a limit that no founder need meet: 1 / 2.2 of what
   Transformer++ takes, or 1 / 1.4 of what the striped hybrid takes, whichever is less, measured in turns
   before the searches begin. As the search for cache of `benchmarks.headline`, they make eight children
   for each that is trained.
2. Hand designs are Transformer++, the striped hybrid, and one after LFM2: short gated convolutions, every
   third mixer attention with grouped queries, a gated unit behind each. Each trains for as long as the
   final with the choosing seed at four learning rates, and keeps its best.
3. Of a search's last front those whose perplexity is no worse than both baselines' by the search's own
   training stand on a shortlist, the fastest three. They train with the choosing seed at the default
   learning rate. Into the final goes the fastest whose perplexity is no worse than that of the best hand
   design; without any, the one of best perplexity.
4. In the final all of them train with three other seeds. Their decoding times are measured in turns, in
   both precisions, whatever they were searched for.
5. Shown is, for each finalist: at least 2 × the decoding speed of Transformer++ and 1.3 × that of the
   striped hybrid, in both precisions, at no worse mean perplexity; and against the design after LFM2 that
   it is no worse in perplexity and both times, and better in one. What does not hold is printed as such.

Everything is kept in --folder: the same command goes on where it was stopped. --quick makes searches of a
few minutes that show nothing but that all of it works.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.headline import Final, Goal, Scale, choose, search
from benchmarks.headline_table import Finalist, markdown
from benchmarks.jobs import Candidate, baselines
from benchmarks.timing import CLOCKS, Member, Ratio, in_turn
from star_core.architecture import Architecture
from star_core.compiler import compile_genome
from star_core.genome import Genome
from star_core.genome.space import reading_space
from star_core.measurement.alone import one_at_a_time, pin
from star_core.measurement.device import Device
from star_core.measurement.inference import STEPS, Conditions, open_session

TRANSFORMER, HYBRID, LFM2 = "transformer++", "striped-hybrid", "after LFM2"
WANTED: Mapping[str, float] = {TRANSFORMER: 2.0, HYBRID: 1.3}
"""Baseline → how many times faster a finalist is to be."""
LIMITS: Mapping[str, float] = {TRANSFORMER: 2.2, HYBRID: 1.4}
"""Baseline → how many times faster the search's limit is: more than what is wanted, for times have noise."""
LFM2_PATTERN = "797939"
"""Classes: a short convolution and a gated unit, twice, then attention and a gated unit; over and over."""
PRECISIONS = ("f32", "int4")
CONTEXT = 4096
ROUNDS = 31
OBJECTIVE = "decode_seconds_per_token"


@dataclass(frozen=True, slots=True)
class DeployedScale(Scale):
    """How much is spent, and what the searches may take for a token.

    Attributes:
        limits: Precision → most seconds of a decoded token.
    """

    limits: Mapping[str, float] | None = None

    def sections(self, goal: Goal) -> dict[str, object]:
        """The parameter file of a search."""
        precision = goal.run
        assert self.limits is not None
        return {
            "generations": self.generations,
            "space": {"preset": "extended", "depth": self.depth},
            "model": {"width": self.width},
            "training": {"steps": self.steps},
            "objectives": {
                "names": ["perplexity", OBJECTIVE],
                "runtime": "onnxruntime",
                "weights": precision,
                "cache_length": CONTEXT,
                "constraints": {OBJECTIVE: self.limits[precision]},
            },
            "evolution": {
                "population": self.population,
                "seed": PRECISIONS.index(precision),
                **goal.evolution,
            },
            "retrain": {"top": 1, "steps": self.steps},
            "runtime": {"deadline_seconds": 1800},
        }


QUICK = DeployedScale(
    depth=4, width=16, population=4, generations=1, steps=10, final_steps=20, validation_tokens=4096
)
GOALS = tuple(
    Goal(
        precision,
        f"perplexity and decoding time in {words}",
        OBJECTIVE,
        {},
        {"crossover": "links", "mutation": "fitting", "screening": {"factor": 8}},
    )
    for precision, words in zip(PRECISIONS, ("float32", "4 bit"), strict=True)
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", default=".star/deployed", help="runs and finished evaluations")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    scale = QUICK if arguments.quick else DeployedScale()
    folder = Path(arguments.folder).resolve()
    designs = [*baselines(scale.depth), after_lfm2(scale.depth)]
    known = {design.name: compile_genome(design.genome, reading_space(), scale.width) for design in designs}
    scale = replace(scale, limits=limits(known, folder / "limits.json"))
    searches = {goal: search(goal, scale, folder) for goal in GOALS}
    with Final(scale, folder, GOALS[0].run, designs) as final:
        limit = min(final.tune().values())
        chosen = {goal: choose(goal, found, final, limit) for goal, found in searches.items()}
        finalists = final.compete(chosen)
    times = decoding({finalist.name: finalist.architecture for finalist in finalists})
    print()
    print(report(finalists, times, final.spent(searches)))


def after_lfm2(depth: int) -> Candidate:
    """The hand design of LFM2 (arXiv 2511.23404) as a genome of this depth."""
    livs = [f"{LFM2_PATTERN[index % len(LFM2_PATTERN)]}1111" for index in range(depth)]
    return Candidate(LFM2, Genome.parse("-".join(livs)), reading_space())


def limits(designs: Mapping[str, Architecture], file: Path) -> dict[str, float]:
    """Precision → most seconds of a token in a search; measured once, and kept in ``file``."""
    if not file.exists():
        times = decoding({name: designs[name] for name in LIMITS})
        found = {
            # Two digits behind the point, so that it can be written down.
            precision: float(f"{min(median(times[name][precision]) / LIMITS[name] for name in LIMITS):.2e}")
            for precision in PRECISIONS
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found))
    known: dict[str, float] = json.loads(file.read_text())
    print(
        "limits of the searches: " + ", ".join(f"{name} {known[name]:g} s" for name in PRECISIONS), flush=True
    )
    return known


def decoding(architectures: Mapping[str, Architecture]) -> dict[str, dict[str, list[float]]]:
    """Name → precision → seconds of a token in each round, all of them in turns on one core."""
    allowed = os.sched_getaffinity(0)
    with one_at_a_time():
        pin(1)
        members = {}
        for name, architecture in architectures.items():
            for precision in PRECISIONS:
                conditions = Conditions(
                    architecture.vocab_size, 1, CONTEXT, 1, runtime="onnxruntime", weights=precision
                )
                session = open_session(architecture, conditions, Device("cpu"))
                session.fill()
                members[name, precision] = Member(
                    f"{name} {precision}", session.decode, session.rewind, STEPS
                )
        times = in_turn(list(members.values()), ROUNDS, CLOCKS["cpu"])
    os.sched_setaffinity(0, allowed)  # what is started later may use all of them
    return {
        name: {precision: times[members[name, precision].name] for precision in PRECISIONS}
        for name in architectures
    }


def report(finalists: Sequence[Finalist], times: Mapping[str, Mapping[str, list[float]]], spent: str) -> str:
    """Two Markdown tables and what it took."""
    head = ("architecture", "learning rate", "perplexity, mean (of each seed)", "parameters")
    rows = [(*head, *(f"ms a token, {precision}" for precision in PRECISIONS))]
    for finalist in finalists:
        seeds = ", ".join(f"{value:.3f}" for value in finalist.perplexities)
        milliseconds = (f"{1e3 * median(times[finalist.name][precision]):.3f}" for precision in PRECISIONS)
        shown = (f"{finalist.perplexity:.3f} ({seeds})", f"{finalist.parameters:,}")
        rows.append((finalist.name, f"× {finalist.rate:g}", *shown, *milliseconds))
    known = {finalist.name: finalist for finalist in finalists}
    verdicts = [("finalist", "against", "perplexity", *(f"speed, {p}" for p in PRECISIONS), "shown")]
    for finalist in finalists:
        if finalist.name.partition(" ")[0] in PRECISIONS:
            verdicts += [_verdict(finalist, known[rival], times) for rival in (*WANTED, LFM2)]
    genomes = "\n".join(f"- {finalist.name}: `{finalist.architecture.genome}`" for finalist in finalists)
    return f"{markdown(rows)}\n\n{markdown(verdicts)}\n\n{genomes}\n\n{spent}"


def _verdict(
    ours: Finalist, rival: Finalist, times: Mapping[str, Mapping[str, list[float]]]
) -> tuple[str, ...]:
    ratios = [Ratio.of(times[ours.name][p], times[rival.name][p]) for p in PRECISIONS]
    no_worse = ours.perplexity <= rival.perplexity
    wanted = WANTED.get(rival.name, 1.0)
    shown = no_worse and all(ratio.middle >= wanted for ratio in ratios)
    if rival.name == LFM2:
        better = ours.perplexity < rival.perplexity or any(ratio.middle > 1 for ratio in ratios)
        shown = shown and better
    change = f"{ours.perplexity / rival.perplexity - 1:+.1%}"
    return (ours.name, rival.name, change, *map(str, ratios), "yes" if shown else "**NO**")


if __name__ == "__main__":
    main()
