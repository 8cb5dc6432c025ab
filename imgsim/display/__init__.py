"""Displays, which draw results with matplotlib, and a gallery for the browser."""

from imgsim.cluster.selection._selection_display import SelectionDisplay
from imgsim.display._cluster_display import ClusterDisplay
from imgsim.display._neighbors_display import NeighborsDisplay
from imgsim.display._reconstruction_display import ReconstructionDisplay
from imgsim.display._silhouette_display import SilhouetteDisplay
from imgsim.display.gallery._write_gallery import write_gallery
from imgsim.display.map._embedding_map_display import EmbeddingMapDisplay
from imgsim.display.similarity._similarity_map_display import SimilarityMapDisplay

__all__ = [
    "ClusterDisplay",
    "EmbeddingMapDisplay",
    "NeighborsDisplay",
    "ReconstructionDisplay",
    "SelectionDisplay",
    "SilhouetteDisplay",
    "SimilarityMapDisplay",
    "write_gallery",
]
