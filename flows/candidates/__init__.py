"""Candidates of a generation, trained on this machine or on a cluster."""
