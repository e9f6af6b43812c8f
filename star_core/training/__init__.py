"""Training one candidate, and the processes candidates are trained in.

Importing this package does not import torch: the process that runs the search only waits.
``star_core.training.fit`` does.
"""

from star_core.training.processes.pool import CandidatePool, NotStored, PoolClosed

__all__ = ["CandidatePool", "NotStored", "PoolClosed"]
