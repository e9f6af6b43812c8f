"""Installs packages for a test: into a folder that is put on the path of the commands that shall see them."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

PLUGIN = Path(__file__).parent / "plugin"


def install_plugin(folder: Path) -> Path:
    """The package in ``tests/plugin``, as pip would lay it out, without half a minute of pip."""
    settings = tomllib.loads((PLUGIN / "pyproject.toml").read_text())
    project = settings["project"]
    for package in settings["tool"]["setuptools"]["packages"]:
        shutil.copytree(PLUGIN / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return describe(folder, project["name"], project["entry-points"])


def describe(folder: Path, name: str, groups: Mapping[str, Mapping[str, str]]) -> Path:
    """Makes ``folder`` hold an installed package ``name`` with these entry points; returns it."""
    about = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, entries in groups.items():
        lines += [f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder
