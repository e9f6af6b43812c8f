"""Where other devices' figures lie, and which of them a run means."""

from __future__ import annotations

import json
from pathlib import Path

from star_core.errors import ConfigError, nearest

DEVICES = Path("data") / "devices"


def device_file(name: str) -> Path:
    """Where a device's figures are stored."""
    return DEVICES / f"{name}.json"


def pinned(device: str) -> str:
    """The device's name with the digest of its figures: ``NAME@DIGEST``; as it is where it has one.

    Raises:
        ConfigError: No such device is stored.
    """
    if "@" in device:
        return device
    path = device_file(device)
    try:
        digest = json.loads(path.read_bytes())["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        known = sorted(file.stem for file in DEVICES.glob("*.json"))
        raise ConfigError(
            "no figures of such a device are stored here",
            value=device,
            place=f"objectives.device ({path})",
            fix=nearest(device, known) if known else f"star measure --import measurements.json --as {device}",
        ) from None
    return f"{device}@{digest}"
