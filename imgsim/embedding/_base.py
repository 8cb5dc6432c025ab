"""The frame every embedder shares: read, look up, embed, keep, normalise, report."""

import hashlib
import json
import os
from abc import ABCMeta, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np

from imgsim._estimator_base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    Tags,
    TransformerMixin,
)
from imgsim._typing import EmbeddingArray, PixelArray
from imgsim._validation import Interval, StrOptions, fit_context
from imgsim._warnings import warn_caller
from imgsim.embedding._progress import with_progress
from imgsim.embedding.cache._cached_loader import Loader
from imgsim.embedding.cache._cached_rows import CachedRows
from imgsim.embedding.cache._embedding_cache import EmbeddingCache
from imgsim.embedding.cache._sqlite_file import is_full_disk
from imgsim.exceptions import (
    EmbeddingCacheError,
    EmbeddingCacheWarning,
    ImageReadError,
)
from imgsim.images import ImageBatch, ImageFailure, ImageStream
from imgsim.images._read import describe_source, read_image
from imgsim.images._sources import check_image_sources
from imgsim.images._warn_of_failures import warn_of_failures

Start = Callable[[list[PixelArray]], Callable[[], EmbeddingArray]]

# Goes up with every change after which an embedder makes other rows of the same
# image with the same parameters, so that no cache mixes the two.
ROW_VERSION = 1

# Parts of a recipe that change no more than the last digits of a row.
_HOW_COMPUTED = {"precision", "decoder", "compile"}


