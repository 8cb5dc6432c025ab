"""Embedding by a network pretrained on photographs."""

import os
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from imgsim._validation import Interval, StrOptions
from imgsim.embedding._backbone import (
    BackboneSpec,
    default_config,
    load_backbone,
    make_preparation,
    takes_image_size,
)
from imgsim.embedding._base import BaseImageEmbedder, Pixels, Rows
from imgsim.embedding._checkpoint import Checkpoint
from imgsim.embedding._device import resolve_device
from imgsim.embedding._pooling import pool_places

if TYPE_CHECKING:
    from torch import Tensor, nn


_NOT_IN_MODEL_KWARGS = {
    "checkpoint_path": "it is a parameter of ImageEmbedder",
    "features_only": "the last feature map is taken; see pooling",
    "img_size": "set image_size",
    "in_chans": "images have three channels, red, green and blue",
    "num_classes": "the classifier is cut off",
    "pretrained": "it is a parameter of ImageEmbedder",
}


class ImageEmbedder(BaseImageEmbedder):
    """Embed images by a network pretrained on photographs.

    The classifier of a timm model [1]_ is cut off, and its last feature map is pooled
    to one row an image. Images are resized, cropped and scaled as the model was
    trained. The models of `timm.list_models()` serve by their name there: vgg16,
    resnet50, inception_resnet_v2, mobilenetv2_100, vit_small_patch16_224,
    convnext_tiny, ... A few that have no single feature map want `pooling=None`.

    Parameters
    ----------
    model_name : str, default="resnet50"
        Name of the model, with or without the tag of its weights.

    pretrained : bool, default=True
        Whether to take timm's weights, from the cache of huggingface_hub or the
        network. False leaves the network untrained, with weights from a fixed seed:
        good for tests, poor for answers.

    checkpoint_path : str or path-like, default=None
        File with the weights to take instead, safetensors or a state dict of torch;
        nothing in it is executed. Weights of a classifier are ignored. A file tells
        nothing of preprocessing: that of `model_name` is taken, unless `mean`, `std`
        and the like say otherwise.

    model_kwargs : dict, default=None
        Further arguments to `timm.create_model`.

    pooling : {"avg", "max"}, default="avg"
        What becomes of the last feature map: its mean or maximum over all places. Of
        a transformer, the patch tokens are its places. None takes what the model
        itself hands to its classifier: for most networks the same as "avg", for a VGG
        its last hidden layer, for most transformers the class token.

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

    batch_size : int, default=32
        Number of images held at a time. A GPU takes them in one forward pass, a CPU
        in smaller ones, which are faster there.

    n_jobs : int, default=None
        Number of decoding threads. None means one for each core.

    on_error : {"raise", "nan"}, default="raise"
        Whether an unreadable image raises, or leaves a row of NaN, an entry in
        `failures_` and one warning for all.

    verbose : int, default=0
        Whether to show a progress bar.

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
        or the checkpoint does not fit it.

    WeightsUnavailableError
        On `fit`, if the pretrained weights are neither cached nor can be downloaded.

    See Also
    --------
    ColorHistogramEmbedder : Embed by colour, without weights.
    imgsim.SimilarityIndex : Find the nearest rows.

    Notes
    -----
    Rows are float32 and deterministic: on a CPU, an image embedded alone agrees with
    the same image in a batch of any size to 1e-5, not to the last bit, because the
    libraries underneath sum in another order. On a GPU, torch rounds convolutions to
    10 bits (TF32) unless its own settings say otherwise, and rows agree to 1e-3.

    The network is loaded on first use. The last four are kept, so that clones and
    embedders with equal parameters share one in a process. A pickle holds parameters,
    never pretrained weights.

    With `crop_mode="center"`, pictures more than 16 times as long as wide are first cut
    to their middle part.

    References
    ----------
    .. [1] R. Wightman, "PyTorch Image Models", 2019,
       https://github.com/huggingface/pytorch-image-models.

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
        "model_name": [str],
        "pretrained": ["boolean"],
        "checkpoint_path": [str, os.PathLike, None],
        "model_kwargs": [dict, None],
        "pooling": [StrOptions({"avg", "max"}), None],
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
    }

    def __init__(
        self,
        model_name: str = "resnet50",
        *,
        pretrained: bool = True,
        checkpoint_path: str | os.PathLike[str] | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        pooling: str | None = "avg",
        image_size: int | tuple[int, int] | None = None,
        crop_mode: str | None = None,
        crop_pct: float | None = None,
        mean: float | tuple[float, float, float] | None = None,
        std: float | tuple[float, float, float] | None = None,
        interpolation: str | None = None,
        normalize: str | None = None,
        device: str = "auto",
        batch_size: int = 32,
        n_jobs: int | None = None,
        on_error: str = "raise",
        verbose: int = 0,
    ) -> None:
        self.model_name = model_name
        self.pretrained = pretrained
        self.checkpoint_path = checkpoint_path
        self.model_kwargs = model_kwargs
        self.pooling = pooling
        self.image_size = image_size
        self.crop_mode = crop_mode
        self.crop_pct = crop_pct
        self.mean = mean
        self.std = std
        self.interpolation = interpolation
        self.normalize = normalize
        self.device = device
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.on_error = on_error
        self.verbose = verbose

    def _setup(self) -> None:
        self.preprocessing_ = self._preprocessing()
        self.n_features_out_ = self._width()

    def _width(self) -> int:
        """Read the width of a row off a forward pass."""
        blank = np.zeros(self.preprocessing_["input_size"], dtype=np.uint8)
        try:
            rows = self._embed([blank])
            if rows.ndim != 2:
                raise ValueError(f"the model returns shape {rows.shape}, no rows.")
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"model_name={self.model_name!r} embeds no images of input_size="
                f"{self.preprocessing_['input_size']} with pooling={self.pooling!r} "
                f"and model_kwargs={self.model_kwargs!r}: {error}"
            ) from error
        return int(rows.shape[1])

    def _preparation(self) -> Callable[[Pixels], Pixels]:
        return make_preparation(self.preprocessing_)

    def _embed(self, images: list[Pixels]) -> Rows:
        import torch

        model, device = self._backbone(), resolve_device(self.device)
        pixels = torch.from_numpy(np.stack(images)).to(device)
        with torch.inference_mode():
            rows = [
                pool_places(model, self._scaled(part), self.pooling)
                for part in torch.split(pixels, self._n_images_in_pass(device))
            ]
        embedded: Rows = torch.cat(rows).float().cpu().numpy()
        if not np.isfinite(embedded).all():
            raise ValueError(
                f"model_name={self.model_name!r} turns images into rows that are not "
                f"finite; check the weights, mean={self.mean!r} and std={self.std!r}."
            )
        return embedded

    def _n_images_in_pass(self, device: str) -> int:
        """Return how many images go through the network at once."""
        import torch

        if torch.device(device).type != "cpu":
            return self.batch_size
        # The maps of more images than keep the cores busy take longer to allocate
        # anew in each layer than to compute (benchmarks/bench_embed.py).
        return max(4, 2 * torch.get_num_threads())

    def _backbone(self) -> "nn.Module":
        path = self.checkpoint_path
        spec = BackboneSpec(
            model_name=self.model_name,
            pretrained=self.pretrained,
            checkpoint=None if path is None else Checkpoint.at(path),
            device=resolve_device(self.device),
            model_kwargs=self._model_kwargs(),
        )
        return load_backbone(spec)

    def _model_kwargs(self) -> dict[str, Any]:
        kwargs = dict(self.model_kwargs or {})
        for name in _NOT_IN_MODEL_KWARGS.keys() & kwargs.keys():
            raise ValueError(
                f"model_kwargs={kwargs!r} must not hold {name!r}: "
                f"{_NOT_IN_MODEL_KWARGS[name]}."
            )
        if self.image_size is not None and takes_image_size(self.model_name):
            kwargs.setdefault("img_size", _two_sides(self.image_size))
        return kwargs

    def _preprocessing(self) -> dict[str, Any]:
        """Return the model's own preprocessing, overridden by the parameters."""
        config = default_config(self._backbone())
        if self.image_size is not None:
            config["input_size"] = (3, *_two_sides(self.image_size))
        for name in ("interpolation", "crop_pct", "crop_mode"):
            if getattr(self, name) is not None:
                config[name] = getattr(self, name)
        for name in ("mean", "std"):
            if getattr(self, name) is not None:
                config[name] = _one_per_channel(name, getattr(self, name))
        return config

    def _scaled(self, pixels: "Tensor") -> "Tensor":
        """Turn uint8 pixels into what the network was trained on."""
        import torch

        mean, std = (
            torch.tensor(
                self.preprocessing_[name], dtype=torch.float32, device=pixels.device
            )[:, None, None]
            for name in ("mean", "std")
        )
        scaled = pixels.float().div_(255).sub_(mean).div_(std)
        return scaled.contiguous(memory_format=torch.channels_last)


def _two_sides(image_size: Any) -> tuple[int, int]:
    both = isinstance(image_size, tuple | list)
    sides = tuple(image_size) if both else (image_size, image_size)
    if len(sides) != 2 or not all(
        isinstance(n, int | np.integer) and n >= 1 for n in sides
    ):
        raise ValueError(
            f"image_size={image_size!r} must be one integer, or two: height, width; "
            f"each at least 1 pixel."
        )
    return int(sides[0]), int(sides[1])


def _one_per_channel(name: str, value: Any) -> tuple[float, float, float]:
    values = (value,) * 3 if isinstance(value, Real) else tuple(value)
    valid = len(values) == 3 and all(
        isinstance(number, int | float | np.number)
        and np.isfinite(number)
        and (number > 0 or name == "mean")
        for number in values
    )
    if not valid:
        raise ValueError(
            f"{name}={value!r} must be one number, or three: red, green, blue; finite"
            f"{', and larger than 0' if name == 'std' else ''}."
        )
    return values
