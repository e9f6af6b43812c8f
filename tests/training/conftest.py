"""One small prepared text for all tests of training, and processes that train candidates or let them fail."""

from dataclasses import replace

import pytest

from star_core.training import CandidatePool
from tests.training import faults
from tests.training.jobs import small_data, small_job


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def pool():
    """Trains for real: torch is loaded once, in the fork server."""
    with CandidatePool(2, 120, 1024, target=faults.act) as entered:
        entered.warm_up()
        yield entered


@pytest.fixture(scope="module")
def light():
    """For faults that need no torch."""
    with CandidatePool(2, 60, 256, preload=["tests.training.faults"], target=faults.act) as entered:
        yield entered


@pytest.fixture
def job(data, tmp_path):
    return small_job(data, tmp_path / "store")


@pytest.fixture
def fault(job, tmp_path):
    """A job that makes the candidate do wrong; ``data`` is a file it may write to."""

    def make(action):
        return replace(job, genome=action.__name__, data=str(tmp_path / "note"))

    return make
