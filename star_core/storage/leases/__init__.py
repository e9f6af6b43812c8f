"""Leases: which of several machines trains a candidate."""
