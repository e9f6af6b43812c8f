"""What people call things and how they write numbers: names, paths, encodings, values.

A test of a command that reads any of these draws from here.
"""

from __future__ import annotations

import string

from hypothesis import strategies as st

AMBIGUOUS_NAMES = ("3e-4", "08", "1_000", "yes", "null", "0x1F", "12e03", "0o17", "42", "NO", "True", "0b1")
"""Fit a path, but are numbers, booleans or null in a dialect of YAML."""
INTERNAL_NAMES = (
    "ledger",
    "runs",
    "locks",
    "evaluations",
    "states",
    "tokens",
    "reproduce",
    "datasets",
    "lock",
)
"""Of files that a project has besides those of its runs."""
ODD_FOLDERS = (
    "run [1]",
    "a*b",
    "who?",
    "{x,y}",
    "50%",
    "%41",
    "~",
    "#1",
    "a::b",
    "ü ñ",
    "[!a]",
    "$HOME",
    "a b",
)
"""Folders whose names mean something to a shell, a URL or a pattern; all of them are only names."""

run_names = st.one_of(
    st.sampled_from(INTERNAL_NAMES),
    st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64),
    st.text("0123456789eExob_-", min_size=1, max_size=8),
)
"""Strings that may be wanted as names of runs; not all of them may be one."""
folder_names = st.one_of(
    st.sampled_from(ODD_FOLDERS),
    st.text("ab1 []*?!{},%~$#@:=&+'é", min_size=1, max_size=10).filter(lambda name: name.strip() == name),
)
"""Names that a folder can have."""
encodings = st.sampled_from(("utf-8", "utf-8-sig", "latin-1", "utf-16", "ascii"))
"""In which a text may be stored."""
positive_numbers = st.one_of(st.floats(1e-12, 1e12), st.integers(1, 10**12).map(float))
"""That a parameter may be set to."""


def spellings(number: float) -> list[str]:
    """How people and programs write a number."""
    mantissa, _, exponent = f"{number:.17e}".partition("e")
    short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return [
        repr(number),
        f"{number:.17e}",
        short,
        short.upper(),
        f"+{short}",
        f"{mantissa}e{int(exponent):+d}",
    ]


plain_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_subnormal=False),
        st.text(max_size=20),
        st.sampled_from(AMBIGUOUS_NAMES),
        st.text("0123456789eExob_-+.:", max_size=8),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
"""What a parameter file may hold."""
