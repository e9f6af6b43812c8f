"""Training one candidate, and the processes candidates are trained in.

Importing this package does not import torch: the process that runs the search only waits.
``star_core.training.fit`` does.
"""

from star_core.training.devices import default_workers
from star_core.training.worker import CandidatePool, NotStored, PoolClosed

__all__ = ["CandidatePool", "NotStored", "PoolClosed", "default_workers"]
