"""The base class of the embedders: from image sources to embeddings, batch by batch."""

import hashlib
import json
import os
from abc import ABCMeta, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from logging import INFO
from numbers import Integral, Real
from time import perf_counter
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np

from imgsim._callbacks import as_fit_task
from imgsim._compute.device import resolve_device
from imgsim._estimator_base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    Tags,
    TransformerMixin,
)
from imgsim._logging import LOGGER
from imgsim._typing import EmbeddingArray, PixelArray
from imgsim._validation import Interval, StrOptions, fit_context, suggest_names
from imgsim._warnings import warn_caller
from imgsim.embedding.cache._cached_loader import CachedLoader
from imgsim.embedding.cache._cached_rows import CachedRows
from imgsim.embedding.cache._embedding_cache import EmbeddingCache
from imgsim.embedding.cache._sqlite_file import is_disk_full
from imgsim.exceptions import (
    EmbeddingCacheError,
    EmbeddingCacheWarning,
    ImageReadError,
)
from imgsim.images import ImageBatch, ImageFailure, ImageStream
from imgsim.images._read import describe_source, read_image
from imgsim.images._sources import check_image_sources
from imgsim.images._warn_of_failures import warn_of_failures

# Increased with every change after which equal parameters give different embeddings,
# so that a cache never mixes old and new embeddings.
ROW_VERSION = 2

# Parts of a recipe with so small an effect that embeddings remain comparable.
_NOT_IN_FINGERPRINT = {"precision", "decoder", "compile"}


class EmbeddingExecutor(Protocol):
    """An executor that embeds images, possibly in other threads."""

    def submit(self, images: list[PixelArray]) -> list[Future[EmbeddingArray]]:
        """Start to embed images; the futures hold their embeddings in this order."""
        ...


class SerialExecutor:
    """An executor that embeds images in the calling thread."""

    def __init__(self, embed: Callable[[list[PixelArray]], EmbeddingArray]) -> None:
        self._embed = embed

    def submit(self, images: list[PixelArray]) -> list[Future[EmbeddingArray]]:
        """Embed images, and return a single future that is already done."""
        future: Future[EmbeddingArray] = Future()
        future.set_result(self._embed(images))
        return [future]


@dataclass(frozen=True)
class PendingBatch:
    """A batch of images that are being embedded.

    `start` is the position of its first image in the collection. The results of
    `futures` are the embeddings of the images that the cache does not contain.
    """

    batch: ImageBatch
    start: int
    futures: list[Future[EmbeddingArray]]


