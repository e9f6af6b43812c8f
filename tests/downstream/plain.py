"""What a model says of texts, one token and one pass at a time: the oracle of likelihoods and of writing."""

from __future__ import annotations

import torch

from star_core import Genome, SearchSpace, build_model, compile_genome

GENOMES = {
    "attention": "31111-91111",
    "recurrence, long convolution, attention": "51111-81111-31112",
    "shared keys and values": "31123-91111-31123",
}


class Letters:
    """Each byte is a letter, so that any of them can be told apart in a text."""

    separator = 0

    def encode(self, text):
        return list(text.encode("latin-1"))

    def decode(self, tokens):
        return bytes(tokens).decode("latin-1")


LETTERS = Letters()


def byte_model(genome, seed=0, vocab_size=256):
    arch = compile_genome(
        Genome.parse(genome), SearchSpace.preset("paper", groups=4), 16, vocab_size=vocab_size
    )
    model = build_model(arch, seed=seed)
    with torch.no_grad():
        # A new model finds all bytes about equally likely and hardly looks back; this one has opinions.
        for name, weight in model.named_parameters():
            weight.mul_(3 if name == "embedding" else 2 if weight.dim() > 1 else 1)
    return model.eval()


@torch.no_grad()
def next_log_probabilities(model, tokens):
    """Of what follows ``tokens``."""
    return torch.log_softmax(model(torch.tensor([tokens]))[0, -1].double(), -1)


def likelihood(model, before, after, context):
    """Log-probability of ``after`` behind ``before``, and whether it is greedy.

    Up to ``context`` tokens to predict are predicted from the ``context`` tokens before the last of them;
    more of them in blocks of ``context``, the last of which sees as much.
    """
    tokens, total, greedy = [*before, *after], 0.0, True
    for block in range(len(before), len(tokens), context):
        end = min(block + context, len(tokens))
        start = max(0, end - 1 - context)
        for at in range(block, end):
            scores = next_log_probabilities(model, tokens[start:at])
            total += float(scores[tokens[at]])
            greedy = greedy and int(scores.argmax()) == tokens[at]
    return total, greedy


def greedy_bytes(model, prompt, count, context):
    """The likeliest bytes behind a prompt, as long as prompt and text fit into the context."""
    tokens = list(prompt)
    for _ in range(count):
        assert len(tokens) <= context
        tokens.append(int(next_log_probabilities(model, tokens).argmax()))
    return bytes(tokens[len(prompt) :])
