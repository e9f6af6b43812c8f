"""What a run found: fronts, motifs, lineage and cost as numbers, tables and a report."""
