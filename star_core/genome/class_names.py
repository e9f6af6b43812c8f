"""Names of classes: a genome's own have those of the class table where they equal a row, else digits.

``SA-12143`` has the operator genome 12143 and featurizer class 1. ``SA-02143.k3f0`` has feature groups
that no featurizer class makes, which the four characters after the point stand for. A ``-Diff`` at the
end: two branches and their difference.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from functools import lru_cache

from star_core.structures.registered import class_table, structure_of, structures
from star_core.vocabulary.featurizer import FeaturizerGenome
from star_core.vocabulary.operator import LIVClass, OperatorGenome
from star_core.vocabulary.tables import ALPHABET

OWN_FEATURIZER = 0
"""First digit of an operator genome whose feature groups no featurizer class makes."""


def own_class(operator: OperatorGenome, featurizer: FeaturizerGenome) -> LIVClass:
    """A class from its genomes, by the name it has in the table or else one made of its digits."""
    structure = structure_of(operator.token_mixing)
    index = structure.featurizer_numbers.get(featurizer, OWN_FEATURIZER)
    operator = replace(operator, featurizer=index)
    name = _names().get((operator, featurizer)) if index != OWN_FEATURIZER else None
    if name is None:
        code = f".{_code(str(featurizer))}" if index == OWN_FEATURIZER else ""
        name = f"{structure.stem_of(operator)}-{operator}{code}"
    return LIVClass(name, operator, featurizer, False)


@lru_cache(maxsize=1 << 14)
def differential(entry: LIVClass) -> LIVClass:
    """The differential variant of a class."""
    return LIVClass(f"{entry.name}-Diff", entry.operator, entry.featurizer, True)


def with_variants(table: tuple[LIVClass, ...]) -> dict[int, LIVClass]:
    """Class allele → class, of a genome's own: each of the table, then each one's differential variant."""
    return dict(enumerate((*table, *map(differential, table)), 1))


def is_named(entry: LIVClass) -> bool:
    """Whether a class, or what it doubles, has a row of the class table."""
    return entry.operator.featurizer != OWN_FEATURIZER and (entry.operator, entry.featurizer) in _names()


@lru_cache(maxsize=1)
def _names() -> dict[tuple[OperatorGenome, FeaturizerGenome], str]:
    plain = (entry for entry in class_table().values() if not entry.differential)
    return {(entry.operator, entry.featurizer): entry.name for entry in plain}


@lru_cache(maxsize=1)
def name_pattern() -> re.Pattern[str]:
    """The name of any class, of the table or not."""
    stems = "|".join(stem for structure in structures() for stem in structure.stems)
    return re.compile(rf"\b(?:{stems})(?:-\w+)*(?:\.\w{{4}}(?:-Diff)?)?")


def _code(text: str) -> str:
    """Four characters that tell texts apart."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return "".join(ALPHABET[number // len(ALPHABET) ** place % len(ALPHABET)] for place in range(4))
