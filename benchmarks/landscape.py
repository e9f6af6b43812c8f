"""A loss that needs no training: a smooth function of the architecture, to test the machinery of a search.

It says nothing about language models. Its shape makes searching hard in a similar way: every kind of operator
helps with falling returns, early filters and late attention help more, mixers and gated units want to
alternate, sharing costs a little quality and saves parameters and cache, and size helps slowly.
"""

from __future__ import annotations

import math
from itertools import pairwise

from star_core import Architecture
from star_core.architecture import Layer
from star_core.evaluation import Evaluation
from star_core.evolution.base import Problem
from star_core.genome import Genome
from star_core.population.individual import Offspring
from star_core.vocabulary.tables import TokenMixing

GAIN = {
    TokenMixing.LOW_RANK: 0.9,
    TokenMixing.SEMI_SEPARABLE: 0.6,
    TokenMixing.TOEPLITZ: 0.5,
    TokenMixing.DIAGONAL: 1.2,
}
"""Nats to be had from each kind of operator."""

ENOUGH = {
    TokenMixing.LOW_RANK: 1 / 12,
    TokenMixing.SEMI_SEPARABLE: 1 / 8,
    TokenMixing.TOEPLITZ: 1 / 8,
    TokenMixing.DIAGONAL: 1 / 4,
}
"""Share of the depth that yields 63 % of that."""

SLOPE = {TokenMixing.LOW_RANK: 0.5, TokenMixing.TOEPLITZ: -0.6}
"""How much more a kind helps at the end of the backbone than at its beginning."""


def loss(architecture: Architecture) -> float:
    """Nats per token that a training might have ended with, between about 1 and 4."""
    layers = architecture.layers
    amounts = dict.fromkeys(TokenMixing, 0.0)
    for layer in layers:
        place = (layer.index + 0.5) / len(layers) - 0.5
        kind = layer.liv_class.operator.token_mixing
        amounts[kind] += (1 + SLOPE.get(kind, 0.0) * place) * strength(layer) / len(layers)
    gained = sum(gain * (1 - math.exp(-amounts[kind] / ENOUGH[kind])) for kind, gain in GAIN.items())
    units = [layer.liv_class.operator.token_mixing is TokenMixing.DIAGONAL for layer in layers]
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
