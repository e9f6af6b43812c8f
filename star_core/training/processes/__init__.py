"""Candidate processes: a fork server, a fresh child for each candidate, and what they say to each other."""
