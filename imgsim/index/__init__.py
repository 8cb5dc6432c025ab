"""Rows become neighbours: similarity search, exact and approximate."""

from imgsim.index._similarity_index import SimilarityIndex

__all__ = ["SimilarityIndex"]
