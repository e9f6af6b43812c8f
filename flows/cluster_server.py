"""A Prefect server that the workers of a cluster share: without one, each would start its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from flows.clusters import LOOPBACK, host_of
from flows.server import prefect_server
from star_core.errors import ConfigError


@contextmanager
def shared_server(address: str | None) -> Iterator[None]:
    """The server Prefect is set up for; where there is none, one on loopback while the block lasts.

    Args:
        address: Of the cluster; ``None``: this machine.

    Raises:
        ConfigError: There is no server, and the cluster is on other machines, which cannot reach loopback.
        StarError: The server does not start.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import PREFECT_API_URL

    if PREFECT_API_URL.value():
        yield
        return
    if address is not None and host_of(address) not in LOOPBACK and address != "auto":
        raise ConfigError(
            "a cluster on other machines reports to a Prefect server that they reach",
            value=address,
            place="runtime.address",
            fix="prefect server start --host ADDRESS, then set PREFECT_API_URL=http://ADDRESS:4200/api",
        )
    with prefect_server(os.environ) as environment:
        os.environ["PREFECT_API_URL"] = environment["PREFECT_API_URL"]
        refresh_global_settings_context()
        try:
            yield
        finally:
            del os.environ["PREFECT_API_URL"]
            refresh_global_settings_context()
