"""Algorithms against each other: hypervolume per trained token, with one budget, the same founders and seeds.

    python -m benchmarks.algorithms [--suite algorithms|repair|variation] [--seeds 5] [--candidates 160]
    python -m benchmarks.algorithms --contender "nsga2" --contender "eager: tournament=4, mutation_rate=0.05"
    python -m benchmarks.algorithms --train --storage FOLDER --seeds 3 --candidates 80

By default nothing is trained: the quality of an architecture is a made-up smooth function of it (see
``landscape.py``), while parameters and cache are the real ones. That tests the machinery of a search in
seconds and says nothing about language models. With --train every candidate is trained by the recipe of
--params, in a process of its own; finished evaluations are kept in --storage, so that the same command goes
on where it was stopped and no architecture is trained twice.

All searches of a seed begin with the same founders, and hypervolume is taken in their frame, so curves start
equal. "saves" is the baseline's budget over the tokens after which a contender has what the baseline has at
its end, median and range over seeds; a seed that never gets there counts as 0 and is listed as missed. "wins"
counts the seeds in which a contender ends with more hypervolume than the first of the suite.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from benchmarks import landscape
from benchmarks.bands import at, band, grouped, saving, write_csv, write_svg
from benchmarks.searches import Contender, Course, Train, parameters, search
from star_core.config import load_params
from star_core.evaluation import Evaluation
from star_core.evolution.base import ALGORITHMS, Problem
from star_core.population.individual import Offspring

BASELINE = "random_search"
SUITES: Mapping[str, Sequence[str]] = {
    "repair": (
        "guard rails: repair=guard_rails",
        "resample: repair=resample",
        "reject: repair=reject",
    ),
    "variation": (
        "nsga2",
        "cut at LIVs: crossover=livs",
        "links: crossover=links",
        "fitting: mutation=fitting",
        "links, fitting: crossover=links, mutation=fitting",
        "rate 0.05: mutation_rate=0.05",
        "rate 0.05, links, fitting: mutation_rate=0.05, crossover=links, mutation=fitting",
        "no crossover: crossover_rate=0.0",
    ),
    "tokens": (
        "random_search",
        "nsga2",
        "links, fitting: crossover=links, mutation=fitting",
        "screening: crossover=links, mutation=fitting, screening={factor: 8}",
        "full: crossover=links, mutation=fitting, screening={factor: 8}, halving={rungs: [0.3]}",
    ),
}
NO_DATA = "0" * 64


def main() -> None:
    arguments = parse()
    contenders = [contender(text) for text in arguments.contender or suite(arguments.suite)]
    if BASELINE not in {contender.name for contender in contenders}:
        contenders.append(contender(BASELINE))
    sections = sections_of(arguments)
    if arguments.train:
        from benchmarks.trained import Trained  # it imports torch

        with Trained(sections, Path(arguments.storage)) as trained:
            data = trained.data
            courses = run(contenders, sections, arguments, trained.train, data.vocab_size, data.digest)
    else:
        courses = run(contenders, sections, arguments, pretend, 256, NO_DATA)
    report(courses)
    if arguments.out:
        folder = Path(arguments.out)
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(courses, folder / "courses.csv")
        write_svg(courses, folder / "courses.svg")
        print(f"\nwritten: {folder / 'courses.csv'}, {folder / 'courses.svg'}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", choices=("algorithms", *SUITES), default="algorithms")
    parser.add_argument("--contender", action="append", help="algorithm, or NAME: KEY=VALUE, … of evolution")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=160, help="budget of a search, founders included")
    parser.add_argument("--params", default="params.yaml", help="the experiment that contenders change")
    parser.add_argument("--population", type=int)
    parser.add_argument("--depth", type=int)
    parser.add_argument("--objectives", help="preset")
    parser.add_argument("--train", action="store_true", help="train every candidate")
    parser.add_argument("--storage", default=".star/algorithms", help="data and finished evaluations")
    parser.add_argument("--out", help="folder for courses.csv and courses.svg")
    return parser.parse_args()


def suite(name: str) -> Sequence[str]:
    """The contenders of a suite, as text."""
    return ALGORITHMS.names() if name == "algorithms" else SUITES[name]


def contender(text: str) -> Contender:
    """``nsga3``, or ``NAME: KEY=VALUE, …`` with keys of the section ``evolution``."""
    name, _, changes = text.partition(":")
    name = name.strip()
    stated = re.sub(r"(\w+)=", r"\1: ", changes)
    evolution = yaml.safe_load(f"{{{stated}}}")
    return Contender(name, evolution or {"algorithm": name})


def sections_of(arguments: argparse.Namespace) -> dict[str, dict[str, object]]:
    """The experiment that contenders change."""
    sections: dict[str, dict[str, object]] = load_params(arguments.params).model_dump(mode="json")
    for section, key, value in (
        ("evolution", "population", arguments.population),
        ("space", "depth", arguments.depth),
        ("objectives", "preset", arguments.objectives),
    ):
        if value is not None:
            sections[section] = {**sections[section], key: value}
    return sections


def pretend(
    problem: Problem, offspring: Sequence[Offspring], stop: int | None, before: int | None
) -> list[Evaluation]:
    """Evaluations on the made-up landscape, where a part of a training tells as much as all of it."""
    return [landscape.evaluate(problem, child) for child in offspring]


def run(
    contenders: Sequence[Contender],
    sections: Mapping[str, Mapping[str, object]],
    arguments: argparse.Namespace,
    train: Train,
    vocab_size: int,
    data_digest: str,
) -> list[Course]:
    """Every contender with every seed, with a line for each when it is done."""
    print(f"{arguments.candidates} candidates a search, seeds 0 to {arguments.seeds - 1}", flush=True)
    courses = []
    for entry in contenders:
        for seed in range(arguments.seeds):
            params = parameters(sections, entry, seed)
            courses.append(search(params, entry.name, arguments.candidates, vocab_size, data_digest, train))
            if arguments.train:
                print(f"  {entry.name}, seed {seed}: hypervolume {courses[-1].final:.3f}", flush=True)
    return courses


def report(courses: Sequence[Course]) -> None:
    """The table, best first."""
    groups = grouped(courses)
    head = (
        f"{'contender':<26} {'hypervolume: quarter':>21} {'half':>6} {'end (min..max)':>21}  "
        f"{'saves (min..max)':>17} {'missed':>7} {'wins':>6} {'generations':>12} {'invalid':>8}"
    )
    print(f"\n{head}\n{'-' * len(head)}")
    for name in sorted(groups, key=lambda name: -band([course.final for course in groups[name]])[1]):
        print(row(name, groups[name], groups[BASELINE], courses[: len(groups[courses[0].name])]))
    print_causes(groups)


def row(name: str, members: Sequence[Course], baseline: Sequence[Course], rival: Sequence[Course]) -> str:
    """One contender's line."""
    quarter, half = (
        band([at(course, course.tokens[-1] * share) for course in members])[1] for share in (0.25, 0.5)
    )
    low, middle, high = band([course.final for course in members])
    ratios, missed = saving(members, baseline)
    least, usual, most = band(ratios)
    wins = sum(course.final > other.final for course, other in zip(members, rival, strict=True))
    children = sum(course.children.children for course in members)
    invalid = sum(course.children.invalid for course in members)
    return (
        f"{name:<26} {quarter:>21.3f} {half:>6.3f} {f'{middle:.3f} ({low:.3f}..{high:.3f})':>21}  "
        f"{f'{usual:.2f} ({least:.2f}..{most:.2f})':>17} {f'{missed}/{len(members)}':>7} "
        f"{'' if name == rival[0].name else f'{wins}/{len(members)}':>6} "
        f"{band([course.generations for course in members])[1]:>12g} "
        f"{f'{invalid / children:.1%}' if children else '–':>8}"
    )


def print_causes(groups: Mapping[str, Sequence[Course]]) -> None:
    """Which positions were invalid before repair, in per cent of the children."""
    print("\nchildren with an invalid position, before repair")
    for name, members in groups.items():
        children = sum(course.children.children for course in members)
        if not children:
            continue
        genes: dict[str, int] = {}
        for course in members:
            for gene, (_, concerned) in course.children.genes.items():
                genes[gene] = genes.get(gene, 0) + concerned
        told = ", ".join(f"{gene.replace('_', ' ')} {count / children:.1%}" for gene, count in genes.items())
        print(f"  {name:<26} {children:>7} children: {told or 'none'}")


if __name__ == "__main__":
    main()
