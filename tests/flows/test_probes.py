"""What objectives want measured besides training, in real runs: an objective from a user's own package."""

import textwrap

import pytest

from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import stored_generations
from tests.flows.projects import ROOT, Project

PACKAGE = """
    from star_core.objectives.base import Objective, register
    from star_core.objectives.probe import Probe, probed

    def measure(architecture, metrics, section):
        return probed(metrics, "joules")

    PROBE = Probe("energy:probe", lambda params, vocab_size: {"volts": 12}, alone=True)
    JOULES = register(Objective("joules", "energy", "J", False, measure, PROBE, noise=0.05))

    def probe(job):
        import os, pathlib, time
        from star_core.evaluation import Evaluation
        running = pathlib.Path(os.environ["ENERGY_LOG"])
        with running.open("a") as file:
            file.write(f"{job.digest} begins\\n")
        time.sleep(0.05)
        with running.open("a") as file:
            file.write(f"{job.digest} ends\\n")
        if int(job.digest[0], 16) < 4:
            raise ValueError("the meter is broken")
        metrics = {"joules": float(int(job.digest[:2], 16)), "joules_spread": 0.25}
        return Evaluation(job.key, job.digest, job.genome, "ok", metrics, "", 0, 0, {"total": 0}, {}, {}, "")
"""


@pytest.fixture
def project(environment, tmp_path):
    package = tmp_path / "package"
    about = package / "energy-1.0.dist-info"
    about.mkdir(parents=True)
    (package / "energy.py").write_text(textwrap.dedent(PACKAGE))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: energy\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[star.objectives]\njoules = energy\n")
    extended = {
        **environment,
        "PYTHONPATH": f"{package}:{ROOT}",
        "ENERGY_LOG": str(tmp_path / "log"),
    }
    return Project.create(
        tmp_path / "project",
        extended,
        generations=1,
        space={"preset": "full", "depth": 4, "min_depth": 2, "classes": 2},
        objectives={"names": ["perplexity", "joules"]},
        training={"steps": 20, "batch_size": 1, "sequence_length": 16, "validation_tokens": 64},
        evolution={"population": 4, "halving": {"rungs": [0.5]}},
        runtime={"workers": 2, "patience_seconds": 1},
    )


def test_a_generation_is_probed_once_and_alone_and_selected_by_what_was_found(project, tmp_path):
    project.run("star", "evolve")
    founders, last = stored_generations("main", project.folder / "data")
    everyone = {member.digest: member for member in (*founders.born, *last.born)}
    for digest, member in everyone.items():
        if int(digest[0], 16) < 4:
            assert member.status == "crashed"
            assert member.objectives == {"perplexity": None, "joules": None}
            assert member.noise is None
        else:
            assert member.objectives["joules"] == int(digest[:2], 16)
            assert member.noise == {"joules": 0.25}
    assert any(member.status == "crashed" for member in everyone.values()), "or this tests nothing"
    assert any(member.ok for member in last.born)
    assert any(member.status == "stopped" for member in last.born)
    lines = (tmp_path / "log").read_text().split("\n")[:-1]
    begun, ended = lines[::2], lines[1::2]
    assert all(line.endswith("begins") for line in begun), "one at a time"
    assert [line.split()[0] for line in begun] == [line.split()[0] for line in ended]
    compared = read_comparison(
        comparison_path("main", "baselines", project.folder / "data"), "main", "baselines"
    )
    baselines = {entry.digest for entry in compared.entries}
    assert sorted(line.split()[0] for line in begun) == sorted({*everyone, *baselines}), "each once"
    assert project.run("star", "evolve").count("energy") == 1  # a column of the table


def test_probes_of_the_device_are_refused_on_a_cluster(project):
    path = project.folder / "params.yaml"
    path.write_text(path.read_text().replace("runtime:", "runtime:\n  runner: dask"))
    output = project.run("star", "evolve", code=2)
    assert "objectives that are measured on the device need a run on that device alone" in output
    assert "runtime.runner: 'dask'" in output
