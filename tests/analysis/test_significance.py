from collections import Counter

import numpy as np
import pytest

from star_core.analysis.motifs.encoding import Encoding
from star_core.analysis.motifs.occurrences import Codebook, Motif, motifs_of
from star_core.analysis.motifs.significance import Tail
from star_core.analysis.motifs.trends import trends
from star_core.analysis.run.results import Results
from star_core.compiler import compile_genome
from star_core.evaluation import Evaluation
from star_core.evolution.step import assess, offspring_of, select
from star_core.genome import Genome
from star_core.genome.space import SearchSpace
from tests.analysis.runs import DATA, experiment


def searched(score, seed, generations=10, population=12, **evolution):
    """Results of a search whose losses are ``score(class names, rng)``."""
    problem = experiment(
        evolution={"population": population, "seed": seed, **evolution}, objectives={"preset": "quality"}
    )
    rng, made = np.random.default_rng(seed), []
    for _ in range(generations + 1):
        parent, assessed = made[-1] if made else None, []
        for child in offspring_of(problem, parent):
            spec = problem.compile(Genome.parse(child.genome))
            names = [layer.liv_class.name for layer in spec.layers]
            metrics = {"validation_loss": score(names, rng)}
            done = Evaluation("0" * 64, child.digest, child.genome, "ok", metrics, "", 1, 1, {}, {}, {}, "")
            assessed.append(assess(problem, child, spec, done, DATA))
        made.append(select(problem, "test", parent, assessed, DATA))
    return Results(tuple(made), problem.params, 256, (), (), (), {}, ())


def equal(names, rng):
    return float(rng.normal())


@pytest.mark.parametrize("algorithm", ["nsga2", "firefly", "random_search"])
def test_a_search_among_equals_shows_no_motif_to_be_better(algorithm):
    runs = [searched(equal, seed, 6, 10, algorithm=algorithm) for seed in range(2)]
    found = [trend for results in runs for trend in trends(results)]
    assert len(found) > 25
    assert not any(trend.significant for trend in found)


def test_what_is_selected_for_is_found():
    def score(names, rng):
        return 3 - 0.1 * names.count("GMemless") + float(rng.normal(0, 0.01))

    found = trends(searched(score, 1))
    sure = [trend for trend in found if trend.significant]
    (gated,) = (trend for trend in sure if trend.motif == Motif("class", ("GMemless",)))
    assert gated.change > 0.4
    assert all({"GMemless", "gated unit"} & set(trend.motif.parts) for trend in sure if trend.change > 0)


def test_the_same_run_gives_the_same_rates():
    results = searched(equal, 7, 2)
    assert trends(results) == trends(results)


def test_a_tail_counts_what_reaches_each_level():
    tail = Tail([0.5, 0.25, 0.25, -1.0, 0.0])
    assert tail.levels.tolist() == [0.25, 0.5]
    assert tail.seen.tolist() == [2, 1]
    tail.add(np.array([0.25, 0.3, 0.5, 2.0, 0.1, -3.0]))
    assert tail.expected(9).tolist() == [(1 + 4) / 10, (1 + 2) / 10]
    assert (tail.place(0.25), tail.place(0.5)) == (0, 1)


@pytest.mark.parametrize("preset", ["paper", "full"])
def test_codes_of_many_genomes_are_the_motifs_of_each(preset):
    rng = np.random.default_rng(5)
    space = SearchSpace.preset(preset, 12, 2)
    architectures = [compile_genome(space.sample(rng), space, 32) for _ in range(12)]
    encoding = Encoding.of(architectures)
    genes, book = encoding.encode(architectures), Codebook(encoding)
    listed = Counter(
        (row, motif.group, book.code(motif))
        for row, held in enumerate(motifs_of(encoding, genes))
        for motif in held.elements()
    )
    found = Counter(
        (row, group, code)
        for group, rows, codes in book.found(genes)
        for row, code in zip(rows.tolist(), codes.tolist(), strict=True)
    )
    assert found == listed
    assert sum(listed.values()) > 12 * (12 + 12 + 11 + 10 + 9)
