"""Embedding by a network pretrained on photographs."""

import os
import reprlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

from imgsim._compute.device import resolve_device
from imgsim._compute.precision import resolve_precision
from imgsim._typing import PixelArray
from imgsim._validation import HasMethods, Interval, StrOptions
from imgsim.embedding._base import BaseImageEmbedder, Start
from imgsim.embedding._feature_maps import FeatureMaps
from imgsim.embedding.cache._embedding_cache import EmbeddingCache
from imgsim.embedding.pretrained._forward_passes import n_images_in_pass, open_passes
from imgsim.embedding.pretrained._layers import find_stages
from imgsim.embedding.pretrained._network import Network
from imgsim.embedding.pretrained._preprocessing import OVERRIDING, overridden
from imgsim.embedding.pretrained._resize_and_crop import least_side, make_preparation
from imgsim.embedding.pretrained._timm_backbone import (
    Backbone,
    BackboneSpec,
    keyword_arguments,
    load_backbone,
)
from imgsim.embedding.pretrained._user_module import backbone_of, refuse_with_module
from imgsim.embedding.pretrained._weights_file import Checkpoint
from imgsim.images._read import read_image, read_image_fast

if TYPE_CHECKING:
    from torch import nn


class ImageEmbedder(FeatureMaps):
    """Embed images by a network pretrained on photographs.

    The classifier of a timm model [1]_ is cut off, and its last feature map is pooled
    to one row an image. Images are resized, cropped and scaled as the model was
    trained. The models of `timm.list_models()` serve by their name there: vgg16,
    resnet50, inception_resnet_v2, mobilenetv2_100, vit_small_patch16_224,
    convnext_tiny, ... A few that have no single feature map want `pooling=None`.

    Parameters
    ----------
    model : str or torch.nn.Module, default="resnet50"
        Name of the model, with or without the tag of its weights; also "hf-hub:..."
        or "local-dir:..." as timm takes them. Or a network of your own from float32
        (n_images, 3, height, width) to a feature map or to rows; it is copied and
        left as it is.

    pretrained : bool, default=True
        Whether to take timm's weights, from the cache of huggingface_hub or the
        network. False leaves the network untrained, with weights from a fixed seed:
        good for tests, poor for answers.

    checkpoint_path : str or path-like, default=None
        File with the weights to take instead, safetensors or a state dict of torch;
        nothing in it is executed. Weights of a classifier are ignored. A file tells
        nothing of preprocessing: that of `model` is taken, unless `mean`, `std`
        and the like say otherwise.

    model_kwargs : dict, default=None
        Further arguments to `timm.create_model`.

    pooling : {"avg", "max", "gem", "cls", "token_avg", "flatten"}, default="avg"
        What becomes of a feature map: the mean, the maximum or the generalised mean
        [2]_ over its places, of which a transformer's are its patch tokens; or all
        of it ("flatten"). Of a transformer only: the class token ("cls"), or the mean
        of the patch tokens by another name ("token_avg"). None takes what the model
        itself hands to its classifier: for most networks the same as "avg", for a VGG
        its last hidden layer, for most transformers the class token.

    gem_p : float, default=3.0
        Power of the generalised mean: 1 is the mean, a large one nearly the maximum.
        Negative features count as zero.

    layer : int, str or list of them, default=None
        Stage of the network to pool instead of its last feature map, by timm's index
        or name, such as -2 or "layer3"; of several, the rows are set side by side.

    flip : bool, default=False
        Whether a row is the mean of those of the image and its mirror image, for
        twice the time.

    image_size : int or tuple of int, default=None
        Pixels along the sides of the network's input, (height, width) if they
        differ. None keeps the model's own.

    crop_mode : {"center", "squash", "border"}, default=None
        How an image of another shape is fitted: cut to its centre, stretched, or
        padded. None keeps the model's own, mostly "center". Each loses the margin
        that `crop_pct` cuts off.

    crop_pct : float, default=None
        Share of the resized image that the crop keeps along a side, in (0, 1]. None
        keeps the model's own.

    mean, std : float or tuple of float, default=None
        Subtracted from, and then dividing, pixels scaled to [0, 1]; one number for all
        channels, or one each for red, green and blue. None keeps the model's own.

    interpolation : {"bicubic", "bilinear", "lanczos", "nearest", "box", "hamming"}, \
            default=None
        How pixels are interpolated when an image is resized. None keeps the model's
        own.

    normalize : {"l2"}, default=None
        Whether rows are scaled to unit Euclidean length. None keeps them as they
        come.

    device : str, default="auto"
        Device of torch, such as "cpu" or "cuda:1". "auto" is the first CUDA device,
        or else the CPU; with it a pickle made on one machine works on the other.

    precision : {"float32", "auto", "bfloat16", "float16"}, default="float32"
        In what the network computes; rows are float32 anyway. "float32" gives the same
        rows on every machine. "auto" is the fastest here: bfloat16 on a CPU that has
        it, float16 on CUDA, else float32. It keeps the quality of answers, not the
        order of near ties.

    compile : bool, default=False
        Whether `torch.compile` translates the network, in a minute or so once a
        process. Measure before you use it: on a CPU, it gained nothing here.

    decoder : {"auto", "pillow"}, default="auto"
        How files become pixels: "auto" the fastest way, which gives the same picture
        but for rounding, and reduces photographs of many pixels while it decodes them;
        "pillow" as timm does.

    batch_size : int, default=32
        Number of images held at a time. A GPU takes them in one forward pass, halved
        if its memory does not suffice; a CPU in smaller ones, which are faster there.

    n_jobs : int, default=-1
        Number of threads that decode images. None means 1 unless in a
        :obj:`joblib.parallel_backend` context. -1 means all processors.

    cache : EmbeddingCache, str or path-like, default=None
        Where rows are kept, so that no image is embedded twice and an interrupted run
        goes on where it was; a path means an :class:`EmbeddingCache` there.

    on_error : {"raise", "nan"}, default="raise"
        Whether an unreadable image raises, or leaves a row of NaN, an entry in
        `failures_` and one warning for all.

    verbose : int, default=0
        Whether to show a bar with images a second, time left, failures and cache
        hits.

    Attributes
    ----------
    n_features_out_ : int
        Width of a row, read off a forward pass.

    preprocessing_ : dict
        The preprocessing in effect: `input_size` (channels, height, width),
        `interpolation`, `mean`, `std`, `crop_pct` and `crop_mode`.

    failures_ : list of ImageFailure
        Index, source and reason of each image that the last `transform` could not
        read.

    Raises
    ------
    ValueError
        On `fit`, if timm has no model of this name (the message names the nearest),
        or the checkpoint, the layer or the pooling does not fit it.

    WeightsUnavailableError
        On `fit`, if the pretrained weights are neither cached nor can be downloaded.

    See Also
    --------
    ColorHistogramEmbedder : Embed by colour, without weights.
    imgsim.SimilarityIndex : Find the nearest rows.
    imgsim.display.SimilarityMapDisplay : See which places make two images alike.
    clear_models : Free the networks that are kept.

    Notes
    -----
    Rows are deterministic: in float32, an image embedded alone agrees with the same
    image in a batch of any size, on any device, to 1e-5 of the largest number, not to
    the last bit, because the libraries underneath sum in another order.

    The network is loaded on first use. The last four are kept, so that clones and
    embedders with equal parameters share one in a process. A pickle holds parameters,
    never pretrained weights, unless the network is your own.

    With `crop_mode="center"`, pictures over 16 times as long as wide are cut first.

    References
    ----------
    .. [1] R. Wightman, "PyTorch Image Models", 2019,
       https://github.com/huggingface/pytorch-image-models.

    .. [2] F. Radenović, G. Tolias and O. Chum, "Fine-tuning CNN image retrieval with no
       human annotation", IEEE Transactions on Pattern Analysis and Machine
       Intelligence, 2019 (online 2018).

    Examples
    --------
    An untrained network, so that the example needs no download:

    >>> from imgsim import ImageEmbedder
    >>> from imgsim.datasets import load_sample_photos
    >>> photos = load_sample_photos(n_crops=2, n_copies=1)
    >>> embedder = ImageEmbedder("resnet18", pretrained=False, image_size=64)
    >>> embedder.fit_transform(photos.images).shape
    (8, 512)
    >>> embedder.preprocessing_["input_size"], embedder.preprocessing_["crop_mode"]
    ((3, 64, 64), 'center')
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseImageEmbedder._parameter_constraints,
        "model": [str, HasMethods(["forward", "state_dict"])],
        "pretrained": ["boolean"],
        "checkpoint_path": [str, os.PathLike, None],
        "model_kwargs": [dict, None],
        "pooling": [
            StrOptions({"avg", "max", "gem", "cls", "token_avg", "flatten"}),
            None,
        ],
        "gem_p": [Interval(Real, 0, None, closed="neither")],
        "layer": [Integral, str, list, tuple, None],
        "flip": ["boolean"],
        "image_size": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
        "crop_mode": [StrOptions({"center", "squash", "border"}), None],
        "crop_pct": [Interval(Real, 0, 1, closed="right"), None],
        "mean": [Real, tuple, list, None],
        "std": [Interval(Real, 0, None, closed="neither"), tuple, list, None],
        "interpolation": [
            StrOptions({"bicubic", "bilinear", "lanczos", "nearest", "box", "hamming"}),
            None,
        ],
        "device": [str],
        "precision": [StrOptions({"float32", "auto", "bfloat16", "float16"})],
        "compile": ["boolean"],
        "decoder": [StrOptions({"auto", "pillow"})],
    }

    def __init__(
        self,
        model: "str | nn.Module" = "resnet50",
        *,
        pretrained: bool = True,
        checkpoint_path: str | os.PathLike[str] | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        pooling: str | None = "avg",
        gem_p: float = 3.0,
        layer: int | str | Sequence[int | str] | None = None,
        flip: bool = False,
        image_size: int | tuple[int, int] | None = None,
        crop_mode: str | None = None,
        crop_pct: float | None = None,
        mean: float | tuple[float, float, float] | None = None,
        std: float | tuple[float, float, float] | None = None,
        interpolation: str | None = None,
        normalize: str | None = None,
        device: str = "auto",
        precision: str = "float32",
        compile: bool = False,
        decoder: str = "auto",
        batch_size: int = 32,
        n_jobs: int | None = -1,
        cache: EmbeddingCache | str | os.PathLike[str] | None = None,
        on_error: str = "raise",
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
        self.cache = cache
        self.on_error = on_error
        self.verbose = verbose

    def _setup(self) -> None:
        parameters = {name: getattr(self, name) for name in OVERRIDING}
        self.preprocessing_ = overridden(self._backbone().preprocessing, parameters)
        self.n_features_out_, self._n_images_in_pass = self._probe()

    def _probe(self) -> tuple[int, int]:
        """Read the width of a row, and how many images a pass takes, off a pass."""
        import torch

        network = self._network()
        shape = (1, *self.preprocessing_["input_size"][1:], 3)
        blank = torch.zeros(shape, dtype=torch.uint8, device=network.device)
        try:
            rows, n_bytes = network.probe(blank)
            if rows.ndim != 2:
                raise ValueError(f"it returns shape {tuple(rows.shape)}, no rows.")
            if not rows.isfinite().all():
                raise ValueError("its rows are not finite; check its weights.")
        except (AssertionError, NotImplementedError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"model={reprlib.repr(self.model)} embeds no images of "
                f"input_size={self.preprocessing_['input_size']} with "
                f"pooling={self.pooling!r}, layer={self.layer!r}, "
                f"precision={self.precision!r} and "
                f"model_kwargs={self.model_kwargs!r}: {error}"
            ) from error
        on_cpu = rows.device.type == "cpu"
        n_images = n_images_in_pass(n_bytes, self.batch_size)
        return int(rows.shape[1]), n_images if on_cpu else self.batch_size

    def _preparation(self) -> Callable[[PixelArray], PixelArray]:
        return make_preparation(self.preprocessing_, self.decoder)

    def _reader(self) -> Callable[[Any], PixelArray]:
        if self.decoder == "pillow":
            return read_image
        return partial(read_image_fast, min_side=least_side(self.preprocessing_))

    def _passes(self) -> AbstractContextManager[Start]:
        return open_passes(self._network(), self._n_images_in_pass)

    def _network(self) -> Network:
        device, precision = self._device_and_precision()
        module = self._backbone().module
        layer = self.layer
        if layer is not None and self.pooling is None:
            raise ValueError(f"layer={layer!r} needs a pooling; it is None.")
        return Network(
            module=module,
            device=device,
            precision=precision,
            mean=tuple(self.preprocessing_["mean"]),
            std=tuple(self.preprocessing_["std"]),
            stages=None if layer is None else find_stages(module, layer),
            pooling=self.pooling,
            gem_p=float(self.gem_p),
            flip=bool(self.flip),
            compile=bool(self.compile),
        )

    def _backbone(self) -> Backbone:
        device, precision = self._device_and_precision()
        path, name = self.checkpoint_path, self.model
        if not isinstance(name, str):
            refuse_with_module(checkpoint_path=path, model_kwargs=self.model_kwargs)
            return backbone_of(name, device, precision, self.image_size)
        spec = BackboneSpec(
            model=name,
            pretrained=self.pretrained,
            checkpoint=None if path is None else Checkpoint.at(path),
            device=device,
            precision=precision,
            model_kwargs=keyword_arguments(name, self.model_kwargs, self.image_size),
        )
        return load_backbone(spec)

    def _recipe(self) -> dict[str, Any]:
        return {
            "model": repr(self.model),
            "model_kwargs": repr(sorted((self.model_kwargs or {}).items())),
            "weights": self._backbone().fingerprint,
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
