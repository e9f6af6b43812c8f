"""Version of what a genome *means*: a change here invalidates stored evaluations and generations.

Raise it in the same commit as a change to the arithmetic, the initialisation or the training loop
that alters results for the same genome, recipe, data and seed. It is part of every evaluation's key
and a dependency of every generation in ``dvc.yaml``.
"""

MODEL = 2
"""Operators, initialisation, training and evaluation."""

SEARCH = 1
"""Sampling, variation, repair and survival."""

VERSIONS = {"model": MODEL, "search": SEARCH}
"""Both, as a generation file states them."""
