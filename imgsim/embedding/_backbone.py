"""Networks by name: the one place that touches timm."""

import difflib
import inspect
import os
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgsim.exceptions import WeightsUnavailableError

if TYPE_CHECKING:
    from torch import Tensor, nn

# Beyond this ratio of its sides, the ends of a picture are cut off before it is
# resized: the centre crop would drop them, and enlarging them first can take
# gigabytes.
_MAX_ASPECT = 16
_N_LISTED_KEYS = 5


@dataclass(frozen=True)
class BackboneSpec:
    """What decides which network is loaded, where from, and onto what device."""

    model_name: str
    pretrained: bool
    checkpoint: "Checkpoint | None"
    device: str
    model_kwargs: Mapping[str, Any] = field(compare=False)
    kwargs_as_text: str = field(init=False)

    def __post_init__(self) -> None:
        """Spell out the keyword arguments, which need not be hashable themselves."""
        text = repr(sorted(self.model_kwargs.items()))
        object.__setattr__(self, "kwargs_as_text", text)


class Checkpoint(NamedTuple):
    """A file of weights, told apart from another put in its place later."""

    path: str
    n_bytes: int
    modified_ns: int

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> "Checkpoint":
        """Look up the file at `path`."""
        if not os.path.isfile(path):
            raise FileNotFoundError(f"checkpoint_path={str(path)!r} is not a file.")
        status = os.stat(path)
        return cls(os.fspath(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def load_backbone(spec: BackboneSpec) -> "nn.Module":
    """Return the network without its classifier, in evaluation mode, on its device.

    The last few networks are kept, so that estimators with the same parameters share
    one. Untrained weights are drawn from a fixed seed.
    """
    import torch

    check_model_name(spec.model_name)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(0)
        model = _create(spec)
    if spec.checkpoint is not None:
        _load_checkpoint(model, spec.checkpoint.path, spec.model_name)
    model.requires_grad_(False)
    model = model.eval().to(spec.device, torch.float32)
    return model.to(memory_format=torch.channels_last)


def check_model_name(model_name: str) -> None:
    """Raise ValueError with the nearest names if timm does not know this one."""
    import timm

    if ":" in model_name:  # hf-hub:... and local-dir:..., resolved by timm
        return
    if "/" in model_name:
        raise ValueError(
            f"model_name={model_name!r} is no name of timm; "
            f"did you mean 'hf-hub:{model_name}'?"
        )
    architecture, _, tag = model_name.partition(".")
    if not timm.is_model(architecture):
        raise ValueError(
            f"model_name={model_name!r} is not a model of timm"
            f"{_suggestion(architecture, timm.list_models())}"
        )
    tagged = timm.list_pretrained(f"{architecture}.*")
    if tag and model_name not in tagged:
        raise ValueError(
            f"model_name={model_name!r}: {architecture} has no weights tagged {tag!r}"
            f"{_suggestion(model_name, tagged)}"
        )


def default_config(model: "nn.Module") -> dict[str, Any]:
    """Return timm's preprocessing for this model and these weights."""
    import timm.data

    config: dict[str, Any] = timm.data.resolve_model_data_config(model)
    return config


def takes_image_size(model_name: str) -> bool:
    """Tell whether the network is built for one size, to be named when it is built."""
    import timm

    if ":" in model_name:
        return False
    config = timm.get_pretrained_cfg(model_name)
    return config is not None and bool(config.fixed_input_size)


def make_preparation(
    config: Mapping[str, Any],
) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """Return timm's evaluation transform up to, without, the normalisation.

    The function turns (height, width, 3) into (3, height, width), both uint8.
    """
    import timm.data

    resize_and_crop = timm.data.create_transform(
        **config, is_training=False, normalize=False
    )

    def prepare(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        image = Image.fromarray(_without_far_ends(rgb))
        return np.asarray(resize_and_crop(image))

    return prepare


def pool_places(model: "nn.Module", pixels: "Tensor", pooling: str | None) -> "Tensor":
    """Run the network and pool its last feature map to (n_images, n_features)."""
    if pooling is None:
        rows: Tensor = model(pixels)
        return rows
    places = _places(model, model.forward_features(pixels))  # type: ignore[operator]
    pooled = places.mean(dim=1) if pooling == "avg" else places.amax(dim=1)
    return _normalized_as_before_classifier(model, pooled)


def _places(model: "nn.Module", features: Any) -> "Tensor":
    """Arrange a feature map, or tokens, as (n_images, n_places, n_features)."""
    n_axes = getattr(features, "ndim", 0)
    if n_axes == 4 and str(getattr(model, "output_fmt", "NCHW")).endswith("NHWC"):
        places: Tensor = features.flatten(1, 2)
    elif n_axes == 4:
        places = features.flatten(2).transpose(1, 2)
    elif n_axes == 3:
        places = features[:, getattr(model, "num_prefix_tokens", 0) :]
    else:
        raise ValueError("the model has no single feature map; set pooling=None.")
    return places


def _normalized_as_before_classifier(model: "nn.Module", pooled: "Tensor") -> "Tensor":
    """Apply the norm that some models have between pooling and classifier."""
    head: Any = getattr(model, "head", None)
    if type(head).__name__ in ("NormMlpClassifierHead", "ClNormMlpClassifierHead"):
        is_map_norm = type(head.norm).__name__.endswith("2d")
        shaped = pooled[:, :, None, None] if is_map_norm else pooled
        normalized: Tensor = head.norm(shaped)
        return normalized.flatten(1)
    if hasattr(model, "fc_norm"):
        rows: Tensor = model.fc_norm(pooled)  # type: ignore[operator]
        return rows
    return pooled


def _create(spec: BackboneSpec) -> "nn.Module":
    import timm

    name = spec.model_name
    download = spec.pretrained and spec.checkpoint is None
    if download and ":" not in name and not timm.is_model_pretrained(name):
        raise _weights_unavailable(name, "timm has no weights for it.")
    try:
        model: nn.Module = timm.create_model(
            name, pretrained=download, num_classes=0, **spec.model_kwargs
        )
    except OSError as error:
        if not download and ":" not in name:
            raise
        raise _weights_unavailable(name, str(error)) from error
    return model


def _weights_unavailable(model_name: str, reason: str) -> WeightsUnavailableError:
    return WeightsUnavailableError(
        f"the pretrained weights of model_name={model_name!r} cannot be had. Three "
        f"ways out: pass checkpoint_path='weights.safetensors'; fill the cache of "
        f"huggingface_hub on a machine with a network, copy it here (HF_HOME says "
        f"where) and set HF_HUB_OFFLINE=1; or take another model. The cause: {reason}"
    )


def _load_checkpoint(model: "nn.Module", path: str, model_name: str) -> None:
    """Load weights by name; those of the classifier that was cut off may be left."""
    state = _read_state(path)
    misfits = _misfits(model, state)
    remap = getattr(inspect.getmodule(type(model)), "checkpoint_filter_fn", None)
    if misfits and remap is not None:
        # timm's own way from weights as published, or for another image size.
        state = remap(state, model)
        misfits = _misfits(model, state)
    if misfits:
        raise ValueError(
            f"checkpoint_path={path!r} does not fit model_name={model_name!r}: "
            f"{'; '.join(misfits)}. Check model_name, image_size and model_kwargs."
        )
    names = model.state_dict().keys() & state.keys()
    model.load_state_dict({name: state[name] for name in names}, strict=False)


def _misfits(model: "nn.Module", state: Mapping[str, "Tensor"]) -> list[str]:
    """Say which keys are missing, unexpected, or of another shape."""
    expected = model.state_dict()
    ignorable = (*_classifier_prefixes(model), "AuxLogits.")
    groups = {
        "missing": [
            key
            for key in expected
            if key not in state and not key.endswith(".num_batches_tracked")
        ],
        "unexpected": [
            key
            for key in state
            if key not in expected and not key.startswith(ignorable)
        ],
        "of another shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
            for key in expected
            if key in state and state[key].shape != expected[key].shape
        ],
    }
    return [_listed(what, keys) for what, keys in groups.items() if keys]


def _read_state(path: str) -> "dict[str, Tensor]":
    """Read a state dict without executing anything the file holds."""
    import torch
    from safetensors.torch import load_file

    state: Any
    try:
        if path.lower().endswith(".safetensors"):
            state = load_file(path)
        else:
            with warnings.catch_warnings():
                # torch warns about old pickles, and refuses them below where need be.
                warnings.simplefilter("ignore")
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"checkpoint_path={path!r} holds more than tensors: to load it would "
            f"execute code, which is refused. Save the weights with "
            f"safetensors.torch.save_file."
        ) from error
    except Exception as error:
        raise ValueError(
            f"checkpoint_path={path!r} is damaged, or no file of weights: {error}"
        ) from error
    return _weights_by_name(state, path)


def _weights_by_name(state: Any, path: str) -> "dict[str, Tensor]":
    """Take the weights out of what trainers wrap around them."""
    import torch

    for wrapper in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    by_name = isinstance(state, Mapping) and all(
        isinstance(key, str) and isinstance(value, torch.Tensor)
        for key, value in state.items()
    )
    if not by_name or not state:
        raise ValueError(f"checkpoint_path={path!r} holds no weights by name.")
    # DataParallel, torch.compile and Lightning put one word before all names.
    while len({key.partition(".")[0] for key in state}) == 1:
        state = {key.partition(".")[2]: value for key, value in state.items()}
    return dict(state)


def _classifier_prefixes(model: "nn.Module") -> tuple[str, ...]:
    names = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    return tuple(f"{n}." for n in ((names,) if isinstance(names, str) else names))


def _listed(what: str, keys: list[str]) -> str:
    shown = ", ".join(keys[:_N_LISTED_KEYS])
    n_more = len(keys) - _N_LISTED_KEYS
    more = f" and {n_more} more" if n_more > 0 else ""
    return f"{len(keys)} keys {what} ({shown}{more})"


def _suggestion(name: str, known: list[str]) -> str:
    bare = {_bare(candidate): candidate for candidate in known}
    near = difflib.get_close_matches(_bare(name), bare, n=3, cutoff=0.5)
    if not near:
        return "; timm.list_models() lists them."
    return f"; did you mean {', '.join(repr(bare[match]) for match in near)}?"


def _bare(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _without_far_ends(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    for axis in (0, 1):
        length, longest = rgb.shape[axis], _MAX_ASPECT * rgb.shape[1 - axis]
        if length > longest:
            start = (length - longest) // 2
            rgb = rgb.take(range(start, start + longest), axis=axis)
    return rgb
