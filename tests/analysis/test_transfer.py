import math

import pytest

from star_core.analysis.report.report import write_report
from star_core.analysis.report.transfer_sections import transfer
from star_core.analysis.run.results import Results
from star_core.analysis.run.transfer import metrics, studies
from star_core.config import params_from
from star_core.evolution.base import Problem
from star_core.genome import Genome
from star_core.genome.baselines import baseline
from star_core.genome.scaling import at_depth
from tests.analysis.runs import (
    evolve,
    experiment,
    generation,
    individual,
    store_baselines,
    store_comparison,
    store_run,
)

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def run():
    problem = experiment(evolution={"seed": 1, "population": 12})
    return problem, evolve(problem, 2, failing=0)


@pytest.fixture
def searched(run, tmp_path):
    problem, generations = run
    store_run(tmp_path / "data", generations)
    store_baselines(tmp_path / "data", "test", problem, math.log(6.0), math.log(5.0))
    return tmp_path / "data", problem, generations


def retrain(root, problem, generations, losses, **place):
    front = sorted(generations[-1].front, key=lambda member: member.objectives["perplexity"])
    found = {
        member.id: (Genome.parse(member.genome), loss) for member, loss in zip(front, losses, strict=False)
    }
    store_comparison(root, "test", problem, "retrain", found, generation=generations[-1].digest, **place)
    return list(found)


def larger(problem, **sections):
    stated = problem.params.identity()
    return Problem(
        params_from({**stated, **{k: {**stated[k], **v} for k, v in sections.items()}}, "test"), 256
    )


def test_longer_training_in_the_same_order(searched, tmp_path):
    root, problem, generations = searched
    names = retrain(root, problem, generations, [1 + 0.1 * k for k in range(6)])
    assert len(names) >= 5
    (study,) = studies(Results.load("test", root))
    assert [point.name for point in study.points] == names
    assert study.correlations["perplexity"].tau == 1.0
    assert set(study.correlations) == {"perplexity", "parameters", "cache_bytes", "flops_per_token"}
    stated = metrics([study])["retrain"]
    assert stated["candidates"] == len(names)
    assert stated["parameters"]["tau"] == study.correlations["parameters"].tau
    page = write_report("test", root, tmp_path).read_text()
    assert "longer training" in page
    assert "1.00 [1.00, 1.00]" in page
    assert "An interval without width is no certainty" in page
    assert "not a sample" in page


def test_more_parameters_are_expected_to_be_better(searched):
    root, problem, generations = searched
    results = Results.load("test", root)
    front = sorted(generations[-1].front, key=lambda member: member.objectives["perplexity"])
    sizes = {member.id: results.candidates[member.id].architecture.num_parameters for member in front}
    assert len(set(sizes.values())) == len(sizes)
    retrain(root, problem, generations, [2 - sizes[member.id] / 1e6 for member in front])
    (study,) = studies(Results.load("test", root))
    assert study.correlations["parameters"].tau == 1.0


def test_fewer_than_five_are_too_few(searched, tmp_path):
    root, problem, generations = searched
    retrain(root, problem, generations, [1.0, 1.1, 1.2])
    (study,) = studies(Results.load("test", root))
    assert study.correlations["perplexity"].too_few
    page = write_report("test", root, tmp_path).read_text()
    assert "too few" in page
    assert metrics([study])["retrain"]["perplexity"] == {"tau": None, "low": None, "high": None}


def test_a_name_that_means_another_genome_is_left_out(searched):
    root, problem, generations = searched
    first, second = generations[-1].front[:2]
    found = {first.id: (Genome.parse(second.genome), 1.0), second.id: (Genome.parse(second.genome), 1.0)}
    store_comparison(root, "test", problem, "retrain", found, generation=generations[-1].digest)
    (study,) = studies(Results.load("test", root))
    assert [point.name for point in study.points] == [second.id]


def test_other_sizes_are_studied_by_what_the_search_knew(searched, tmp_path):
    root, problem, generations = searched
    retrain(root, problem, generations, [1.0])
    front = sorted(generations[-1].front, key=lambda member: member.objectives["perplexity"])
    wide = larger(problem, model={"width": 128}, space={"depth": 16}, training={"steps": 300})
    losses = {
        member.id: (at_depth(Genome.parse(member.genome), 16), 1 + 0.1 * k) for k, member in enumerate(front)
    }
    losses["transformer++"] = (baseline("transformer++", 16), 0.5)
    for file, digest in (("a", generations[-1].digest), ("b", generations[0].digest), ("c", "f" * 64)):
        store_comparison(root, "test", wide, "scaled", losses, file=file, generation=digest)
    results = Results.load("test", root)
    assert [scaled.name for scaled in results.scaled] == ["a", "b"]
    assert any("'c'" in note and "another search" in note for note in results.notes)
    _, study, again = studies(results)
    assert (study.name, again.title) == ("scaled/a", f"{study.title}, b")
    assert study.title == "16 LIVs × width 128 (307k tokens)"
    small = results.candidates[front[0].id].architecture
    point = next(point for point in study.points if point.name == front[0].id)
    assert point.estimates["parameters"] == small.num_parameters
    assert point.estimates["perplexity"] == front[0].objectives["perplexity"]
    assert point.reached == pytest.approx(math.exp(1.0))
    assert len(study.points) == len(front) + 1
    assert "16 LIVs × width 128" in write_report("test", root, tmp_path).read_text()


