"""Memory as the system counts it."""

import sys

import pytest

from star_core.measurement.memory import held_bytes, peak_bytes, reset_peak

MIB = 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_is_what_was_held_at_the_most_since_the_reset():
    assert reset_peak()
    before = held_bytes()
    content = bytearray(b"x") * (64 * MIB)
    assert held_bytes() - before >= 63 * MIB
    del content
    assert held_bytes() - before < 8 * MIB
    assert peak_bytes() - before >= 63 * MIB
    assert reset_peak()
    assert peak_bytes() - before < 8 * MIB


def test_a_system_that_tells_less_still_has_a_peak(monkeypatch, tmp_path):
    from star_core.measurement import memory

    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    monkeypatch.setattr(memory, "_CLEAR", tmp_path / "no" / "folder")
    assert min(peak_bytes(), held_bytes()) > MIB
    assert not reset_peak()
