"""What people call things and how they write numbers: names, paths, encodings, values.

A test of a command that reads any of these draws from here.
"""

from __future__ import annotations

import string
from typing import Any

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


paths = st.one_of(
    folder_names,
    st.builds("{}/{}".format, folder_names, folder_names),
    st.sampled_from((".", "..", "/", "~/x", "/dev/null", "params.yaml", "data", "\udcff", "a\nb", "x" * 300)),
)
"""As people, and programs, name files and folders."""
genomes = st.one_of(
    st.sampled_from(("21211-31112", "transformer++", "main:g000-00", "nowhere:x", "21211_1212", ":", "-")),
    st.text("0123456789abh-_:.", max_size=12),
)
"""What may be meant as a genome or an individual."""
changes = st.one_of(
    st.sampled_from(("runtime.workers=1", "model.width=-1", "training.step=1", "=", "a.b.c=d", "model=")),
    st.builds(
        "training.learning_rate={}".format, positive_numbers.flatmap(lambda x: st.sampled_from(spellings(x)))
    ),
    st.text(max_size=12),
)
"""What may follow ``--set``."""
words = st.one_of(
    st.sampled_from(("", " ", "é", "0 2 * * *", "UTC", "[/red]", "\x1b[2J", "--")), st.text(max_size=8)
)
"""Any other text."""
KINDS = {
    "run": run_names,
    "name": run_names,
    "source": run_names,
    "first": run_names,
    "second": run_names,
    "params": paths,
    "to": paths,
    "tasks": paths,
    "genome": genomes,
    "individual": genomes,
    "changes": changes,
}
"""What the parameters of commands stand for, by their names; others by their type."""


@st.composite
def command_lines(draw: st.DrawFn, command: Any) -> list[str]:
    """Arguments and some options of a command of ``star``, right or wrong."""
    line: list[str] = []
    for parameter in command.params:
        if parameter.name in ("help", "json") or not (parameter.required or draw(st.booleans())):
            continue
        numbers = st.one_of(st.integers(-2, 40).map(str), positive_numbers.map(repr), words)
        kind = str(parameter.type_descriptor.annotation)
        other = numbers if "int" in kind or "float" in kind else words
        written = KINDS.get(parameter.name, other)
        option = () if parameter.param_type_name == "argument" else (max(parameter.opts, key=len),)
        if getattr(parameter, "is_flag", False):
            line += option
            continue
        # What the system cannot hand over never comes.
        value = draw(written).replace("\0", "")
        line += [*option, value]
    return line + (["--json"] if draw(st.booleans()) and "json" in {p.name for p in command.params} else [])


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
