"""Motifs: which LIV classes a population holds, and which of its LIVs really share something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from star_core.architecture import Architecture
from star_core.structures.registered import families, family_of, structure_of
from star_core.vocabulary.operator import LIVClass

Sharing = Literal["featurizer", "features"]


def short_name(liv_class: LIVClass) -> str:
    """A class in few characters: S3: SA-3, R1d: Rec-1-Diff, G: GMemless, S.k3f0: SA-02143.k3f0."""
    stem, *rest = liv_class.name.removesuffix("-Diff").split("-")
    digits, dot, code = "".join(rest).partition(".")
    stems = structure_of(liv_class.operator.token_mixing).stems
    return stems.get(stem, stem) + (dot + code or digits) + ("d" if liv_class.differential else "")


@dataclass(frozen=True, slots=True)
class Link:
    """One LIV that takes something from an earlier one.

    Attributes:
        sharing: ``featurizer``: weights are tied; ``features``: computed features are reused.
        owner: Index of the earlier LIV.
        follower: Index of the LIV that takes.
        roles: Feature groups concerned, e.g. ``("B", "V")``.
    """

    sharing: Sharing
    owner: int
    follower: int
    roles: tuple[str, ...]

    @property
    def distance(self) -> int:
        """How many LIVs apart the two are."""
        return self.follower - self.owner


def links(architecture: Architecture) -> list[Link]:
    """Every real sharing link of a compiled backbone, in order of the follower.

    Sharing genes that join nobody resolve to nothing and make no link.
    """
    found: dict[tuple[Sharing, int, int], list[str]] = {}
    for layer in architecture.layers:
        for group in layer.groups:
            if group.computed_by != layer.index:
                found.setdefault(("features", group.computed_by, layer.index), []).append(group.role)
            elif group.weights_of is not None and group.weights_of != layer.index:
                found.setdefault(("featurizer", group.weights_of, layer.index), []).append(group.role)
    return [
        Link(sharing, owner, follower, tuple(roles)) for (sharing, owner, follower), roles in found.items()
    ]


@dataclass(frozen=True)
class Motifs:
    """What the architectures of one population are made of.

    Attributes:
        livs: LIVs counted, over all architectures.
        classes: Class name → LIVs of that class.
        featurizer_sharing: Share of LIVs that take part in a featurizer-sharing link, as owner or
            follower.
        feature_sharing: The same for reused feature groups.
        mean_distance: Mean depth between linked LIVs; ``None`` without links.
    """

    livs: int
    classes: Mapping[str, int]
    featurizer_sharing: float
    feature_sharing: float
    mean_distance: float | None

    @classmethod
    def of(cls, architectures: Iterable[Architecture]) -> Motifs:
        """Counts over a population."""
        classes: Counter[str] = Counter()
        members: Counter[Sharing] = Counter()
        distances: list[int] = []
        for architecture in architectures:
            classes.update(layer.liv_class.name for layer in architecture.layers)
            found = links(architecture)
            distances += [link.distance for link in found]
            for sharing in ("featurizer", "features"):
                joined = [link for link in found if link.sharing == sharing]
                members[sharing] += len({i for link in joined for i in (link.owner, link.follower)})
        livs = classes.total()
        return cls(
            livs=livs,
            classes=dict(sorted(classes.items())),
            featurizer_sharing=members["featurizer"] / livs if livs else 0.0,
            feature_sharing=members["features"] / livs if livs else 0.0,
            mean_distance=sum(distances) / len(distances) if distances else None,
        )


def class_order(architectures: Iterable[Architecture]) -> list[LIVClass]:
    """The classes that occur, family by family, differential variants last in each."""
    found = {
        layer.liv_class.name: layer.liv_class
        for architecture in architectures
        for layer in architecture.layers
    }
    order = families()
    return sorted(found.values(), key=lambda c: (order.index(family_of(c)), c.differential, c.name))


def class_shares(populations: Sequence[Motifs], names: Sequence[str]) -> list[list[float]]:
    """Per class the share of LIVs it has in each population."""
    return [
        [motifs.classes.get(name, 0) / motifs.livs if motifs.livs else 0.0 for motifs in populations]
        for name in names
    ]
