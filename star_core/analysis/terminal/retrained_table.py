"""What a retraining came to, for the terminal: its architectures, best first."""

from __future__ import annotations

from star_core import units
from star_core.analysis.report.wording import shown_name
from star_core.analysis.run.candidates import candidates_of
from star_core.analysis.terminal.front_table import columns_of, least_of, measured, standing, value_at
from star_core.analysis.terminal.table import Column, TerminalTable
from star_core.config import stored_params
from star_core.genome.baselines import PATTERNS
from star_core.objectives.perplexity import Bits
from star_core.population.comparison import Comparison


def retrained_table(comparison: Comparison, vocab_size: int, bits: Bits) -> TerminalTable:
    """The architectures of a comparison, best first; baselines are set back, failures come last."""
    params = stored_params(comparison.parameters, f"{comparison.purpose} of run {comparison.run}, parameters")
    names, section = params.objectives.selected, params.objectives
    shown = sorted(
        candidates_of(comparison, params, vocab_size),
        key=lambda candidate: (not candidate.ok, standing(candidate, names[0], section), candidate.name),
    )
    columns = columns_of(names)
    status = {entry.name: entry.status.replace("_", " ") for entry in comparison.entries}
    least = least_of(shown, columns, section, bits)
    return TerminalTable(
        title=f"{comparison.run}: {units.plural(len(shown), 'architecture')} retrained, best first",
        columns=(
            Column("name", shown=shown_name),
            Column("genome", gives_way=2, below=True),
            Column("tokens", shown=units.count, right=True, gives_way=1),
            *(measured(name, least[name], bits) for name in columns),
            Column("status", gives_way=4),
        ),
        rows=[
            (
                candidate.name,
                str(candidate.architecture.genome),
                candidate.tokens,
                *(value_at(candidate, name, section, bits) for name in columns),
                status[candidate.name],
            )
            for candidate in shown
        ],
        note=f"cache and times at {section.cache_length:,} tokens, smallest of each column in bold",
        styles={row: "dim" for row, candidate in enumerate(shown) if candidate.name in PATTERNS},
    )
