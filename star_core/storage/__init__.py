"""Where evaluations, weights and leases are kept: folders, S3 buckets and other fsspec storage."""
