"""Rows become neighbours: similarity search, near copies and thresholds."""

from imgsim.index._duplicate_group import DuplicateGroup
from imgsim.index._duplicates import find_duplicates
from imgsim.index._search_result import SearchResult
from imgsim.index._similarity_index import SimilarityIndex

__all__ = ["DuplicateGroup", "SearchResult", "SimilarityIndex", "find_duplicates"]
