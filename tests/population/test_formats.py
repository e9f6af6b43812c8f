"""What earlier versions stored is read, and written again as the same bytes: keep a file of every format."""

from pathlib import Path

import pytest
from star_flows.run.paths import RunPaths
from star_flows.versions.ledger import Founders, read_ledger

from star_core.population.comparison import Comparison, read_comparison
from star_core.population.generation import Generation, read_generation

FORMATS = Path(__file__).parent / "formats"


def kept(kind, newest):
    """The files of a kind, of which there is one for every version up to the newest."""
    files = sorted(FORMATS.glob(f"{kind}_*.json"))
    assert [path.stem for path in files] == [f"{kind}_{version}" for version in range(1, newest + 1)]
    return files


@pytest.mark.parametrize("path", kept("generation", Generation.VERSION), ids=lambda path: path.stem)
def test_generations(path):
    found = read_generation(path, "main", 1)
    assert (len(found.population), found.parent.index, found.semantics["model"]) == (8, 0, 1)
    assert found.to_bytes() == path.read_bytes()


@pytest.mark.parametrize("path", kept("comparison", Comparison.VERSION), ids=lambda path: path.stem)
def test_comparisons(path):
    found = read_comparison(path, "main", "baselines")
    assert [entry.name for entry in found.entries] == ["transformer++", "striped-hybrid"]
    assert found.to_bytes() == path.read_bytes()


def test_ledger_from_before_there_were_forks(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/ledger.yaml").write_bytes((FORMATS / "ledger_1.yaml").read_bytes())
    found = read_ledger(RunPaths(str(tmp_path), "main"))
    assert found.founders == {"main": Founders(params="params.yaml")}
    assert (found.runs["main"].last, len(found.generations), found.forks, found.scaled) == (4, 4, {}, {})
