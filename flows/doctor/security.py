"""What others could read or reach: credentials on disk, servers without a password."""

from __future__ import annotations

import configparser
import os
import re
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from prefect.settings import get_current_settings

from ..server.process import PORT
from ..versions.cache import repository
from .finding import Finding, Project, ok, problem, shown_url, warning
from .listening import is_loopback, public_ports

_SECRET = re.compile(r"secret|password|token|account_key|connection_string|sas", re.IGNORECASE)
_ELSEWHERE = ("configpath", "credentialpath", "keyfile", "ask_password")
"""Settings of DVC that name where a secret is, or ask for it."""
CLUSTER_PORTS = {
    8265: "Ray's dashboard",
    10001: "Ray's client port",
    8786: "Dask's scheduler",
    8787: "Dask's dashboard",
}


def credentials(project: Project) -> Iterator[Finding]:
    """Files with secrets in them that others on this machine can read, or that git keeps."""
    files = credential_files(project)
    for path in files:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield warning(
                "credentials",
                f"others on this machine can read {path} (mode {mode:03o})",
                f"chmod 600 {path}",
            )
        else:
            yield ok("credentials", f"{path} is its owner's alone")
    versions = (repository(project.paths) or project.root) / ".dvc"
    for name in ("config", "config.local"):
        path = versions / name
        for remote, key in secrets_in(path) if name == "config" else ():
            yield problem(
                "credentials",
                f"{path}, which git keeps, has {key} of remote {remote}",
                f"remove it there, change the secret, and dvc remote modify --local {remote} {key} …",
            )
    if not files:
        yield ok("credentials", "no file with secrets; those of the environment are used")


def credential_files(project: Project) -> list[Path]:
    """Files that exist and hold secrets."""
    told = os.environ.get
    shared = Path(told("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser()
    config = Path(told("AWS_CONFIG_FILE", "~/.aws/config")).expanduser()
    own = (repository(project.paths) or project.root) / ".dvc" / "config.local"
    found = [shared] if shared.is_file() else []
    return found + [path for path in (config, own) if path.is_file() and secrets_in(path)]


def secrets_in(path: Path) -> list[tuple[str, str]]:
    """Sections and keys of an INI file whose values are secrets; never the values."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return []
    return [
        (re.sub(r"""^['"]?remote\s+|["']""", "", section), key)
        for section in parser.sections()
        for key, value in parser.items(section)
        if value and _SECRET.search(key) and key not in _ELSEWHERE
    ]


def prefect_server(project: Project) -> Iterator[Finding]:
    """Whether strangers could give the Prefect server orders, or read its password on the way."""
    settings = get_current_settings()
    subject, guarded = "Prefect access", bool(settings.server.api.auth_string)
    fix = (
        "set PREFECT_SERVER_API_AUTH_STRING=user:password for the server and PREFECT_API_AUTH_STRING for all"
    )
    found = []
    host = settings.server.api.host
    if not is_loopback(host) and not guarded:
        text = f"PREFECT_SERVER_API_HOST is {host}, and a server started so asks for no password"
        found.append(warning(subject, text, f"{fix}, or leave the host at 127.0.0.1"))
    port = PORT
    if settings.api.url:
        url = urlsplit(settings.api.url)
        port = url.port or PORT
        if url.scheme == "http" and url.hostname and not is_loopback(url.hostname):
            secret = settings.api.auth_string or settings.api.key
            text = f"{shown_url(settings.api.url)}: " + (
                "its password crosses the network in clear" if secret else "no encryption and no password"
            )
            found.append(warning(subject, text, "use https://" + ("" if secret else f", and {fix}")))
    if port in public_ports() and _is_open(port):
        text = f"a server without password listens on port {port} for all machines"
        found.append(warning(subject, text, f"{fix}, or start it with --host 127.0.0.1"))
    yield from found or [ok(subject, "this machine only, or with a password")]


def _is_open(port: int) -> bool:
    """Whether a Prefect server on this machine answers somebody without a password."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/flow_runs/count", b"{}", {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=3) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def cluster_ports(project: Project) -> Iterator[Finding]:
    """Whether strangers could hand work to a cluster: neither Ray nor Dask asks for a password by itself."""
    reachable = sorted(public_ports() & CLUSTER_PORTS.keys())
    for port in reachable:
        yield warning(
            "cluster access",
            f"port {port} listens for all machines, which is where {CLUSTER_PORTS[port]} is",
            "let only machines you trust reach it (a firewall, a private network), or bind it to 127.0.0.1",
        )
    if not reachable and project.params.runtime.on_cluster:
        yield ok("cluster access", "no cluster of this machine listens for others")
