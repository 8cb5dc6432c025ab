"""Types of arrays: the pixels of images, and their embeddings."""

import numpy as np
from numpy.typing import NDArray

PixelArray = NDArray[np.uint8]
EmbeddingArray = NDArray[np.float32]
