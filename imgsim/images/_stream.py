"""Many images, decoded ahead by threads and handed out in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from math import ceil
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim._compute.threads import count_threads
from imgsim.exceptions import ImageReadError
from imgsim.images._read import describe_source, read_image
from imgsim.images._sources import check_image_sources


class ImageFailure(NamedTuple):
    """One image that could not be read, and why.

    Parameters
    ----------
    index : int
        Its position in the collection.

    source : str
        Its path, or a short description of an image in memory.

    reason : str
        What is wrong with it, in words.

    Examples
    --------
    >>> from imgsim.images import ImageStream
    >>> [batch] = ImageStream(["missing.jpg"])
    >>> batch.failures
    [ImageFailure(index=0, source='missing.jpg', reason='no such file.')]
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody wants
    source: str
    reason: str


class ImageBatch(NamedTuple):
    """Consecutive images of a stream, without those that could not be read.

    Parameters
    ----------
    rows : ndarray of shape (n_readable,), dtype int64
        Positions in the collection of `images`, increasing.

    images : list
        The pictures, in the order of `rows`.

    failures : list of ImageFailure
        The others of this batch.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim.images import ImageStream
    >>> picture = np.zeros((4, 6, 3), dtype=np.uint8)
    >>> [batch] = ImageStream([picture, "missing.jpg", picture])
    >>> batch.rows, batch.images[0].shape
    (array([0, 2]), (4, 6, 3))
    """

    rows: NDArray[np.int64]
    images: list[Any]
    failures: list[ImageFailure]


class ImageStream:
    """Iterate over a collection in batches of decoded images, in input order.

    Threads decode up to two batches ahead of the one in use, so at most three are in
    memory however long the collection is. Leaving the loop early, an error and an
    interrupt all stop the threads. Iterating again starts again.

    Parameters
    ----------
    X : sequence of image sources
        Anything :func:`read_image` takes, mixed if need be; also a 4-D array or
        tensor, or a column of a DataFrame.

    prepare : callable, default=None
        Applied to each (height, width, 3) uint8 image in the decoding thread; its
        result, such as a resized image, takes the image's place. None keeps the
        image.

    batch_size : int, default=32
        Number of images in a batch; the last may be shorter.

    n_jobs : int, default=-1
        Number of decoding threads. None means 1 unless in a
        :obj:`joblib.parallel_backend` context. -1 means all processors, or the share
        of them that joblib gave to a worker process through `OMP_NUM_THREADS`.

    on_error : {"carry", "raise"}, default="carry"
        Whether an unreadable image is carried in the batch's `failures`, or raised
        as the :class:`~imgsim.exceptions.ImageReadError` it is when its turn comes.

    read : callable, default=read_image
        What turns a source into an image, in the decoding thread.

    Attributes
    ----------
    n_images : int
        Number of images in the collection.

    Raises
    ------
    TypeError, ValueError
        If X is no sequence of images, is a single image, or is empty.

    See Also
    --------
    read_image : One image.

    Notes
    -----
    `len(stream)` is the number of batches. Threads, not processes: decoding releases
    Python's global lock, and nothing has to be pickled, so it works alike in a
    notebook, on Windows and inside another pool.

    Examples
    --------
    >>> from imgsim.datasets import load_sample_photos
    >>> from imgsim.images import ImageStream
    >>> photos = load_sample_photos(n_crops=3, n_copies=0).images
    >>> stream = ImageStream(photos, prepare=lambda rgb: rgb[::8, ::8], batch_size=4)
    >>> [(batch.rows.tolist(), batch.images[0].shape) for batch in stream]
    [([0, 1, 2, 3], (20, 20, 3)), ([4, 5], (20, 20, 3))]
    """

    def __init__(
        self,
        X: Any,
        *,
        prepare: Callable[[NDArray[np.uint8]], Any] | None = None,
        batch_size: int = 32,
        n_jobs: int | None = -1,
        on_error: Literal["carry", "raise"] = "carry",
        read: Callable[[Any], Any] = read_image,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1.")
        if on_error not in ("carry", "raise"):
            raise ValueError(f"on_error={on_error!r} must be 'carry' or 'raise'.")
        self._sources = check_image_sources(X)
        self._prepare = prepare
        self._batch_size = batch_size
        self._n_threads = count_threads(n_jobs)
        self._read = read
        self._on_error = on_error
        self.n_images = len(self._sources)

    def __len__(self) -> int:
        """Return the number of batches."""
        return ceil(self.n_images / self._batch_size)

    def __iter__(self) -> Generator[ImageBatch, None, None]:
        """Yield the batches, decoding ahead."""
        pool = ThreadPoolExecutor(self._n_threads, thread_name_prefix="imgsim-decode")
        try:
            yield from self._batches(pool)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _batches(self, pool: ThreadPoolExecutor) -> Iterator[ImageBatch]:
        waiting = iter(range(self.n_images))
        ahead: deque[Future[NDArray[Any] | ImageReadError]] = deque(
            pool.submit(self._load, self._sources[row])
            for row in islice(waiting, 2 * self._batch_size)
        )
        for start in range(0, self.n_images, self._batch_size):
            outcomes = []
            for _ in range(min(self._batch_size, self.n_images - start)):
                outcomes.append(ahead.popleft().result())
                ahead.extend(
                    pool.submit(self._load, self._sources[row])
                    for row in islice(waiting, 1)
                )
            yield self._batch(start, outcomes)

    def _load(self, source: Any) -> Any:
        try:
            image = self._read(source)
            if self._prepare is None:
                return image
            return prepare_or_explain(self._prepare, image, source)
        except ImageReadError as error:
            return error

    def _batch(
        self, start: int, outcomes: list[NDArray[Any] | ImageReadError]
    ) -> ImageBatch:
        rows, images, failures = [], [], []
        for row, outcome in enumerate(outcomes, start):
            if not isinstance(outcome, ImageReadError):
                rows.append(row)
                images.append(outcome)
            elif self._on_error == "raise":
                raise outcome
            else:
                failures.append(ImageFailure(row, outcome.source, outcome.reason))
        return ImageBatch(np.array(rows, dtype=np.int64), images, failures)


def prepare_or_explain(
    prepare: Callable[[NDArray[np.uint8]], Any],
    image: NDArray[np.uint8],
    source: Any,
) -> Any:
    """Prepare an image; whatever goes wrong is an ImageReadError that names it."""
    try:
        return prepare(image)
    except Exception as error:
        reason = f"decoded, but not prepared: {error}"
        raise ImageReadError(describe_source(source), reason) from error
