"""Rows become groups: clustering, and the choice of the number of groups."""

from imgsim.cluster._image_clusterer import ImageClusterer
from imgsim.cluster._select_k import KSelection, select_k

__all__ = ["ImageClusterer", "KSelection", "select_k"]
