"""The Prefect server of one command, where there is no other: it ends with the command, however that ends.

Prefect would start one by itself. That one outlives a command that was killed, for ever and with its hands
on the database of the next; Ctrl-C ends it before what it is to be told; and each worker of a cluster would
start another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from flows.server import prefect_server
from star_core.errors import ConfigError


@contextmanager
def server_at_hand(address: str | None = None) -> Iterator[None]:
    """The server Prefect is set up for; if there is none, one on loopback while the block lasts.

    Args:
        address: Of a cluster that was there before, and stays; ``None``: there is none such.

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
    with prefect_server(os.environ, services=False) as environment:
        os.environ["PREFECT_API_URL"] = environment["PREFECT_API_URL"]
        refresh_global_settings_context()
        try:
            yield
        finally:
            del os.environ["PREFECT_API_URL"]
            refresh_global_settings_context()
