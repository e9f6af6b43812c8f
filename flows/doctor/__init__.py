"""``star doctor``: checks of everything a run needs, one small function each."""
