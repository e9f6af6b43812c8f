"""The gated unit against that of Llama."""

from functools import partial

import pytest

from tests.oracles.comparison import FORMS, assert_same_model, model_of
from tests.oracles.peers import llama_gated_unit

GATES = {
    "GMemless": {"gate": "silu"},
    "ReLU gate": {"gate": "relu"},
    "linear gate": {"gate": "linear", "V": "silu"},
}
"""Class → activation of its gate, and those of its featurizers behind short filters."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", GATES)
def test_the_gated_unit_is_that_of_llama(name, form):
    assert_same_model(model_of(name), partial(llama_gated_unit, **GATES[name]), form)
