"""Validation of X as a sequence of image sources, before any image is read."""

import os
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
from PIL import Image


def check_image_sources(X: Any, name: str = "X") -> Sequence[Any]:
    """Validate X, and return it as a sequence with one image source per item.

    Parameters
    ----------
    X : sequence of image sources, ndarray, torch.Tensor or DataFrame column
        The images, as documented by the embedders.

    name : str, default="X"
        Name of the parameter in messages.

    Returns
    -------
    sources : sequence of length n_images
        One image source per item. `X` itself if it already is such a sequence.

    Raises
    ------
    TypeError
        If `X` is a single image or is not a sequence.

    ValueError
        If `X` is empty, or is an array or a table with an unexpected shape.
    """
    _refuse_single_image(X, name)
    if hasattr(X, "to_numpy"):
        X = X.to_numpy()
    if _is_array(X):
        X = _images_of_array(X, name)
    if isinstance(X, Iterator | Mapping | Set) or not _is_sequence(X):
        raise TypeError(
            f"{name} must be a sequence of images, such as a list of paths; got "
            f"{type(X).__name__}. Pass list({name}) if its order is meaningful."
        )
    if len(X) == 0:
        raise ValueError(
            f"{name} contains no images: found 0 samples, but 1 is required."
        )
    sources: Sequence[Any] = X
    return sources


def _refuse_single_image(X: Any, name: str) -> None:
    if isinstance(X, str | os.PathLike):
        raise TypeError(
            f"{name} must be a sequence of images; got the single path "
            f"{os.fspath(X)!r}. "
            f"Pass list_images({os.fspath(X)!r}) for a folder, or [{os.fspath(X)!r}] "
            f"for a single file."
        )
    if isinstance(X, bytes | bytearray | memoryview | Image.Image) or hasattr(
        X, "read"
    ):
        raise TypeError(
            f"{name} must be a sequence of images; got a single {type(X).__name__}. "
            f"Pass [{name}]."
        )


def _is_array(X: Any) -> bool:
    return hasattr(X, "ndim") and hasattr(X, "shape") and hasattr(X, "dtype")


def _is_sequence(X: Any) -> bool:
    return hasattr(X, "__len__") and hasattr(X, "__getitem__")


def _images_of_array(X: Any, name: str) -> Any:
    """Return an array of images, or a column of sources, with one image per row."""
    if _holds_sources(X):
        if X.ndim == 1:
            return X
        if X.ndim == 2 and X.shape[1] == 1:
            return X[:, 0]
        raise ValueError(
            f"a table of image sources must have one column; got shape {X.shape}. "
            f"Select the column that contains the images."
        )
    if X.ndim == 4 or (X.ndim == 3 and not _looks_like_one_image(X)):
        return X
    raise ValueError(
        f"an array of images must have shape (n_images, height, width, channels), or "
        f"(n_images, height, width) for grayscale; got shape {tuple(X.shape)}. Pass "
        f"{name}[None] for a single image."
    )


def _holds_sources(X: Any) -> bool:
    return isinstance(X, np.ndarray) and X.dtype.kind in "OUST"


def _looks_like_one_image(X: Any) -> bool:
    channels = X.shape[-1] if isinstance(X, np.ndarray) else X.shape[0]
    return channels in (1, 3, 4)
