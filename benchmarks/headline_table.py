"""The headline's result as a Markdown table: finalists, and whether each does what its search was for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from star_core import units
from star_core.architecture import Architecture
from star_core.genome.baselines import PATTERNS

SIZES = {"parameters": "parameters", "cache_bytes": "cache"}
DISTURBED = 0.1
"""Share of disturbed repeats above which a time is not to be trusted."""


@dataclass(frozen=True)
class Finalist:
    """An architecture in the final.

    Attributes:
        name: A baseline's, or search and individual.
        architecture: Its spec.
        perplexities: One per seed.
        parameters: Of the model.
        cache_bytes: That the context leaves.
        rate: Its learning rate, times the default.
        tokens_per_second: Decoded behind that context here; ``None``: not measured.
        disturbed: Share of that timing's repeats that had to wait for a processor.
    """

    name: str
    architecture: Architecture
    perplexities: Sequence[float]
    parameters: int
    cache_bytes: int
    rate: float = 1.0
    tokens_per_second: float | None = None
    disturbed: float = 0.0

    @property
    def is_baseline(self) -> bool:
        """Whether it was designed by hand."""
        return self.name in PATTERNS

    @property
    def perplexity(self) -> float:
        """Mean over seeds."""
        return mean(self.perplexities)

    def size(self, objective: str) -> float:
        """Its parameters, or its cache in bytes."""
        return self.parameters if objective == "parameters" else self.cache_bytes

    def at(self, tokens_per_second: float, disturbed: float) -> Finalist:
        """The same, timed."""
        return replace(self, tokens_per_second=tokens_per_second, disturbed=disturbed)


@dataclass(frozen=True)
class Verdict:
    """What a search was to show against the baselines, and whether it does.

    Attributes:
        goal: Of the search.
        name: Of its finalist.
        claims: Text and whether it holds.
        faster: Baseline → its tokens per second over the baseline's, where both were measured.
    """

    goal: str
    name: str
    claims: Sequence[tuple[str, bool]]
    faster: Mapping[str, float]

    @classmethod
    def of(
        cls,
        goal: str,
        ours: Finalist,
        rivals: Mapping[str, Finalist],
        smaller: str | None,
        margins: Mapping[str, float],
    ) -> Verdict:
        """Quality alone: every seed below every seed of a baseline. Else: as small, at no worse a mean."""
        claims = []
        for name, rival in rivals.items():
            if smaller is None:
                holds = max(ours.perplexities) < min(rival.perplexities)
                claims.append(
                    (f"perplexity {_change(ours.perplexity, rival.perplexity)} against {name}", holds)
                )
                continue
            saved = 1 - ours.size(smaller) / rival.size(smaller)
            holds = saved >= margins[name] and ours.perplexity <= rival.perplexity
            claims.append(
                (
                    f"{saved:.0%} less {SIZES[smaller]} than {name} (goal {margins[name]:.0%}), "
                    f"perplexity {_change(ours.perplexity, rival.perplexity)}",
                    holds,
                )
            )
        faster = {
            name: ours.tokens_per_second / rival.tokens_per_second
            for name, rival in rivals.items()
            if ours.tokens_per_second and rival.tokens_per_second
        }
        return cls(goal, ours.name, claims, faster)


def table(finalists: Sequence[Finalist], verdicts: Sequence[Verdict], spent: str) -> str:
    """Two Markdown tables and what it took."""
    rows = [
        (
            "architecture",
            "learning rate",
            "perplexity, mean (of each seed)",
            "parameters",
            "cache at 4k",
            "decoded tokens/s",
        ),
        *map(_row, finalists),
    ]
    judged = [("search for", "finalist", "against the baselines", "shown", "tokens/s against them")]
    for verdict in verdicts:
        speed = ", ".join(f"{ratio:.2f}× {name}" for name, ratio in verdict.faster.items()) or "not measured"
        for text, holds in verdict.claims:
            judged.append((verdict.goal, verdict.name, text, "yes" if holds else "**NO**", speed))
    genomes = "\n".join(f"- {finalist.name}: `{finalist.architecture.genome}`" for finalist in finalists)
    return f"{markdown(rows)}\n\n{markdown(judged)}\n\n{genomes}\n\n{spent}"


def _row(finalist: Finalist) -> tuple[str, ...]:
    seeds = ", ".join(f"{value:.3f}" for value in finalist.perplexities)
    speed = "–" if finalist.tokens_per_second is None else f"{finalist.tokens_per_second:.0f}"
    doubt = " (disturbed)" if finalist.disturbed > DISTURBED else ""
    return (
        finalist.name,
        f"× {finalist.rate:g}",
        f"{finalist.perplexity:.3f} ({seeds})",
        f"{finalist.parameters:,}",
        units.size(finalist.cache_bytes),
        f"{speed}{doubt}",
    )


def _change(value: float, reference: float) -> str:
    return f"{value / reference - 1:+.1%}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, whose first row is its head."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
