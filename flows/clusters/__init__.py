"""Clusters of workers: Ray and Dask behind one contract."""
