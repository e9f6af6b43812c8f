"""A backbone read or written from the first LIV on: what the LIVs so far allow the next one."""

from __future__ import annotations

from collections.abc import Iterator

from star_core.errors import GenomeError
from star_core.genome.alphabet import Alphabet
from star_core.genome.backbone import LIV, Genome, place_of
from star_core.genome.sharing import NOTHING_SHARED, can_reuse, shared_roles
from star_core.vocabulary.operator import LIVClass
from star_core.vocabulary.tables import GENES_PER_LIV, write_allele


class Drawing:
    """The LIVs so far, and the classes that the genome brings.

    Validity of a LIV depends only on the LIVs before it, because the earliest member of a sharing
    group owns the features. So validation, sampling and repair all go through a genome once, in
    order of depth, and agree by construction.
    """

    def __init__(self, alphabet: Alphabet, table: tuple[LIVClass, ...] = ()) -> None:
        self.table = table
        self.alphabet = alphabet.with_table(table)
        self.livs: list[LIV] = []
        self._owner: dict[int, int] = {}

    def append(self, liv: LIV, valid: bool = True) -> None:
        """Takes ``liv`` as the next one; an invalid one owns no sharing group."""
        if valid and liv.feature_strategy != NOTHING_SHARED:
            self._owner.setdefault(liv.feature_group, liv.liv_class)
        self.livs.append(liv)

    def genome(self) -> Genome:
        """What was taken so far."""
        return Genome(tuple(self.livs), self.table)

    def strategies(self, liv_class: int, group: int) -> tuple[int, ...]:
        """Feature-sharing strategies valid for the next LIV in this group; never empty (1 is in it)."""
        return tuple(
            strategy
            for strategy in self.alphabet.alleles(liv_class, 4)
            if self._fits(LIV(liv_class, feature_group=group, feature_strategy=strategy))
        )

    def groups(self, liv: LIV) -> tuple[int, ...]:
        """Feature-sharing groups in which ``liv``'s strategy is valid; may be empty."""
        return tuple(
            group
            for group in self.alphabet.alleles(liv.liv_class, 3)
            if self._fits(LIV(liv.liv_class, feature_group=group, feature_strategy=liv.feature_strategy))
        )

    def owner_name(self, group: int) -> str:
        """Class name of the LIV that owns a sharing group."""
        return self.alphabet.classes[self._owner[group]].name

    def _fits(self, liv: LIV) -> bool:
        owner = self._owner.get(liv.feature_group)
        if liv.feature_strategy == NOTHING_SHARED or owner is None:
            return True
        classes = self.alphabet.classes
        return can_reuse(classes[owner], classes[liv.liv_class], shared_roles(liv, classes))

    def problems(self, index: int, liv: LIV) -> Iterator[tuple[int, GenomeError]]:
        """Invalid genes of ``liv`` as the next LIV: (gene, error)."""
        if liv.liv_class not in self.alphabet.classes:
            listed = [
                f"{write_allele(number)} ({entry.name})" for number, entry in self.alphabet.classes.items()
            ]
            yield (
                0,
                self._error(
                    index,
                    0,
                    liv,
                    f"not an LIV class of the space {self.alphabet.name!r}",
                    f"use one of {', '.join(listed)}",
                ),
            )
            return
        for gene in (1, 2, 3):
            valid = self.alphabet.alleles(liv.liv_class, gene)
            if list(liv)[gene] not in valid:
                rule = f"an integer from 1 to {valid[-1]} in the space {self.alphabet.name!r}"
                yield gene, self._error(index, gene, liv, rule, f"use {valid[-1]}")
        name = self.alphabet.classes[liv.liv_class].name
        valid = self.alphabet.alleles(liv.liv_class, 4)
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
