"""Where evaluations are kept: an object written, read and removed for real, and a lease taken."""

from __future__ import annotations

import time
from collections.abc import Iterator

from star_core.errors import StarError
from star_core.storage.trial import try_storage

from .finding import Finding, Project, ok, refused, warning

SUBJECT = "storage"


def storage(project: Project) -> Iterator[Finding]:
    """Whether evaluations can be written, read and removed."""
    runtime = project.params.runtime
    location = runtime.storage if "://" in runtime.storage else str(project.root / runtime.storage)
    shown = location + (f" at {runtime.endpoint}" if runtime.endpoint else "")
    began = time.monotonic()
    try:
        trains_once = try_storage(location, runtime.endpoint)
    except StarError as error:
        yield refused(SUBJECT, error)
        return
    took = f"{time.monotonic() - began:.1f} s"
    if trains_once:
        yield ok(SUBJECT, f"{shown}: written, read and removed, leases held ({took})")
    else:
        yield warning(
            SUBJECT,
            f"{shown}: written, read and removed ({took}), but no conditional writes: machines that share it "
            "may train a candidate twice",
            "use a server that knows If-None-Match and If-Match",
        )
