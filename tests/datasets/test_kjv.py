"""The default corpus is clean English, the same everywhere."""

import re

import pytest

from star_core.config import Data
from star_core.datasets import dataset, dataset_names
from star_core.datasets.kjv import books
from star_core.errors import DataError


@pytest.fixture(scope="module")
def texts():
    return books()


def test_has_all_books_and_the_expected_size(texts):
    assert len(texts) == 66
    assert texts[0].startswith("In the beginning God created the heaven and the earth. And the earth")
    assert texts[-1].endswith("The grace of our Lord Jesus Christ be with you all. Amen.\n")
    assert sum(len(text.encode()) for text in texts) == pytest.approx(4.14e6, rel=0.01)
    assert sum(text.count("\n") for text in texts) > 1189  # every chapter begins a line


def test_has_no_numbers_markup_or_stray_spaces(texts):
    text = "".join(texts)
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz ,.:;?!'’()-—æÆ\n")
    for litter in (r"  ", r" \n", r"\n ", r"\n\n", r"\( ", r" [,.:;?!)]"):
        assert not re.search(litter, text), litter


def test_is_the_registered_default():
    assert "kjv" in dataset_names()
    corpus = dataset("kjv").load(Data())
    assert corpus.vocab_size == 256
    assert len(corpus.documents) == 66


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(DataError, match="did you mean 'kjv'"):
        dataset("kjb")
