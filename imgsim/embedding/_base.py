"""The frame every embedder shares: stream, embed, align, normalise, report."""

import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import Tags

from imgsim._validation import Interval, StrOptions, fit_context
from imgsim.exceptions import ImageReadWarning
from imgsim.images import ImageBatch, ImageFailure, ImageStream
from imgsim.images._sources import check_image_sources

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float32]


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
        "on_error": [StrOptions({"raise", "nan"})],
        "verbose": ["verbose"],
    }

    # Parameters that every subclass takes.
    normalize: str | None
    batch_size: int
    n_jobs: int | None
    on_error: str
    verbose: int

    n_features_out_: int

    @abstractmethod
    def _setup(self) -> None:
        """Set what does not depend on the images, `n_features_out_` among it."""

    @abstractmethod
    def _preparation(self) -> Callable[[Pixels], Pixels]:
        """Return the function that turns one RGB image into the pixels to embed."""

    @abstractmethod
    def _embed(self, images: list[Pixels]) -> Rows:
        """Turn prepared images into one row each."""

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

    def transform(self, X: Any) -> Rows:
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
        self._make_ready()
        self.failures_: list[ImageFailure] = []
        stream = ImageStream(
            X,
            prepare=self._preparation(),
            batch_size=self.batch_size,
            n_jobs=self.n_jobs,
            on_error="raise" if self.on_error == "raise" else "carry",
        )
        shape = (stream.n_images, self.n_features_out_)
        rows = np.full(shape, np.nan, dtype=np.float32)
        for batch in self._with_progress(stream):
            if batch.images:
                rows[batch.rows] = self._normalized(self._embed(batch.images))
            self.failures_ += batch.failures
        self._warn_of_failures(stream.n_images)
        return rows

    def _make_ready(self) -> None:
        """Set up for the parameters as they are now, unless that was done."""
        parameters = repr(sorted(self.get_params(deep=False).items()))
        if getattr(self, "_ready_for", None) != parameters:
            self._validate_params()
            self._setup()
            self._ready_for = parameters

    def _with_progress(self, stream: ImageStream) -> Iterator[ImageBatch]:
        """Yield the batches, and show a bar if `verbose` asks for one."""
        if not self.verbose:
            yield from stream
            return
        from tqdm.auto import tqdm

        name = type(self).__name__
        with tqdm(total=stream.n_images, desc=name, unit=" images") as bar:
            for batch in stream:
                yield batch
                bar.update(len(batch.images) + len(batch.failures))

    def _normalized(self, rows: Rows) -> Rows:
        if self.normalize is None:
            return rows
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        # A row of zeros has no direction and stays zero.
        unit: Rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
        return unit

    def _warn_of_failures(self, n_images: int) -> None:
        if self.failures_:
            first = self.failures_[0]
            warnings.warn(
                f"{len(self.failures_)} of {n_images} images could not be read; their "
                f"rows are NaN and `failures_` lists them. The first is image "
                f"{first.index}, {first.source}: {first.reason}",
                ImageReadWarning,
                stacklevel=4,
            )

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that X holds images, not a table of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.requires_fit = False
        return tags
