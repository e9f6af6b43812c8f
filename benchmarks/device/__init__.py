"""What holds on a GPU: agreement with the CPU, determinism, the product's own path, memory, speed."""
