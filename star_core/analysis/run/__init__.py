"""A stored run as data: candidates, fronts, lineage, repairs and costs."""
