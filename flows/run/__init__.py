"""What a run needs while a command works on it: paths, locks, budget, display, trainer."""
