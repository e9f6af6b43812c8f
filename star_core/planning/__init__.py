"""What a run will take, before it is spent: candidates, tokens, time, memory, disk."""
