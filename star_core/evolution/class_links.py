"""Own classes across recombination: a LIV keeps the class it had in its parent.

A class gene is a place in the genome's own class table. Cut apart, LIVs of one parent would meet a table
mixed from both, in which their genes mean other classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from star_core.genome.layout import NO_LIV, Vector
from star_core.genome.space import SearchSpace
from star_core.vocabulary.tables import GENES_PER_LIV


def keep_classes(
    space: SearchSpace, child: Vector, parents: tuple[Vector, Vector], sources: Sequence[int]
) -> Vector:
    """Moves classes in a child's table, and class genes with them, so that LIVs keep theirs.

    A class stands in the place it had in its parent where it can, else in one that no LIV uses. With more
    classes than places the last LIVs take what stands in theirs. Without own classes nothing is to be done.

    Args:
        space: The search space.
        child: A genome vector put together from whole LIVs of two parents, and from their tables.
        parents: Genome vectors of the two parents.
        sources: Per place for a LIV the parent it comes from, 0 or 1.
    """
    layout, size = space.layout, space.own_classes
    if not size:
        return child
    child = child.copy()
    genes = {at: int(child[at * GENES_PER_LIV]) - 1 for at in range(layout.depth)}
    used = {at: (int(sources[at]), gene % size) for at, gene in genes.items() if gene + 1 != NO_LIV}
    wanted = {owner: layout.class_alleles(parents[owner[0]], owner[1]) for owner in used.values()}
    places = _places(wanted, size, apart=True) or _places(wanted, size, apart=False)
    for owner, place in places.items():
        if place is not None:
            layout.put_class(child, place, wanted[owner])
    for at, owner in used.items():
        place = places[owner]
        child[at * GENES_PER_LIV] = (owner[1] if place is None else place) + 1 + genes[at] // size * size
    return child


Owner = tuple[int, int]
"""A parent, and a place in its table."""


def _places(wanted: Mapping[Owner, tuple[int, ...]], size: int, apart: bool) -> dict[Owner, int | None]:
    """Where in the child's table each class goes; ``None``: there is no place for it.

    ``apart``, equal classes keep their own places, since LIVs of two share no featurizer weights; then, if
    there are not places enough, nothing is returned.
    """
    found: dict[Owner, int | None] = {}
    held: dict[int, tuple[int, ...]] = {}
    for own in (True, False):
        for owner, alleles in wanted.items():
            if owner in found:
                continue
            same = [place for place, there in held.items() if there == alleles]
            if same and not (apart and own):
                found[owner] = same[0]
            elif own and held.setdefault(owner[1], alleles) == alleles:
                found[owner] = owner[1]
            elif not own:
                free = next((place for place in range(size) if place not in held), None)
                if free is None and apart:
                    return {}
                found[owner] = free
                if free is not None:
                    held[free] = alleles
    return found
