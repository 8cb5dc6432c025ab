"""Pooling of a network's feature maps into one embedding per image."""

import inspect
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

Pooling = Literal["avg", "max", "gem", "cls", "token_avg", "flatten"]

_GEM_MIN = 1e-6


def pool_last(
    module: "nn.Module", pixels: "Tensor", pooling: Pooling | None, gem_p: float
) -> "Tensor":
    """Run the network and pool its last output into (n_images, n_features)."""
    if pooling is None:
        embeddings: Tensor = module(pixels)
        return embeddings
    features, prefix = last_features(module, pixels, advice="set pooling=None")
    if prefix is None:
        pooled = _pool_map(features, pooling, gem_p)
    else:
        pooled = _pool_tokens(features, prefix, pooling, gem_p)
    return pooled if pooling == "flatten" else _apply_head_norm(module, pooled)


def last_features(
    module: "nn.Module", pixels: "Tensor", *, advice: str
) -> "tuple[Tensor, Tensor | None]":
    """Run the network and return its last feature map or tokens, as float32.

    A feature map has shape (n_images, n_features, height, width), and is returned with
    None. Patch tokens have shape (n_images, n_tokens, n_features), and are returned
    with the tokens before them, such as the class token. `advice` is the part of the
    error message that says what to do if the network computes neither.
    """
    features: Any = getattr(module, "forward_features", module)(pixels)
    n_axes = getattr(features, "ndim", 0)
    if n_axes == 2:
        raise ValueError(
            f"the model returns embeddings instead of a feature map; {advice}."
        )
    if n_axes not in (3, 4):
        raise ValueError(f"the model does not return a single feature map; {advice}.")
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
    pooling: Pooling,
    gem_p: float,
) -> "Tensor":
    """Run the network up to the last of some stages; pool and concatenate them."""
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
    """Run the network up to the last of some stages; return their feature maps.

    `stages` are in increasing order. Each map is float32 of shape (n_images,
    n_features, height, width), and is returned with the tokens before the patch tokens
    if there are any.
    """
    run: Any = module.forward_intermediates
    options: dict[str, Any] = {"stop_early": True, "intermediates_only": True}
    has_option = "return_prefix_tokens" in inspect.signature(run).parameters
    if has_option and _n_prefix_tokens(module):
        options["return_prefix_tokens"] = True
    outputs = run(pixels, indices=stages, **options)
    pairs = (out if isinstance(out, tuple) else (out, None) for out in outputs)
    return [(maps.float(), prefix) for maps, prefix in pairs]


def _pool_map(maps: "Tensor", pooling: Pooling, gem_p: float) -> "Tensor":
    """Pool a feature map of shape (n_images, n_features, height, width)."""
    if pooling in ("cls", "token_avg"):
        raise ValueError(
            f"pooling={pooling!r} requires a transformer, but the model computes a "
            f"feature map; use 'avg', 'max', 'gem' or 'flatten'."
        )
    if pooling == "flatten":
        return maps.flatten(1)
    return _pool_locations(maps.flatten(2), pooling, gem_p, axis=2)


def _pool_tokens(
    tokens: "Tensor", prefix: "Tensor | None", pooling: Pooling, gem_p: float
) -> "Tensor":
    """Pool patch tokens (n_images, n_tokens, n_features), or return the class token."""
    if pooling == "cls":
        if prefix is None or prefix.shape[1] == 0:
            raise ValueError(
                "pooling='cls' requires a class token, which the model does not "
                "compute here; use 'avg'."
            )
        return prefix[:, 0].float()
    if tokens.shape[1] == 0:
        raise ValueError(
            f"pooling={pooling!r} requires patch tokens, but the model computes only a "
            f"class token; use 'cls'."
        )
    if pooling == "flatten":
        return tokens.flatten(1)
    return _pool_locations(tokens, pooling, gem_p, axis=1)


def _pool_locations(
    features: "Tensor", pooling: Pooling, gem_p: float, *, axis: int
) -> "Tensor":
    if pooling == "max":
        return features.amax(axis)
    if pooling in ("avg", "token_avg"):
        return features.mean(axis)
    positive = features.clamp(min=_GEM_MIN)
    # Powers of values relative to the maximum cannot overflow.
    maximum = positive.amax(axis, keepdim=True)
    mean = (positive / maximum).pow(gem_p).mean(axis).pow(1 / gem_p)
    return mean * maximum.squeeze(axis)


def _has_tokens(module: "nn.Module") -> bool:
    return hasattr(module, "num_prefix_tokens") or hasattr(module, "cls_token")


def _n_prefix_tokens(module: "nn.Module") -> int:
    """Return the number of tokens before the patch tokens."""
    has_class_token = getattr(module, "cls_token", None) is not None
    n_tokens = getattr(module, "num_prefix_tokens", None)
    return int(has_class_token if n_tokens is None else n_tokens)


def _apply_head_norm(module: "nn.Module", pooled: "Tensor") -> "Tensor":
    """Apply the norm that some models have between the pooling and the classifier."""
    head: Any = getattr(module, "head", None)
    if type(head).__name__ in ("NormMlpClassifierHead", "ClNormMlpClassifierHead"):
        is_map_norm = type(head.norm).__name__.endswith("2d")
        shaped = pooled[:, :, None, None] if is_map_norm else pooled
        normalized: Tensor = head.norm(shaped)
        return normalized.flatten(1)
    if hasattr(module, "fc_norm"):
        embeddings: Tensor = module.fc_norm(pooled)  # type: ignore[operator]
        return embeddings
    return pooled
