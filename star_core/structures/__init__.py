"""Token-mixing structures as shapes: one file each, read by the search half (no torch)."""

from star_core.structures.base import ClassRow, Family, FeaturizerRow, Sharing, Structure
from star_core.structures.feature_groups import READ, VALUE, WRITE, Kind, Role
from star_core.structures.registered import class_table, register, structure_of, structures
from star_core.structures.shapes import (
    Dimensions,
    FeatureShape,
    Groups,
    Shapes,
    Start,
    State,
    Weight,
)

__all__ = [
    "READ",
    "VALUE",
    "WRITE",
    "ClassRow",
    "Dimensions",
    "Family",
    "FeatureShape",
    "FeaturizerRow",
    "Groups",
    "Kind",
    "Role",
    "Shapes",
    "Sharing",
    "Start",
    "State",
    "Structure",
    "Weight",
    "class_table",
    "register",
    "structure_of",
    "structures",
]
