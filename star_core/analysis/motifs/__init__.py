"""Motifs: which patterns of classes and sharing links rise over the generations, and how surely."""
