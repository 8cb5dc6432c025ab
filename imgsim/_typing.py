"""The arrays that pass through an embedder: pixels in, rows out."""

import numpy as np
from numpy.typing import NDArray

PixelArray = NDArray[np.uint8]
EmbeddingArray = NDArray[np.float32]
