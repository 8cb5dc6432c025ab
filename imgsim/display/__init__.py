"""Results become figures, as scikit-learn's displays; matplotlib draws them."""

from imgsim.display._clusters import ClusterDisplay
from imgsim.display._neighbors import NeighborsDisplay
from imgsim.display._reconstruction import ReconstructionDisplay

__all__ = ["ClusterDisplay", "NeighborsDisplay", "ReconstructionDisplay"]
