"""The images of a training run, held in memory or read again in every epoch."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn import get_config

from imgsim._typing import PixelArray
from imgsim.images import ImageFailure, ImageStream

_MEBIBYTE = 2**20
_MAX_SAMPLE_IMAGES = 2048
_MAX_SAMPLE_SIZE = 128  # MiB


def make_resizer(image_size: int, n_colors: int) -> Callable[[PixelArray], PixelArray]:
    """Return a function that resizes an RGB image to a square.

    The aspect ratio is not preserved. The result has shape (image_size, image_size,
    n_colors). The image is converted to gray if `n_colors` is 1.
    """

    def resize(rgb: PixelArray) -> PixelArray:
        image = Image.fromarray(rgb)
        if n_colors == 1:
            image = image.convert("L")
        small = image.resize(
            (image_size, image_size), Image.Resampling.BILINEAR, reducing_gap=3.0
        )
        return np.asarray(small).reshape(image_size, image_size, n_colors)

    return resize


class TrainingImages:
    """The readable images of a collection, resized, in batches of any order.

    The pixels are held in memory if they fit into scikit-learn's `working_memory`.
    Otherwise the images are read again for every batch.

    Raises
    ------
    ValueError
        If no image can be read.

    Attributes
    ----------
    failures : list of ImageFailure
        The images that could not be read.

    digest : str
        Digest of all pixels in the order of the images.

    in_memory : bool
        Whether the pixels are held in memory.
    """

    def __init__(
        self,
        sources: Sequence[Any],
        resize: Callable[[PixelArray], PixelArray],
        *,
        batch_size: int,
        n_jobs: int | None,
        on_error: Literal["raise", "nan"],
        max_pixels: float | None = None,
    ) -> None:
        self._sources = sources
        self._resize = resize
        self._batch_size = batch_size
        self._n_jobs = n_jobs
        self._max_pixels = max_pixels
        self._read_all("raise" if on_error == "raise" else "skip")

    def __len__(self) -> int:
        """Return the number of readable images."""
        return len(self._positions)

    def batches(self, indices: NDArray[np.int64]) -> Iterator[PixelArray]:
        """Yield batches (n, height, width, n_colors) of the readable images `indices`.

        Only the readable images are counted by `indices`.
        """
        if self._pixels is not None:
            for start in range(0, len(indices), self._batch_size):
                yield self._pixels[indices[start : start + self._batch_size]]
            return
        stream = self._stream(self._positions[indices], "raise")
        with closing(iter(stream)) as batches:
            for batch in batches:
                yield np.stack(batch.images)

    def sample(self, indices: NDArray[np.int64]) -> PixelArray:
        """Return the first images of `indices`, enough of them for statistics."""
        max_images = max(1, _MAX_SAMPLE_SIZE * _MEBIBYTE // self._n_bytes_per_image)
        max_images = min(_MAX_SAMPLE_IMAGES, max_images)
        return np.concatenate(list(self.batches(indices[:max_images])))

    def _stream(
        self, positions: NDArray[np.int64], on_error: Literal["raise", "skip"]
    ) -> ImageStream:
        return ImageStream(
            [self._sources[position] for position in positions.tolist()],
            transform=self._resize,
            batch_size=self._batch_size,
            n_jobs=self._n_jobs,
            max_pixels=self._max_pixels,
            on_error=on_error,
        )

    def _read_all(self, on_error: Literal["raise", "skip"]) -> None:
        n_images = len(self._sources)
        digest = hashlib.blake2b(digest_size=16)
        self.failures: list[ImageFailure] = []
        self._pixels: PixelArray | None = None
        positions = [np.empty(0, dtype=np.int64)]
        n_read = 0
        with closing(iter(self._stream(np.arange(n_images), on_error))) as batches:
            for batch in batches:
                self.failures += batch.failures
                if not batch.images:
                    continue
                pixels = np.stack(batch.images)
                digest.update(pixels.data)
                if n_read == 0:
                    self._n_bytes_per_image = pixels[0].nbytes
                    self._pixels = _allocate(n_images, pixels.shape[1:])
                if self._pixels is not None:
                    self._pixels[n_read : n_read + len(pixels)] = pixels
                n_read += len(pixels)
                positions.append(batch.rows)
        if n_read == 0:
            first = self.failures[0]
            raise ValueError(
                f"none of the {n_images} images could be read. The first is "
                f"{first.source}: {first.reason}"
            )
        self._positions = np.concatenate(positions)
        self.in_memory = self._pixels is not None
        self.digest = digest.hexdigest()


def _allocate(n_images: int, shape: tuple[int, ...]) -> PixelArray | None:
    """Return an array for all images, or None if it exceeds the working memory."""
    n_bytes = n_images * int(np.prod(shape))
    if n_bytes > get_config()["working_memory"] * _MEBIBYTE:
        return None
    return np.empty((n_images, *shape), dtype=np.uint8)
