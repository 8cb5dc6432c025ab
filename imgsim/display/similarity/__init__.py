"""Similarity maps: the contribution of each location to a cosine similarity."""