def measured(name, genome, **values):
    return individual(name, genome, perplexity=2.0, **values)


def test_sizes_are_compared_with_what_was_measured():
    genomes = ["11111-11111", "31111-31111", "51111-51111", "71111-71111", "91111-91111", "11111-91111"]
    params = experiment(
        space={"depth": 2}, objectives={"names": ["perplexity", "decode_seconds_per_token"]}
    ).params
    problem = Problem(params, 256)
    caches = [problem.compile(Genome.parse(genome)).cache_bytes(4096) for genome in genomes]
    members = [
        measured(f"g000-{slot:02d}", genome, decode_seconds_per_token=1e-3 + cache * 1e-9)
        for slot, (genome, cache) in enumerate(zip(genomes, caches, strict=True))
    ]
    members[0] = members[0].model_copy(update={"status": "stopped"})
    results = Results((generation(0, members),), params, 256, (), (), (), {}, ())
    (study,) = studies(results)
    assert (study.name, len(study.points)) == ("decode_seconds_per_token", 6)
    assert study.correlations["cache_bytes"].tau == 1.0
    assert "perplexity" not in study.correlations
    shown = transfer(results, [study])
    ((_, pictures),) = shown["pictures"]
    assert len(pictures) == 3
    assert not any("not a sample" in finding for finding in shown["findings"])


@pytest.mark.parametrize(
    ("stated", "title"),
    [
        ({}, "measured on onnxruntime (f32)"),
        ({"runtime": "openvino", "weights": "int4", "threads": 2}, "measured on openvino (int4, 2 threads)"),
        ({"device": f"pi5@{'0' * 64}"}, "as the figures of the device pi5 predict it (f32)"),
    ],
)
def test_a_study_of_measurements_names_what_was_measured_on(stated, title):
    names = {"names": ["perplexity", "decode_seconds_per_token"]}
    params = experiment(space={"depth": 1}, objectives={**names, **stated}).params
    member = measured("g000-00", "91111", decode_seconds_per_token=1e-3)
    results = Results((generation(0, [member]),), params, 256, (), (), (), {}, ())
    (study,) = studies(results)
    assert study.title == title
    findings = transfer(results, [study])["findings"]
    gone = any("figures of this device are not stored here any more" in text for text in findings)
    assert gone == ("device" in stated)


def test_a_report_says_how_far_a_devices_predictions_are_off(tmp_path, monkeypatch):
    from tests.objectives.test_devices import CONTEXT, PROMPT, WIDTH, fitted

    monkeypatch.chdir(tmp_path)
    fitted().write(tmp_path / "data" / "devices" / "pi5.json")
    names = ["perplexity", "decode_seconds_per_token"]
    lengths = {"prompt_length": PROMPT, "cache_length": CONTEXT}
    stated = {"names": names, **lengths, "device": "pi5"}
    params = experiment(space={"depth": 1}, model={"width": WIDTH}, objectives=stated).params
    member = measured("g000-00", "91111", decode_seconds_per_token=1e-3)
    results = Results((generation(0, [member]),), params, 256, (), (), (), {}, ())
    findings = transfer(results, studies(results))["findings"]
    assert any("Predicted time per token: median error 0.0 %" in text for text in findings)


def test_a_stopped_candidate_is_no_proxy(searched):
    root, problem, generations = searched
    retrain(root, problem, generations, [1.0, 1.1, 1.2])
    stopped = studies(Results.load("test", root))[0].points[0].name
    results = Results.load("test", root)
    member = results.individuals[stopped]
    results.individuals[stopped] = member.model_copy(update={"status": "stopped"})
    (study,) = studies(results)
    assert stopped not in {point.name for point in study.points}


def test_nothing_to_compare_is_no_section(tmp_path):
    store_run(tmp_path, evolve(experiment(), 1))
    results = Results.load("test", tmp_path)
    assert studies(results) == []
    assert transfer(results, []) is None


def test_names_from_files_are_escaped(searched, tmp_path):
    root, problem, generations = searched
    front = generations[-1].front
    losses = {HOSTILE: (Genome.parse(front[0].genome), 1.0)}
    losses |= {member.id: (Genome.parse(member.genome), 1.0 + k) for k, member in enumerate(front)}
    for file in ("x", "y<b>"):
        store_comparison(root, "test", problem, "scaled", losses, file=file, generation=generations[0].digest)
    page = write_report("test", root, tmp_path).read_text()
    assert "y&lt;b&gt;" in page
    assert "<script" not in page
    assert "y<b>" not in page
