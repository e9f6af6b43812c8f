"""The project folder: parameters, git, DVC and its remote."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import ClientConnectionError

from star_core.errors import StarError
from star_core.evolution.base import Problem

from ..run.requirements import check_folders
from ..versions import dvc as versioning
from ..versions.cache import Output, is_here, locked_outputs, objects, opened, repository, uncached
from .finding import Finding, Project, named, ok, problem, refused, shown_url, warning

KEPT = ("dvc.lock", "dvc.yaml", "data/ledger.yaml")
"""Files that say what a run is; git has to have them."""


def parameters(project: Project) -> Iterator[Finding]:
    """The parameter file of the command, and those of all runs."""
    for file in dict.fromkeys([project.file, *(project.run(run).params_file for run in project.runs)]):
        try:
            params = Project(project.root, file).params
            size = Problem(params, vocab_size=256).space.depth
        except StarError as error:
            yield refused("parameters", error)
        else:
            section = params.evolution
            yield ok(
                "parameters",
                f"{file}: depth {size}, width {params.model.width}, population {section.population}, "
                f"{params.training.tokens:,} tokens each, {section.algorithm}",
            )


def folders(project: Project) -> Iterator[Finding]:
    """Whether what a run writes can be written."""
    try:
        check_folders(project.paths)
    except StarError as error:
        yield refused("folders", error)
    else:
        yield ok("folders", f"can be written to, below {project.root}")


def git(project: Project) -> Iterator[Finding]:
    """Whether git has what says how the runs were made."""
    try:
        top = _git(project, "rev-parse", "--show-toplevel")
        changed = _git(project, "status", "--porcelain", "--", *KEPT, project.file).splitlines()
    except FileNotFoundError:
        yield warning("git", "is not installed", "install it: DVC needs it to keep versions")
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())
        if "dubious ownership" in said:
            text = "refuses the folder, which belongs to another user"
            yield problem("git", text, f"git config --global --add safe.directory {project.root}")
        elif "not a git repository" in said:
            yield warning("git", f"{project.root} is in no repository", "git init")
        else:
            yield problem("git", f"refuses the folder: {said[:160]}", "git status says the same")
    else:
        names = ", ".join(line[3:] for line in changed)
        if names:
            yield warning("git", f"not committed: {names}", "git add -A && git commit -m 'A run'")
        else:
            yield ok("git", f"{top}, runs are committed")


def _git(project: Project, *command: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(project.root), *command],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=True,
        timeout=5,
    )
    return done.stdout.rstrip("\n")


def dvc(project: Project) -> Iterator[Finding]:
    """The DVC repository and its stages."""
    if (folder := repository(project.paths)) is None:
        yield warning("DVC", "no repository: generations are not versioned", "dvc init (and git init before)")
        return
    if not versioning.is_versioned(project.paths):
        yield problem("DVC", "there is no dvc.yaml", "copy it from the project's repository")
        return
    try:
        versioning.check(project.paths)
    except StarError as error:
        yield refused("DVC", error)
    else:
        where = "" if folder == project.root else f" at {folder}"
        yield ok("DVC", f"repository{where} with {len(versioning.STAGES)} kinds of stages")


def cache(project: Project) -> Iterator[Finding]:
    """Whether DVC's cache, which ``dvc push`` copies, holds what is stored here; what is not here yet."""
    paths = project.paths
    outputs = locked_outputs(paths) if versioning.is_versioned(paths) else []
    if not outputs:
        return
    lacking = uncached(paths, outputs)
    stored = [output for output in lacking if is_here(paths, output)]
    absent = [output for output in lacking if output not in stored]
    if stored:
        names = stages(stored)
        yield warning(
            "DVC cache", f"lacks what is stored here: {named(names)}", f"dvc commit {' '.join(names)}"
        )
    if absent:
        fix = "star evolve and dvc repro make it, dvc pull --allow-missing fetches it"
        yield ok("DVC cache", f"not here yet: {named(stages(absent))}", fix)
    if not lacking:
        yield ok("DVC cache", f"holds all {len(stages(outputs))} stages of dvc.lock")


def stages(outputs: Iterable[Output]) -> list[str]:
    """The stages of outputs, each once."""
    return list(dict.fromkeys(output.stage for output in outputs))


def remote(project: Project) -> Iterator[Finding]:
    """Where ``dvc push`` keeps a second copy, whether it answers, and holds what the cache does."""
    if repository(project.paths) is None:
        return
    with opened(project.paths) as repo:
        name: str | None = repo.config["core"].get("remote")
        if name is None or name not in repo.config["remote"]:
            yield warning(
                "DVC remote",
                "none: what is stored is on this machine only",
                "dvc remote add -d NAME s3://bucket/dvc, then dvc push",
            )
            return
        outputs = locked_outputs(project.paths)
        lacking = uncached(project.paths, outputs)
        kept = {
            output: objects(repo.cache.local, output.digest) for output in outputs if output not in lacking
        }
        shown = f"{name}: {shown_url(str(repo.config['remote'][name].get('url')))}"
        try:
            there: Any = repo.cloud.get_remote(name)
            there.fs.ls(there.path)
            wanted = {digest for digests in kept.values() for digest in digests}
            by_version = there.fs.version_aware or there.worktree  # keeps files by their names
            pushed = wanted if by_version or not wanted else set(there.odb.oids_exist(wanted))
        except FileNotFoundError as error:
            # Nothing was pushed yet; but a missing bucket, or a web server that is away, is said so as well.
            if "bucket" not in str(error).lower() and not isinstance(error.__cause__, ClientConnectionError):
                yield warning("DVC remote", f"{shown}, nothing pushed yet", "dvc push")
            else:
                yield _unreachable(shown, error)
        except Exception as error:  # each file system has exceptions of its own
            yield _unreachable(shown, error)
        else:
            unpushed = stages(output for output, digests in kept.items() if not pushed.issuperset(digests))
            if unpushed:
                yield warning("DVC remote", f"{shown}, lacks {named(unpushed)}", "dvc push")
            else:
                yield ok("DVC remote", shown)


def _unreachable(shown: str, error: Exception) -> Finding:
    said = shown_url(" ".join(f"{type(error).__name__}: {error}".split()))[:160]
    fix = "see `dvc remote list`, and the credentials (docs/running.md)"
    return problem("DVC remote", f"{shown} cannot be reached: {said}", fix)
