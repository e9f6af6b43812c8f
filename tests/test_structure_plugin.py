"""A package that brings an operator structure: every contract of the built-in ones holds for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from star_core import Genome, SearchSpace
from star_core.errors import GenomeError
from star_core.genome.space import PRESETS
from tests.packages import install_plugin

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder that holds the package as pip would have installed it."""
    return install_plugin(tmp_path_factory.mktemp("structure") / "site")


def python(site, *arguments, cwd=ROOT):
    """Runs Python where the package is installed, and returns what it printed."""
    environment = {**os.environ, "PYTHONPATH": f"{site}:{ROOT}", "COLUMNS": "300"}
    result = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def star(site, *arguments, cwd=ROOT):
    return python(site, "-c", "from star_core.cli import main; main()", *arguments, cwd=cwd)


def test_the_tests_of_all_classes_find_it_and_those_of_its_own_pass(site):
    """Forms that agree, causality, gradients, cache bytes, precision, sharing; spaces, pictures, plan.

    All of them in one interpreter where the package is installed.
    """
    modules = ["tests/livs/test_mixers.py", "tests/models", "tests/plugin/check_delta.py"]
    chosen = ["-k", "Delta-1 or zz111 or check_delta"]
    output = python(site, "-m", "pytest", "-p", "no:cacheprovider", *modules, "-rp", *chosen)
    passed = re.findall(r"PASSED (tests/\S+?)::", output)
    assert passed.count("tests/plugin/check_delta.py") >= 12
    assert len(passed) >= 52


def test_star_genes_and_star_inspect_explain_it(site, tmp_path):
    genes = star(site, "genes")
    for text in ("Delta-1", "zz111", "324281", "how strongly a key's value is overwritten", "10,077,696"):
        assert text in genes
    shown = star(site, "inspect", "11111-21111_zz111_0z111-324241-324241-324211-111211-111311", cwd=tmp_path)
    for text in ("Delta-1", "(invented)", "gated delta rule; C dense, state of 8, short filter, swish"):
        assert text in shown
    assert "leaves as: onnx, torch" in shown
    for name, reason in (
        ("hf", "LIV 1 (Delta-1) is of another package"),
        ("gguf", "LIV 1 (Delta-1) is in neither"),
    ):
        assert f"not as {name}: {reason}" in shown


SAMPLES = """
import sys
import numpy as np
from star_core import SearchSpace
for name in sys.argv[1:]:
    rng = np.random.default_rng(0)
    space = SearchSpace.preset(name)
    for _ in range(40):
        print(space.repair(space.sample(rng), rng)[0])
"""


def test_no_preset_samples_otherwise_because_it_is_installed(site):
    there = python(site, "-c", SAMPLES, *PRESETS)
    here = []
    for name in PRESETS:
        rng, space = np.random.default_rng(0), SearchSpace.preset(name)
        here += [str(space.repair(space.sample(rng), rng)[0]) for _ in range(40)]
    assert there.split() == here


def test_where_it_is_missing_its_genomes_say_so():
    for text, gene in (
        ("11111_1z111", "token_mixing is one of"),
        ("11111_zz111", "featurizer is an integer"),
    ):
        with pytest.raises(GenomeError, match=rf"{gene}.*, or install the package that brings this"):
            Genome.parse(text)
