"""Embedder that trains a convolutional autoencoder on the images themselves."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from copy import deepcopy
from numbers import Integral, Real
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted

from imgsim._callbacks import FitTask
from imgsim._compute.device import resolve_device
from imgsim._compute.precision import use_precision
from imgsim._typing import EmbeddingArray, PixelArray
from imgsim._validation import (
    RANDOM_STATE,
    Interval,
    StrOptions,
    fit_context,
)
from imgsim._warnings import warn_caller
from imgsim.embedding._base import BaseImageEmbedder
from imgsim.embedding.autoencoder._augmentation import Augmentation
from imgsim.embedding.autoencoder._fit_autoencoder import (
    TrainedNetwork,
    TrainingResult,
    fit_autoencoder,
    fit_one_epoch,
    read_training_images,
    warn_of_few_images,
)
from imgsim.embedding.autoencoder._plain_state import to_arrays, to_tensors
from imgsim.embedding.autoencoder._training_images import make_resizer
from imgsim.embedding.cache._embedding_cache import EmbeddingCache
from imgsim.embedding.pretrained._weights_file import hash_weights
from imgsim.images import ImageFailure
from imgsim.images._warn_of_failures import warn_of_failures

if TYPE_CHECKING:
    from torch import Tensor

    from imgsim.embedding.autoencoder._conv_autoencoder import ConvAutoencoder


class AutoencoderEmbedder(BaseImageEmbedder):
    """Embed images with a convolutional autoencoder trained on the images themselves.

    Use it for images that differ from photographs, such as scans, drawings or textures,
    and where no pretrained weights are available. A network of residual blocks encodes
    each image as `latent_dim` numbers and is trained to reconstruct the image from
    them [1]_.

    Parameters
    ----------
    latent_dim : int, default=128
        Number of features of an embedding.

    image_size : int, default=64
        Side of the square, in pixels from 8 to 1024, to which images are resized. The
        aspect ratio is not preserved.

    channels : tuple of int, default=(32, 64, 128, 256)
        Number of channels at each resolution of the network. The first resolution is
        half of `image_size`, and each further resolution is half of the previous one.

    n_blocks : int, default=1
        Number of residual blocks at each resolution, in the encoder and in the decoder.

    color : {"rgb", "gray"}, default="rgb"
        Whether the network is trained on color images or on gray images.

    init : {"auto", "pca", "random"}, default="auto"
        Initialization of the network. "pca" adds a linear path that is initialized with
        principal components, which training then improves. "random" has no such path.
        "auto" is "pca" unless the augmentation warps images.

    augment : {"auto", "mirror", "warp", "mirror+warp"}, default="auto"
        Augmentation in training. "mirror" also trains on mirrored images. "warp"
        rotates, scales, shears, shifts and elastically deforms [2]_ each image before
        it is encoded, and the network is trained to reconstruct the original image.
        Embeddings then depend on what an image shows rather than on its pose. "auto"
        measures on a sample of the images which of the two is suitable: "mirror" is
        used if mirrored images resemble the collection, and "warp" is used if warped
        images do not. None disables augmentation.

    noise_std : float, default=0.0
        Standard deviation of the noise that is added to images before they are
        encoded [1]_, relative to the standard deviation of the pixels.

    mask_ratio : float, default=0.0
        Fraction of the cells of an 8 x 8 grid that are masked before an image is
        encoded, and that the network is trained to fill in [3]_.

    loss : {"mse", "l1", "ssim+l1"}, default="mse"
        Reconstruction loss: the mean squared error of the pixels, the mean absolute
        error of the pixels, or the structural dissimilarity [4]_ (weight 0.85) plus the
        mean absolute error (weight 0.15).

    penalty : {"variational", "contractive"}, default=None
        Penalty on the latent vectors. "variational" is their divergence from a standard
        normal distribution [5]_; "contractive" is their sensitivity to small changes of
        the pixels [6]_.

    penalty_weight : float, default=0.1
        Weight of the penalty, which is added to the reconstruction loss.

    rescale : bool, default=True
        Whether the axes of the embeddings are rescaled by their signal-to-noise ratio,
        measured on warped copies of the images. This does not change reconstructions.

    max_epochs : int, default=12
        Maximum number of epochs.

    batch_size : int, default=64
        Number of images in a batch, in training and in embedding.

    learning_rate : float, default=0.001
        Maximum learning rate of AdamW [7]_. The learning rate rises linearly during the
        first tenth of the training and then falls to 0 along half a period of a cosine.

    weight_decay : float, default=0.05
        Weight decay of AdamW, relative to the learning rate.

    validation_fraction : float, default=0.1
        Fraction of the images that are used for validation if `early_stopping` is True.

    early_stopping : bool, default=True
        Whether to set aside validation images, and to stop when the validation loss has
        not improved for `patience` epochs. The weights of the epoch with the smallest
        validation loss are kept. If False, all images are used for training, and the
        weights of the epoch with the smallest training loss are kept.

    patience : int, default=10
        Number of epochs without improvement after which training stops.

    warm_start : bool, default=False
        Whether `fit` continues with the network of the previous fit.

    checkpoint_dir : str or path-like, default=None
        Folder in which a checkpoint is saved after every epoch. If `fit` is
        interrupted, another `fit` with the same images and parameters resumes from the
        checkpoint and gives the same result on the same device. The checkpoint is
        deleted when training ends.

    normalize : {"l2"}, default=None
        Whether embeddings are scaled to unit Euclidean length. None does not scale
        them.

    device : str, default="auto"
        PyTorch device, such as "cpu" or "cuda:1". "auto" is the first CUDA device if
        there is one, and the CPU otherwise.

    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of training. "auto" is bfloat16 on CUDA devices and CPUs that support
        it, and float32 otherwise. Embeddings and reconstructions are always computed in
        float32.

    random_state : int, RandomState instance or None, default=None
        Controls the initialization of the weights, the validation split, the order of
        the images and the augmentation. Pass an int for reproducible results.

    n_jobs : int, default=-1
        Number of threads that decode images. None means 1 unless in a
        :obj:`joblib.parallel_backend` context. -1 means all processors.

    max_pixels : float, default=None
        Maximum number of pixels of a file or PIL image. An image with more is
        unreadable, because a small file may expand to gigabytes. None means twice
        `PIL.Image.MAX_IMAGE_PIXELS`: 178,956,970 pixels, unless an application changed
        it in this process. `float("inf")` means no limit.

    cache : EmbeddingCache, str or path-like, default=None
        Cache of embeddings, so that no image is embedded twice by the same network. A
        path stands for an :class:`EmbeddingCache` at that path.

    on_error : {"raise", "nan"}, default="raise"
        What to do with an unreadable image. "raise" raises an error. "nan" leaves the
        image out of training and sets its embedding to NaN; `failures_` lists the
        unreadable images, and a single warning counts them.

    verbose : int, default=0
        Whether to show progress bars of training and embedding.

    Attributes
    ----------
    autoencoder_ : torch.nn.Module
        The trained network, on the CPU.

    augment_ : str or None
        The augmentation that was used: `augment`, or the choice if `augment="auto"`.

    loss_curve_ : list of float
        Mean training loss of every epoch, with the penalty. With `loss="mse"`, a
        constant image of the mean color has a loss of 1.

    validation_loss_curve_ : list of float
        Mean reconstruction loss of the validation images after every epoch, without the
        penalty. The validation images are corrupted in the same way in every epoch. The
        list is empty if there are no validation images.

    n_iter_ : int
        Number of epochs that were run.

    best_epoch_ : int
        Index of the epoch whose weights were kept, starting at 0.

    n_features_out_ : int
        Number of features of an embedding.

    failures_ : list of ImageFailure
        Row, source and reason of each image that the last call could not read.

    See Also
    --------
    ImageEmbedder : Embed images with a network pretrained on photographs.
    imgsim.display.ReconstructionDisplay : Show images and their reconstructions.

    Notes
    -----
    The same `random_state` gives the same weights on the same device and with the same
    number of threads. A pickle contains the weights; if the embedder was fitted on a
    GPU, the pickle loads on a CPU, too.

    If Ctrl-C interrupts `fit`, `warm_start` continues from the weights of the best
    epoch, and a checkpoint from the last epoch.

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
    >>> images = load_digit_images(n_per_class=20).images
    >>> embedder = AutoencoderEmbedder(
    ...     8, image_size=16, channels=(8, 16), color="gray", max_epochs=2
    ... )
    >>> embedder.fit_transform(images).shape
    (200, 8)
    >>> embedder.reconstruct(images[:3]).shape
    (3, 16, 16, 3)
    """

    autoencoder_: "ConvAutoencoder"
    augment_: str | None
    loss_curve_: list[float]
    validation_loss_curve_: list[float]
    n_iter_: int
    best_epoch_: int

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
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self,
        latent_dim: int = 128,
        *,
        image_size: int = 64,
        channels: Sequence[int] = (32, 64, 128, 256),
        n_blocks: int = 1,
        color: Literal["rgb", "gray"] = "rgb",
        init: Literal["auto", "pca", "random"] = "auto",
        augment: Literal["auto", "mirror", "warp", "mirror+warp"] | None = "auto",
        noise_std: float = 0.0,
        mask_ratio: float = 0.0,
        loss: Literal["mse", "l1", "ssim+l1"] = "mse",
        penalty: Literal["variational", "contractive"] | None = None,
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
        normalize: Literal["l2"] | None = None,
        device: str = "auto",
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        random_state: int | RandomState | None = None,
        n_jobs: int | None = -1,
        max_pixels: float | None = None,
        cache: EmbeddingCache | str | os.PathLike[str] | None = None,
        on_error: Literal["raise", "nan"] = "raise",
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
        self.max_pixels = max_pixels
        self.cache = cache
        self.on_error = on_error
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:  # type: ignore[override]
        """Train the autoencoder on images.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            The images, as for `transform`. The resized images are held in memory as
            uint8 if they fit in scikit-learn's `working_memory` (1 GiB by default).
            Otherwise the files are read again in every epoch.

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
            If no image can be read, if the loss becomes infinite or NaN, if the
            checkpoint in `checkpoint_dir` is damaged, or if `warm_start=True` and the
            parameters do not fit the network of the previous fit.

        Warns
        -----
        ImageReadWarning
            If images could not be read and `on_error="nan"`; they are not used for
            training.

        UserWarning
            If a new network is fitted to fewer than 200 images, whose embeddings are
            usually worse than the pixels; if Ctrl-C interrupted the training, so that
            the weights of the best epoch are kept; or if a checkpoint could not be
            saved, for example because the disk is full, so that the training continues
            without it.
        """
        self._train(X)
        self._warn_of_unused_images(X)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_transform(  # type: ignore[override]
        self, X: Any, y: Any = None
    ) -> EmbeddingArray:
        """Train the autoencoder on images, and embed the same images.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            The images, as for `transform`.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        embeddings : ndarray of shape (n_images, n_features_out_), dtype float32
            The result of `fit(X).transform(X)`, with a single warning about unreadable
            images.
        """
        self._train(X)
        embeddings, failures = self._transform_without_warning(X)
        warn_of_failures(failures, len(embeddings), "their embeddings are NaN")
        return embeddings

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one epoch on a further set of images.

        The first call determines the scale of the pixels and the augmentation for
        `augment="auto"`. The learning rate is not reduced over the calls, and no
        validation images are set aside. The axes of the embeddings are determined again
        by each call with at least `latent_dim` images. Embeddings computed before a
        call cannot be compared with embeddings computed after it.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            The images, as for `transform`.

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
            If no image can be read, if the loss becomes infinite or NaN, or if the
            parameters do not fit the network of an earlier call.
        """
        self._validate_params()  # scikit-learn omits it after the first call
        params = self._params_by_name()
        images = read_training_images(params, X)
        state: dict[str, Any] | None = getattr(self, "_partial_fit_state", None)
        result, state = fit_one_epoch(params, images, self._trained_network(), state)
        self._set_result(result, images.failures)
        self._partial_fit_state = state
        self._warn_of_unused_images(X)
        return self

    def reconstruct(self, X: Any) -> PixelArray:
        """Encode images and decode the embeddings again.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            The images, as for `transform`.

        Returns
        -------
        images : ndarray of shape (n_images, image_size, image_size, 3), dtype uint8
            Reconstruction i belongs to image i. Gray images have three equal channels.
            With `on_error="nan"`, the reconstruction of an unreadable image is black,
            and `failures_` gives the reason.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        NotFittedError
            If the embedder is not fitted.
        """
        sources, failures = self._check_sources(X)
        side = self.autoencoder_.architecture.image_size
        images = np.zeros((len(sources), side, side, 3), dtype=np.uint8)
        for positions, _, reconstructions in self._reconstruct(sources, failures):
            images[positions] = _to_rgb(reconstructions)
        warn_of_failures(failures, len(sources), "their reconstructions are black")
        return images

    def reconstruction_errors(self, X: Any) -> NDArray[np.float64]:
        """Compute the reconstruction error of each image.

        Images unlike the training images have larger errors, so that the error can also
        be used as an outlier score.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            The images, as for `transform`.

        Returns
        -------
        errors : ndarray of shape (n_images,), dtype float64
            Mean squared difference between the resized image and its reconstruction,
            over pixels and channels in [0, 1]. With `on_error="nan"`, the error of an
            unreadable image is NaN.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        NotFittedError
            If the embedder is not fitted.
        """
        errors, failures = self._reconstruction_errors(X)
        warn_of_failures(failures, len(errors), "their errors are NaN")
        return errors

    def score(self, X: Any, y: Any = None) -> float:
        """Return the negative mean reconstruction error; higher is better.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            The images, as for `transform`.

        y : Ignored
            Present for API consistency.

        Returns
        -------
        score : float
            The negative mean of `reconstruction_errors` over the readable images, at
            most 0. NaN if no image is readable.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        NotFittedError
            If the embedder is not fitted.
        """
        errors, failures = self._reconstruction_errors(X)
        warn_of_failures(failures, len(errors), "they are left out of the score")
        errors = errors[~np.isnan(errors)]
        return -float(errors.mean()) if len(errors) else float("nan")

    def inverse_transform(self, X: ArrayLike) -> PixelArray:
        """Decode embeddings to images.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out_)
            Embeddings from `transform`, or other points of the same space, such as
            means of embeddings.

        Returns
        -------
        images : ndarray of shape (n_samples, image_size, image_size, 3), dtype uint8
            The decoded images. An embedding of NaN gives a black image.

        Raises
        ------
        ValueError
            If X has another number of features, or if `normalize` is not None.

        NotFittedError
            If the embedder is not fitted.
        """
        self._ensure_setup()
        if self.normalize is not None:
            raise ValueError(
                f"normalize={self.normalize!r} must be None for inverse_transform, "
                f"because embeddings of unit length cannot be decoded. Set "
                f"normalize=None, or use reconstruct."
            )
        embeddings = check_array(X, dtype=np.float32, ensure_all_finite="allow-nan")
        architecture = self.autoencoder_.architecture
        if embeddings.shape[1] != architecture.latent_dim:
            raise ValueError(
                f"X has {embeddings.shape[1]} features, but {type(self).__name__} is "
                f"expecting {architecture.latent_dim} features as input."
            )
        side = architecture.image_size
        images = np.zeros((len(embeddings), side, side, 3), dtype=np.uint8)
        readable = np.flatnonzero(~np.isnan(embeddings).any(axis=1))
        for start in range(0, len(readable), self.batch_size):
            batch = readable[start : start + self.batch_size]
            images[batch] = _to_rgb(self._run("decode_embeddings", embeddings[batch]))
        return images

    def _train(self, X: Any) -> None:
        """Train the network, set the fitted attributes, and warn of an interruption."""
        params = self._params_by_name()
        images = read_training_images(params, X)
        trained = self._trained_network() if self.warm_start else None
        if trained is None:
            warn_of_few_images(len(images))
        with FitTask(self, X, n_subtasks=self.max_epochs) as task:
            result, is_finished = fit_autoencoder(params, images, trained, task)
            self._set_result(result, images.failures)
        self.__dict__.pop("_partial_fit_state", None)
        if not is_finished:
            warn_caller(
                f"training was interrupted after {self.n_iter_} of {self.max_epochs} "
                f"epochs; the weights of best_epoch_={self.best_epoch_} are kept.",
                UserWarning,
            )

    def _params_by_name(self) -> SimpleNamespace:
        return SimpleNamespace(**self.get_params(deep=False))

    def _trained_network(self) -> TrainedNetwork | None:
        if not hasattr(self, "autoencoder_"):
            return None
        return TrainedNetwork(self.autoencoder_, Augmentation.from_name(self.augment_))

    def _set_result(self, result: TrainingResult, failures: list[ImageFailure]) -> None:
        self.failures_ = failures
        self.autoencoder_ = result.network
        self.augment_ = result.augmentation.name
        self.loss_curve_ = result.loss_curve
        self.validation_loss_curve_ = result.validation_loss_curve
        self.n_iter_ = len(result.loss_curve)
        self.best_epoch_ = result.best_epoch
        self.n_features_out_ = result.network.architecture.latent_dim

    def _warn_of_unused_images(self, X: Any) -> None:
        warn_of_failures(self.failures_, len(X), "they were not used for training")

    def _reconstruction_errors(
        self, X: Any
    ) -> tuple[NDArray[np.float64], list[ImageFailure]]:
        """Compute reconstruction errors; return the failures without a warning."""
        sources, failures = self._check_sources(X)
        errors = np.full(len(sources), np.nan)
        for positions, pixels, reconstructions in self._reconstruct(sources, failures):
            difference = pixels.astype(np.float64) / 255 - reconstructions
            errors[positions] = np.square(difference).mean(axis=(1, 2, 3))
        return errors, failures

    def _reconstruct(
        self, sources: Sequence[Any], failures: list[ImageFailure]
    ) -> Iterator[tuple[NDArray[np.int64], PixelArray, NDArray[np.float32]]]:
        """Yield positions, resized images and reconstructions, batch by batch."""
        stream = self._stream(sources, transform=self._image_transform())
        with closing(iter(stream)) as batches:
            for batch in batches:
                failures += batch.failures
                if batch.images:
                    pixels = np.stack(batch.images)
                    embeddings = self._run("embed", pixels)
                    reconstructions = self._run("decode_embeddings", embeddings)
                    yield batch.rows, pixels, reconstructions

    def _setup(self) -> None:
        # `fit` has already set the attributes.
        check_is_fitted(self, "autoencoder_")

    def _image_transform(self) -> Callable[[PixelArray], PixelArray]:
        architecture = self.autoencoder_.architecture
        return make_resizer(architecture.image_size, architecture.n_colors)

    def _recipe(self) -> dict[str, Any]:
        return {"weights": hash_weights(self.autoencoder_)}

    def _embed(self, images: list[PixelArray]) -> EmbeddingArray:
        return self._run("embed", np.stack(images))

    def _run(
        self,
        method: Literal["embed", "decode_embeddings"],
        batch: PixelArray | EmbeddingArray,
    ) -> NDArray[np.float32]:
        """Call a method of the network with a batch on the device, in float32."""
        import torch

        device = resolve_device(self.device)
        network = self._network_on(device)
        with (
            torch.inference_mode(),
            use_precision("float32", torch.device(device).type),
        ):
            output: Tensor = getattr(network, method)(
                torch.from_numpy(batch).to(device)
            )
            array: NDArray[np.float32] = output.cpu().numpy()
        return array

    def _network_on(self, device: str) -> "ConvAutoencoder":
        """Return the network on a device; the copy on the device is reused."""
        if device == "cpu":
            return self.autoencoder_
        copy = getattr(self, "_copy_on_device", None)
        if copy is None or copy[:2] != (self.autoencoder_, device):
            copy = self.autoencoder_, device, deepcopy(self.autoencoder_).to(device)
            self._copy_on_device = copy
        return copy[2]

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the copy of the network on a device.

        Another machine may not have this device. There are no tensors in the state, so
        that skops can save it.
        """
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_copy_on_device", None)
        if "_partial_fit_state" in state:
            state["_partial_fit_state"] = to_arrays(state["_partial_fit_state"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a state that `__getstate__` returned."""
        self.__dict__.update(state)
        if "_partial_fit_state" in state:
            self._partial_fit_state = to_tensors(state["_partial_fit_state"])

    def __sklearn_tags__(self) -> Tags:
        """Declare that this embedder must be fitted before it is used."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = True
        return tags


def _to_rgb(reconstructions: NDArray[np.float32]) -> PixelArray:
    # Embeddings far from all others may decode to NaN.
    pixels = np.rint(np.nan_to_num(reconstructions) * 255).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:3], 3))
