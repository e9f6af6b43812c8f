"""Motifs by name, and which genomes hold them: classes, sequences of them, sharing by kind and distance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from star_core.analysis.motifs.encoding import ABSENT, Encoding, Genes, Numbers
from star_core.structures.registered import families, family_of

Kind = Literal["family", "class", "sequence", "link", "distance"]
OF_LIVS: tuple[Kind, ...] = ("family", "class")
"""Kinds that are counted as a share of all LIVs; the others by genome."""
LENGTHS = (2, 3, 4)
"""LIVs of a sequence."""
_SHARING = ("features", "featurizer")


@dataclass(frozen=True, slots=True, order=True)
class Motif:
    """Something a backbone may hold.

    Attributes:
        kind: ``class``; ``family`` of classes; ``sequence``: classes one after the other; ``link``: sharing
            of a kind; ``distance``: sharing over so many LIVs.
        parts: Name of a family, or of classes; or what is shared (``features`` or ``featurizer``), the family
            and the feature groups; or what is shared and the distance.
    """

    kind: Kind
    parts: tuple[str, ...]

    @property
    def group(self) -> str:
        """Motifs that are compared with one another: those of its kind, sequences by length."""
        return f"{self.kind} {len(self.parts)}" if self.kind == "sequence" else self.kind

    def holds(self, other: Motif) -> bool:
        """Whether ``other`` is a shorter sequence within this one."""
        if self.kind != "sequence" or other.kind != "sequence" or len(other.parts) >= len(self.parts):
            return False
        starts = range(len(self.parts) - len(other.parts) + 1)
        return any(self.parts[at : at + len(other.parts)] == other.parts for at in starts)


def motifs_of(encoding: Encoding, genes: Genes) -> list[Counter[Motif]]:
    """Every motif of each genome, with how often it occurs."""
    names = [liv_class.name for liv_class in encoding.classes]
    family_names = [family_of(liv_class).name for liv_class in encoding.classes]
    held: list[Counter[Motif]] = []
    for classes in genes[:, :, 0].tolist():
        order = tuple(names[kind] for kind in classes if kind != ABSENT)
        found = Counter(Motif("class", (name,)) for name in order)
        found.update(Motif("family", (family_names[kind],)) for kind in classes if kind != ABSENT)
        for length in LENGTHS:
            starts = range(len(order) - length + 1)
            found.update(Motif("sequence", order[at : at + length]) for at in starts)
        held.append(found)
    joined = encoding.links(genes)
    for row, tied, follower, roles, distance in zip(*(part.tolist() for part in joined.columns), strict=True):
        what = _SHARING[tied]
        family = family_names[follower]
        shared = tuple(role for bit, role in enumerate(encoding.roles) if roles >> bit & 1)
        held[row].update((Motif("link", (what, family, *shared)), Motif("distance", (what, str(distance)))))
    return held


@dataclass(frozen=True)
class Codebook:
    """Motifs as numbers, so that those of many genomes are found at once."""

    encoding: Encoding

    @cached_property
    def _families(self) -> list[str]:
        return [family.name for family in families()]

    @cached_property
    def _index(self) -> dict[str, int]:
        return {liv_class.name: at for at, liv_class in enumerate(self.encoding.classes)}

    def code(self, motif: Motif) -> int:
        """The number of a motif, unique in its group."""
        if motif.kind == "family":
            return self._families.index(motif.parts[0])
        if motif.kind in ("class", "sequence"):
            code = 0
            for name in motif.parts:
                code = code * len(self._index) + self._index[name]
            return code
        tied = _SHARING.index(motif.parts[0])
        if motif.kind == "distance":
            return tied + 2 * int(motif.parts[1])
        roles = sum(1 << self.encoding.roles.index(role) for role in motif.parts[2:])
        return (
            tied * len(self._families) + self._families.index(motif.parts[1]) << len(self.encoding.roles)
        ) + roles

    def found(self, genes: Genes) -> Iterator[tuple[str, Numbers, Numbers]]:
        """For each group of motifs the genomes they are in and their codes, as often as they occur."""
        classes = genes[:, :, 0].astype(np.int64)
        present = classes != ABSENT
        known = self._families
        of_class = np.array([known.index(family_of(entry).name) for entry in self.encoding.classes])
        yield "class", np.nonzero(present)[0], classes[present]
        yield "family", np.nonzero(present)[0], of_class[classes[present]]
        for length in LENGTHS:
            width = max(classes.shape[1] - length + 1, 0)
            codes = np.zeros((len(classes), width), dtype=np.int64)
            for offset in range(length):
                kind = classes[:, offset : offset + width]
                codes = np.where((codes < 0) | (kind < 0), ABSENT, codes * len(self._index) + kind)
            yield f"sequence {length}", np.nonzero(codes >= 0)[0], codes[codes >= 0]
        joined = self.encoding.links(genes)
        links = joined.tied * len(known) + of_class[joined.follower] << len(self.encoding.roles)
        yield "link", joined.genome, links + joined.roles
        yield "distance", joined.genome, joined.tied + 2 * joined.distance
