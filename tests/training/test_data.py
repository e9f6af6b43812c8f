"""Batches follow from the seed alone; validation windows are fixed and do not overlap."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from star_core.config import Training
from star_core.errors import DataError
from star_core.training.data import TokenModule, training_starts, validation_starts

RECIPE = Training(steps=5, batch_size=3, sequence_length=16, validation_tokens=100)


def test_batches_are_the_same_for_the_same_seed(data):
    first, second = (list(TokenModule(data, RECIPE).train_dataloader()) for _ in range(2))
    assert len(first) == 5
    assert all(batch.shape == (3, 17) and batch.dtype == torch.int64 for batch in first)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    other = list(TokenModule(data, RECIPE.model_copy(update={"seed": 1})).train_dataloader())
    assert not torch.equal(torch.cat(first), torch.cat(other))


def test_batches_do_not_touch_the_global_generator(data):
    before = torch.get_rng_state()
    list(TokenModule(data, RECIPE).train_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_windows_are_text(data):
    text = bytes(data.train)
    for batch in TokenModule(data, RECIPE).train_dataloader():
        for window in batch:
            assert bytes(window.tolist()) in text


def test_longer_training_begins_with_the_same_batches():
    longer = RECIPE.model_copy(update={"steps": 50})
    assert np.array_equal(training_starts(1000, longer)[:5], training_starts(1000, RECIPE))


@given(tokens=st.integers(17, 3000), limit=st.integers(2, 500))
def test_validation_windows_fit_and_do_not_overlap(tokens, limit):
    recipe = RECIPE.model_copy(update={"validation_tokens": limit})
    starts = validation_starts(tokens, recipe)
    assert 1 <= len(starts) <= max(1, limit // 16)
    assert starts[0] == 0
    assert starts[-1] + 17 <= tokens
    assert (np.diff(starts) >= 16).all()


@given(tokens=st.integers(17, 60))
def test_training_windows_fit(tokens):
    starts = training_starts(tokens, RECIPE)
    assert starts.min() >= 0
    assert starts.max() + 17 <= tokens


def test_last_validation_batch_may_be_short(data):
    module = TokenModule(data, RECIPE.model_copy(update={"validation_tokens": 64}))
    assert [len(batch) for batch in module.val_dataloader()] == [3, 1]


def test_too_short_text_is_refused(data):
    recipe = RECIPE.model_copy(update={"sequence_length": 100_000})
    with pytest.raises(DataError, match="100001 tokens") as caught:
        TokenModule(data, recipe)
    assert "train" in str(caught.value)
    assert "sequence_length" in str(caught.value)
