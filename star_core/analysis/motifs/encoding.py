"""The genomes of a run as one array of integers, with sharing resolved for thousands of them at once.

Testing motifs takes many re-enactments of a run, so what ``motifs.links`` says of one architecture is found
here for a whole batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from star_core.architecture import Architecture
from star_core.genome.sharing import NOTHING_SHARED, can_reuse
from star_core.structures.registered import structure_of
from star_core.vocabulary.operator import LIVClass
from star_core.vocabulary.tables import GENES_PER_LIV

Genes = npt.NDArray[np.int16]
"""(genomes, LIVs, 5): class as an index into ``Encoding.classes``, and the four sharing genes."""
Numbers = npt.NDArray[Any]
_OWNERS_AT_ONCE = 20_000_000
ABSENT = -1
"""Class of places beyond a genome's depth."""


@dataclass(frozen=True)
class Joined:
    """Sharing links of a batch, one entry a link.

    Attributes:
        genome: Which of the batch.
        tied: 1 if weights are tied, 0 if computed features are reused.
        follower: Class index of the LIV that takes.
        roles: Feature groups reused, as bits in the order of ``Encoding.roles``; 0 where weights are tied.
        distance: How many LIVs apart owner and follower are.
    """

    genome: Numbers
    tied: Numbers
    follower: Numbers
    roles: Numbers
    distance: Numbers

    @property
    def columns(self) -> tuple[Numbers, ...]:
        """All attributes, in their order."""
        return (self.genome, self.tied, self.follower, self.roles, self.distance)


@dataclass(frozen=True)
class Encoding:
    """What the integers of encoded genomes mean.

    Attributes:
        classes: The LIV classes, by index.
        depth: LIVs of the deepest genome.
        roles: Feature groups, by bit.
        has: (classes,) roles a class has, as bits.
        reused: (classes, strategies) roles a strategy reuses, as bits; 0 where the class lacks it.
        fits: (classes, classes, strategies) whether a LIV may reuse an owner's features.
    """

    classes: tuple[LIVClass, ...]
    depth: int
    roles: tuple[str, ...]
    has: Numbers
    reused: Numbers
    fits: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, architectures: Iterable[Architecture]) -> Encoding:
        """The encoding of these architectures, and of all genomes of the same classes."""
        known = list(architectures)
        names = {
            layer.liv_class.name: layer.liv_class for architecture in known for layer in architecture.layers
        }
        classes = tuple(names[name] for name in sorted(names))
        strategies = [structure_of(liv_class.operator.token_mixing).strategies for liv_class in classes]
        roles = tuple(sorted({role for liv_class in classes for role in liv_class.featurizer.roles}))
        most = 1 + max(max(alphabet) for alphabet in strategies)

        def bits(members: Iterable[str]) -> int:
            return sum(1 << roles.index(role) for role in members)

        reused = np.zeros((len(classes), most), dtype=np.int64)
        fits = np.zeros((len(classes), len(classes), most), dtype=bool)
        for index, (liv_class, alphabet) in enumerate(zip(classes, strategies, strict=True)):
            for strategy, meaning in alphabet.items():
                if strategy == NOTHING_SHARED:
                    continue
                reused[index, strategy] = bits(meaning.roles)
                for owner, other in enumerate(classes):
                    fits[owner, index, strategy] = can_reuse(other, liv_class, meaning.roles)
        has = np.array([bits(liv_class.featurizer.roles) for liv_class in classes], dtype=np.int64)
        return cls(classes, max(len(architecture.layers) for architecture in known), roles, has, reused, fits)

    def encode(self, architectures: Iterable[Architecture]) -> Genes:
        """Compiled genomes as an array."""
        index = {liv_class.name: at for at, liv_class in enumerate(self.classes)}
        known = list(architectures)
        genes = np.full((len(known), self.depth, GENES_PER_LIV), NOTHING_SHARED, dtype=np.int16)
        genes[:, :, 0] = ABSENT
        for row, architecture in enumerate(known):
            for at, (layer, liv) in enumerate(
                zip(architecture.layers, architecture.genome.livs, strict=True)
            ):
                genes[row, at] = (index[layer.liv_class.name], *list(liv)[1:])
        return genes

    def links(self, genes: Genes) -> Joined:
        """Every sharing link of a batch of genomes.

        A LIV that could not reuse what its genes ask for takes nothing and owns nothing, as if the guard
        rails had set it to share nothing.
        """
        groups = int(genes[:, :, (1, 3)].max()) + 1
        size = max(1, _OWNERS_AT_ONCE // (len(self.classes) * groups * len(self.roles)))
        starts = range(0, len(genes), size)
        found = [self._links(genes[start : start + size], start, groups) for start in starts]
        return Joined(*(np.concatenate(column).astype(np.int64) for column in zip(*found, strict=True)))

    def _links(self, genes: Genes, start: int, groups: int) -> tuple[Numbers, ...]:
        """The columns of the links of some genomes, of which the first is number ``start``."""
        rows = np.arange(len(genes))
        computed_by = np.full((len(genes), groups), ABSENT, dtype=np.int16)
        shape = (len(genes), len(self.classes), groups, len(self.roles))
        weights_of = np.full(shape, ABSENT, dtype=np.int16)
        found: list[tuple[Numbers, ...]] = []
        for at in range(genes.shape[1]):
            present = genes[:, at, 0] != ABSENT
            kind = np.where(present, genes[:, at, 0], 0)
            _, group, tie, feature_group, strategy = genes[:, at].T
            strategy = np.where(strategy < self.reused.shape[1], strategy, NOTHING_SHARED)
            asks = present & (self.reused[kind, strategy] > 0)
            owner = computed_by[rows, feature_group]
            fits = self.fits[genes[rows, owner, 0], kind, strategy]
            takes = asks & (owner != ABSENT) & fits
            opens = asks & (owner == ABSENT)
            computed_by[rows[opens], feature_group[opens]] = at
            taken = np.where(takes, self.reused[kind, strategy], 0)
            found.append((rows[takes], 0 * rows[takes], kind[takes], taken[takes], at - owner[takes]))
            met: list[Numbers] = []
            for bit in range(len(self.roles)):
                needs = present & (tie != NOTHING_SHARED) & ((self.has[kind] & ~taken) >> bit & 1 == 1)
                owner = weights_of[rows, kind, group, bit]
                opens = needs & (owner == ABSENT)
                weights_of[rows[opens], kind[opens], group[opens], bit] = at
                owner = np.where(needs, owner, ABSENT)
                new = np.logical_and.reduce([owner != ABSENT, *(owner != other for other in met)])
                met.append(owner)
                none = 0 * rows[new]
                found.append((rows[new], none + 1, kind[new], none, at - owner[new]))
        genome, *rest = (np.concatenate(column) for column in zip(*found, strict=True))
        return genome + start, *rest
