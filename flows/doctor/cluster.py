"""The cluster that candidates are trained on, where they are."""

from __future__ import annotations

from collections.abc import Iterator

from star_core.errors import StarError

from ..clusters.open import require_reachable
from .finding import Finding, Project, ok, refused


def cluster(project: Project) -> Iterator[Finding]:
    """Whether the runner is installed and something answers at its address."""
    runtime = project.params.runtime
    if not runtime.on_cluster:
        yield ok("runner", "local: processes of this machine")
        return
    try:
        require_reachable(runtime)
    except StarError as error:
        yield refused("runner", error)
    else:
        where = f"at {runtime.address}" if runtime.address else "started on this machine for each command"
        yield ok("runner", f"{runtime.runner}, {where}")