class BaseImageEmbedder(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Base class of the embedders; it carries the contract they have in common.

    A subclass says how one picture is prepared (`_preparation`, run in the decoding
    threads), how prepared pictures become rows (`_embed`), and how wide a row is
    (`_setup`, which sets `n_features_out_`).
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "normalize": [StrOptions({"l2"}), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "cache": [EmbeddingCache, str, os.PathLike, None],
        "on_error": [StrOptions({"raise", "nan"})],
        "verbose": ["verbose"],
    }

    # Parameters that every subclass takes.
    normalize: str | None
    batch_size: int
    n_jobs: int | None
    cache: "EmbeddingCache | str | os.PathLike[str] | None"
    on_error: str
    verbose: int

    n_features_out_: int
    failures_: list[ImageFailure]

    @abstractmethod
    def _setup(self) -> None:
        """Set what does not depend on the images, `n_features_out_` among it."""

    @abstractmethod
    def _preparation(self) -> Callable[[PixelArray], PixelArray]:
        """Return the function that turns one RGB image into the pixels to embed."""

    @abstractmethod
    def _recipe(self) -> dict[str, Any]:
        """Return all that changes a row, but for `normalize`, by name."""

    def _reader(self) -> Callable[[Any], PixelArray]:
        """Return the function that reads a source, run in the decoding threads."""
        return read_image

    def _passes(self) -> AbstractContextManager[Start]:
        """Open what begins to embed a batch and returns a way to wait for the rows."""

        def start(images: list[PixelArray]) -> Callable[[], EmbeddingArray]:
            rows = self._embed(images)
            return lambda: rows

        return nullcontext(start)

    def _embed(self, images: list[PixelArray]) -> EmbeddingArray:
        """Turn prepared images into one row each, if `_passes` does not."""
        raise NotImplementedError

    @property
    def _n_features_out(self) -> int:
        return self.n_features_out_

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Check the parameters and make the embedder ready.

        Nothing is learned from the images, and none is read.

        Parameters
        ----------
        X : sequence of image sources, default=None
            Only checked to be a sequence of images.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        self : object
            The fitted embedder.

        Raises
        ------
        TypeError, ValueError
            If X is a single image, no sequence, or empty.
        """
        if X is not None:
            check_image_sources(X)
        self._make_ready()
        return self

    def transform(self, X: Any) -> EmbeddingArray:
        """Embed images.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            Paths, bytes, binary file objects, PIL images, arrays (height, width) or
            (height, width, 1, 3 or 4), tensors (channels, height, width), mixed if
            need be; or a 4-D array; or a column of a DataFrame. See
            :func:`~imgsim.images.read_image`.

        Returns
        -------
        rows : ndarray of shape (n_images, n_features_out_), dtype float32
            Row i is image i. With `on_error="nan"` the row of an unreadable image is
            NaN, and `failures_` says why.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        TypeError, ValueError
            If X is a single image, no sequence, or empty.

        Warns
        -----
        ImageReadWarning
            Once, if images could not be read and `on_error="nan"`.
        """
        rows, failures = self._transformed(X)
        warn_of_failures(failures, len(rows), "their rows are NaN")
        return rows

    def transform_iter(self, X: Any) -> Iterator[EmbeddingArray]:
        """Embed images and yield their rows batch by batch, as they come.

        For collections whose rows do not fit into memory, or should be used before
        all are there.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            As for `transform`.

        Returns
        -------
        batches : iterator of ndarray
            Each of shape (n_images_in_batch, n_features_out_) and dtype float32: the
            rows of the next `batch_size` images, in order. All together are what
            `transform` returns.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        TypeError, ValueError
            At the call, if X is a single image, no sequence, or empty.

        Warns
        -----
        ImageReadWarning
            Once, after the last batch, if images could not be read and
            `on_error="nan"`.
        """
        sources, failures = self._checked_sources(X)

        def batches() -> Iterator[EmbeddingArray]:
            yield from self._embedded(sources, failures)
            warn_of_failures(failures, len(sources), "their rows are NaN")

        return batches()

    def fingerprint(self) -> str:
        """Return what tells rows of this embedder from those of another.

        Rows may be compared with each other if what made them has the same fingerprint:
        the same network, weights, preparation of images, layer, pooling, `normalize`.
        How it was computed, on a device, in a precision, does not count.

        Returns
        -------
        fingerprint : str
            64 hexadecimal digits, the same in every process.

        Raises
        ------
        NotFittedError
            If the embedder has to learn and has not.
        """
        self._make_ready()
        recipe = {
            name: value
            for name, value in self._recipe().items()
            if name not in _HOW_COMPUTED
        }
        recipe |= {"embedder": type(self).__name__, "normalize": self.normalize}
        text = json.dumps(recipe, sort_keys=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()

    def _transformed(self, X: Any) -> tuple[EmbeddingArray, list[ImageFailure]]:
        """Embed images, and tell of failures without a warning."""
        sources, failures = self._checked_sources(X)
        rows = np.empty((len(sources), self.n_features_out_), dtype=np.float32)
        n_done = 0
        for batch in self._embedded(sources, failures):
            rows[n_done : n_done + len(batch)] = batch
            n_done += len(batch)
        return rows, failures

    def _checked_sources(self, X: Any) -> tuple[Sequence[Any], list[ImageFailure]]:
        """Check all there is to check before the first image is read.

        The failures of this call are to be added to the list, also while another
        thread or loop makes a list of its own.
        """
        sources = check_image_sources(X)
        self._make_ready()
        failures: list[ImageFailure] = []
        self.failures_ = failures
        return sources, failures

    def _embedded(
        self, sources: Sequence[Any], failures: list[ImageFailure]
    ) -> Iterator[EmbeddingArray]:
        """Yield the rows batch by batch; one batch is embedded while another waits."""
        with ExitStack() as opened:
            cached = self._cached_rows()
            if cached is not None:
                opened.enter_context(closing(cached))
            start = opened.enter_context(self._passes())
            loader = Loader(self._reader(), self._preparation(), cached)
            stream = self._stream(sources, loader=loader)
            batches: Iterator[ImageBatch] = opened.enter_context(closing(iter(stream)))
            waiting: deque[tuple[ImageBatch, int, Callable[[], EmbeddingArray]]] = (
                deque()
            )
            if self.verbose:
                name = type(self).__name__
                batches = with_progress(batches, stream.n_images, name)
            for number, batch in enumerate(batches):
                new = [image.pixels for image in batch.images if image.row is None]
                wait = start(new) if new else _no_rows
                waiting.append((batch, number * self.batch_size, wait))
                if len(waiting) > 1:
                    yield self._finish(*waiting.popleft(), cached, failures)
            while waiting:
                yield self._finish(*waiting.popleft(), cached, failures)

    def _stream(self, sources: Sequence[Any], **reading: Any) -> ImageStream:
        """Read images as the parameters say."""
        return ImageStream(
            sources,
            batch_size=self.batch_size,
            n_jobs=self.n_jobs,
            on_error="raise" if self.on_error == "raise" else "skip",
            **reading,
        )

    def _finish(
        self,
        batch: ImageBatch,
        first: int,
        wait: Callable[[], EmbeddingArray],
        cached: CachedRows | None,
        failures: list[ImageFailure],
    ) -> EmbeddingArray:
        """Wait for a batch, and put new rows, known rows and failures in order."""
        n_images = len(batch.images) + len(batch.failures)
        rows = np.full((n_images, self.n_features_out_), np.nan, dtype=np.float32)
        computed, found = iter(wait()), list(batch.failures)
        for index, image in zip(batch.rows.tolist(), batch.images, strict=True):
            row = next(computed) if image.row is None else image.row
            if not np.isfinite(row).all():
                found.append(self._without_numbers(index, image.source))
                continue
            rows[index - first] = row
            if cached is not None and image.row is None:
                cached.keep(image.key, row)
        if cached is not None:
            cached.commit_if_due()
        failures += sorted(found)
        return self._normalized(rows)

    def _without_numbers(self, index: int, source: Any) -> ImageFailure:
        """Refuse a row that is not finite, or tell of it."""
        described, reason = describe_source(source), "its embedding is not finite."
        if self.on_error == "raise":
            raise ImageReadError(described, reason)
        return ImageFailure(index, described, reason)

    def _cached_rows(self) -> CachedRows | None:
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
            if not is_full_disk(error.__cause__):
                raise
            warn_caller(f"no embedding is kept: {error}", EmbeddingCacheWarning)
            return None

    def _make_ready(self) -> None:
        """Set up for the parameters as they are now, unless that was done."""
        values = self.get_params(deep=False).values()
        # A module is told by its identity, a dict by its content.
        parameters = [(id(value), repr(value)) for value in values]
        if getattr(self, "_ready_for", None) != parameters:
            self._validate_params()
            self._setup()
            self._ready_for = parameters

    def _normalized(self, rows: EmbeddingArray) -> EmbeddingArray:
        if self.normalize is None:
            return rows
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        # A row of zeros has no direction and stays zero; one of NaN stays NaN.
        unit: EmbeddingArray = np.divide(
            rows, norms, out=np.zeros_like(rows), where=norms != 0
        )
        return unit

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that X holds images, not a table of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.requires_fit = False
        return tags


def _no_rows() -> EmbeddingArray:
    return np.empty((0, 0), dtype=np.float32)
