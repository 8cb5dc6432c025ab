"""Types of arrays: the pixels of images, and their embeddings."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

PixelArray = NDArray[np.uint8]
EmbeddingArray = NDArray[np.float32]


class SupportsArray(Protocol):
    """An object that NumPy can convert to an array, such as a pandas Series."""

    def __array__(self) -> NDArray[Any]:
        """Return the values as an array."""
