"""Layers to test mixers with: the classes of the paper and rows their table does not have."""

import torch

from star_core import Genome, SearchSpace, compile_genome
from star_core.livs import mixer_of
from star_core.livs.long_filter import modal_filter
from star_core.structures import Kind, class_table
from star_core.vocabulary.featurizer import FeatureGroupGenome, FeaturizerGenome
from star_core.vocabulary.operator import LIVClass, OperatorGenome
from star_core.vocabulary.tables import Sparsity, write_allele


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
    liv_class("normed values", "12123", "325221-325222-115212", differential=True),
    liv_class("ReLU gate", "91132", "321221-111221", "CV"),
    liv_class("linear gate", "91112", "111221-324221", "CV"),
    liv_class("repeated recurrence", "54111", "111254-324252-111211-323211", "CBVA"),
    liv_class("plain recurrence", "54111", "111211-111211-111211-111211", "CBVA", differential=True),
    liv_class("normed recurrence", "54111", "115282-115282-111211-111211", "CBVA"),
    liv_class("normed gates", "73111", "115211-115111-115311-321131", "CBVK"),
    liv_class("single tap", "73111", "324211-111211-323211-321111", "CBVK"),
    liv_class("five taps", "73111", "111211-321211-111211-321151", "CBVK", differential=True),
    liv_class("single mode", "83111", "321211-111211-111211-311111", "CBVK"),
    liv_class("linear attention", "12113", "111211-111211-111211"),
    liv_class("linear attention of features", "12112", "114211-113211-111221", differential=True),
    liv_class("linear attention of groups", "12113", "111221-111224-111212"),
    liv_class("ReLU attention", "12133", "111211-111214-111214"),
    liv_class("swish attention", "12142", "111221-111221-111211"),
    liv_class("banded attention", "12223", "111211-111214-111214"),
    liv_class("banded wide values", "12222", "111211-111211-111231"),
    liv_class("banded linear attention", "12213", "111211-321212-111211"),
    liv_class("banded ReLU attention", "12233", "111211-111211-111212", differential=True),
    liv_class("grouped convolution", "73113", "111211-111211-111211-321131", "CBVK"),
    liv_class("dense convolution", "73112", "111111-111311-111211-321121", "CBVK"),
    liv_class("grouped gated unit", "91143", "111321-111121", "CV"),
    liv_class("diagonal gated unit", "91131", "111221-111321", "CV"),
    liv_class("grouped features", "12123", "111311-111312-321312"),
    liv_class("diagonal features", "12123", "111111-114111-323131"),
    liv_class("grouped recurrence", "54111", "324342-111342-111111-111311", "CBVA"),
]
"""Rows that lower-level evolution can reach."""

NAMED = SearchSpace("named", class_table(), depth=6, groups=3)
OTHERS = SearchSpace("unlisted", dict(enumerate(UNLISTED, 1)), depth=6, groups=3)
PLACES = {
    entry.name: (space, write_allele(index))
    for space in (NAMED, OTHERS)
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
        if group.kind is not Kind.FILTER:
            shape = (batch, length, *shape)
        elif group.genome.sparsity is Sparsity.BANDED:
            shape = group.weights[0].shape
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        if group.kind is Kind.RATE:
            x = x.exp() / 4
        if group.kind is Kind.FILTER and group.genome.sparsity is not Sparsity.BANDED:
            x = modal_filter(*torch.randn(4, *shape, generator=generator, dtype=torch.float64))
            features[group.role] = x.to(torch.complex64) if dtype == torch.float32 else x
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


def histories(name):
    """Roles whose features arrive as all of their history."""
    return {state.name for state in layer_of(name).states if state.per_token}


def with_token_mixing(token_mixing):
    """Names of all classes of one token-mixing structure."""
    return [name for name in PLACES if layer_of(name).liv_class.operator.token_mixing == token_mixing]


MEMORYLESS = [name for name in PLACES if not layer_of(name).states]
"""Classes whose outputs depend on their own token only."""

LONG_FILTERS = [
    name
    for name in PLACES
    if any(g.kind is Kind.FILTER and g.genome.sparsity is Sparsity.NONE for g in layer_of(name).groups)
]
"""Classes whose filter is as long as the sequence: its Fourier transform rounds over all tokens at once."""
