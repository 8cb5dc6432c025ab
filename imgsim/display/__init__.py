"""Results become figures, as scikit-learn's displays; matplotlib draws them."""

from imgsim.cluster._selection_display import SelectionDisplay
from imgsim.display._clusters import ClusterDisplay
from imgsim.display._neighbors import NeighborsDisplay
from imgsim.display._reconstruction import ReconstructionDisplay
from imgsim.display._silhouettes import SilhouetteDisplay

__all__ = [
    "ClusterDisplay",
    "NeighborsDisplay",
    "ReconstructionDisplay",
    "SelectionDisplay",
    "SilhouetteDisplay",
]
