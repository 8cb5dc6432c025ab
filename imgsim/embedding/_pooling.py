"""A network's last feature map becomes one row an image."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


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
