"""Trained models on tasks of a user's own, through lm-eval (the extra ``evaluate``).

``scoring`` and ``writing`` are what a task asks of a model and know nothing of lm-eval; ``adapter`` is the
interface it wants, ``tasks`` reads task files, ``harness`` runs them.
"""
