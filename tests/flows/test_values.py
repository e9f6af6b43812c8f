"""Runs by an objective of a user's own that is negative, sometimes no number, and sometimes an exception."""

import json
import textwrap

import pytest

from star_core.population.generation import stored_generations
from tests.flows.projects import ROOT, Project

PACKAGE = """
    from star_core.objectives.base import Objective, register

    def measure(architecture, metrics, section):
        kind = int(architecture.digest[0], 16)
        if kind < 3:
            raise ValueError("no [/margin] here | `x` <b>")
        return float("nan") if kind < 6 else -1.0 * architecture.num_parameters

    MARGIN = register(Objective("margin", "margin", "", False, measure))
"""


@pytest.fixture
def project(environment, tmp_path):
    package = tmp_path / "package"
    about = package / "margin-1.0.dist-info"
    about.mkdir(parents=True)
    (package / "margin.py").write_text(textwrap.dedent(PACKAGE))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: margin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[star.objectives]\nmargin = margin\n")
    return Project.create(
        tmp_path / "project",
        {**environment, "PYTHONPATH": f"{package}:{ROOT}"},
        generations=1,
        objectives={"names": ["perplexity", "margin"]},
        evolution={"population": 8, "screening": {"factor": 2, "minimum": 3}},
    )


def test_the_run_goes_on_and_says_who_failed_why(project):
    said = project.run("star", "evolve")
    founders, last = stored_generations("main", project.folder / "data")
    everyone = {member.id: member for member in (*founders.born, *last.born)}
    for member in everyone.values():
        kind = int(member.digest[0], 16)
        assert member.failure == (
            "margin: ValueError: no [/margin] here | `x` <b>"
            if kind < 3
            else "margin is nan"
            if kind < 6
            else None
        )
        assert member.status == ("ok" if kind >= 6 else "crashed")
        if member.failure:
            assert f"{member.id}: crashed ({member.failure})" in said
    assert any(member.failure for member in everyone.values()), "or this tests nothing"
    assert last.front
    assert all(member.objectives["margin"] < 0 for member in last.front)
    said = project.run("star", "plan", "--generations", "2", "--json")
    ahead = json.loads(said[said.index("{") :])
    assert ahead["candidates_left"] == 8


def test_a_limit_that_nobody_can_meet_is_refused_before_anything_is_trained(project):
    path = project.folder / "params.yaml"
    path.write_text(path.read_text().replace("  names:", "  constraints: {parameters: 100}\n  names:"))
    for command in (("evolve",), ("baselines",), ("generation", "--index", "0")):
        if command[0] == "baselines":
            project.run("star", "prepare")
        output = project.run("star", *command, code=2)
        assert "no architecture of this search space has less than" in output
        assert "objectives.constraints.parameters" in output
    assert not project.evaluations()
