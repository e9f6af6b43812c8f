"""A Prefect server that the workers of a cluster share: without one, each would start its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from flows.server import prefect_server
from star_core.errors import ConfigError


@contextmanager
def shared_server(address: str | None) -> Iterator[None]:
    """The server Prefect is set up for; for a cluster that is started here, one on loopback if there is none.

    Args:
        address: Of the cluster; ``None``: it is started here, and ends with the command, as its server does.

    Raises:
        ConfigError: There is no server for a cluster that is there already. Its workers remember the first
            one they hear of, and cannot reach this machine's loopback.
        StarError: The server does not start.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import PREFECT_API_URL

    if PREFECT_API_URL.value():
        yield
        return
    if address is not None:
        raise ConfigError(
            "the workers of a cluster report to a Prefect server that they reach and that stays",
            value=address,
            place="runtime.address",
            fix="prefect server start --host ADDRESS, then export PREFECT_API_URL=http://ADDRESS:4200/api",
        )
    with prefect_server(os.environ) as environment:
        os.environ["PREFECT_API_URL"] = environment["PREFECT_API_URL"]
        refresh_global_settings_context()
        try:
            yield
        finally:
            del os.environ["PREFECT_API_URL"]
            refresh_global_settings_context()
