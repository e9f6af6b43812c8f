import csv
import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from star_core import build_model
from star_core.analysis.report.report import write_report
from star_core.analysis.report.wording import headline, trade_off
from star_core.analysis.run.candidates import vocab_size_of
from star_core.analysis.run.results import Results
from star_core.errors import StoreError
from star_core.evolution.base import Problem
from star_core.genome import Genome
from star_core.training.checkpoint import save_checkpoint
from tests.analysis.runs import (
    evolve,
    evolve_with_a_lost_generation,
    experiment,
    fill_store,
    store_baselines,
    store_comparison,
    store_run,
)

SIDE_FILES = ("metrics.json", "fronts.csv", "hypervolume.csv")
HOSTILE = '</code><script>alert("1")</script><img src=x onerror=alert(2)>'


class Outline(HTMLParser):
    """Checks that elements nest, and collects what a browser would load."""

    VOID = frozenset({"meta", "br"})

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.tags = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def outline(page):
    parsed = Outline()
    parsed.feed(page)
    assert parsed.open == []
    return parsed


@pytest.fixture(scope="module")
def main(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    problem = experiment(evolution={"seed": 1})
    generations = evolve(problem, 3, failing=40)
    store_run(root, generations)
    store_baselines(root, "test", problem, math.log(6.0), math.log(5.0))
    best = min(generations[-1].front, key=lambda member: member.objectives["perplexity"])
    longer = {"transformer++": (Genome.parse("-".join(["31111", "91111"] * 4)), 1.2)}
    longer |= {best.id: (Genome.parse(best.genome), 1.1)}
    store_comparison(root, "test", problem, "retrain", longer)
    return root, problem, generations


@pytest.fixture(scope="module")
def page(main, tmp_path_factory):
    return write_report("test", main[0], tmp_path_factory.mktemp("out")).read_text()


def test_the_page_is_one_file_that_loads_nothing(page):
    parsed = outline(page)
    assert parsed.loads == []
    assert not parsed.tags & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert not re.search(r"https?://|@import|url\((?!#)", page)


def test_every_member_of_the_front_and_every_baseline_is_on_the_page(main, page):
    for member in main[2][-1].front:
        assert member.genome in page
        assert member.id in page
    assert "Transformer++" in page
    assert "Striped hybrid" in page
    assert main[2][-1].digest in page
    assert "star reproduce test" in page


def test_tables_have_a_title_for_every_cell(page):
    tables = re.findall(r"<table>.*?</table>", page, re.DOTALL)
    assert len(tables) > 8
    for table in tables:
        head, *rows = table.split("<tr")[1:]
        assert rows
        assert {row.count("<td") for row in rows} == {head.count("<th")}


def test_the_same_run_gives_the_same_bytes(main, tmp_path):
    for folder in ("a", "b"):
        write_report("test", main[0], tmp_path / folder)
    for name in (*SIDE_FILES, "report.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_store_adds_times_and_reasons_and_changes_no_numbers(main, tmp_path):
    root, problem, generations = main
    bare = write_report("test", root, tmp_path / "bare").read_text()
    store = fill_store(tmp_path / "store", problem, generations, detail=HOSTILE)
    full = write_report("test", root, tmp_path / "full", store).read_text()
    for name in SIDE_FILES:
        assert (tmp_path / "bare" / name).read_bytes() == (tmp_path / "full" / name).read_bytes()
    evaluated = len({member.key for each in generations for member in each.born})
    seconds = 2 * evaluated
    assert f"{seconds // 60} min {seconds % 60:02d} s" in full
    assert "times are not known" in bare
    assert "&lt;script&gt;" in full
    assert not outline(full).tags & {"script", "img"}


def test_metrics_are_the_numbers_of_the_run(main, tmp_path):
    root, _, generations = main
    write_report("test", root, tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    born = [member for each in generations for member in each.born]
    best = min(member.objectives["perplexity"] for member in generations[-1].front)
    assert metrics["best_perplexity"] == best
    assert metrics["bits_per_byte"] == pytest.approx(math.log2(best))
    assert metrics["front_size"] == len(generations[-1].front)
    assert metrics["evaluated"] == len({member.key for member in born})
    assert metrics["failed"] == sum(member.status != "ok" for member in born) > 0
    varied = [member for member in born if member.origin.operator == "variation"]
    assert metrics["repaired_share"] == sum(bool(member.origin.repairs) for member in varied) / len(varied)
    assert metrics["tokens"] == generations[0].params().training.tokens * metrics["evaluated"]
    assert metrics["baselines"] == {
        "transformer++": pytest.approx(6.0),
        "striped-hybrid": pytest.approx(5.0),
    }


def test_the_curves_are_complete_and_exact(main, tmp_path):
    root, _, generations = main
    write_report("test", root, tmp_path)
    rows = list(csv.DictReader((tmp_path / "fronts.csv").read_text().splitlines()))
    for generation in generations:
        listed = {row["individual"]: row for row in rows if row["generation"] == str(generation.index)}
        assert set(listed) == {member.id for member in generation.front}
        for member in generation.front:
            for name, value in member.objectives.items():
                assert float(listed[member.id][name]) == value
    curve = list(csv.DictReader((tmp_path / "hypervolume.csv").read_text().splitlines()))
    assert [row["generation"] for row in curve] == ["0", "1", "2", "3"]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert float(curve[-1]["hypervolume"]) == metrics["hypervolume"]


def test_what_was_searched_for_is_on_the_page(page):
    for title in ("Motifs", "What rose and what fell", "What goes with a gene", "Guard rails", "Transfer"):
        assert f">{title}</h" in page
    assert "too few" in page


def test_guard_rails_by_generation_position_and_rule(main, page):
    born = [member for each in main[2][1:] for member in each.born]
    varied = [member for member in born if member.origin.operator == "variation"]
    invalid = sum(bool(member.origin.repairs) for member in varied)
    share = round(100 * invalid / len(varied))
    assert f"{invalid} of {len(varied)} offspring ({share} %) were invalid" in page
    groups = sum(fix.position % 5 == 3 for member in varied for fix in member.origin.repairs)
    concerned = sum(any(fix.position % 5 == 3 for fix in member.origin.repairs) for member in varied)
    row = f'<td>feature group</td><td class="n">{groups}</td><td class="n">{concerned}</td>'
    assert row in page
    for index, generation in enumerate(main[2][1:], 1):
        own = [member for member in generation.born if member.origin.operator == "variation"]
        share = round(100 * sum(bool(member.origin.repairs) for member in own) / len(own))
        assert f'<td>{index}</td><td class="n">{len(own)}</td><td class="n">{share} %</td>' in page


@pytest.mark.parametrize(("repair", "said"), [("reject", "places stayed empty"), ("resample", "thrown away")])
def test_children_that_were_not_repaired_are_counted_too(tmp_path, repair, said):
    generations = evolve(experiment(evolution={"repair": repair, "seed": 2}), 2)
    text = report_of(tmp_path, generations)
    assert said in text
    counted = re.search(r"(\d+) of (\d+) children \(\d+ %\) were invalid", text)
    assert 0 < int(counted[1]) < int(counted[2])
    assert not any(member.origin.repairs for each in generations for member in each.born)


def test_candidates_that_were_stopped_are_no_failures(tmp_path):
    problem = experiment(evolution={"seed": 1})
    generations = evolve(problem, 1, failing=0)
    last = generations[-1]
    stopped = [member.model_copy(update={"status": "stopped"}) for member in last.rejected]
    assert stopped
    text = report_of(tmp_path, [generations[0], last.model_copy(update={"rejected": tuple(stopped)})])
    assert f"{len(stopped)} stopped early, 0 failed" in text
    assert "rung of successive halving" in text
    assert "Which failed" not in text
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["stopped"], metrics["failed"]) == (len(stopped), 0)


@pytest.mark.parametrize(
    ("space", "evolution"),
    [({"preset": "full"}, {}), ({"min_depth": 4}, {"crossover": "links"}), ({}, {"algorithm": "firefly"})],
)
def test_other_levels_depths_and_algorithms(tmp_path, space, evolution):
    text = report_of(tmp_path, evolve(experiment(space=space, evolution={"seed": 1, **evolution}), 2))
    assert "What rose and what fell" in text


def report_of(tmp_path, generations):
    store_run(tmp_path, generations)
    text = write_report(generations[0].run, tmp_path, tmp_path / "out").read_text()
    outline(text)
    return text


def test_founders_alone(tmp_path):
    text = report_of(tmp_path, evolve(experiment(), 0, failing=0))
    assert "before any evolution" in text
    assert "no baseline has been trained" in text
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["repaired_share"] is None


def test_a_single_objective(tmp_path):
    text = report_of(tmp_path, evolve(experiment(objectives={"preset": "quality"}), 2))
    assert "The last population" in text


def test_an_objective_that_needs_no_training(tmp_path):
    text = report_of(tmp_path, evolve(experiment(objectives={"names": ["parameters"]}), 1, failing=0))
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["best_perplexity"] is None
    assert "parameters" in text


def test_a_generation_in_which_everything_failed(tmp_path):
    generations = evolve_with_a_lost_generation(experiment(), 3, lost=2)
    text = report_of(tmp_path, generations)
    assert "diverged" in text
    rows = list(csv.DictReader((tmp_path / "out" / "hypervolume.csv").read_text().splitlines()))
    assert rows[1]["hypervolume"] == rows[2]["hypervolume"]
    assert int(rows[2]["failed"]) - int(rows[1]["failed"]) == 8


def test_a_run_that_cannot_meet_its_constraints(tmp_path):
    problem = experiment(objectives={"constraints": {"parameters": 1.0}})
    store_baselines(tmp_path, "test", problem, 1.0, 1.0)
    text = report_of(tmp_path, evolve(problem, 1))
    assert "meets the constraints" in text
    assert "baselines together" not in text
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["front_size"] == 0


def test_a_small_space_a_deep_backbone_and_other_tokens(tmp_path):
    problem = Problem(
        experiment(space={"preset": "lfm2", "depth": 40}, evolution={"population": 4}).params, vocab_size=300
    )
    generations = evolve(problem, 1)
    store_run(tmp_path, generations)
    page = write_report("test", tmp_path, tmp_path / "out").read_text()
    assert "bits/token" in page
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["bits_per_byte"] is None


def test_a_genome_that_compiles_to_something_else_now_is_noticed():
    problem = Problem(experiment(objectives={"preset": "quality"}).params, vocab_size=32_001)
    founders = evolve(problem, 0)[0]
    assert vocab_size_of(founders) == 32_001
    first = founders.born[0].model_copy(update={"digest": "0" * 64})
    with pytest.raises(StoreError, match="the stored digest is not that of this genome"):
        vocab_size_of(founders.model_copy(update={"population": (first,), "rejected": ()}))


def test_text_of_a_hostile_run_is_escaped(tmp_path):
    problem = experiment(data={"source": HOSTILE}, evolution={"population": 4})
    generations = evolve(problem, 1, failing=0)
    store_run(tmp_path, generations)
    genome = Genome.parse(generations[0].population[0].genome)
    store_comparison(tmp_path, "test", problem, "baselines", {HOSTILE: (genome, 1.5)})
    parsed = outline(write_report("test", tmp_path, tmp_path / "out").read_text())
    assert not parsed.tags & {"script", "img"}


def test_a_comparison_of_another_corpus_is_left_out(tmp_path):
    problem = experiment(evolution={"population": 4})
    other = [
        generation.model_copy(update={"data_digest": "e" * 64})
        for generation in evolve(problem, 0, failing=0)
    ]
    store_run(tmp_path, other)
    store_baselines(tmp_path, "test", problem, 1.0, 1.0)
    results = Results.load("test", tmp_path)
    assert results.baselines == ()
    assert "another corpus" in results.notes[0]


def test_no_such_run(tmp_path):
    with pytest.raises(StoreError, match="star evolve absent"):
        write_report("absent", tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("transformer", "hybrid", "said"),
    [
        (9.0, 9.0, "beats both baselines"),
        (9.0, 0.5, "beats Transformer++ but does not beat Striped hybrid"),
        (0.5, 0.5, "nothing beats the baselines yet"),
        (9.0, None, "beats the baseline at equal training"),
    ],
)
def test_the_headline_is_honest(tmp_path, transformer, hybrid, said):
    problem = experiment(evolution={"seed": 3})
    store_run(tmp_path, evolve(problem, 1))
    store_baselines(tmp_path, "test", problem, transformer, hybrid)
    results = Results.load("test", tmp_path)
    assert said in headline(results)
    assert f"{results.value(results.best, 'perplexity'):.3f}" in headline(results)
    assert ("No member" in trade_off(results)) == (transformer == 0.5)


def test_a_comparison_by_other_parameters_is_left_out_and_said_so(tmp_path):
    problem, other = experiment(), experiment(model={"width": 32})
    store_run(tmp_path, evolve(problem, 1))
    store_baselines(tmp_path, "test", other, 2.0, 2.0)
    genome = Genome.parse(evolve(problem, 0)[0].population[0].genome)
    store_comparison(tmp_path, "test", other, "retrain", {"g000-00": (genome, 1.5)})
    results = Results.load("test", tmp_path)
    assert results.baselines == results.retrained == ()
    assert len([note for note in results.notes if "other parameters" in note]) == 2


def test_longer_training_is_no_other_experiment(tmp_path):
    problem, longer = experiment(), experiment(training={"steps": 999})
    store_run(tmp_path, evolve(problem, 1))
    genome = Genome.parse(evolve(problem, 0)[0].population[0].genome)
    store_comparison(tmp_path, "test", longer, "retrain", {"g000-00": (genome, 1.5)})
    assert len(Results.load("test", tmp_path).retrained) == 1


def test_the_best_retrained_model_writes_a_few_lines(main, tmp_path):
    root = Path(shutil.copytree(main[0], tmp_path / "data"))
    best = next(candidate for candidate in Results.load("test", root).retrained if candidate.name[0] == "g")
    path = root / "retrain/test" / f"{best.name}.safetensors"
    save_checkpoint(path, build_model(best.architecture), best.architecture, "paper", {"key": best.key})
    page = write_report("test", root, tmp_path / "out").read_text()
    assert f"What {best.name} writes from the beginning of a document on" in page
    texts = re.findall(r'<pre class="text">(.*?)</pre>', page, re.S)
    assert len(set(texts)) == 3
    assert outline(page).tags >= {"pre"}
    assert write_report("test", root, tmp_path / "again").read_text() == page
    save_checkpoint(path, build_model(best.architecture), best.architecture, "paper", {"key": "another"})
    assert "writes from" not in write_report("test", root, tmp_path / "other").read_text()
    path.write_bytes(path.read_bytes()[:-9])
    assert "writes from" not in write_report("test", root, tmp_path / "cut").read_text()
