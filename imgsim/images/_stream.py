"""Batches of images, decoded ahead by threads and returned in input order."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from math import ceil
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim._compute.threads import count_threads
from imgsim._short_repr import describe_items
from imgsim._typing import PixelArray
from imgsim._validation import is_integer, nearest_name
from imgsim.exceptions import ImageReadError
from imgsim.images._read import describe_source, read_image
from imgsim.images._sources import check_image_sources
from imgsim.images.decoding._pixel_limit import PixelLimit


class ImageFailure(NamedTuple):
    """An image that could not be read.

    Parameters
    ----------
    row : int
        Position of the image in the collection.

    source : str
        Path of the image, or a short description of an image in memory.

    reason : str
        Why the image could not be read.

    Examples
    --------
    >>> from imgsim.images import ImageStream
    >>> [batch] = ImageStream(["missing.jpg"])
    >>> batch.failures
    [ImageFailure(row=0, source='missing.jpg', reason='no such file.')]
    """

    row: int
    source: str
    reason: str


class ImageBatch(NamedTuple):
    """A batch of consecutive images of a collection.

    Parameters
    ----------
    rows : ndarray of shape (n_readable,), dtype int64
        Positions of `images` in the collection, in increasing order.

    images : list
        The images that could be read, in the order of `rows`.

    failures : list of ImageFailure
        The images of this batch that could not be read.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim.images import ImageStream
    >>> image = np.zeros((4, 6, 3), dtype=np.uint8)
    >>> [batch] = ImageStream([image, "missing.jpg", image])
    >>> batch.rows, batch.images[0].shape
    (array([0, 2]), (4, 6, 3))
    """

    rows: NDArray[np.int64]
    images: list[Any]
    failures: list[ImageFailure]

    def __repr__(self) -> str:
        return f"<ImageBatch: {describe_items(self._asdict())}>"


class ImageStream:
    """Iterate over a collection in batches of decoded images, in input order.

    Threads decode up to two batches ahead of the current one, so at most three batches
    are in memory at a time. The threads are stopped when the loop is left early, by an
    exception or by an interrupt. Each iteration starts from the first image.

    Parameters
    ----------
    X : sequence of image sources
        Images of one or several kinds that :func:`read_image` accepts. `X` may also be
        a 4-D array or tensor of images, or a column of a DataFrame.

    transform : callable, default=None
        Function applied to each image, of shape (height, width, 3) and dtype uint8,
        in the decoding thread. The batch contains its result, such as a resized
        image. None returns the image itself.

    batch_size : int, default=32
        Number of images per batch. The last batch may be smaller.

    n_jobs : int, default=-1
        Number of decoding threads. None means 1 unless in a
        :obj:`joblib.parallel_backend` context. -1 means all processors, or the share
        of them that joblib gave to a worker process through `OMP_NUM_THREADS`.

    on_error : {"skip", "raise"}, default="skip"
        Whether an unreadable image is skipped and listed in `failures` of the batch,
        or raised as an :class:`~imgsim.exceptions.ImageReadError`.

    max_pixels : float, default=None
        Maximum number of pixels of a file or PIL image, as for :func:`read_image`. None
        means twice `PIL.Image.MAX_IMAGE_PIXELS`, and `float("inf")` means no limit.

    loader : callable, default=None
        Function that reads an image from its source, in the decoding thread. None
        means :func:`read_image` with `max_pixels`. Any other function has its own
        limit, so that `max_pixels` must be None.

    Attributes
    ----------
    n_images : int
        Number of images in the collection.

    Raises
    ------
    TypeError, ValueError
        If `X` is a single image, is not a sequence of images, or is empty, if
        `batch_size`, `n_jobs`, `on_error` or `max_pixels` has an invalid value, or if
        both `loader` and `max_pixels` are given.

    See Also
    --------
    read_image : Read a single image.

    Notes
    -----
    `len(stream)` is the number of batches. Threads are used instead of processes,
    because decoding releases the global interpreter lock. Nothing has to be pickled,
    so that a stream works in a notebook, on Windows and in a worker of another pool.

    Examples
    --------
    >>> from imgsim.datasets import load_sample_photos
    >>> from imgsim.images import ImageStream
    >>> photos = load_sample_photos(n_crops=3, n_copies=0).images
    >>> stream = ImageStream(photos, transform=lambda x: x[::8, ::8], batch_size=4)
    >>> [(batch.rows.tolist(), batch.images[0].shape) for batch in stream]
    [([0, 1, 2, 3], (20, 20, 3)), ([4, 5], (20, 20, 3))]
    """

    def __init__(
        self,
        X: Any,
        *,
        transform: Callable[[PixelArray], Any] | None = None,
        batch_size: int = 32,
        n_jobs: int | None = -1,
        on_error: Literal["skip", "raise"] = "skip",
        max_pixels: float | None = None,
        loader: Callable[[Any], Any] | None = None,
    ) -> None:
        _check_integer("batch_size", batch_size)
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1.")
        if n_jobs is not None:
            _check_integer("n_jobs", n_jobs)
        if on_error not in ("skip", "raise"):
            raise ValueError(
                f"on_error={on_error!r} must be 'skip' or 'raise'."
                f"{nearest_name(on_error, ('skip', 'raise'))}"
            )
        self._sources = check_image_sources(X)
        self._transform = transform
        self._batch_size = batch_size
        self._n_threads = count_threads(n_jobs)
        self._loader = _make_loader(loader, max_pixels)
        self._on_error = on_error
        self.n_images = len(self._sources)

    def __len__(self) -> int:
        """Return the number of batches."""
        return ceil(self.n_images / self._batch_size)

    def __iter__(self) -> Generator[ImageBatch, None, None]:
        """Yield the batches, while the next ones are decoded."""
        pool = ThreadPoolExecutor(self._n_threads, thread_name_prefix="imgsim-decode")
        try:
            yield from self._batches(pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _batches(self, pool: ThreadPoolExecutor) -> Iterator[ImageBatch]:
        remaining = iter(range(self.n_images))
        pending: deque[Future[Any]] = deque(
            pool.submit(self._load, self._sources[row])
            for row in islice(remaining, 2 * self._batch_size)
        )
        for start in range(0, self.n_images, self._batch_size):
            results = []
            for _ in range(min(self._batch_size, self.n_images - start)):
                results.append(pending.popleft().result())
                pending.extend(
                    pool.submit(self._load, self._sources[row])
                    for row in islice(remaining, 1)
                )
            yield self._make_batch(start, results)

    def _load(self, source: Any) -> Any:
        """Return the transformed image, or the error instead of raising it."""
        try:
            image = self._loader(source)
            if self._transform is None:
                return image
            return transform_or_explain(self._transform, image, source)
        except ImageReadError as error:
            return error

    def _make_batch(self, start: int, results: list[Any]) -> ImageBatch:
        rows, images, failures = [], [], []
        for row, result in enumerate(results, start):
            if not isinstance(result, ImageReadError):
                rows.append(row)
                images.append(result)
            elif self._on_error == "raise":
                raise result
            else:
                failures.append(ImageFailure(row, result.source, result.reason))
        return ImageBatch(np.array(rows, dtype=np.int64), images, failures)


def _check_integer(name: str, value: Any) -> None:
    if not is_integer(value):
        raise TypeError(f"{name}={value!r} must be an integer.")


def _make_loader(
    loader: Callable[[Any], Any] | None, max_pixels: float | None
) -> Callable[[Any], Any]:
    PixelLimit.from_max_pixels(max_pixels)  # raises an error if it is invalid
    if loader is None:
        return partial(read_image, max_pixels=max_pixels)
    if max_pixels is not None:
        raise ValueError(
            f"max_pixels={max_pixels!r} must be None if a loader is given. Pass the "
            f"limit to the loader instead."
        )
    return loader


def transform_or_explain(
    transform: Callable[[PixelArray], Any], image: PixelArray, source: Any
) -> Any:
    """Transform an image, and raise an ImageReadError with its source on failure."""
    try:
        return transform(image)
    except Exception as error:
        reason = f"the image was decoded, but could not be transformed: {error}"
        raise ImageReadError(describe_source(source), reason) from error
