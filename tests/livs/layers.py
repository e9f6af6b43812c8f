"""Layers to test mixers with: the classes of the paper and rows their table does not have."""

import torch

from star_core import Genome, SearchSpace, compile_genome
from star_core.genome.featurizer import FeatureGroupGenome, FeaturizerGenome
from star_core.genome.operator import LIVClass, OperatorGenome, paper_classes
from star_core.genome.tables import Sparsity, TokenMixing, write_allele
from star_core.livs import mixer_of
from star_core.livs.long_filter import modal_filter


def liv_class(name, operator, groups, roles="CBV", differential=False):
    """A class from genome text, of any combination the structures admit."""
    featurizer = FeaturizerGenome(tuple(roles), tuple(map(FeatureGroupGenome.parse, groups.split("-"))))
    return LIVClass(name, OperatorGenome.parse(operator), featurizer, differential)


UNLISTED = [
    liv_class("dense attention", "12122", "111211-111211-111211"),
    liv_class("wide values", "12123", "111211-111212-111232"),
    liv_class("wide queries", "12123", "321221-324221-111212", differential=True),
    liv_class("all repeated", "12123", "111212-111214-111212"),
    liv_class("uneven repeats", "12123", "111211-111214-111212"),
    liv_class("ReLU gate", "91132", "321221-111221", "CV"),
    liv_class("linear gate", "91112", "111221-324221", "CV"),
    liv_class("repeated recurrence", "54111", "111254-324252-111211-323211", "CBVA"),
    liv_class("plain recurrence", "54111", "111211-111211-111211-111211", "CBVA", differential=True),
    liv_class("single tap", "73111", "324211-111211-323211-321111", "CBVK"),
    liv_class("five taps", "73111", "111211-321211-111211-321151", "CBVK", differential=True),
    liv_class("single mode", "83111", "321211-111211-111211-311111", "CBVK"),
]
"""Rows that lower-level evolution can reach."""

PAPER = SearchSpace("paper", paper_classes(), depth=6, groups=3)
OTHERS = SearchSpace("unlisted", dict(enumerate(UNLISTED, 1)), depth=6, groups=3)
PLACES = {
    entry.name: (space, write_allele(index))
    for space in (PAPER, OTHERS)
    for index, entry in space.classes.items()
}
"""Class name → a space that has it, and its allele there."""

ARITHMETIC = [name for name in PLACES if not name.endswith("-Diff")]
"""Classes without those that only double another one."""


def layer_of(name, width=16, head_dim=4):
    space, allele = PLACES[name]
    return compile_genome(Genome.parse(f"{allele}1111"), space, width, head_dim).layers[0]


def mixer_for(name):
    layer = layer_of(name)
    return mixer_of(layer.liv_class.operator.token_mixing)(layer)


def features_for(name, length, generator, batch=2, scale=1.0, dtype=torch.float64):
    """Random feature groups of the shapes that the class's featurizers make."""
    features = {}
    for group in layer_of(name).groups:
        shape = (group.shape.heads, group.shape.channels)
        if group.role != "K":
            shape = (batch, length, *shape)
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        if group.role == "A":
            x = x.exp() / 4
        if group.role == "K" and group.genome.sparsity is not Sparsity.BANDED:
            x = modal_filter(*torch.randn(4, *shape, generator=generator, dtype=torch.float64))
            features["K"] = x.to(torch.complex64) if dtype == torch.float32 else x
        else:
            features[group.role] = (scale * x).to(dtype)
    return features


def states_for(name, batch=2, dtype=torch.float64):
    """Empty constant-size states of the operator itself."""
    layer = layer_of(name)
    return {
        state.name: torch.zeros(batch, *state.shape, dtype=dtype)
        for state in layer.states
        if not state.per_token and "." not in state.name
    }


def is_attention(name):
    return layer_of(name).liv_class.operator.token_mixing is TokenMixing.LOW_RANK
