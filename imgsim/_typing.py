"""The arrays that pass through an embedder: pixels in, rows out."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float32]
