"""Results become figures, as scikit-learn's displays; matplotlib draws them."""

from imgsim.display._clusters import ClusterDisplay
from imgsim.display._neighbors import NeighborsDisplay

__all__ = ["ClusterDisplay", "NeighborsDisplay"]
