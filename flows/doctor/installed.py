"""Packages beside the bounds of this one, and beside the versions it is tested with."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from star_core.config import Data, Evolution, Objectives
from star_core.exported.format import EXPORT_FORMATS
from star_core.structures.registered import STRUCTURES

from .finding import Finding, Project, ok, problem, warning

PACKAGE = "star-open"
_CONSTRAINT = re.compile(r"([A-Za-z0-9._-]+)==(\S+)")
_CUDA = re.compile(r"""^cuda\b[^=]*=\s*['"]([\d.]+)['"]""", re.MULTILINE)


def python(project: Project) -> Iterator[Finding]:
    """The interpreter."""
    wanted = metadata.metadata(PACKAGE)["Requires-Python"] or ""
    version = platform.python_version()
    if SpecifierSet(wanted).contains(version, prereleases=True):
        yield ok("Python", f"{version}, {platform.machine()} {platform.system()}")
    else:
        yield problem("Python", f"{version}, {wanted} is needed", f"make an environment with Python {wanted}")


def packages(project: Project) -> Iterator[Finding]:
    """Missing and unsupported packages one by one; the others in one row."""
    wanted = [
        requirement
        for requirement in map(Requirement, metadata.requires(PACKAGE) or [])
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]
    bad = 0
    for requirement in wanted:
        found = version_of(requirement.name)
        if found is None:
            bad += 1
            yield problem(requirement.name, "is not installed", f"pip install '{requirement}'")
        elif not requirement.specifier.contains(found, prereleases=True):
            bad += 1
            why = " (Prefect 3.8 fails with it)" if requirement.name in ("fastapi", "sqlalchemy") else ""
            yield problem(
                requirement.name,
                f"{found}, {requirement.specifier} is needed{why}",
                f"pip install '{requirement}'",
            )
    tested = tested_versions(project)
    other = {
        requirement.name: (found, known)
        for requirement in wanted
        if (found := version_of(requirement.name))
        and (known := tested.get(requirement.name.lower()))
        and known != found.partition("+")[0]
        and requirement.specifier.contains(found, prereleases=True)
    }
    if other:
        shown = ", ".join(f"{name} {found} ({known})" for name, (found, known) in other.items())
        yield warning(
            "packages",
            f"within bounds, but others than are tested (in brackets): {shown}",
            "pip install --constraint constraints.txt --editable .",
        )
    elif not bad:
        said = "as tested" if tested else "within bounds"
        yield ok(
            "packages", f"{len(wanted)} {said}, prefect {version_of('prefect')}, dvc {version_of('dvc')}"
        )


def torch(project: Project) -> Iterator[Finding]:
    """PyTorch's build and the device of candidates; neither is loaded or initialised."""
    version, spec = version_of("torch"), find_spec("torch")
    if version is None or spec is None or spec.origin is None:
        return  # ``packages`` says so
    found = _CUDA.search(Path(spec.origin).with_name("version.py").read_text(encoding="utf-8"))
    build = f"{version.partition('+')[0]} for " + (f"CUDA {found[1]}" if found else "CPU")
    cards = gpus()
    shown = f"{cards} GPU{'s' if cards > 1 else ''}" if cards else "no GPU"
    if project.params.training.accelerator == "gpu" and not cards:
        yield problem(
            "torch", f"{build}, {shown}, but training.accelerator is gpu", "set training.accelerator: auto"
        )
    elif cards and not found:
        yield warning("torch", f"{build}, though there is {shown}", "install a build of torch for CUDA")
    else:
        yield ok("torch", f"{build}, {shown}")


def plug_ins(project: Project) -> Iterator[Finding]:
    """What other packages bring but cannot be loaded, and what is wanted but not there."""
    params = project.params
    for registry in (Objectives.plugins, Evolution.plugins, Data.plugins, STRUCTURES, EXPORT_FORMATS):
        for broken in registry.broken:
            yield problem("plug-in", str(broken), f"mend or uninstall {broken.package}")
    known = {*Evolution.plugins.names(), *Objectives.plugins.names(), *STRUCTURES.names()}
    for wanted in (params.evolution.algorithm, *params.objectives.selected, *params.space.structures):
        if wanted not in known:
            yield problem("plug-in", f"{wanted} is not installed", "pip install the package that brings it")


def gpus() -> int:
    """NVIDIA GPUs of this machine, as the driver lists them."""
    folder = Path("/proc/driver/nvidia/gpus")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def version_of(name: str) -> str | None:
    """The installed version of a package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def tested_versions(project: Project) -> dict[str, str]:
    """Exact versions in ``constraints.txt`` of the project or of this package's source, if there is one."""
    for folder in (project.root, Path(__file__).parents[2]):
        path = folder / "constraints.txt"
        if path.is_file():
            pairs = map(_CONSTRAINT.match, path.read_text(encoding="utf-8").splitlines())
            return {found[1].lower(): found[2] for found in pairs if found}
    return {}
