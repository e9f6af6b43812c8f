"""Sockets of this machine that other machines can reach."""

from __future__ import annotations

import ipaddress

import psutil


def public_ports() -> set[int]:
    """TCP ports that something listens on at an address which is not loopback; none where nobody tells."""
    try:
        found = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # macOS tells it to root alone
        return set()
    return {
        socket.laddr.port
        for socket in found
        if socket.status == psutil.CONN_LISTEN and not is_loopback(socket.laddr.ip)
    }


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by any of its loopback names."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").removeprefix("::ffff:")).is_loopback
    except ValueError:
        return False
