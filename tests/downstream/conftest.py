from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.training.retrainings import retrained_run


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """The data folder of a retrained run. Tests must not change it."""
    return retrained_run(tmp_path_factory.mktemp("retrained"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """lm-eval's data is not prepared in the user's home folder."""
    if find_spec("lm_eval") is None:
        yield
        return
    import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield
