"""A user's own package, with a plug-in of each kind, through everything that a run goes through."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from star_core.config import load_params
from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import stored_generations
from tests.flows.projects import ROOT, Project
from tests.packages import describe, install_plugin

WITHOUT = {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def project(environment, tmp_path_factory):
    """A project whose run was made with an objective, an algorithm and a dataset of the package."""
    folder = tmp_path_factory.mktemp("plugin")
    package = install_plugin(folder / "site")
    made = Project.create(
        folder / "project",
        {**environment, "PYTHONPATH": f"{package}:{ROOT}"},
        generations=1,
        data={"source": "sums", "sums": {"largest": 60}},
        objectives={"names": ["perplexity", "energy_joules"], "energy_joules": {"tokens": 1000}},
        evolution={"population": 4, "algorithm": "newest", "newest": {"share": 0.5}},
    )
    made.planned = made.run("star", "plan", "--no-calibrate")
    made.shown = made.run("star", "evolve")
    return made


def joules(project, run):
    return {member.digest: member.objectives["energy_joules"] for member in newest(project, run).population}


def newest(project, run):
    return stored_generations(run, project.folder / "data")[-1]


def test_the_run_is_made_by_the_objective_the_algorithm_and_the_dataset(project):
    last = newest(project, "main")
    assert sum(member.born == 1 for member in last.population) == 2, "half of them, as newest.share says"
    assert all(value > 0 for value in joules(project, "main").values())
    assert last.parameters["objectives"]["energy_joules"] == {"tokens": 1000}
    assert last.parameters["evolution"]["newest"] == {"share": 0.5}
    meta = json.loads((project.folder / "data/tokens/main/meta.json").read_text())
    assert meta["data"]["sums"] == {"largest": 60}
    assert "sums of numbers up to 60" in meta["sources"]
    assert "energy: measured of each candidate" in project.planned


def test_values_are_printed_in_the_unit_of_the_objective(project):
    joule = re.compile(r"\b\d+\.?\d* [mµ]J\b")
    assert len(joule.findall(project.shown)) >= len(newest(project, "main").front)
    assert re.search(r"\bperplexity +energy\b", project.shown)
    project.run("star", "report")
    page = (project.folder / "data/reports/main/report.html").read_text()
    assert "<dd>perplexity, energy</dd>" in page
    assert joule.search(page)


def test_dvc_watches_the_settings(project):
    assert "generation@main" not in project.run("dvc", "status")
    path = project.folder / "params.yaml"
    before = path.read_text()
    path.write_text(before.replace("share: 0.5", "share: 0.25"))
    try:
        assert "generation@main-001" in project.run("dvc", "status")
        refused = project.run("star", "evolve", "--generations", "2", code=2)
    finally:
        path.write_text(before)
    assert "evolution.newest.share: 0.25: generation 0 of run 'main' was made with 0.5" in refused


def test_a_fork_with_other_settings_measures_only_what_depends_on_them(project):
    before = project.evaluations()
    change = ("--generations", "1", "--set")
    project.run("star", "resume", "main", "--as", "longer", *change, "objectives.energy_joules.tokens=2000")
    assert project.evaluations() == before, "the tokens are no condition of the probe"
    once, twice = joules(project, "main"), joules(project, "longer")
    assert twice == {digest: pytest.approx(2 * value) for digest, value in once.items()}
    project.run("star", "resume", "main", "--as", "hotter", *change, "objectives.energy_joules.watts=65.0")
    new = [json.loads(text) for name, text in project.evaluations().items() if name not in before]
    assert len(new) >= len(once)
    assert all(list(evaluation["metrics"]) == ["joules_per_flop"] for evaluation in new)
    stated = load_with(project, "params-hotter.yaml")["objectives"]["energy_joules"]
    assert stated == {"tokens": 1000, "watts": 65.0}
    misspelt = project.run(
        "star", "resume", "main", "--as", "wrong", "--set", "objectives.energy_joules.wats=1.0", code=2
    )
    assert "objectives.energy_joules.wats: 'wats': no such key. Fix: did you mean 'watts'?" in misspelt


def load_with(project, name):
    return yaml.safe_load((project.folder / name).read_text())


def test_a_generation_is_made_again_with_the_settings(project):
    assert "within tolerance" in project.run("star", "reproduce", "main", "--tolerance", "0.9")


def test_the_command_and_the_commands_that_only_look_work(project):
    assert project.run("star", "example") == "15 W, 1,000 tokens\n"
    project.run("star", "genes")
    project.run("star", "inspect", "main:g000-00")


def test_without_its_package_a_run_can_be_looked_at_but_not_go_on(project):
    alone = Project(project.folder, {**project.environment, **WITHOUT})
    refused = alone.run("star", "evolve", "--generations", "2", code=2)
    assert "evolution.algorithm: 'newest': no such algorithm" in refused
    assert "pip install the package that brings it by an entry point in star.algorithms" in refused
    alone.run("star", "inspect", "main:g000-00")
    alone.run("star", "report")
    page = (project.folder / "data/reports/main/report.html").read_text()
    assert "<dd>perplexity, energy_joules</dd>" in page, "the bare name of what is not installed"
    examined = alone.run("star", "doctor", code=1)
    assert "newest is not installed" in examined
    assert "energy_joules is not installed" in examined
    assert load_params(project.folder / "params.yaml").identity() == newest(project, "main").parameters


def test_a_package_that_cannot_be_loaded_is_named_and_stops_nobody_else(project, tmp_path):
    modules = {
        "no_such_import": "import a_module_that_is_nowhere",
        "no_algorithm": "from star_core.evolution.base import register; register('newest', 3)",
        "no_command": "def register(app): raise RuntimeError('not today')",
    }
    folder = describe(
        tmp_path / "site",
        "careless-plugins",
        {
            "star.objectives": {"energy": "no_such_import"},
            "star.algorithms": {"newest": "no_algorithm"},
            "star.commands": {"never": "no_command:register"},
        },
    )
    for name, line in modules.items():
        (folder / f"{name}.py").write_text(line + "\n")
    careless = Project(project.folder, {**project.environment, "PYTHONPATH": f"{folder}:{ROOT}"})
    looked = careless.run("star", "inspect", "transformer++")
    assert "star: cannot be loaded: package careless-plugins, entry point 'never = no_command:" in looked
    refused = careless.run("star", "evolve", "--generations", "2", code=2)
    assert "package careless-plugins, entry point 'newest = no_algorithm' in star.algorithms: 3: " in refused
    assert "an algorithm has the methods vary and survive" in refused
    assert "Traceback" not in refused
    examined = " ".join(careless.run("star", "doctor", code=1).split())
    assert "mend or uninstall careless-plugins" in examined


LIMITS = {"stateful_layers": 2, "parameters": 9000}


def over_a_limit(candidate):
    return any(candidate.objectives[name] > limit for name, limit in LIMITS.items())


def test_the_files_of_the_documentation_work_as_they_stand(environment, tmp_path):
    groups = {
        "objectives": "star.objectives",
        "evolution": "star.algorithms",
        "datasets": "star.datasets",
    }
    text = (ROOT / "docs/extending.md").read_text()
    files = re.findall(r"```python\n# star_core/(\w+)/(\w+)\.py\n(.*?)```", text, re.DOTALL)
    assert {kind for kind, *_ in files} == set(groups)
    named = {groups[kind]: {name: f"documented_{name}"} for kind, name, _ in files}
    folder = describe(tmp_path / "site", "documented", named)
    for _, name, content in files:
        (folder / f"documented_{name}.py").write_text(content)
    project = Project.create(
        tmp_path / "project",
        {**environment, "PYTHONPATH": f"{folder}:{ROOT}"},
        generations=1,
        data={"source": "sums"},
        objectives={
            "names": ["perplexity", "stateful_layers"],
            "constraints": LIMITS,
        },
        evolution={"population": 2, "algorithm": "newest"},
    )
    said = project.run("star", "evolve")
    values = [member.objectives["stateful_layers"] for member in newest(project, "main").population]
    assert len(values) == 2
    assert set(values) <= {0.0, 1.0, 2.0, 3.0}
    # Who is over the limit, which is known without training, was not trained; the baselines were.
    generations = stored_generations("main", project.folder / "data")
    born = [member for generation in generations for member in generation.born]
    over = {member.id for member in born if over_a_limit(member)}
    assert over == {member.id for member in born if member.status == "infeasible"}
    assert 0 < len(over) < len(born), "or this tests nothing"
    assert len(project.evaluations()) == len(born) - len(over) + 2
    assert said.count("1 of them over a limit, not trained") == len(over) == 2
    compared = read_comparison(
        comparison_path("main", "baselines", project.folder / "data"), "main", "baselines"
    )
    assert all(entry.status == "ok" for entry in compared.entries)
    assert any(map(over_a_limit, compared.entries))
    shown = project.run("star", "inspect", "main:g000-01")
    assert "g000-01: infeasible (stateful_layers is 3, the limit 2)" in shown
    assert json.loads(project.run("star", "plan", "--no-calibrate", "--generations", "2", "--json"))
