"""What a trained autoencoder does: embed images, and give them back."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted

from imgsim._compute.device import resolve_device
from imgsim._compute.precision import use_precision
from imgsim._typing import EmbeddingArray, PixelArray
from imgsim._validation import fit_context
from imgsim._warnings import warn_caller
from imgsim.embedding._base import BaseImageEmbedder
from imgsim.embedding.pretrained._weights_file import hash_weights
from imgsim.images import ImageFailure
from imgsim.images._warn_of_failures import warn_of_failures

if TYPE_CHECKING:
    from torch import Tensor

    from imgsim.embedding.autoencoder._conv_autoencoder import ConvAutoencoder


class BaseReconstructor(BaseImageEmbedder):
    """Base class of an embedder whose rows can be turned into images again.

    A subclass learns `autoencoder_`, on the CPU and in evaluation mode, and sets
    `n_features_out_`.
    """

    device: str
    autoencoder_: "ConvAutoencoder"

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:  # type: ignore[override]
        """Learn to give the images back.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            As for `transform`. Decoded images are kept in memory, as 8 bits, if they
            fit into scikit-learn's `working_memory` (1 GiB unless set); otherwise the
            files are read again in every epoch.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        self : object
            The fitted embedder.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        ValueError
            If no image can be read, the loss becomes infinite or NaN, or `warm_start`
            meets parameters that the network learned before does not fit.

        Warns
        -----
        ImageReadWarning
            If images could not be read and `on_error="nan"`; they are left out.

        UserWarning
            If Ctrl-C ended the training; what was learned until then is kept.
        """
        interruption = self._learn(X)
        if interruption is not None:
            warn_caller(interruption, UserWarning)
        consequence = "they were not learned"
        warn_of_failures(self.failures_, len(X), consequence)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_transform(  # type: ignore[override]
        self, X: Any, y: Any = None
    ) -> EmbeddingArray:
        """Learn to give the images back, and embed them.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            As for `transform`.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        rows : ndarray of shape (n_images, n_features_out_), dtype float32
            What `fit(X).transform(X)` returns, with one warning of unreadable images.
        """
        interruption = self._learn(X)
        if interruption is not None:
            warn_caller(interruption, UserWarning)
        rows, failures = self._transform_without_warning(X)
        warn_of_failures(failures, len(rows), "their rows are NaN")
        return rows

    @abstractmethod
    def _learn(self, X: Any) -> str | None:
        """Set what is learned from images, and `failures_`; tell of an interruption."""

    def reconstruct(self, X: Any) -> PixelArray:
        """Give images back from their rows.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            As for `transform`.

        Returns
        -------
        images : ndarray of shape (n_images, image_size, image_size, 3), dtype uint8
            Row i is what is left of image i; grey pictures have three equal channels.
            With `on_error="nan"`, an unreadable image is black, and `failures_` says
            why.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        NotFittedError
            If nothing was learned yet.
        """
        sources, failures = self._check_sources(X)
        side = self.autoencoder_.architecture.image_size
        images = np.zeros((len(sources), side, side, 3), dtype=np.uint8)
        for rows, _, reconstructed in self._reconstructed(sources, failures):
            images[rows] = _as_rgb(reconstructed)
        warn_of_failures(failures, len(sources), "they are black")
        return images

    def reconstruction_errors(self, X: Any) -> NDArray[np.float64]:
        """Measure how far images are from what comes back of them.

        Images unlike those learned come back worse, so that this is a score of
        outliers.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            As for `transform`.

        Returns
        -------
        errors : ndarray of shape (n_images,), dtype float64
            Mean squared difference to the resized image, over pixels and channels in
            [0, 1]. NaN for an unreadable image, with `on_error="nan"`.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        NotFittedError
            If nothing was learned yet.
        """
        errors, failures = self._errors(X)
        warn_of_failures(failures, len(errors), "their errors are NaN")
        return errors

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus the mean reconstruction error; higher is better.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            As for `transform`.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        score : float
            At most 0; minus the mean of `reconstruction_errors`, without unreadable
            images; NaN if there are no others.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        NotFittedError
            If nothing was learned yet.
        """
        errors, failures = self._errors(X)
        warn_of_failures(failures, len(errors), "they do not count")
        known = errors[~np.isnan(errors)]
        return -float(known.mean()) if len(known) else float("nan")

    def inverse_transform(self, X: ArrayLike) -> PixelArray:
        """Turn rows into images.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features_out_)
            Rows as `transform` makes them, or any others, such as means of them.

        Returns
        -------
        images : ndarray of shape (n_rows, image_size, image_size, 3), dtype uint8
            A row of NaN is black.

        Raises
        ------
        ValueError
            If rows are of another width, or `normalize` has taken their length.

        NotFittedError
            If nothing was learned yet.
        """
        self._ensure_setup()
        architecture = self.autoencoder_.architecture
        if self.normalize is not None:
            raise ValueError(
                f"normalize={self.normalize!r} takes the length of rows, without which "
                f"no image comes back; set normalize=None, or use reconstruct."
            )
        rows = check_array(X, dtype=np.float32, ensure_all_finite="allow-nan")
        if rows.shape[1] != architecture.latent_dim:
            raise ValueError(
                f"X has {rows.shape[1]} columns; rows of this embedder have "
                f"{architecture.latent_dim}."
            )
        side = architecture.image_size
        images = np.zeros((len(rows), side, side, 3), dtype=np.uint8)
        known = np.flatnonzero(~np.isnan(rows).any(axis=1))
        for start in range(0, len(known), self.batch_size):
            batch = known[start : start + self.batch_size]
            images[batch] = _as_rgb(self._run("images", rows[batch]))
        return images

    def _errors(self, X: Any) -> tuple[NDArray[np.float64], list[ImageFailure]]:
        """Measure reconstruction errors, and tell of failures without a warning."""
        sources, failures = self._check_sources(X)
        errors = np.full(len(sources), np.nan)
        for rows, pixels, reconstructed in self._reconstructed(sources, failures):
            difference = pixels.astype(np.float64) / 255 - reconstructed
            errors[rows] = np.square(difference).mean(axis=(1, 2, 3))
        return errors, failures

    def _setup(self) -> None:
        # Learning has set all there is to set.
        check_is_fitted(self, "autoencoder_")

    def _image_transform(self) -> Callable[[PixelArray], PixelArray]:
        architecture = self.autoencoder_.architecture
        return preparation(architecture.image_size, architecture.n_colors)

    def _recipe(self) -> dict[str, Any]:
        return {"weights": hash_weights(self.autoencoder_)}

    def _embed(self, images: list[PixelArray]) -> EmbeddingArray:
        return self._run("rows", np.stack(images))

    def _reconstructed(
        self, sources: Sequence[Any], failures: list[ImageFailure]
    ) -> Iterator[tuple[NDArray[np.int64], PixelArray, EmbeddingArray]]:
        """Yield positions, prepared images and their reconstructions, by batches."""
        stream = self._stream(sources, transform=self._image_transform())
        with closing(iter(stream)) as batches:
            for batch in batches:
                failures += batch.failures
                if batch.images:
                    pixels = np.stack(batch.images)
                    rows = self._run("rows", pixels)
                    yield batch.rows, pixels, self._run("images", rows)

    def _run(self, method: str, batch: PixelArray | EmbeddingArray) -> EmbeddingArray:
        """Call a method of the network on a batch, on the device, in float32."""
        import torch

        device = resolve_device(self.device)
        network = self._on(device)
        with (
            torch.inference_mode(),
            use_precision("float32", torch.device(device).type),
        ):
            result: Tensor = getattr(network, method)(
                torch.from_numpy(batch).to(device)
            )
            rows: EmbeddingArray = result.cpu().numpy()
        return rows

    def _on(self, device: str) -> "ConvAutoencoder":
        """Return the network on a device; the copy there is kept."""
        if device == "cpu":
            return self.autoencoder_
        kept = getattr(self, "_copy_on_device", None)
        if kept is None or kept[:2] != (self.autoencoder_, device):
            kept = self.autoencoder_, device, deepcopy(self.autoencoder_).to(device)
            self._copy_on_device = kept
        return kept[2]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the copy on a device, which another machine may not have."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_copy_on_device", None)
        return state

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that this embedder does learn."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = True
        return tags


def preparation(image_size: int, n_colors: int) -> Callable[[PixelArray], PixelArray]:
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


def _as_rgb(images: EmbeddingArray) -> PixelArray:
    # Rows far out of all bounds may decode to no number.
    pixels = np.rint(np.nan_to_num(images) * 255).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:3], 3))
