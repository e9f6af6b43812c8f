"""Individuals, generations and evaluations, and how they are stored."""
