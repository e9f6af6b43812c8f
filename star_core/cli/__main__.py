"""``python -m star_core.cli``: the same as ``star``."""

from star_core.cli import main

main()
