"""What libraries take for granted: a process's user has a name and a home, and loopback needs no proxy."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from urllib.request import getproxies_environment

from star_core.errors import ConfigError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def settle() -> None:
    """Gives this process, and those it starts, what libraries take for granted.

    Raises:
        ConfigError: The user has no home folder, where Prefect, DVC and others keep their files.
    """
    _name_user()
    _require_home()
    _reach_loopback_directly()


def _name_user() -> None:
    """Names a user whom the system does not know, as in a container started for any number."""
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        os.environ["USER"] = f"uid-{os.getuid()}"


def _require_home() -> None:
    try:
        Path.home()
    except RuntimeError:
        raise ConfigError(
            "the user of this process has no home folder, where Prefect and DVC keep files",
            value=os.getuid(),
            place="HOME",
            fix="export HOME=FOLDER, one that can be written to",
        ) from None


def _reach_loopback_directly() -> None:
    """Excludes this machine's own servers from the proxy that the environment names, if it names one."""
    proxies = getproxies_environment()
    excluded = [host.strip() for host in proxies.pop("no", "").split(",") if host.strip()]
    if proxies and "*" not in excluded:
        hosts = ",".join(dict.fromkeys([*excluded, *_LOOPBACK]))
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = hosts
