"""What a run survives: faults injected into real runs, each of which must end as if nothing had happened.

    python -m benchmarks.faults [--kills 24] [--seed 0] [--only NAME,…]

Every scenario makes small projects, disturbs their runs, runs `star evolve` again as a user would, and then
compares with an undisturbed run of the same parameters: the same generation files to the byte, the same
baselines, ledger and `dvc.lock`, the same evaluations, none that was finished made again, nothing left
behind, and a message that says what happened. Prints a line per scenario and ends with exit code 1 if one
was not survived.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
import traceback
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from star_flows.server.process import prefect_server

from benchmarks import damage, kills, lost_storage, misbehaviour, versions  # noqa: F401 -- each registers its scenarios
from benchmarks.arena import SCENARIOS, Arena, Outcome
from tests.flows.projects import environment_for

WIDTHS = (33, 10, 10, 12, 11, 6, 12)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=24, help="Of the flow.")
    parser.add_argument("--seed", type=int, default=0, help="Of the instants at which faults strike.")
    parser.add_argument("--only", default=",".join(SCENARIOS), help="Scenarios, by name.")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    if unknown := [name for name in names if name not in SCENARIOS]:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    # A shell that starts this in the background has it ignored, and then so has all that this starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "home").mkdir()
        environment = stack.enter_context(prefect_server(environment_for(folder / "home")))
        arena = Arena(folder, environment, arguments.seed, arguments.kills)
        total = len(arena.undisturbed.evaluations())
        print(f"{total} candidates in an undisturbed run; faults strike with seed {arguments.seed}\n")
        print(row("fault", "injected", "survived", "re-trained", "identical", "left", "recovery, s"))
        outcomes = [show(name, attempt(name, arena)) for name in names]
    failed = sum(not outcome.survived and not outcome.skipped for outcome in outcomes)
    print(
        f"\n{sum(outcome.injected for outcome in outcomes)} faults in "
        f"{sum(outcome.runs for outcome in outcomes)} runs, "
        f"{sum(outcome.identical for outcome in outcomes)} of them identical to the undisturbed one, "
        f"{sum(outcome.retrained for outcome in outcomes)} finished candidates re-trained; "
        f"{(time.monotonic() - began) / 60:.0f} minutes."
    )
    print(f"{failed} NOT SURVIVED" if failed else "All survived.")
    raise SystemExit(1 if failed else 0)


def attempt(name: str, arena: Arena) -> Outcome:
    """A scenario's outcome; one that breaks off is a problem of its own."""
    try:
        return SCENARIOS[name](arena)
    except Exception:
        return Outcome(problems=[traceback.format_exc()])


def show(name: str, outcome: Outcome) -> Outcome:
    """Prints an outcome: its row, what was struck, and what is wrong."""
    recovery = f"{median(outcome.recovery):.1f}" if outcome.recovery else "–"
    survived = "–" if outcome.skipped else "yes" if outcome.survived else "NO"
    identical = f"{outcome.identical} of {outcome.runs}"
    print(row(name, outcome.injected, survived, outcome.retrained, identical, outcome.left, recovery))
    told = ", ".join(f"{what} {count}" for what, count in outcome.struck.items())
    print(f"    {outcome.skipped or told}", flush=True)
    for problem in outcome.problems:
        print("    ! " + problem.strip().replace("\n", "\n      "), flush=True)
    return outcome


def row(first: str, *rest: object) -> str:
    """A line of the table."""
    return f"{first:<{WIDTHS[0]}}" + "".join(
        f"{cell!s:>{width}}" for cell, width in zip(rest, WIDTHS[1:], strict=True)
    )


if __name__ == "__main__":
    main()
