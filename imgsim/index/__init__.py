"""Similarity search: the nearest neighbors of embeddings."""

from imgsim.index._search_result import SearchResult
from imgsim.index._similarity_index import SimilarityIndex

__all__ = ["SearchResult", "SimilarityIndex"]
