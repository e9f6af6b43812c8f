"""Objectives: one file each; ``params.yaml`` names them."""
