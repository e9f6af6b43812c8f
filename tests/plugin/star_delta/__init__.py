"""The gated delta rule as an operator structure of another package: shapes here, arithmetic beside them."""
