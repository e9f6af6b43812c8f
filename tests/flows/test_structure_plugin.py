"""A run whose genomes bring classes of another package's structure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.flows.projects import ROOT, Project
from tests.test_structure_plugin import site

__all__ = ["site"]


@pytest.fixture(scope="module")
def project(environment: dict[str, str], site: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished run that admits the structure."""
    project = Project.create(
        tmp_path_factory.mktemp("structure") / "project",
        {**environment, "PYTHONPATH": f"{site}:{ROOT}"},
        generations=1,
        space={"preset": "full", "depth": 4, "classes": 3, "novelty": 1.0, "structures": ["delta"]},
        evolution={"population": 6, "mutation_rate": 0.2, "seeds": ["z1111-91111-z1112-z1113"]},
    )
    project.run("star", "evolve")
    return project


def test_it_is_sampled_trained_planned_and_reported(project):
    founders = json.loads((project.folder / "data/populations/main/gen_000.json").read_text())
    assert founders["parameters"]["space"]["structures"] == ["delta"]
    with_delta = [member for member in founders["population"] if "z111" in member["genome"]]
    assert len(with_delta) >= 2
    assert all(member["status"] == "ok" for member in with_delta)
    shown = project.run("star", "inspect", f"main:{with_delta[0]['id']}")
    assert "gated delta rule" in shown
    project.run("star", "report")
    page = (project.folder / "data/reports/main/report.html").read_text()
    assert "delta rule" in page
    assert "Delta-" in page
    planned = project.run("star", "plan", "--generations", "3")
    assert "delta rule" in " ".join(planned.split())


def test_without_the_package_the_run_says_what_is_missing(project):
    alone = Project(project.folder, {**project.environment, "PYTHONPATH": str(ROOT)})
    refused = alone.run("star", "evolve", "--generations", "2", code=2)
    assert "space.structures: 'delta': no such structure" in refused
