"""Distances between embeddings: metrics, rows, score bounds and compiled kernels."""
