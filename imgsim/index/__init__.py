"""Rows become neighbours: exact similarity search."""

from imgsim.index._similarity_index import SimilarityIndex

__all__ = ["SimilarityIndex"]
