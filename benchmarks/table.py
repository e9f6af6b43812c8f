"""Lines of the benchmark's tables."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.timing import Ratio

COLUMNS = "{:<39} {:<30} {:>11} {:>9} {:>9} {:>21} {:>7} {:<7} {:>8} {:>7}"


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison.

    Attributes:
        ours: What was measured.
        against: With what.
        speeds: Of ours and of the peer, in the unit of the table.
        ratio: Ours to the peer, above one where ours is faster.
        goal: Least ratio asked for, if any.
        sizes: Millions of parameters of both, if they are models.
        gflops: Billions of FLOPs per second of ours.
        share: Of this machine's matmul peak.
    """

    ours: str
    against: str
    speeds: tuple[float, float]
    ratio: Ratio
    goal: float | None = None
    sizes: tuple[float, float] | None = None
    gflops: float | None = None
    share: float | None = None

    @property
    def state(self) -> str:
        """Whether the goal is reached; empty without one."""
        if self.goal is None:
            return ""
        return "met" if self.ratio.middle >= self.goal else "MISSED"

    def __str__(self) -> str:
        return COLUMNS.format(
            self.ours,
            self.against,
            "" if self.sizes is None else "{:.2f}/{:.2f}".format(*self.sizes),
            *(f"{speed:.0f}" if speed >= 100 else f"{speed:.2f}" for speed in self.speeds),
            str(self.ratio),
            "" if self.goal is None else f"{self.goal:.2f}x",
            self.state,
            "" if self.gflops is None else f"{self.gflops:.1f}",
            "" if self.share is None else f"{100 * self.share:.1f}",
        ).rstrip()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A comparison that cannot be made, and why."""

    ours: str
    against: str
    reason: str
    state: str = "skipped"

    def __str__(self) -> str:
        return f"{self.ours:<39} {self.against:<30} {self.state}: {self.reason}"


def heading(title: str, unit: str) -> str:
    """Title and column names of a table whose speeds are in ``unit``."""
    names = "ours", "against", "params M", unit, "theirs", "ratio (min..max)", "goal", "", "GFLOP/s", "% peak"
    line = COLUMNS.format(*names)
    return f"\n{title}\n{line}\n{'-' * len(line)}"
