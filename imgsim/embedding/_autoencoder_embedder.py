"""Embedding by a convolutional autoencoder, learned on the images themselves."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from copy import deepcopy
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted

from imgsim._compute.device import resolve_device
from imgsim._compute.precision import computing_in
from imgsim._typing import EmbeddingArray, PixelArray
from imgsim._validation import Interval, StrOptions, fit_context
from imgsim._warnings import warn_caller
from imgsim.embedding._base import BaseImageEmbedder
from imgsim.embedding.autoencoder._fit_autoencoder import (
    Learned,
    LearningParameters,
    Previous,
    learn,
    learn_once,
    read_images,
)
from imgsim.embedding.autoencoder._initialization import Changes
from imgsim.embedding.autoencoder._training_images import TrainingImages, make_resizer
from imgsim.embedding.cache._embedding_cache import EmbeddingCache
from imgsim.embedding.pretrained._weights_file import hash_weights
from imgsim.images import ImageFailure
from imgsim.images._warn_of_failures import warn_of_failures

if TYPE_CHECKING:
    from torch import Tensor

    from imgsim.embedding.autoencoder._conv_autoencoder import ConvAutoencoder


class AutoencoderEmbedder(BaseImageEmbedder):
    """Embed images by a convolutional autoencoder, learned on the images themselves.

    For images unlike photographs, such as scans, drawings or textures, and where no
    pretrained weights may be had. A network of residual blocks squeezes each image
    into a row of `latent_dim` numbers, and learns to give the image back from it [1]_.

    Parameters
    ----------
    latent_dim : int, default=128
        Width of a row.

    image_size : int, default=64
        Pixels along each side of the square that images are stretched to, 8 to 1024.

    channels : tuple of int, default=(32, 64, 128, 256)
        Widths of the network; at each, the picture is halved once.

    n_blocks : int, default=1
        Number of residual blocks at each width, on the way in and on the way out.

    color : {"rgb", "gray"}, default="rgb"
        Whether images are learned in colour.

    init : {"auto", "pca", "random"}, default="auto"
        What the network begins as. "pca" gives it a linear path that begins as
        principal components, which training improves on; "auto" does so unless warps
        are to be undone.

    augment : {"auto", "mirror", "warp", "mirror+warp"}, default="auto"
        Changes of the images in training. "mirror" learns mirrored images, too. "warp"
        turns, scales, shears, shifts and bends an image [2]_, and learns to give back
        what it was: rows then tell what is shown rather than how it stands. "auto"
        tries both on some of the images: mirrored ones are learned if they could be
        from the collection, warps undone if warped ones could not. None changes
        nothing.

    noise_std : float, default=0.0
        Standard deviation of noise that is to be removed [1]_, in those of a pixel.

    mask_ratio : float, default=0.0
        Share of an 8 by 8 grid of cells that is hidden and to be filled in [3]_.

    loss : {"mse", "l1", "ssim+l1"}, default="mse"
        What is minimised: the squared or the absolute difference of pixels, or that
        of structure [4]_ (85 %) and pixels.

    penalty : {"variational", "contractive"}, default=None
        Penalty on rows: their divergence from a normal distribution [5]_, or their
        slope [6]_.

    penalty_weight : float, default=0.1
        Weight of the penalty beside the loss.

    rescale : bool, default=True
        Whether rows are brought on axes that vary as much as they tell images from
        warped copies of themselves. It leaves reconstructions as they are.

    max_epochs : int, default=12
        Number of times that every image is learned from.

    batch_size : int, default=64
        Number of images in a step of training, and held at a time afterwards.

    learning_rate : float, default=0.001
        Largest step size of AdamW [7]_, reached after a tenth of the training; then it
        falls as half a cosine to 0.

    weight_decay : float, default=0.05
        Decay of weights, in units of the learning rate.

    validation_fraction : float, default=0.1
        Share of the images held back to tell the best epoch, if `early_stopping`.

    early_stopping : bool, default=True
        Whether some images are held back, and training ends when they have not come
        back better for `patience` epochs. Else the loss of training tells the best.

    patience : int, default=10
        Number of epochs without gain after which training ends.

    warm_start : bool, default=False
        Whether `fit` goes on from the network that was learned before.

    checkpoint_dir : str or path-like, default=None
        Folder in which the training is kept after every epoch. An interrupted `fit`
        with the same images and parameters goes on there, to the same result on the
        same device. When it is finished, the file is removed.

    normalize : {"l2"}, default=None
        Whether rows are scaled to unit Euclidean length. None keeps them as they
        come.

    device : str, default="auto"
        Device of torch, such as "cpu" or "cuda:1". "auto" is the first CUDA device,
        or else the CPU.

    precision : {"auto", "float32", "bfloat16"}, default="auto"
        In what the network is trained: "auto" is bfloat16 on CUDA, and on a CPU that
        has it. Rows and reconstructions are computed in float32.

    random_state : int, RandomState instance or None, default=None
        Seed of the weights, the order of images and all changes.

    n_jobs : int, default=-1
        Number of threads that decode images. None means 1 unless in a
        :obj:`joblib.parallel_backend` context. -1 means all processors.

    cache : EmbeddingCache, str or path-like, default=None
        Where rows are kept, so that no image is embedded twice by the same network; a
        path means an :class:`EmbeddingCache` there.

    on_error : {"raise", "nan"}, default="raise"
        Whether an unreadable image raises, or is left out of training and leaves a row
        of NaN, an entry in `failures_` and one warning for all.

    verbose : int, default=0
        Whether to show bars with the progress of training and embedding.

    Attributes
    ----------
    autoencoder_ : torch.nn.Module
        The network, on the CPU.

    augment_ : str or None
        The changes made; what "auto" stood for.

    loss_curve_ : list of float
        Loss of training in every epoch, with the penalty; for "mse", 1 is as bad as
        the mean colour.

    validation_loss_curve_ : list of float
        Loss of the images held back, changed alike in every epoch, without the
        penalty; empty if there are none.

    n_iter_ : int
        Number of epochs that were run.

    best_epoch_ : int
        Number of the epoch whose weights were kept, from 0.

    n_features_out_ : int
        Width of a row.

    failures_ : list of ImageFailure
        Index, source and reason of each image that the last call could not read.

    See Also
    --------
    ImageEmbedder : Embed by what a network pretrained on photographs sees.
    imgsim.display.ReconstructionDisplay : Show what comes back of images.

    Notes
    -----
    Equal seeds give equal weights on the same device, with the same number of threads.
    A pickle carries the weights; made on a GPU, it loads on a CPU.

    After Ctrl-C, `warm_start` goes on from the weights that were kept, and a checkpoint
    from the last epoch.

    References
    ----------
    .. [1] P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol, "Extracting and
       composing robust features with denoising autoencoders", ICML 2008.

    .. [2] P. Y. Simard, D. Steinkraus and J. C. Platt, "Best practices for
       convolutional neural networks applied to visual document analysis", ICDAR 2003.

    .. [3] D. Pathak et al., "Context encoders: feature learning by inpainting", CVPR
       2016.

    .. [4] Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image quality
       assessment: from error visibility to structural similarity", IEEE Transactions
       on Image Processing, 2004.

    .. [5] D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014.

    .. [6] S. Rifai, P. Vincent, X. Muller, X. Glorot and Y. Bengio, "Contractive
       auto-encoders: explicit invariance during feature extraction", ICML 2011.

    .. [7] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR
       2019.

    Examples
    --------
    >>> from imgsim import AutoencoderEmbedder
    >>> from imgsim.datasets import load_digit_images
    >>> images = load_digit_images(n_per_class=5).images
    >>> embedder = AutoencoderEmbedder(
    ...     8, image_size=16, channels=(8, 16), color="gray", max_epochs=2
    ... )
    >>> embedder.fit_transform(images).shape
    (50, 8)
    >>> embedder.reconstruct(images[:3]).shape
    (3, 16, 16, 3)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseImageEmbedder._parameter_constraints,
        "latent_dim": [Interval(Integral, 1, None, closed="left")],
        "image_size": [Interval(Integral, 8, 1024, closed="both")],
        "channels": [tuple, list],
        "n_blocks": [Interval(Integral, 0, None, closed="left")],
        "color": [StrOptions({"rgb", "gray"})],
        "init": [StrOptions({"auto", "pca", "random"})],
        "augment": [StrOptions({"auto", "mirror", "warp", "mirror+warp"}), None],
        "noise_std": [Interval(Real, 0, None, closed="left")],
        "mask_ratio": [Interval(Real, 0, 1, closed="left")],
        "loss": [StrOptions({"mse", "l1", "ssim+l1"})],
        "penalty": [StrOptions({"variational", "contractive"}), None],
        "penalty_weight": [Interval(Real, 0, None, closed="left")],
        "rescale": ["boolean"],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "early_stopping": ["boolean"],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "checkpoint_dir": [str, os.PathLike, None],
        "device": [str],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        latent_dim: int = 128,
        *,
        image_size: int = 64,
        channels: Sequence[int] = (32, 64, 128, 256),
        n_blocks: int = 1,
        color: str = "rgb",
        init: str = "auto",
        augment: str | None = "auto",
        noise_std: float = 0.0,
        mask_ratio: float = 0.0,
        loss: str = "mse",
        penalty: str | None = None,
        penalty_weight: float = 0.1,
        rescale: bool = True,
        max_epochs: int = 12,
        batch_size: int = 64,
        learning_rate: float = 0.001,
        weight_decay: float = 0.05,
        validation_fraction: float = 0.1,
        early_stopping: bool = True,
        patience: int = 10,
        warm_start: bool = False,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        normalize: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        random_state: int | RandomState | None = None,
        n_jobs: int | None = -1,
        cache: EmbeddingCache | str | os.PathLike[str] | None = None,
        on_error: str = "raise",
        verbose: int = 0,
    ) -> None:
        self.latent_dim = latent_dim
        self.image_size = image_size
        self.channels = channels
        self.n_blocks = n_blocks
        self.color = color
        self.init = init
        self.augment = augment
        self.noise_std = noise_std
        self.mask_ratio = mask_ratio
        self.loss = loss
        self.penalty = penalty
        self.penalty_weight = penalty_weight
        self.rescale = rescale
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.patience = patience
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.normalize = normalize
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.cache = cache
        self.on_error = on_error
        self.verbose = verbose

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

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn once from each of some more images.

        The first call decides on the scale of pixels and on what `"auto"` stands for.
        The learning rate does not decay, and no image is held back. A call with at
        least `latent_dim` images finds the axes of rows anew by them. Rows made before
        a call are not to be compared with rows made after it.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            As for `transform`.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        self : AutoencoderEmbedder
            The fitted embedder.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        ValueError
            As for `fit`.
        """
        self._validate_params()  # scikit-learn skips it after the first call
        parameters = LearningParameters.of(self)
        images = read_images(parameters, X)
        state: dict[str, Any] | None = getattr(self, "_partial_state", None)
        learned, next_state = learn_once(parameters, images, self._previous(), state)
        self._keep(learned, images)
        self._partial_state = next_state
        consequence = "they were not learned"
        warn_of_failures(self.failures_, len(X), consequence)
        return self

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

    def _learn(self, X: Any) -> str | None:
        parameters = LearningParameters.of(self)
        images = read_images(parameters, X)
        previous = self._previous() if self.warm_start else None
        learned = learn(parameters, images, previous)
        self._keep(learned, images)
        self.__dict__.pop("_partial_state", None)
        if learned.is_finished:
            return None
        return (
            f"interrupted after {self.n_iter_} of {self.max_epochs} epochs; the "
            f"weights are those of the best, best_epoch_={self.best_epoch_}."
        )

    def _previous(self) -> Previous | None:
        if not hasattr(self, "autoencoder_"):
            return None
        return self.autoencoder_, Changes.of(self.augment_)

    def _keep(self, learned: Learned, images: TrainingImages) -> None:
        self.failures_ = images.failures
        self.autoencoder_ = learned.network
        self.augment_ = learned.changes.name
        self.loss_curve_ = learned.loss_curve
        self.validation_loss_curve_ = learned.validation_loss_curve
        self.n_iter_ = len(learned.loss_curve)
        self.best_epoch_ = learned.best_epoch
        self.n_features_out_ = learned.network.architecture.latent_dim

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
        return make_resizer(architecture.image_size, architecture.n_colors)

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
        with torch.inference_mode(), computing_in("float32", torch.device(device).type):
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


def _as_rgb(images: EmbeddingArray) -> PixelArray:
    # Rows far out of all bounds may decode to no number.
    pixels = np.rint(np.nan_to_num(images) * 255).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:3], 3))
