"""One small prepared text for the tests of the probe."""

import pytest

from tests.training.jobs import small_data


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return small_data(tmp_path_factory.mktemp("data"))
