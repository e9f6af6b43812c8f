import io
import json

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text

from star_core.analysis.terminal.front_table import front_table
from star_core.analysis.terminal.output import plain
from star_core.analysis.terminal.retrained_table import retrained_table
from star_core.analysis.terminal.table import Column, TerminalTable
from star_core.genome.baselines import baseline
from star_core.objectives.perplexity import Bits
from star_core.population.comparison import comparison_path, read_comparison
from tests.analysis.runs import evolve, experiment, store_baselines, store_comparison


def printed(table, width=100):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(table, crop=False)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 250])
@pytest.mark.parametrize("depth", [8, 24])
def test_the_front_fits_and_no_genome_or_number_is_wrapped_or_cut(tmp_path, depth, width):
    problem = experiment(space={"depth": depth}, model={"width": 64})
    last = evolve(problem, 2)[-1]
    store_baselines(tmp_path, "test", problem, 2.0, None)
    baselines = read_comparison(comparison_path("test", "baselines", tmp_path), "test", "baselines")
    table = front_table(last, baselines)
    text = printed(table, width)
    for line in text.splitlines():
        assert len(line) <= width or "-" in line.split()[-1]  # a genome longer than the terminal stays whole
    assert ("No room here for: classes" in text) == (width < 250 or depth > 8)
    assert "…" not in text
    for member in last.front:
        assert member.id in text
        assert member.genome in text
    for number in ("7.389", "Striped hybrid"):
        assert number in text
    records = json.loads(json.dumps(plain(table.records())))
    assert {record["genome"] for record in records} >= {member.genome for member in last.front}
    assert records[0]["perplexity"] == min(member.objectives["perplexity"] for member in last.front)


def test_one_objective_shows_the_population():
    last = evolve(experiment(objectives={"preset": "quality"}), 1, failing=0)[-1]
    text = printed(front_table(last))
    assert all(member.id in text for member in last.population)
    assert "population of generation 1" in text


def test_an_empty_front_is_an_empty_table():
    made = evolve(experiment(), 0)[0]
    failed = tuple(member.model_copy(update={"status": "crashed"}) for member in made.population)
    lost = made.model_copy(update={"population": failed})
    assert "front of generation 0" in printed(front_table(lost))


PETS = TerminalTable(
    "Pets",
    (
        Column("name"),
        Column("weight", "grams", "{:,} g".format, right=True),
        Column("colour", gives_way=1),
        Column("habits", prose=True, gives_way=2, below=True),
    ),
    (("Rex", 31_000, "brown", "sleeps all day long, wherever the sun is"), ("Tom", 4_500, None, "")),
    styles={1: "dim"},
    rules=frozenset({1}),
)


def test_columns_go_in_their_order_and_are_named():
    assert printed(PETS, 70) == (
        "Pets\n"
        "name    weight  colour  habits\n"
        "Rex   31,000 g  brown   sleeps all day long, wherever the sun is\n"
        "─────────────────────────────────────────────────────────────────\n"
        "Tom    4,500 g  –\n"
    ).replace("─" * 65, "─" * 64)
    folded = printed(PETS, 50)
    assert "sleeps all day long," in folded
    assert "brown" in folded
    narrow = printed(PETS, 40)
    assert "No room here for: colour." in narrow
    assert "brown" not in narrow
    below = printed(PETS, 30)
    assert "\n  habits  sleeps all day" in below
    assert below.count("habits") == 1  # nothing stands below Tom


def test_where_nothing_fits_rows_are_blocks_and_nothing_is_left_out():
    text = printed(PETS, 13)
    assert "grams" not in text
    for line in ("name    Rex", "weight  31,000 g", "colour  brown", "name    Tom", "weight  4,500 g"):
        assert line in text.splitlines()
    assert "No room" not in text


def test_records_hold_values_and_json_knows_them():
    records = plain(PETS.records())
    assert records[1] == {"name": "Tom", "grams": 4_500, "colour": None, "habits": ""}
    assert plain({"a": float("nan"), 1: (0.1, {"b"})}) == {"a": None, "1": [0.1, ["b"]]}


def test_styles_of_cells_are_kept():
    table = TerminalTable("", (Column("", shown=lambda value: Text(value, "bold")),), (("x",),))
    console = Console(width=20, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(table)
    assert "\x1b[1mx" in console.file.getvalue()


def test_a_retraining_is_listed_best_first_with_what_failed_at_the_end(tmp_path):
    problem, rng = experiment(), np.random.default_rng(0)
    losses = {
        "transformer++": (baseline("transformer++", 8), 1.5),
        "g001-01": (problem.space.sample(rng), 1.9),
        "g001-02": (problem.space.sample(rng), None),
        "g001-03": (problem.space.sample(rng), 1.2),
    }
    store_comparison(tmp_path, "test", problem, "retrain", losses)
    comparison = read_comparison(comparison_path("test", "retrain", tmp_path), "test", "retrain")
    table = retrained_table(comparison, 256, Bits(1.0))
    assert [row["name"] for row in table.records()] == ["g001-03", "transformer++", "g001-01", "g001-02"]
    assert table.records()[-1]["status"] == "diverged"
    text = printed(table)
    assert text.index("g001-03") < text.index("Transformer++") < text.index("g001-01") < text.index("g001-02")
    assert "4 architectures retrained, best first" in text