class BaseImageEmbedder(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Base class of the embedders, which implements what they have in common.

    A subclass defines how an image is transformed to the pixels that are embedded
    (`_image_transform`, called in the decoding threads), how these are embedded
    (`_embed`), and the length of an embedding (`_setup`, which sets `n_features_out_`).
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "normalize": [StrOptions({"l2"}), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "max_pixels": [Interval(Real, 1, np.inf, closed="both"), None],
        "cache": [EmbeddingCache, str, os.PathLike, None],
        "on_error": [StrOptions({"raise", "nan"})],
        "verbose": ["verbose"],
    }

    # Parameters of all subclasses.
    normalize: Literal["l2"] | None
    batch_size: int
    n_jobs: int | None
    max_pixels: float | None
    cache: "EmbeddingCache | str | os.PathLike[str] | None"
    on_error: Literal["raise", "nan"]
    verbose: int

    n_features_out_: int
    failures_: list[ImageFailure]

    @abstractmethod
    def _setup(self) -> None:
        """Set the attributes that depend on the parameters only."""

    @abstractmethod
    def _image_transform(self) -> Callable[[PixelArray], PixelArray]:
        """Return the function that turns an RGB image into the pixels to embed."""

    @abstractmethod
    def _recipe(self) -> dict[str, Any]:
        """Return everything that affects an embedding, except `normalize`, by name."""

    def _image_loader(self) -> Callable[[Any], PixelArray]:
        """Return the function that reads an image, called in the decoding threads."""
        return partial(read_image, max_pixels=self.max_pixels)

    def _open_executor(self) -> AbstractContextManager[EmbeddingExecutor]:
        """Open the executor that embeds batches of transformed images."""
        return nullcontext(SerialExecutor(self._embed))

    def _embed(self, images: list[PixelArray]) -> EmbeddingArray:
        """Embed transformed images, unless `_open_executor` is overridden."""
        raise NotImplementedError

    @property
    def _n_features_out(self) -> int:
        return self.n_features_out_

    @fit_context(prefer_skip_nested_validation=True)
    @as_fit_task
    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Validate the parameters and prepare the embedder.

        Nothing is learned from the images, and no image is read.

        Parameters
        ----------
        X : sequence of image sources, default=None
            The images. Only validated to be a sequence of images.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        self : object
            The fitted embedder.

        Raises
        ------
        TypeError, ValueError
            If `X` is a single image, is not a sequence, or is empty.
        """
        if X is not None:
            check_image_sources(X)
        self._ensure_setup()
        return self

    def transform(self, X: Any) -> EmbeddingArray:
        """Embed images.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            The images. A source is a path, bytes, a binary file object, a PIL image, an
            array of shape (height, width) or (height, width, 1, 3 or 4), or a tensor of
            shape (channels, height, width), and one sequence may hold sources of
            several kinds. `X` may also be a 4-D array of images or a column of a
            DataFrame. See :func:`~imgsim.images.read_image`.

        Returns
        -------
        embeddings : ndarray of shape (n_images, n_features_out_), dtype float32
            Row i is the embedding of image i. With `on_error="nan"`, the row of an
            unreadable image is NaN, and `failures_` contains the reason.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        TypeError, ValueError
            If `X` is a single image, is not a sequence, or is empty.

        Warns
        -----
        ImageReadWarning
            Once, if some images cannot be read and `on_error="nan"`.
        """
        embeddings, failures = self._transform_without_warning(X)
        warn_of_failures(failures, len(embeddings), "their rows are NaN")
        return embeddings

    def transform_iter(self, X: Any) -> Iterator[EmbeddingArray]:
        """Embed images and yield the embeddings batch by batch.

        This is useful for collections whose embeddings do not fit in memory, or to use
        the first embeddings before all images are embedded.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            The images, as for `transform`.

        Returns
        -------
        batches : iterator of ndarray
            Arrays of shape (n_images_in_batch, n_features_out_) and dtype float32, with
            the embeddings of the next `batch_size` images in input order. Their
            concatenation is the array that `transform` returns.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        TypeError, ValueError
            If `X` is a single image, is not a sequence, or is empty. Raised by the call
            itself, before the first iteration.

        Warns
        -----
        ImageReadWarning
            Once, after the last batch, if some images cannot be read and
            `on_error="nan"`.
        """
        sources, failures = self._check_sources(X)

        def batches() -> Iterator[EmbeddingArray]:
            yield from self._embed_batches(sources, failures)
            warn_of_failures(failures, len(sources), "their rows are NaN")

        return batches()

    def fingerprint(self) -> str:
        """Return a string that identifies the embeddings of this embedder.

        Embeddings can be compared with each other if the fingerprints of their
        embedders are equal. The fingerprint depends on the network, its weights, the
        preprocessing of images, `layer`, `pooling` and `normalize`. It does not depend
        on the device, the precision or the decoder.

        Returns
        -------
        fingerprint : str
            64 hexadecimal digits, the same in every process.

        Raises
        ------
        NotFittedError
            If the embedder has to be fitted first and is not fitted.
        """
        self._ensure_setup()
        recipe = {
            name: value
            for name, value in self._recipe().items()
            if name not in _NOT_IN_FINGERPRINT
        }
        recipe |= {"embedder": type(self).__name__, "normalize": self.normalize}
        text = json.dumps(recipe, sort_keys=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()

    def _transform_without_warning(
        self, X: Any
    ) -> tuple[EmbeddingArray, list[ImageFailure]]:
        """Return the embeddings, and the failures that the caller must warn about."""
        sources, failures = self._check_sources(X)
        embeddings = np.empty((len(sources), self.n_features_out_), dtype=np.float32)
        n_done = 0
        for batch in self._embed_batches(sources, failures):
            embeddings[n_done : n_done + len(batch)] = batch
            n_done += len(batch)
        return embeddings, failures

    def _check_sources(self, X: Any) -> tuple[Sequence[Any], list[ImageFailure]]:
        """Validate everything that can be validated before the first image is read.

        Returns the sources and an empty list for the failures of this call. Each call
        has a list of its own, so that an embedder can be used by several threads.
        """
        sources = check_image_sources(X)
        self._ensure_setup()
        failures: list[ImageFailure] = []
        self.failures_ = failures
        return sources, failures

    def _embed_batches(
        self, sources: Sequence[Any], failures: list[ImageFailure]
    ) -> Iterator[EmbeddingArray]:
        """Yield embeddings batch by batch, while the next batch is being embedded."""
        start_time, n_cached = perf_counter(), 0
        with ExitStack() as stack:
            cached_rows = self._open_cached_rows()
            if cached_rows is not None:
                stack.enter_context(closing(cached_rows))
            executor = stack.enter_context(self._open_executor())
            loader = CachedLoader(
                self._image_loader(), self._image_transform(), cached_rows
            )
            stream = self._stream(sources, loader=loader)
            batches: Iterator[ImageBatch] = stack.enter_context(closing(iter(stream)))
            if self.verbose:
                name = type(self).__name__
                batches = _with_progress(batches, stream.n_images, name)
            pending: deque[PendingBatch] = deque()
            for number, batch in enumerate(batches):
                start = number * self.batch_size
                n_cached += sum(image.embedding is not None for image in batch.images)
                pending.append(_submit(batch, start, executor))
                if len(pending) > 1:
                    yield self._collect(pending.popleft(), cached_rows, failures)
            while pending:
                yield self._collect(pending.popleft(), cached_rows, failures)
        self._log_run(
            len(sources), len(failures), n_cached, perf_counter() - start_time
        )

    def _log_run(
        self, n_images: int, n_failed: int, n_cached: int, seconds: float
    ) -> None:
        if not LOGGER.isEnabledFor(INFO):
            return
        model = getattr(self, "model", None)
        parts = [
            f"{n_images} images in {seconds:.2f} s",
            f"{n_images / max(seconds, 1e-9):.1f} images/s",
            f"{n_failed} failed",
            f"{n_cached} from the cache",
        ]
        if model is not None:
            name = model if isinstance(model, str) else type(model).__name__
            parts.append(f"model={name!r}")
        if hasattr(self, "device"):
            parts.append(f"device={resolve_device(self.device)!r}")
        LOGGER.info("%s: %s", type(self).__name__, ", ".join(parts))

    def _stream(
        self,
        sources: Sequence[Any],
        *,
        loader: Callable[[Any], Any] | None = None,
        transform: Callable[[PixelArray], PixelArray] | None = None,
    ) -> ImageStream:
        """Return a stream of images with the parameters of the embedder."""
        return ImageStream(
            sources,
            loader=self._image_loader() if loader is None else loader,
            transform=transform,
            batch_size=self.batch_size,
            n_jobs=self.n_jobs,
            on_error="raise" if self.on_error == "raise" else "skip",
        )

    def _collect(
        self,
        pending: PendingBatch,
        cached_rows: CachedRows | None,
        failures: list[ImageFailure],
    ) -> EmbeddingArray:
        """Wait for a batch, cache its new embeddings, and return all in input order."""
        batch = pending.batch
        n_images = len(batch.images) + len(batch.failures)
        embeddings = np.full((n_images, self.n_features_out_), np.nan, dtype=np.float32)
        computed = chain.from_iterable(future.result() for future in pending.futures)
        new_failures = list(batch.failures)
        for row, image in zip(batch.rows.tolist(), batch.images, strict=True):
            is_new = image.embedding is None
            embedding = next(computed) if is_new else image.embedding
            if not np.isfinite(embedding).all():
                new_failures.append(self._fail_not_finite(row, image.source))
                continue
            embeddings[row - pending.start] = embedding
            if cached_rows is not None and is_new:
                cached_rows.add(image.key, embedding)
        if cached_rows is not None:
            cached_rows.commit_if_due()
        failures += sorted(new_failures)
        return self._normalize(embeddings)

    def _fail_not_finite(self, row: int, source: Any) -> ImageFailure:
        """Return, or raise, the failure of an image whose embedding is not finite."""
        description, reason = describe_source(source), "its embedding is not finite."
        if self.on_error == "raise":
            raise ImageReadError(description, reason)
        return ImageFailure(row, description, reason)

    def _open_cached_rows(self) -> CachedRows | None:
        """Open the cache, or return None if there is none or the disk is full."""
        if self.cache is None:
            return None
        cache = self.cache
        path = os.fspath(cache.path if isinstance(cache, EmbeddingCache) else cache)
        recipe = {
            "embedder": type(self).__name__,
            "row_version": ROW_VERSION,
            **self._recipe(),
        }
        try:
            return CachedRows(path, recipe, self.n_features_out_)
        except EmbeddingCacheError as error:
            if not is_disk_full(error.__cause__):
                raise
            warn_caller(f"embeddings are not cached: {error}", EmbeddingCacheWarning)
            return None

    @suggest_names
    def _ensure_setup(self) -> None:
        """Validate the parameters and call `_setup` if any of them has changed."""
        values = self.get_params(deep=False).values()
        # A module is compared by its identity, a dict by its content.
        key = [(id(value), repr(value)) for value in values]
        if getattr(self, "_setup_key", None) != key:
            self._validate_params()
            self._setup()
            self._setup_key = key

    def _normalize(self, embeddings: EmbeddingArray) -> EmbeddingArray:
        if self.normalize is None:
            return embeddings
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        # An embedding of zeros has no direction and stays zero. NaN stays NaN.
        unit: EmbeddingArray = np.divide(
            embeddings, norms, out=np.zeros_like(embeddings), where=norms != 0
        )
        return unit

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags: X contains images instead of a 2-D array."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.requires_fit = False
        return tags


def _submit(batch: ImageBatch, start: int, executor: EmbeddingExecutor) -> PendingBatch:
    """Start to embed the images of a batch that the cache does not contain."""
    new = [image.pixels for image in batch.images if image.embedding is None]
    return PendingBatch(batch, start, executor.submit(new) if new else [])


def _with_progress(
    batches: Iterator[ImageBatch], n_images: int, name: str
) -> Iterator[ImageBatch]:
    """Yield the batches, and show a progress bar with failures and cache hits."""
    from tqdm.auto import tqdm

    n_failed = n_cached = 0
    with tqdm(total=n_images, desc=name, unit=" images") as bar:
        for batch in batches:
            yield batch
            n_failed += len(batch.failures)
            n_cached += sum(image.embedding is not None for image in batch.images)
            bar.set_postfix(failed=n_failed, cached=n_cached, refresh=False)
            bar.update(len(batch.images) + len(batch.failures))
