"""Search spaces: which classes and sharing indices a genome may use, and what is valid together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from star_core.errors import ConfigError, GenomeError, nearest
from star_core.genome.backbone import LIV, Genome, place_of
from star_core.genome.operator import LIVClass, class_table
from star_core.genome.sharing import NOTHING_SHARED, can_reuse, shared_roles
from star_core.genome.tables import (
    GENES_PER_LIV,
    MAX_DEPTH,
    MAX_GROUPS,
    OPERATORS,
    PAPER_CLASSES,
    write_allele,
)
from star_core.structures.base import structure_of

PRESETS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "paper": ("all 17 LIV classes of the paper", PAPER_CLASSES),
    "extended": (
        "those and linear, banded and pointwise attention, grouped convolution and gated unit",
        tuple(OPERATORS),
    ),
    "lfm2": ("short gated convolution, grouped-query attention, gated unit (arXiv 2511.23404)", (3, 7, 9)),
    "attention": ("attention in all variants and gated units", (1, 2, 3, 4, 9, 10, 11, 12, 13)),
}

CLASS_TABLE = "extended"
"""The preset whose classes all others choose from."""


@dataclass(frozen=True)
class SearchSpace:
    """What genomes may say.

    Attributes:
        name: Preset name.
        classes: Class index → LIV class.
        depth: LIVs of a sampled genome.
        groups: Sharing indices run from 1 to this.
    """

    name: str
    classes: Mapping[int, LIVClass] = field(repr=False)
    depth: int = 8
    groups: int = 4

    @classmethod
    def preset(cls, name: str = "paper", depth: int = 8, groups: int = 4) -> SearchSpace:
        """A named search space.

        Raises:
            ConfigError: No such preset, or depth or groups out of range.
        """
        if name not in PRESETS:
            raise ConfigError(
                "no such search space", value=name, place="space.preset", fix=nearest(name, PRESETS)
            )
        for key, value, high in (("depth", depth, MAX_DEPTH), ("groups", groups, MAX_GROUPS)):
            if not 1 <= value <= high:
                raise ConfigError(
                    f"{key} is an integer from 1 to {high}",
                    value=value,
                    place=f"space.{key}",
                    fix=f"use {min(max(value, 1), high)}",
                )
        table = class_table()
        return cls(name, {index: table[index] for index in PRESETS[name][1]}, depth, groups)

    def alleles(self, liv_class: int, gene: int) -> tuple[int, ...]:
        """Alleles that gene ``gene`` (0 to 4) of a LIV of class ``liv_class`` may take by itself."""
        if gene == 0:
            return tuple(self.classes)
        if gene in (1, 3):
            return tuple(range(1, self.groups + 1))
        if gene == 2:
            return (1, 2)
        return tuple(structure_of(self.classes[liv_class].operator.token_mixing).strategies)

    def sample(self, rng: np.random.Generator) -> Genome:
        """A random valid genome: each gene uniform over what is valid after the genes before it."""
        drawn = Drawing(self)
        for _ in range(self.depth):
            liv_class = _choose(rng, self.alleles(0, 0))
            weights, tied, group = (_choose(rng, self.alleles(liv_class, gene)) for gene in (1, 2, 3))
            strategy = _choose(rng, drawn.strategies(liv_class, group))
            drawn.append(LIV(liv_class, weights, tied, group, strategy))
        return drawn.genome()

    def problems(self, genome: Genome) -> Iterator[GenomeError]:
        """Every invalid position, from the first LIV to the last."""
        drawn = Drawing(self)
        for index, liv in enumerate(genome.livs):
            found = [problem for _, problem in drawn.problems(index, liv)]
            yield from found
            drawn.append(liv, valid=not found)

    def validate(self, genome: Genome) -> None:
        """Raises ``GenomeError`` at the first invalid position."""
        for problem in self.problems(genome):
            raise problem

    def is_valid(self, genome: Genome) -> bool:
        """Whether ``validate`` would pass."""
        return next(self.problems(genome), None) is None

    def repair(self, genome: Genome, rng: np.random.Generator) -> tuple[Genome, list[Change]]:
        """Makes a genome valid by re-sampling its invalid positions (see ``genome/repair.py``)."""
        from star_core.genome.repair import repair

        return repair(self, genome, rng)


@dataclass(frozen=True, slots=True)
class Change:
    """One repaired position: index into the vector, old and new allele, the rule that was broken."""

    position: int
    old: int
    new: int
    rule: str


class Drawing:
    """A genome read or written from the first LIV on: what the LIVs so far allow the next one.

    Validity of a LIV depends only on the LIVs before it, because the earliest member of a sharing
    group owns the features. So validation, sampling and repair all go through a genome once, in
    order of depth, and agree by construction.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.livs: list[LIV] = []
        self._owner: dict[int, int] = {}

    def append(self, liv: LIV, valid: bool = True) -> None:
        """Takes ``liv`` as the next one; an invalid one owns no sharing group."""
        if valid and liv.feature_strategy != NOTHING_SHARED:
            self._owner.setdefault(liv.feature_group, liv.liv_class)
        self.livs.append(liv)

    def genome(self) -> Genome:
        """What was taken so far."""
        return Genome(tuple(self.livs))

    def strategies(self, liv_class: int, group: int) -> tuple[int, ...]:
        """Feature-sharing strategies valid for the next LIV in this group; never empty (1 is in it)."""
        return tuple(
            strategy
            for strategy in self.space.alleles(liv_class, 4)
            if self._fits(LIV(liv_class, feature_group=group, feature_strategy=strategy))
        )

    def groups(self, liv: LIV) -> tuple[int, ...]:
        """Feature-sharing groups in which ``liv``'s strategy is valid; may be empty."""
        return tuple(
            group
            for group in self.space.alleles(liv.liv_class, 3)
            if self._fits(LIV(liv.liv_class, feature_group=group, feature_strategy=liv.feature_strategy))
        )

    def owner_name(self, group: int) -> str:
        """Class name of the LIV that owns a sharing group."""
        return self.space.classes[self._owner[group]].name

    def _fits(self, liv: LIV) -> bool:
        owner = self._owner.get(liv.feature_group)
        if liv.feature_strategy == NOTHING_SHARED or owner is None:
            return True
        classes = self.space.classes
        return can_reuse(classes[owner], classes[liv.liv_class], shared_roles(liv, classes))

    def problems(self, index: int, liv: LIV) -> Iterator[tuple[int, GenomeError]]:
        """Invalid genes of ``liv`` as the next LIV: (gene, error)."""
        if liv.liv_class not in self.space.classes:
            listed = [
                f"{write_allele(number)} ({entry.name})" for number, entry in self.space.classes.items()
            ]
            yield (
                0,
                self._error(
                    index,
                    0,
                    liv,
                    f"not an LIV class of the space {self.space.name!r}",
                    f"use one of {', '.join(listed)}",
                ),
            )
            return
        for gene in (1, 2, 3):
            valid = self.space.alleles(liv.liv_class, gene)
            if list(liv)[gene] not in valid:
                rule = f"an integer from 1 to {valid[-1]} in the space {self.space.name!r}"
                yield gene, self._error(index, gene, liv, rule, f"use {valid[-1]}")
        name = self.space.classes[liv.liv_class].name
        valid = self.space.alleles(liv.liv_class, 4)
        if liv.feature_strategy not in valid:
            rule = f"{name} has the feature-sharing strategies 1 to {valid[-1]}"
            yield 4, self._error(index, 4, liv, rule, f"use {valid[-1]}")
        elif not self._fits(liv):
            owner = self.owner_name(liv.feature_group)
            free = self.groups(liv)
            fix = f"use group {free[0]}" if free else "use strategy 1 (none)"
            rule = (
                f"{name} cannot reuse these features of {owner}, which owns feature group {liv.feature_group}"
            )
            yield 3, self._error(index, 3, liv, rule, fix)

    def _error(self, index: int, gene: int, liv: LIV, rule: str, fix: str) -> GenomeError:
        position = index * GENES_PER_LIV + gene
        value = write_allele(list(liv)[gene])
        return GenomeError(rule, value=value, place=place_of(position), fix=fix, position=position)


def _choose(rng: np.random.Generator, alleles: tuple[int, ...]) -> int:
    return alleles[int(rng.integers(len(alleles)))]
