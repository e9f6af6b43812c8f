"""Numbers as people read them: k and M, KiB and MiB, percent, minutes."""

from __future__ import annotations

import math
import re

MISSING = "–"
MINUS = "−"


def quantity(value: float | None, unit: str, digits: int = 3) -> str:
    """A value in its unit, with the prefix that suits it: 531 KiB, 850 µs, 1.70 TFLOP, 42.0 %, 1.23 MJ.

    Args:
        value: In the unit itself; of ``%``, a share of 1.
        unit: ``B`` (bytes), ``s``, ``%``, ``count`` (of things: 12.3k), any other unit that takes decimal
            prefixes (``J``, ``FLOP``), or nothing: a plain number.
        digits: That count; of a plain number, decimals.
    """
    if unit == "count":
        return count(value, digits)
    if unit == "B":
        return size(value, digits)
    if unit == "s":
        return time(value, digits)
    if not unit:
        return quality(value, digits)
    if value is None:
        return MISSING
    if unit == "%":
        return f"{_significant(100 * value, digits)} %"
    step = len(_SMALL)
    while step and 0 < abs(value) < 1:
        value, step = value * 1000, step - 1
    return _prefixed(value, 1000, tuple(f"{prefix}{unit}" for prefix in _DECIMAL[step:]), " ", digits)


_PLAIN_DIGITS = 15
"""Beyond so many digits a number is written with its power of ten."""
_SMALL = ("n", "µ", "m")
_DECIMAL = (*_SMALL, "", "k", "M", "G", "T", "P", "E")


def count(value: float | None, digits: int = 3) -> str:
    """A number of things with a decimal prefix: 987, 12.3k, 1.25M, 3.4B (10⁹), 1.8T."""
    return _prefixed(value, 1000, ("", "k", "M", "B", "T", "P"), "", digits)


def flops(value: float | None) -> str:
    """Floating-point operations: 1.72 TFLOP."""
    return quantity(value, "FLOP")


def size(value: float | None, digits: int = 3) -> str:
    """Bytes with a binary prefix: 512 B, 96.5 KiB, 1.5 MiB."""
    return _prefixed(value, 1024, ("B", "KiB", "MiB", "GiB", "TiB"), " ", digits)


def _prefixed(value: float | None, base: int, prefixes: tuple[str, ...], gap: str, digits: int) -> str:
    if value is None:
        return MISSING
    if value == int(value) and abs(value) < base:
        return f"{int(value)}{gap}{prefixes[0]}"
    step = 0
    while abs(value) >= base * 0.9995 and step < len(prefixes) - 1:
        value, step = value / base, step + 1
    return f"{_significant(value, digits)}{gap}{prefixes[step]}"


def _significant(value: float, digits: int) -> str:
    if math.isinf(value):  # of a finite number in another unit
        return "∞" if value > 0 else f"{MINUS}∞"
    exponent = int(f"{value:.{digits - 1}e}".split("e")[1])
    if abs(exponent) > _PLAIN_DIGITS:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{min(max(digits - 1 - exponent, 0), digits)}f}"


def trimmed(text: str) -> str:
    """A formatted number without needless zeros, as on an axis: ``2.00 MiB`` → ``2 MiB``."""
    return re.sub(r"\.0+(?!\d)|(\.\d*?[1-9])0+(?!\d)", r"\1", text)


def quality(value: float | None, digits: int = 3) -> str:
    """A perplexity or bits per byte: three decimals, fewer for large values, so that columns align."""
    if value is None:
        return MISSING
    if 0 < abs(value) < 10**-digits:
        return f"{value:.{digits}g}"
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:.{digits + 1}g}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share of a whole: 42 %."""
    return MISSING if share is None else f"{100 * share:.{digits}f} %"


def signed(value: float, digits: int = 2) -> str:
    """A plain number of any sign: 0.50, −0.25; never −0.00."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", MINUS)


def change(value: float | None, reference: float | None) -> str:
    """Relative difference to a reference: −13 %, +4 %, −99.7 %, ±0 %."""
    if value is None or not reference:
        return MISSING
    difference = 100 * (value / reference - 1)
    if reference < 0:
        difference = -difference
    fine = abs(difference) < 9.95 or -99.95 < difference < -99
    text = f"{abs(difference):.1f}" if fine else f"{abs(difference):.0f}"
    if float(text) == 0:
        return "±0 %"
    return f"{'+' if difference > 0 else MINUS}{text} %"


def time(seconds: float | None, digits: int = 3) -> str:
    """Time that a machine takes for something small: 850 µs, 1.25 ms, 2.1 s."""
    if seconds is None:
        return MISSING
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if abs(seconds) * factor < 999.5:
            return f"{_significant(seconds * factor, digits)} {unit}"
    return f"{_significant(seconds, digits)} s"


def duration(seconds: float | None) -> str:
    """Wall time: 12 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None:
        return MISSING
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def plural(number: int, singular: str, several: str | None = None) -> str:
    """``1 generation``, ``2 generations``."""
    return f"{number:,} {singular if number == 1 else several or singular + 's'}"
