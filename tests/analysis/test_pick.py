"""Picking within limits, against a search through all candidates written out once more."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from star_flows.commands.pick import Export, pick_command

from star_core.analysis.run.lineage import individuals
from star_core.analysis.run.pick import Contender, check_known, pick
from star_core.analysis.terminal.output import plain, plain_console
from star_core.config import Objectives, Params
from star_core.errors import ConfigError, StoreError
from star_core.genome import Genome
from star_core.objectives.base import violation
from tests.analysis.runs import evolve, experiment, store_comparison, store_run

NAMES = ("perplexity", "parameters", "file_bytes")


def contender(index, values, limits=()):
    known = dict(zip(NAMES, map(float, values), strict=True))
    broken = violation(known, Objectives(constraints=dict(limits)))
    return Contender(f"g000-{index:02}", "11111", "0" * 64, known, broken)


@given(
    st.lists(st.tuples(*[st.integers(1, 6)] * 3), max_size=12),
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 6)),
)
def test_the_choice_is_the_best_within_and_a_limit_costs_what_its_absence_gives(rows, limits):
    limits = {name: float(limit) for name, limit in limits.items()}
    made = [contender(index, row, limits) for index, row in enumerate(rows)]
    found = pick(made, NAMES, limits)

    def best(bounds):
        inside = [c for c in made if all(c.objectives[name] <= limit for name, limit in bounds.items())]
        return min((c.objectives["perplexity"] for c in inside), default=None)

    assert (found.choice and found.choice.objectives["perplexity"]) == best(limits)
    assert set(found.without) == set(limits)
    for name, other in found.without.items():
        others = {key: limit for key, limit in limits.items() if key != name}
        assert (other and other.objectives["perplexity"]) == best(others)
    if found.choice is None:
        assert found.front == ()
        violations = sorted(c.violation for c in made)[: len(found.nearest)]
        assert [c.violation for c in found.nearest] == violations
        assert bool(found.nearest) == bool(made)
        return
    assert found.nearest == ()
    assert found.choice in found.front
    for member in found.front:
        values = [member.objectives[name] for name in NAMES]
        for other in made:
            theirs = [other.objectives[name] for name in NAMES]
            assert not (theirs != values and all(a <= b for a, b in zip(theirs, values, strict=True)))
    shown = [member.objectives["perplexity"] for member in found.front]
    assert shown == sorted(shown)


@pytest.fixture(scope="module")
def generations():
    return evolve(experiment(), 2, "main", failing=40)


@pytest.fixture
def root(generations, tmp_path):
    store_run(tmp_path / "data", generations)
    return tmp_path


def trained(generations):
    return {name: member for name, member in individuals(generations).items() if member.ok}


def answer(root, limits=(), best="perplexity", changes=(), retrained=False, export=None):
    return pick_command(root, "main", None, changes, limits, best, retrained, export)


def test_all_that_were_ever_trained_are_candidates(root, generations):
    members = trained(generations)
    found = answer(root, ["parameters=200000"])
    inside = {n: m.objectives["perplexity"] for n, m in members.items() if m.objectives["parameters"] <= 2e5}
    assert found.code == 0
    assert found.data["candidates"] == len(members) > len(generations[-1].population)
    assert found.data["choice"].id == min(inside, key=inside.get)
    (price,) = found.data["limits"]
    values = {name: member.objectives["perplexity"] for name, member in members.items()}
    best = min(values, key=values.get)
    assert (price["name"], price["limit"], price["over"]) == ("parameters", 2e5, 0.0)
    assert (price["candidate_without"], price["best_without"]) == (best, values[best])
    json.dumps(plain(found.data), allow_nan=False)


def test_what_is_known_from_the_spec_may_be_limited_under_other_conditions(root, generations):
    smallest = min(trained(generations).values(), key=lambda member: member.objectives["parameters"])
    whole, quarter = (
        answer(root, best="file_bytes", limits=["file_bytes=1e9"], changes=changes).data["choice"]
        for changes in ((), ("objectives.weights=int4",))
    )
    assert whole.objectives["file_bytes"] == 4 * smallest.objectives["parameters"]
    assert quarter.objectives["file_bytes"] < whole.objectives["file_bytes"] / 4
    cache = answer(root, best="cache_bytes", changes=["objectives.cache_length=1"]).data["choice"]
    assert cache.objectives["cache_bytes"] < min(
        member.objectives["cache_bytes"] for member in trained(generations).values()
    )


def test_with_nobody_inside_the_nearest_are_told_with_what_they_miss(root, generations):
    found = answer(root, ["parameters=100", "cache_bytes=1e9"])
    assert found.code == 1
    assert (found.data["choice"], found.data["front"]) == (None, [])
    least = min(member.objectives["parameters"] for member in trained(generations).values())
    first = found.data["nearest"][0]
    assert first["parameters"] == least
    assert f"{least / 100 - 1:.1%}".replace("%", " %") in first["over_the_limits"]
    parameters, cache = found.data["limits"]
    assert parameters["over"] == least / 100 - 1
    assert cache["over"] == 0
    assert cache["candidate_without"] is None, "the other limit is what nobody meets"
    assert parameters["candidate_without"] is not None


@pytest.mark.parametrize("width", [60, 100, 400])
@pytest.mark.parametrize("limits", [["parameters=200000", "file_bytes=7e5"], ["parameters=100"], []])
def test_people_read_units_names_and_what_limits_cost(root, width, limits):
    found = answer(root, limits)
    console = plain_console(file=io.StringIO(), width=width)
    for part in found.parts:
        console.print(part)
    said = console.file.getvalue()
    joined = " ".join(said.split())
    assert max(map(len, said.splitlines())) <= max(width, 70), "only what is never cut is wider"
    rows = found.data["front"] or found.data["nearest"]
    assert all(row["genome"] in said for row in rows)
    if len(limits) == 2:
        assert "684 KiB" in said
        assert "without it" in said
        assert f"{found.data['choice'].id} has the best perplexity of" in joined
        assert "the same command with --export FOLDER" in joined
    elif limits:
        assert "none of" in joined
        assert f"{rows[0]['name']} comes nearest" in joined
        assert "over 100" in joined
    else:
        assert "limit" not in joined.replace("over the limits", "")


def test_a_limit_that_does_not_bind_costs_nothing(root):
    found = answer(root, ["parameters=1e12"])
    assert found.data["limits"][0]["candidate_without"] == found.data["choice"].id
    (limits,) = (part for part in found.parts if getattr(part, "title", "").startswith("What limits cost"))
    assert limits.rows[0][-1] == "the same: it costs nothing"


def test_only_what_was_retrained_is_picked_from_if_that_is_asked_for(root, generations):
    with pytest.raises(StoreError, match=r"nothing of this run was retrained.*star retrain main"):
        answer(root, retrained=True)
    problem = experiment()
    names = list(trained(generations))[:3]
    losses = {
        name: (Genome.parse(individuals(generations)[name].genome), loss)
        for name, loss in zip(names, (1.0, 0.5, None), strict=True)
    }
    store_comparison(root / "data", "main", problem, "retrain", losses)
    found = answer(root, retrained=True)
    assert found.data["candidates"] == 2
    assert found.data["choice"].id == names[1]
    # Beside what the search knows of them, without mixing the two.
    everyone = answer(root, best="perplexity", limits=["perplexity=1e9"])
    values = {name: member.objectives["perplexity"] for name, member in trained(generations).items()}
    assert everyone.data["choice"].id == min(values, key=values.get)
    shown = {row["name"]: row.get("retrained") for row in everyone.data["front"]}
    for name, value in shown.items():
        assert value is None or name in names[:2]


@pytest.mark.parametrize(
    ("limits", "best", "changes", "message"),
    [
        (["parameters"], "perplexity", (), r"--max: 'parameters': a limit reads NAME=VALUE.*e\.g\."),
        (["parameters=many"], "perplexity", (), "a limit reads NAME=VALUE"),
        (["parameters=nan"], "perplexity", (), "a limit reads NAME=VALUE"),
        (["parametres=3"], "perplexity", (), "no such objective.*did you mean 'parameters'"),
        (["parameters=3", "parameters=4"], "perplexity", (), "a limit is stated once"),
        ((), "perplexityy", (), "did you mean 'perplexity'"),
        (
            ["decode_seconds_per_token=0.1"],
            "perplexity",
            (),
            r"this run did not measure it.*star resume main --as NAME --set 'objectives.names=\[perplexity, "
            r"parameters, cache_bytes, decode_seconds_per_token\]'.*star measure main:NAME",
        ),
        ((), "mad_error", (), "this run did not measure it"),
        ((), "perplexity", ("training.steps=3",), r"only what is asked of them can be changed.*objectives"),
        ((), "perplexity", ("objectives.weights=int3",), "weights"),
    ],
)
def test_what_cannot_be_asked_is_one_message(root, limits, best, changes, message):
    with pytest.raises(ConfigError, match=message):
        answer(root, limits, best, changes)


def test_what_was_measured_elsewhere_is_not_compared():
    section = {"names": ["perplexity", "decode_seconds_per_token"]}
    made = Params(objectives=section)
    check_known(section["names"], "main", made, made, 256)
    check_known(section["names"], "main", made, Params(objectives={**section, "mad_steps": 1}), 256)
    for other in ({"weights": "int4"}, {"cache_length": 8}):
        with pytest.raises(ConfigError, match=r"measured it under other conditions.*star measure main:NAME"):
            check_known(section["names"], "main", made, Params(objectives={**section, **other}), 256)


def test_a_folder_in_use_is_refused_before_anything_is_trained(root, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(ConfigError, match="a new or empty folder"):
        answer(root, export=Export(tmp_path / "full"))
    # Nobody inside: nothing is trained, and the answer is no.
    assert answer(root, ["parameters=1"], export=Export(tmp_path / "new")).code == 1
    assert not (tmp_path / "new").exists()
