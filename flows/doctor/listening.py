"""Sockets of this machine that other machines can reach."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path

_LISTENING = "0A"


def public_ports() -> set[int]:
    """TCP ports that something listens on at an address which is not loopback (Linux; else none)."""
    found = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, *_ = line.split()
            host, port = local.split(":")
            if state == _LISTENING and not _address(host).is_loopback:
                found.add(int(port, 16))
    return found


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by any of its loopback names."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address as the kernel writes it: words of four bytes in this machine's order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    content = b"".join(struct.pack("=I", word) for word in words)
    if len(content) == 4:
        return ipaddress.IPv4Address(content)
    address = ipaddress.IPv6Address(content)
    return address.ipv4_mapped or address
