"""Clustering of embeddings, and the choice of the number of clusters."""

from imgsim.cluster._image_clusterer import ImageClusterer
from imgsim.cluster.criteria._silhouette import (
    silhouette_samples_many,
    silhouette_score_many,
)
from imgsim.cluster.selection._k_selection import KSelection
from imgsim.cluster.selection._select_k import select_k

__all__ = [
    "ImageClusterer",
    "KSelection",
    "select_k",
    "silhouette_samples_many",
    "silhouette_score_many",
]
