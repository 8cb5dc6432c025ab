"""The images of a training, kept as 8 bits or read anew in every epoch."""

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
_MOST_SAMPLED = 2048
_LARGEST_SAMPLE = 128  # MiB


class TrainingImages:
    """The readable images of a collection, prepared, in batches of any order.

    They are kept if they fit into scikit-learn's `working_memory`, and otherwise read
    again whenever they are asked for.

    Raises
    ------
    ValueError
        If none can be read.

    Attributes
    ----------
    failures : list of ImageFailure
        The images that could not be read.

    fingerprint : str
        Hash of all pixels, in order.

    are_kept : bool
        Whether all are in memory.
    """

    def __init__(
        self,
        sources: Sequence[Any],
        prepare: Callable[[PixelArray], PixelArray],
        *,
        batch_size: int,
        n_jobs: int | None,
        on_error: str,
    ) -> None:
        self._sources = sources
        self._prepare = prepare
        self._batch_size = batch_size
        self._n_jobs = n_jobs
        self._read_all("raise" if on_error == "raise" else "skip")

    def __len__(self) -> int:
        """Return the number of readable images."""
        return len(self._rows)

    def batches(self, order: NDArray[np.int64]) -> Iterator[PixelArray]:
        """Yield images (n, height, width, n_colors) by their numbers, in this order."""
        if self._kept is not None:
            for start in range(0, len(order), self._batch_size):
                yield self._kept[order[start : start + self._batch_size]]
            return
        with closing(iter(self._stream(self._rows[order], "raise"))) as batches:
            for batch in batches:
                yield np.stack(batch.images)

    def sample(self, order: NDArray[np.int64]) -> PixelArray:
        """Return the first images of an order, as many as are enough to measure."""
        n_bytes_most = _LARGEST_SAMPLE * _MEBIBYTE
        n_most = min(_MOST_SAMPLED, max(1, n_bytes_most // self._n_bytes_an_image))
        return np.concatenate(list(self.batches(order[:n_most])))

    def _stream(
        self, rows: NDArray[np.int64], on_error: Literal["raise", "skip"]
    ) -> ImageStream:
        return ImageStream(
            [self._sources[row] for row in rows.tolist()],
            transform=self._prepare,
            batch_size=self._batch_size,
            n_jobs=self._n_jobs,
            on_error=on_error,
        )

    def _read_all(self, on_error: Literal["raise", "skip"]) -> None:
        n_images = len(self._sources)
        digest = hashlib.blake2b(digest_size=16)
        self.failures: list[ImageFailure] = []
        self._kept: PixelArray | None = None
        readable = [np.empty(0, dtype=np.int64)]
        n_read = 0
        with closing(iter(self._stream(np.arange(n_images), on_error))) as batches:
            for batch in batches:
                self.failures += batch.failures
                if not batch.images:
                    continue
                pixels = np.stack(batch.images)
                digest.update(pixels.data)
                if n_read == 0:
                    self._n_bytes_an_image = pixels[0].nbytes
                    self._kept = _space_for(n_images, pixels.shape[1:])
                if self._kept is not None:
                    self._kept[n_read : n_read + len(pixels)] = pixels
                n_read += len(pixels)
                readable.append(batch.rows)
        if n_read == 0:
            first = self.failures[0]
            raise ValueError(
                f"none of {n_images} images could be read. The first is "
                f"{first.source}: {first.reason}"
            )
        self._rows = np.concatenate(readable)
        self.are_kept = self._kept is not None
        self.fingerprint = digest.hexdigest()


def _space_for(n_images: int, shape: tuple[int, ...]) -> PixelArray | None:
    """Return room for all images, unless it takes more than the working memory."""
    n_bytes = n_images * int(np.prod(shape))
    if n_bytes > get_config()["working_memory"] * _MEBIBYTE:
        return None
    return np.empty((n_images, *shape), dtype=np.uint8)


def make_resizer(image_size: int, n_colors: int) -> Callable[[PixelArray], PixelArray]:
    """Return the function that stretches an image to a square, grey if one colour."""

    def prepare(rgb: PixelArray) -> PixelArray:
        image = Image.fromarray(rgb)
        if n_colors == 1:
            image = image.convert("L")
        small = image.resize(
            (image_size, image_size), Image.Resampling.BILINEAR, reducing_gap=3.0
        )
        return np.asarray(small).reshape(image_size, image_size, n_colors)

    return prepare
