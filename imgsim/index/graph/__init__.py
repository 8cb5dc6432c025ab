"""Approximate nearest neighbors: a beam search on a graph of neighbors."""
