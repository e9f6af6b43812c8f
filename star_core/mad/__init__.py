"""MAD (arXiv 2403.17844): synthetic tasks, and the probe that scores an architecture on them."""
