"""Rows become neighbours: similarity search and thresholds."""

from imgsim.index._search_result import SearchResult
from imgsim.index._similarity_index import SimilarityIndex

__all__ = ["SearchResult", "SimilarityIndex"]
