"""Measurements: ratios of things run side by side on one machine."""
