"""The package as others install it: what the wheel holds, and a run in a folder that holds nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.flows.projects import ROOT, TINY, corpus, environment_for

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the tracked files, so that building leaves nothing behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).is_file() and name.startswith(
            ("star_core/", "flows/", "pyproject", "setup", "README", "LICENSE")
        ):
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(source)]
    subprocess.run(build, check=True)
    return next(out.glob("*.whl"))


def test_the_wheel_brings_two_packages_and_shadows_nobody_elses_flows(wheel):
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
            "star_core",
            "star_flows",
        }
        assert {"star_core/py.typed", "star_flows/py.typed"} <= set(names)
        packed = {name for name in names if name.endswith(".py")}
    installed = {"star_core": "star_core", "flows": "star_flows"}
    for folder, package in installed.items():
        files = (path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*.py"))
        assert {f"{package}/{path.as_posix()}" for path in files} <= packed


def test_an_installed_wheel_runs_in_an_empty_folder(wheel, tmp_path):
    venv, folder = tmp_path / "venv", tmp_path / "project"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next(venv.glob("lib/python*/site-packages"))
    # Everything it depends on is borrowed, but not this checkout.
    zipfile.ZipFile(wheel).extractall(site)  # as pip lays out a wheel without compiled code
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed))
    star = [str(venv / "bin/python"), "-c", "from star_core.cli import main; main()"]
    folder.mkdir()
    (tmp_path / "home").mkdir()
    environment = {**environment_for(tmp_path / "home"), "PYTHONSAFEPATH": "1"}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*star, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = "import star_core, star_flows; print(star_core.__file__, star_flows.__file__)"
    found = subprocess.run(
        [star[0], "-c", where], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.count(str(site)) == 2
    assert "evolve" in run("--help")
    settings = {**TINY, "generations": 0, "data": {"source": "corpus.txt"}}
    (folder / "corpus.txt").write_text(corpus())
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))
    assert "Report:" in run("evolve")
    assert (folder / "data/reports/main/report.html").exists()
