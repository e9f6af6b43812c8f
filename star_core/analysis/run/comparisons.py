"""What was trained beside a run: its baselines, its best for longer, its best at other sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from star_core.analysis.run.candidates import Candidate, candidates_of, same_recipe
from star_core.config import Params, stored_params
from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import Generation


@dataclass(frozen=True)
class Scaled:
    """Candidates of a run trained at another size.

    Attributes:
        name: Of the file, without its ending.
        params: The experiment at that size.
        candidates: At that size; an individual keeps its name.
    """

    name: str
    params: Params
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Comparisons:
    """Everything trained beside a run that belongs to it.

    Attributes:
        baselines, retrained: By one recipe each; empty if they were not trained.
        scaled: By size, in order of their files' names.
        notes: What had to be left out, and why.
    """

    baselines: tuple[Candidate, ...]
    retrained: tuple[Candidate, ...]
    scaled: tuple[Scaled, ...]
    notes: tuple[str, ...]

    @classmethod
    def load(cls, generations: Sequence[Generation], vocab_size: int, root: str | Path) -> Comparisons:
        """Reads them.

        Raises:
            StarError: A stored file is unusable.
        """
        first, last = generations[0], generations[-1]
        found: dict[str, tuple[Candidate, ...]] = {"baselines": (), "retrain": ()}
        notes = []
        for purpose in found:
            path = comparison_path(first.run, purpose, root)
            if not path.exists():
                continue
            comparison = read_comparison(path, first.run, purpose)
            if comparison.data_digest != first.data_digest:
                notes.append(f"The stored {purpose} results belong to another corpus and are left out.")
                continue
            if not same_recipe(comparison, first):
                notes.append(f"The stored {purpose} results were made by other parameters and are left out.")
                continue
            if comparison.generation not in (None, last.digest):
                notes.append(
                    f"The {purpose} results are of an earlier generation's front; "
                    f"`star retrain {first.run}` makes them anew."
                )
            found[purpose] = candidates_of(comparison, first.params(), vocab_size)
        scaled = []
        known = {None, *(generation.digest for generation in generations)}
        for path in sorted(comparison_path(first.run, "scaled", root).parent.glob("*.json")):
            comparison = read_comparison(path, first.run, "scaled")
            if comparison.data_digest != first.data_digest or comparison.generation not in known:
                notes.append(f"The scaled results {path.stem!r} belong to another search and are left out.")
                continue
            params = stored_params(comparison.parameters, f"{path}, parameters")
            scaled.append(Scaled(path.stem, params, candidates_of(comparison, params, vocab_size)))
        return cls(found["baselines"], found["retrain"], tuple(scaled), tuple(notes))
