"""Genomes: integers, what they mean, and which of them are valid together."""

from star_core.genome.backbone import LIV, Genome
from star_core.genome.canonical import canonical
from star_core.genome.repair import Change
from star_core.genome.space import PRESETS, SearchSpace

__all__ = ["LIV", "PRESETS", "Change", "Genome", "SearchSpace", "canonical"]
