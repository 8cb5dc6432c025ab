"""Networks by name: the one place that touches timm."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgsim.embedding._checkpoint import Checkpoint, load_checkpoint
from imgsim.exceptions import WeightsUnavailableError

if TYPE_CHECKING:
    from torch import nn

# Beyond this ratio of its sides, the ends of a picture are cut off before it is
# resized: the centre crop would drop them, and enlarging them first can take
# gigabytes.
_MAX_ASPECT = 16


@dataclass(frozen=True)
class BackboneSpec:
    """What decides which network is loaded, where from, and onto what device."""

    model_name: str
    pretrained: bool
    checkpoint: Checkpoint | None
    device: str
    model_kwargs: Mapping[str, Any] = field(compare=False)
    kwargs_as_text: str = field(init=False)

    def __post_init__(self) -> None:
        """Spell out the keyword arguments, which need not be hashable themselves."""
        text = repr(sorted(self.model_kwargs.items()))
        object.__setattr__(self, "kwargs_as_text", text)


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
        load_checkpoint(model, spec.checkpoint.path, model_name=spec.model_name)
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
        if config["crop_mode"] == "center":
            rgb = _without_far_ends(rgb)
        return np.asarray(resize_and_crop(Image.fromarray(rgb)))

    return prepare


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
    except TypeError as error:
        raise ValueError(
            f"model_kwargs={spec.model_kwargs!r} does not suit model_name={name!r}: "
            f"{error}"
        ) from error
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


def _suggestion(name: str, known: list[str]) -> str:
    bare = {_bare(candidate): candidate for candidate in known}
    near = difflib.get_close_matches(_bare(name), bare, n=3, cutoff=0.5)
    if not near:
        return "; timm.list_models() lists them."
    return f"; did you mean {', '.join(repr(bare[match]) for match in near)}?"


def _bare(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _without_far_ends(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    longest = _MAX_ASPECT * min(height, width)
    top, left = max(height - longest, 0) // 2, max(width - longest, 0) // 2
    return rgb[top : top + longest, left : left + longest]
