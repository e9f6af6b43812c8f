"""A loss that needs no training: a smooth function of the architecture, to test the machinery of a search.

It says nothing about language models. Its shape makes searching hard in a similar way: every kind of operator
helps with falling returns, early filters and late attention help more, mixers and gated units want to
alternate, sharing costs a little quality and saves parameters and cache, and size helps slowly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from star_core import Architecture
from star_core.architecture import Layer
from star_core.evaluation import Evaluation
from star_core.evolution.base import Problem
from star_core.genome import Genome
from star_core.population.individual import Offspring
from star_core.structures.registered import family_of


@dataclass(frozen=True, slots=True)
class Benefit:
    """What a kind of operator is good for.

    Attributes:
        gain: Nats to be had from it.
        enough: Share of the depth that yields 63 % of that.
        slope: How much more it helps at the end of the backbone than at its beginning.
    """

    gain: float = 0.6
    enough: float = 1 / 8
    slope: float = 0.0


BENEFITS = {
    "attention": Benefit(0.9, 1 / 12, 0.5),
    "recurrence": Benefit(),
    "convolution": Benefit(0.5, slope=-0.6),
    "gated unit": Benefit(1.2, 1 / 4),
}
"""By family; another one is as good as a recurrence."""


def loss(architecture: Architecture) -> float:
    """Nats per token that a training might have ended with, between about 1 and 4."""
    layers = architecture.layers
    amounts = dict.fromkeys(BENEFITS, 0.0)
    kinds = [family_of(layer.liv_class).name for layer in layers]
    for layer, kind in zip(layers, kinds, strict=True):
        place = (layer.index + 0.5) / len(layers) - 0.5
        amount = (1 + BENEFITS.get(kind, Benefit()).slope * place) * strength(layer) / len(layers)
        amounts[kind] = amounts.get(kind, 0.0) + amount
    gained = 0.0
    for kind, amount in amounts.items():
        benefit = BENEFITS.get(kind, Benefit())
        gained += benefit.gain * (1 - math.exp(-amount / benefit.enough))
    units = [kind == "gated unit" for kind in kinds]
    turns = sum(a != b for a, b in pairwise(units)) / max(1, len(units) - 1)
    size = math.log2(architecture.num_parameters / (architecture.vocab_size * architecture.width))
    return 4.2 - gained - 0.2 * turns - 0.1 * size


def strength(layer: Layer) -> float:
    """What a layer counts: a differential one more, one that reuses features or weights less."""
    own = sum(group.computed_by == layer.index for group in layer.groups) / len(layer.groups)
    tied = sum(group.weights_of not in (None, layer.index) for group in layer.groups) / len(layer.groups)
    return (1.15 if layer.liv_class.differential else 1.0) * (0.7 + 0.3 * own) * (1 - 0.1 * tied)


def evaluate(problem: Problem, offspring: Offspring) -> Evaluation:
    """An evaluation that was never made."""
    nats = loss(problem.compile(Genome.parse(offspring.genome)))
    return Evaluation(
        "0" * 64,
        offspring.digest,
        offspring.genome,
        "ok",
        {"validation_loss": nats},
        "",
        0,
        0,
        {},
        {},
        {},
        "",
    )
