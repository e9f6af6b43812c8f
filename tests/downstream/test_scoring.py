"""Likelihoods and written text against one pass per token."""

import pytest
import torch

from star_core.downstream import scoring
from star_core.downstream.scoring import likelihoods, windows
from star_core.downstream.writing import Ending, write
from tests.downstream.plain import GENOMES, LETTERS, byte_model, greedy_bytes, likelihood

CONTEXT = 12
PAIRS = [
    (1, 1),
    (3, 4),
    (1, 12),
    (11, 1),
    (12, 1),
    (13, 2),
    (40, 3),
    (9, 12),
    (2, 13),
    (1, 30),
    (20, 25),
    (5, 0),
]
"""Tokens before and after; within the context, at its limit, and beyond."""


def random_tokens(generator, count):
    return torch.randint(1, 256, (count,), generator=generator).tolist()


@pytest.mark.parametrize("genome", GENOMES.values(), ids=GENOMES)
def test_likelihoods_are_those_of_one_pass_per_token(genome, generator, monkeypatch):
    monkeypatch.setattr(scoring, "BATCH_TOKENS", 50)  # several batches, of several lengths
    model = byte_model(genome)
    pairs = [(random_tokens(generator, before), random_tokens(generator, after)) for before, after in PAIRS]
    passed = []
    found = likelihoods(model, pairs, CONTEXT, passed.append)
    for (before, after), result in zip(pairs, found, strict=True):
        log, greedy = likelihood(model, before, after, CONTEXT)
        assert result.log == pytest.approx(log, abs=1e-3 * max(1, len(after)))
        assert result.greedy == greedy
    assert found[-1] == scoring.Likelihood(0.0, True)
    assert sum(passed) == sum(len(list(windows(b, b + a, CONTEXT))) for b, a in PAIRS)


def test_what_lies_beyond_the_context_does_not_matter(generator):
    model = byte_model(GENOMES["attention"])
    before, after = random_tokens(generator, 30), random_tokens(generator, 3)
    changed = [*random_tokens(generator, 15), *before[15:]]
    original, other = (likelihoods(model, [(text, after)], CONTEXT)[0].log for text in (before, changed))
    assert original == other
    wider, changed = (likelihoods(model, [(text, after)], 40)[0].log for text in (before, changed))
    assert wider != changed


def test_greedy_is_said_of_the_likeliest_continuation_only(generator):
    model = byte_model(GENOMES["recurrence, long convolution, attention"])
    prompt = random_tokens(generator, 5)
    best = list(greedy_bytes(model, prompt, 6, CONTEXT))
    for at in range(6):
        other = [*best[:at], (best[at] + 1) % 256, *best[at + 1 :]]
        found = likelihoods(model, [(prompt, best), (prompt, other)], CONTEXT)
        assert [result.greedy for result in found] == [True, False]


def test_one_byte_that_is_not_likeliest_makes_a_long_text_not_greedy(generator):
    model, prompt = byte_model(GENOMES["attention"]), random_tokens(generator, 1)
    text = []
    for block in range(3):  # as windows see it: a block of four, from the byte before it
        for _ in range(4):
            before = [*prompt, *text][4 * block :]
            text.append(greedy_bytes(model, before, 1, CONTEXT)[0])
    other = [(text[0] + 1) % 256, *text[1:]]
    kept = likelihoods(model, [(prompt, text)], 4)[0]
    assert kept.greedy
    assert not likelihoods(model, [(prompt, other)], 4)[0].greedy


def test_windows_predict_each_token_once_and_read_as_much_as_they_may():
    # The example that lm-eval gives: a start token and ten others, four at a time.
    found = [(list(range(w.start, w.end - 1)), list(range(w.first, w.end))) for w in windows(1, 11, 4)]
    assert found == [([0, 1, 2, 3], [1, 2, 3, 4]), ([4, 5, 6, 7], [5, 6, 7, 8]), ([6, 7, 8, 9], [9, 10])]


@pytest.mark.parametrize("genome", GENOMES.values(), ids=GENOMES)
def test_text_is_written_as_one_pass_per_token_would(genome, generator):
    model, prompt = byte_model(genome), random_tokens(generator, 4)
    expected = greedy_bytes(model, prompt, 8, CONTEXT)
    if 0 in expected:
        expected = expected[: expected.index(0)]
    assert write(model, LETTERS, prompt, Ending((), 8), CONTEXT) == expected.decode("latin-1")
    assert len(expected) >= 2


def test_writing_ends_before_the_first_stop_string(generator):
    model, prompt = byte_model(GENOMES["attention"]), random_tokens(generator, 4)
    text = write(model, LETTERS, prompt, Ending((), 8), CONTEXT)
    stop = text[3:5]
    assert (
        write(model, LETTERS, prompt, Ending(("", "no such text", stop), 8), CONTEXT)
        == text[: text.index(stop)]
    )
    assert write(model, LETTERS, prompt, Ending((), 3), CONTEXT) == text[:3]


def test_the_end_of_a_document_ends_the_text():
    model = byte_model(GENOMES["attention"])
    with torch.no_grad():
        model.embedding[0] *= 100  # its logit is the largest or the smallest
    texts = {write(model, LETTERS, [first], Ending((), 8), CONTEXT) for first in range(1, 40)}
    assert "" in texts


def test_a_long_prompt_loses_its_beginning_and_a_long_text_goes_on(generator):
    model, prompt = (
        byte_model(GENOMES["recurrence, long convolution, attention"]),
        random_tokens(generator, 50),
    )
    # Room for 3 tokens beside the last 9 of the prompt.
    assert write(model, LETTERS, prompt, Ending((), 3), CONTEXT) == write(
        model, LETTERS, prompt[-9:], Ending((), 3), CONTEXT
    )
    # Half of the context is kept for the prompt; behind it the text goes on from its own last half.
    text = write(model, LETTERS, prompt, Ending((), 20), CONTEXT)
    tokens = prompt[-6:]
    while len(tokens) < 6 + len(text):
        read = len(tokens) if len(tokens) <= 12 else 6 + (len(tokens) - 13) % 7
        tokens.append(greedy_bytes(model, tokens[-read:], 1, CONTEXT)[0])
    assert bytes(tokens[6:]).decode("latin-1") == text
    assert len(text) == 20


def test_samples_follow_the_generator(generator):
    model = byte_model(GENOMES["attention"])

    def sampled(seed):
        source = torch.Generator().manual_seed(seed)
        return write(model, LETTERS, [65], Ending((), 10), CONTEXT, 1.0, source)

    assert sampled(1) == sampled(1)
    assert len({sampled(seed) for seed in range(5)}) > 1
