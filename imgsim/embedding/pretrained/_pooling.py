"""A network's feature maps become one row an image."""

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

_GEM_LEAST = 1e-6


def pool_last(
    module: "nn.Module", pixels: "Tensor", pooling: str | None, gem_p: float
) -> "Tensor":
    """Run the network and pool what it computes last to (n_images, n_features)."""
    if pooling is None:
        rows: Tensor = module(pixels)
        return rows
    features, prefix = last_features(module, pixels, otherwise="set pooling=None")
    if prefix is None:
        pooled = _pool_map(features, pooling, gem_p)
    else:
        pooled = _pool_tokens(features, prefix, pooling, gem_p)
    is_flat = pooling == "flatten"
    return pooled if is_flat else _normalized_as_before_classifier(module, pooled)


def last_features(
    module: "nn.Module", pixels: "Tensor", *, otherwise: str
) -> "tuple[Tensor, Tensor | None]":
    """Run the network; return what it computes last, float32.

    That is a map of (n_images, n_features, height, width), and None; or tokens of
    (n_images, n_places, n_features), and those before the places. `otherwise` is the
    advice for a network that computes neither.
    """
    features: Any = getattr(module, "forward_features", module)(pixels)
    n_axes = getattr(features, "ndim", 0)
    if n_axes == 2:
        raise ValueError(f"the model returns rows by itself; {otherwise}.")
    if n_axes not in (3, 4):
        raise ValueError(f"the model has no single feature map; {otherwise}.")
    if n_axes == 4:
        is_nhwc = str(getattr(module, "output_fmt", "NCHW")).endswith("NHWC")
        maps = features.permute(0, 3, 1, 2) if is_nhwc else features
        return maps.float(), None
    n_prefix = _n_prefix_tokens(module)
    tokens = features.float()
    return tokens[:, n_prefix:], tokens[:, :n_prefix]


def pool_stages(
    module: "nn.Module",
    pixels: "Tensor",
    stages: tuple[int, ...],
    pooling: str,
    gem_p: float,
) -> "Tensor":
    """Run the network as far as need be; pool some of its stages, side by side."""
    import torch

    needed = sorted(set(stages))
    pooled = {}
    outputs = stage_features(module, pixels, needed)
    for stage, (maps, prefix) in zip(needed, outputs, strict=True):
        if _has_tokens(module):
            tokens = maps.flatten(2).transpose(1, 2)
            pooled[stage] = _pool_tokens(tokens, prefix, pooling, gem_p)
        else:
            pooled[stage] = _pool_map(maps, pooling, gem_p)
    return torch.cat([pooled[stage] for stage in stages], dim=1)


def stage_features(
    module: "nn.Module", pixels: "Tensor", stages: list[int]
) -> "list[tuple[Tensor, Tensor | None]]":
    """Run the network as far as need be; return its maps at increasing stages.

    Each is float32 of (n_images, n_features, height, width), with the tokens before
    the places, if there are any.
    """
    take: Any = module.forward_intermediates
    options: dict[str, Any] = {"stop_early": True, "intermediates_only": True}
    with_prefix = "return_prefix_tokens" in inspect.signature(take).parameters
    if with_prefix and _n_prefix_tokens(module):
        options["return_prefix_tokens"] = True
    outputs = take(pixels, indices=stages, **options)
    pairs = (out if isinstance(out, tuple) else (out, None) for out in outputs)
    return [(maps.float(), prefix) for maps, prefix in pairs]


def _pool_map(maps: "Tensor", pooling: str, gem_p: float) -> "Tensor":
    """Pool (n_images, n_features, height, width)."""
    if pooling in ("cls", "token_avg"):
        raise ValueError(
            f"pooling={pooling!r} is for transformers; the model has a map of places."
        )
    if pooling == "flatten":
        return maps.flatten(1)
    return _pool_places(maps.flatten(2), pooling, gem_p, axis=2)


def _pool_tokens(
    tokens: "Tensor", prefix: "Tensor | None", pooling: str, gem_p: float
) -> "Tensor":
    """Pool tokens of (n_images, n_places, n_features), and those before the places."""
    if pooling != "cls" and tokens.shape[1] == 0:
        raise ValueError(f"pooling={pooling!r}: the model gives a class token alone.")
    if pooling == "flatten":
        return tokens.flatten(1)
    if pooling != "cls":
        return _pool_places(tokens, pooling.removeprefix("token_"), gem_p, axis=1)
    if prefix is None or prefix.shape[1] == 0:
        raise ValueError("pooling='cls': the model gives no class token here.")
    return prefix[:, 0].float()


def _pool_places(
    features: "Tensor", pooling: str, gem_p: float, *, axis: int
) -> "Tensor":
    if pooling == "max":
        return features.amax(axis)
    if pooling == "avg":
        return features.mean(axis)
    positive = features.clamp(min=_GEM_LEAST)
    # Of the shares of the largest, no power overflows.
    largest = positive.amax(axis, keepdim=True)
    mean = (positive / largest).pow(gem_p).mean(axis).pow(1 / gem_p)
    return mean * largest.squeeze(axis)


def _has_tokens(module: "nn.Module") -> bool:
    return hasattr(module, "num_prefix_tokens") or hasattr(module, "cls_token")


def _n_prefix_tokens(module: "nn.Module") -> int:
    """Return the number of tokens before those of the places."""
    has_class_token = getattr(module, "cls_token", None) is not None
    n_tokens = getattr(module, "num_prefix_tokens", None)
    return int(has_class_token if n_tokens is None else n_tokens)


def _normalized_as_before_classifier(module: "nn.Module", pooled: "Tensor") -> "Tensor":
    """Apply the norm that some models have between pooling and classifier."""
    head: Any = getattr(module, "head", None)
    if type(head).__name__ in ("NormMlpClassifierHead", "ClNormMlpClassifierHead"):
        is_map_norm = type(head.norm).__name__.endswith("2d")
        shaped = pooled[:, :, None, None] if is_map_norm else pooled
        normalized: Tensor = head.norm(shaped)
        return normalized.flatten(1)
    if hasattr(module, "fc_norm"):
        rows: Tensor = module.fc_norm(pooled)  # type: ignore[operator]
        return rows
    return pooled
