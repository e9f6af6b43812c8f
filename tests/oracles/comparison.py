"""What all comparisons with other implementations share: models at work, ways to feed them, gradients.

Both sides compute from the same weights, a peer from rearranged ones where it names or orders them
otherwise. So the gradients to compare are those of the same tensors, and nothing is copied back.

Legend: B batch, L length, D channels, V vocabulary.
"""

from itertools import accumulate, cycle, takewhile

import torch
from torch.nn import functional

from star_core import Genome, SearchSpace, compile_genome
from star_core.livs.rotary import Positions
from star_core.models import LanguageModel
from star_core.vocabulary.operator import LIVClass
from tests.livs.layers import PLACES, mixer_for
from tests.models.language_models import double

BATCH, LENGTH, WIDTH, HEAD_DIM = 2, 37, 16, 4
EPSILON, BASE, WINDOW = 1e-5, 10_000.0, 64
"""Of every norm, of the rotation of queries and keys, and of banded rows."""
BANDED_LENGTH = 70
"""Tokens of which the last ones no longer read the first."""


def pairs_of(channels):
    """Channels of a query or key that positions turn together; the first pair fastest."""
    return [(2 * pair, 2 * pair + 1) for pair in range(channels // 2)]


FORMS = ("reference", "parallel", "step")
PIECES = (1, 1, 7, 1, 1, 1, 20, 1, 1, 1, 1, 1)
"""How the step form gets its tokens: one through ``step``, more through ``prefill``; and over again."""

TOLERANCES = {torch.float32: (1e-4, 1e-5), torch.float64: (1e-8, 1e-9)}
"""Relative tolerances: of each entry, and of the largest entry of its tensor."""


def class_of(liv):
    """A LIV class, or that of this name."""
    if isinstance(liv, LIVClass):
        return liv
    space, allele = PLACES[liv]
    return space.classes[int(allele, 36)]


def model_of(*livs, batch=BATCH, length=LENGTH, dtype=torch.float32):
    """A model of these LIVs in order of depth, with as many tokens as ``tokens_of`` needs."""
    classes = [class_of(liv) for liv in livs]
    space = SearchSpace("compared", dict(enumerate(classes, 1)), depth=len(classes), groups=1)
    genome = Genome.parse("-".join(f"{index}1111" for index in space.classes))
    return double(compile_genome(genome, space, WIDTH, HEAD_DIM, batch * length)).to(dtype)


def tokens_of(model, batch=BATCH):
    """Every token once, so that the embedding is the input: its gradient is that of each position."""
    return torch.arange(model.arch.vocab_size).view(batch, -1)


def pieces_of(length):
    """(start, end) of each piece of the step form."""
    starts = [0, *takewhile(lambda end: end < length, accumulate(cycle(PIECES)))]
    return list(zip(starts, [*starts[1:], length], strict=True))


def copies_for_backward():
    """Lets gradients through caches that are written in place: backward sees what was there."""
    return torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda kept: kept)


def logits_of(model, tokens_BL, form):
    """The model's logits, with their graph in the step form too."""
    if form != "step":
        return model(tokens_BL, form=form)
    batch, length = tokens_BL.shape
    cache, logits = model.init_cache(batch, length), []
    prefill, step = (getattr(LanguageModel, name).__wrapped__ for name in ("prefill", "step"))
    with copies_for_backward():
        for start, end in pieces_of(length):
            if end - start > 1:
                new_BLV, cache = prefill(model, tokens_BL[:, start:end], cache)
            else:
                new_BV, cache = step(model, tokens_BL[:, start], cache)
                new_BLV = new_BV.unsqueeze(1)
            logits.append(new_BLV)
    return torch.cat(logits, 1)


def peer_logits(model, tokens_BL, layer, form):
    """Logits of a model of one LIV that ``layer`` computes instead, all around it being plain torch.

    Args:
        model: Whose weights are used.
        tokens_BL: Token ids.
        layer: ``(model, cached)`` → a function of the normalised input (B, L, D) and the position of
            its first token. If cached, it is called piece by piece and remembers what came before.
        form: Which one of the model's is compared.
    """
    weights, apply = dict(model.named_parameters()), layer(model, form == "step")
    pieces = pieces_of(tokens_BL.shape[1]) if form == "step" else [(0, tokens_BL.shape[1])]
    x_BLD = functional.embedding(tokens_BL, weights["embedding"])
    h_BLD = functional.rms_norm(x_BLD, (WIDTH,), weights["backbone.layers.0.norm"], EPSILON)
    with copies_for_backward():
        x_BLD = x_BLD + torch.cat([apply(h_BLD[:, start:end], start) for start, end in pieces], 1)
    return functional.rms_norm(x_BLD, (WIDTH,), weights["backbone.norm"], EPSILON) @ weights["embedding"].T


def weights_of(model, depth=0):
    """The weights of one LIV by name, or by role and name: one mapping per branch, with what they share."""
    prefix = f"backbone.layers.{depth}."
    weights = {
        name.removeprefix(prefix): weight
        for name, weight in model.named_parameters(remove_duplicate=False)
        if name.startswith(prefix)
    }
    return [
        {name.removeprefix(f"featurizers.{branch}."): weight for name, weight in weights.items()}
        for branch in range(model.arch.layers[depth].branches)
    ]


def by_branch(peer):
    """Decorator: a layer from a peer of one branch; a differential LIV is y = W (T₁h - λ T₂h).

    ``peer(weights, cached)`` makes the function of one branch, its output projection included.
    """

    def layer(model, cached, **options):
        weights = weights_of(model)
        branches = [peer(own, cached, **options) for own in weights]

        def apply(h_BLD, start):
            y_BLD, *others = (branch(h_BLD, start) for branch in branches)
            for other_BLD in others:
                y_BLD = y_BLD - weights[0]["difference"] * other_BLD
            return y_BLD

        return apply

    return layer


def assert_same_model(model, layer, form):
    """Logits and the gradients of all weights are those of a model with ``layer`` in the LIV's place."""
    tokens_BL = tokens_of(model)
    ours, theirs = logits_of(model, tokens_BL, form), peer_logits(model, tokens_BL, layer, form)
    assert_same_function(ours, theirs, dict(model.named_parameters()))


def assert_same_function(ours, theirs, leaves):
    """Two outputs agree, and so do the gradients of their random projection with respect to each leaf."""
    probe = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1)).to(ours.dtype)
    close(ours, theirs, "output")
    gradients = (torch.autograd.grad((probe * y).sum(), list(leaves.values())) for y in (ours, theirs))
    for name, mine, other in zip(leaves, *gradients, strict=True):
        assert mine.abs().sum() > 0, name
        close(mine, other, f"gradient of {name}")


def close(ours, theirs, what):
    assert ours.dtype == theirs.dtype
    relative, of_largest = TOLERANCES[ours.dtype]
    torch.testing.assert_close(
        ours,
        theirs,
        rtol=relative,
        atol=of_largest * theirs.detach().abs().max().item(),
        msg=lambda message: f"{what}: {message}",
    )


def mix(name, features, form, states=None, start=0):
    """One pass of a class's mixer: the only place here that knows the signature of its forms.

    Args:
        name: Of the class.
        features: Its feature groups by role.
        form: One of ``FORMS``.
        states: Those before; the reference takes none.
        start: Position of the first token.

    Returns:
        The mixed sequence and the new states.
    """
    mixer, positions = mixer_for(name), Positions(start, features["V"].shape[1])
    if form == "reference":
        return mixer.reference(features, positions), {}
    return (mixer.step if form == "step" else mixer.parallel)(features, states, positions)
