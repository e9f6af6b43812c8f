"""What the integers of a genome mean: tables, operator genomes and featurizer genomes."""
