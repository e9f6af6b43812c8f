"""What is stored, and how DVC versions it: ledger, stages, stored runs."""
