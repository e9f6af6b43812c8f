"""One thread and no denormal numbers, as in the processes that train candidates."""

import pytest
import torch

torch.set_num_threads(1)
torch.set_flush_denormal(True)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
