"""Search spaces: named alphabets, and what is done with them: sampling, validation, repair.

In the preset ``full`` a genome brings its own classes, which evolve like the rest (``lower_levels.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from star_core.errors import ConfigError, GenomeError, nearest
from star_core.genome.alphabet import OWN_CLASSES, Alphabet
from star_core.genome.backbone import Genome
from star_core.genome.founding import adopted
from star_core.genome.repair import Change, repair
from star_core.genome.sampling import sample
from star_core.genome.validity import problems
from star_core.structures.base import PAPER_STRUCTURES
from star_core.structures.registered import STRUCTURES, class_table, classes_of, structures
from star_core.vocabulary.tables import MAX_DEPTH, MAX_GROUPS, MAX_OWN_CLASSES

PRESETS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "paper": ("all 17 LIV classes of the paper", tuple(range(1, 18))),
    "extended": (
        "those and linear, banded and pointwise attention, grouped convolution and gated unit",
        tuple(range(1, 26)),
    ),
    "lfm2": ("short gated convolution, grouped-query attention, gated unit (arXiv 2511.23404)", (3, 7, 9)),
    "lfm2-norm": ("those with the norm of queries and keys that LFM2 has", (26, 7, 9)),
    "attention": ("attention in all variants and gated units", (1, 2, 3, 4, 9, 10, 11, 12, 13)),
    "full": ("all three levels evolve: a genome brings its own classes", tuple(range(1, 26))),
}
"""Name → what it is, and its classes by number: a class that is added later changes no stored run."""

CLASS_TABLE = "extended"
"""The preset that jobs and checkpoints name: what they mean by it is ``reading_space``."""


@dataclass(frozen=True)
class SearchSpace(Alphabet):
    """An alphabet that genomes are drawn from, checked against and repaired for."""

    @classmethod
    def preset(
        cls,
        name: str = "paper",
        depth: int = 8,
        groups: int = 4,
        *,
        min_depth: int | None = None,
        classes: int = 8,
        novelty: float = 0.25,
        class_mutation: float = 1.0,
        structures: Iterable[str] = (),
    ) -> SearchSpace:
        """A named search space; ``classes``, ``novelty`` and ``class_mutation`` are of ``full`` only.

        ``structures`` beside the paper's, by name, join it with all their LIV classes.

        Raises:
            ConfigError: No such preset or structure, or depth, groups or classes out of range.
        """
        if name not in PRESETS:
            raise ConfigError(
                "no such search space", value=name, place="space.preset", fix=nearest(name, PRESETS)
            )
        for key, value, high in (
            ("depth", depth, MAX_DEPTH),
            ("groups", groups, MAX_GROUPS),
            ("classes", classes, MAX_OWN_CLASSES),
            ("min_depth", depth if min_depth is None else min_depth, depth),
        ):
            if not 1 <= value <= high:
                raise ConfigError(
                    f"{key} is an integer from 1 to {high}",
                    value=value,
                    place=f"space.{key}",
                    fix=f"use {min(max(value, 1), high)}",
                )
        table, others = class_table(), sorted({STRUCTURES[added].allele for added in structures})
        meant = {index: table[index] for index in PRESETS[name][1]} | classes_of(others)
        admitted = tuple(dict.fromkeys((*PAPER_STRUCTURES, *others)))
        own = (classes, novelty, class_mutation) if name == OWN_CLASSES else (0, 0.0, 1.0)
        return cls(name, meant, depth, groups, min_depth, *own, admitted)

    def adopt(self, genome: Genome) -> Genome:
        """The genome as this space writes it: where it wants own classes, one without gets the named ones.

        Raises:
            GenomeError: It uses more classes than a genome of this space brings.
        """
        return adopted(genome, self.own_classes, self.named) if self.own_classes else genome

    def sample(self, rng: np.random.Generator) -> Genome:
        """A random valid genome (see ``genome/sampling.py``)."""
        return sample(self, rng)

    def problems(self, genome: Genome) -> Iterator[GenomeError]:
        """Every invalid position (see ``genome/validity.py``)."""
        return problems(self, genome)

    def validate(self, genome: Genome) -> None:
        """Raises ``GenomeError`` at the first invalid position."""
        for problem in problems(self, genome):
            raise problem

    def is_valid(self, genome: Genome) -> bool:
        """Whether ``validate`` would pass."""
        return next(problems(self, genome), None) is None

    def repair(self, genome: Genome, rng: np.random.Generator) -> tuple[Genome, list[Change]]:
        """Makes a genome valid by re-sampling its invalid positions (see ``genome/repair.py``)."""
        return repair(self, genome, rng)


@lru_cache(maxsize=8)
def reading_space(preset: str = CLASS_TABLE) -> SearchSpace:
    """What the integers of genomes mean to whoever builds one.

    Every class that has a number is in it, and any sharing group will do: what a run admits was checked when
    it made the genome.

    Raises:
        ConfigError: No such preset.
    """
    others = [structure.name for structure in structures() if structure.allele not in PAPER_STRUCTURES]
    space = SearchSpace.preset(preset, groups=MAX_GROUPS, structures=others)
    return replace(space, classes=class_table())
