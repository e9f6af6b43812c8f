"""The report of a run: one HTML page, and the metrics and plots that DVC watches."""
