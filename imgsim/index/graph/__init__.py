"""Approximate neighbors: a walk over a graph of neighbors."""
