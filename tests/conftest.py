"""One thread and no denormal numbers, as in the processes that train candidates."""

import os

import pytest
import torch
from hypothesis import settings

# Shared machines are slow at times, which is no failure; and CI tries the same examples every time.
settings.register_profile("star", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("star")

torch.set_num_threads(1)
torch.set_flush_denormal(True)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
