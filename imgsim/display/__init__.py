"""Results become figures, as scikit-learn's displays; matplotlib draws them."""

from imgsim.cluster.selection._selection_display import SelectionDisplay
from imgsim.display._clusters import ClusterDisplay
from imgsim.display._gallery import write_gallery
from imgsim.display._map import EmbeddingMapDisplay
from imgsim.display._neighbors import NeighborsDisplay
from imgsim.display._reconstruction import ReconstructionDisplay
from imgsim.display._silhouettes import SilhouetteDisplay
from imgsim.display._similarity_map import SimilarityMapDisplay

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
