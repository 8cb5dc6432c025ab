"""Networks, ready to embed: the one place that touches timm."""

import difflib
import hashlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from imgsim._compute.precision import lower_weights
from imgsim._compute.torch_random import building
from imgsim.embedding.pretrained._batch_norm_folding import fold_batch_norms
from imgsim.embedding.pretrained._preprocessing import two_sides
from imgsim.embedding.pretrained._weights_file import (
    Checkpoint,
    fingerprint,
    load_checkpoint,
)
from imgsim.exceptions import WeightsUnavailableError

if TYPE_CHECKING:
    from torch import nn

_NOT_IN_MODEL_KWARGS = {
    "checkpoint_path": "it is a parameter of ImageEmbedder",
    "features_only": "set layer",
    "img_size": "set image_size",
    "in_chans": "images have three channels, red, green and blue",
    "num_classes": "the classifier is cut off",
    "pretrained": "it is a parameter of ImageEmbedder",
}


_loading = threading.RLock()


class Backbone(NamedTuple):
    """A network in evaluation mode on its device, and where it comes from."""

    module: "nn.Module"
    preprocessing: dict[str, Any]
    fingerprint: str


@dataclass(frozen=True)
class BackboneSpec:
    """What decides which network is loaded, where from, and onto what device."""

    model: str
    pretrained: bool
    checkpoint: Checkpoint | None
    device: str
    precision: str
    model_kwargs: Mapping[str, Any] = field(compare=False)
    kwargs_as_text: str = field(init=False)
    folder: tuple[Any, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Spell out the keyword arguments, which need not be hashable themselves."""
        text = repr(sorted(self.model_kwargs.items()))
        object.__setattr__(self, "kwargs_as_text", text)
        object.__setattr__(self, "folder", _state_of_folder(self.model))


def load_backbone(spec: BackboneSpec) -> Backbone:
    """Return the network without its classifier, ready to embed on its device.

    The last few networks are kept, so that estimators with the same parameters share
    one. Untrained weights are drawn from a fixed seed.
    """
    # One at a time: two threads would load a network twice, and draw untrained
    # weights from one stream of random numbers.
    with _loading:
        return kept_backbone(spec)


@lru_cache(maxsize=4)
def kept_backbone(spec: BackboneSpec) -> Backbone:
    """Load a network; the last few are kept."""
    module, sides = load_module(spec), spec.model_kwargs.get("img_size")
    return make_backbone(
        module,
        identify(module),
        spec.device,
        spec.precision,
        None if sides is None else two_sides(sides),
    )


def load_module(spec: BackboneSpec) -> "nn.Module":
    """Return the network without its classifier, as timm builds it."""
    check_model_name(spec.model)
    with building(seed=0):
        module = _create(spec)
    if spec.checkpoint is not None:
        load_checkpoint(module, spec.checkpoint.path, model=spec.model)
    return module


def make_backbone(
    module: "nn.Module",
    identity: str,
    device: str,
    precision: str,
    sides: tuple[int, int] | None,
) -> Backbone:
    """Make a network ready to embed; it is changed in place.

    `identity` is what `identify` said of it before. `sides` are height and width of an
    image it takes, by default those timm tells.
    """
    import torch

    module = module.requires_grad_(False).eval().to("cpu", torch.float32)
    config = default_config(module)
    if precision != "bfloat16":
        # Folded biases, rounded to 8 bits, would cost neighbours (lower_weights).
        shape = (1, 3, *(sides or config["input_size"][1:]))
        random = torch.Generator("cpu").manual_seed(0)
        example = torch.rand(shape, generator=random, dtype=torch.float32, device="cpu")
        module = fold_batch_norms(module, example)
    if precision != "float32":
        lower_weights(module, getattr(torch, precision))
    module = module.eval().to(device).to(memory_format=torch.channels_last)
    return Backbone(module, config, identity)


def identify(module: "nn.Module") -> str:
    """Return what tells a network: a hash of its weights and of its structure."""
    structure = hashlib.blake2b(repr(module).encode(), digest_size=16).hexdigest()
    return f"{fingerprint(module)} {structure}"


def keyword_arguments(
    model: str, model_kwargs: Mapping[str, Any] | None, image_size: Any
) -> dict[str, Any]:
    """Return what timm is to build the model with, checked."""
    kwargs = dict(model_kwargs or {})
    for name in _NOT_IN_MODEL_KWARGS.keys() & kwargs.keys():
        raise ValueError(
            f"model_kwargs={kwargs!r} must not hold {name!r}: "
            f"{_NOT_IN_MODEL_KWARGS[name]}."
        )
    if image_size is not None and _may_want_image_size(model):
        kwargs.setdefault("img_size", two_sides(image_size))
    return kwargs


def check_model_name(model: str) -> None:
    """Raise ValueError with the nearest names if timm does not know this one."""
    import timm

    if ":" in model:  # hf-hub:... and local-dir:..., resolved by timm
        return
    if "/" in model:
        raise ValueError(
            f"model={model!r} is no name of timm; did you mean 'hf-hub:{model}'?"
        )
    architecture, _, tag = model.partition(".")
    if not timm.is_model(architecture):
        raise ValueError(
            f"model={model!r} is not a model of timm"
            f"{_suggestion(architecture, timm.list_models())}"
        )
    tagged = timm.list_pretrained(f"{architecture}.*")
    if tag and model not in tagged:
        raise ValueError(
            f"model={model!r}: {architecture} has no weights tagged {tag!r}"
            f"{_suggestion(model, tagged)}"
        )


def default_config(model: "nn.Module") -> dict[str, Any]:
    """Return timm's preprocessing for this model and these weights."""
    import timm.data

    config: dict[str, Any] = timm.data.resolve_model_data_config(model)
    return config


def _may_want_image_size(model: str) -> bool:
    """Tell whether the network is built for one size, to be named when it is built."""
    import timm

    if ":" in model:
        return True  # not known before it is built: see _create
    config = timm.get_pretrained_cfg(model)
    return config is not None and bool(config.fixed_input_size)


def evaluation_transform(config: Mapping[str, Any]) -> list[Any]:
    """Return the steps of timm's evaluation transform, without the normalisation."""
    import timm.data

    transform = timm.data.create_transform(**config, is_training=False, normalize=False)
    return list(transform.transforms)


def _create(spec: BackboneSpec) -> "nn.Module":
    import timm

    name = spec.model
    download = spec.pretrained and spec.checkpoint is None
    if download and ":" not in name and not timm.is_model_pretrained(name):
        raise _weights_unavailable(name, "timm has no weights for it.")
    try:
        model: nn.Module = timm.create_model(
            name, pretrained=download, num_classes=0, **spec.model_kwargs
        )
    except TypeError as error:
        if ":" in name and "img_size" in spec.model_kwargs:
            # Only timm knows which model is behind the name; this one takes any size.
            kwargs = {k: v for k, v in spec.model_kwargs.items() if k != "img_size"}
            return _create(replace(spec, model_kwargs=kwargs))
        raise ValueError(
            f"model_kwargs={spec.model_kwargs!r} does not suit model={name!r}: {error}"
        ) from error
    except OSError as error:
        if not download and ":" not in name:
            raise
        raise _weights_unavailable(name, str(error)) from error
    return model


def _state_of_folder(model: str) -> tuple[Any, ...]:
    """Return what tells the files behind a "local-dir:" name from later ones."""
    scheme, _, path = model.partition(":")
    if scheme != "local-dir" or not os.path.isdir(path):
        return ()
    found = [(entry.name, entry.stat()) for entry in os.scandir(path)]
    return tuple(sorted((name, s.st_size, s.st_mtime_ns) for name, s in found))


def _weights_unavailable(model: str, reason: str) -> WeightsUnavailableError:
    return WeightsUnavailableError(
        f"the pretrained weights of model={model!r} cannot be had. Three "
        f"ways out: pass checkpoint_path='weights.safetensors'; fill the cache of "
        f"huggingface_hub on a machine with a network, copy it here (HF_HOME says "
        f"where) and set HF_HUB_OFFLINE=1; or take another model. The cause: {reason}"
    )


def _suggestion(name: str, known: list[str]) -> str:
    bare = {_bare(candidate): candidate for candidate in known}
    near = difflib.get_close_matches(_bare(name), bare, n=3, cutoff=0.5)
    if not near:
        return "; timm.list_models() lists them."
    return f"; did you mean {', '.join(repr(bare[match]) for match in near)}?"


def _bare(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
