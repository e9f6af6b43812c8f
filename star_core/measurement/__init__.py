"""What a model costs on this very machine: time to first token, time per token, memory.

Importing this package does not import torch: ``probe`` does, in the process that measures.
"""
