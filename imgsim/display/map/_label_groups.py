"""The groups of a map: their names, and a colour and a marker for each."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim.display._labels import NO_GROUP, as_label_column, name_label

# Those of Okabe and Ito that stand out on white, and a dark one of Tol.
_COLORS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#882255",
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_MOST_GROUPS = len(_COLORS) * len(_MARKERS)


class Group(NamedTuple):
    """Images of one colour and marker; `short` is the name written on the map."""

    name: str
    short: str
    color: str
    marker: str
    rows: NDArray[np.intp]
    is_group: bool = True


def name_labels(
    labels: ArrayLike, label_names: Mapping[int, str] | Sequence[str] | None = None
) -> tuple[NDArray[np.int64], list[str], list[str]]:
    """Give each label a number, and each number a name at length and in short.

    Returns
    -------
    numbers : ndarray of shape (n_samples,), dtype int64
        Of the label of each row in sorted order; -1 for no group.

    names, shorts : list of str
        By number.
    """
    if np.asarray(labels).dtype.kind == "S":
        labels = np.asarray(labels).astype(str)
    given = as_label_column(labels)
    if given.dtype.kind in "iu":
        return _name_integers(given, label_names)
    if label_names is not None:
        raise ValueError("label_names are for integer labels; labels are strings.")
    classes, numbers = np.unique(given, return_inverse=True)
    names = classes.tolist()
    return numbers.astype(np.int64), names, names


def _name_integers(
    labels: NDArray[Any], label_names: Mapping[int, str] | Sequence[str] | None
) -> tuple[NDArray[np.int64], list[str], list[str]]:
    present = np.unique(labels[labels >= 0])
    numbers = np.where(labels >= 0, np.searchsorted(present, labels), -1)
    names = [name_label(label, label_names) for label in present.tolist()]
    shorts = names if label_names is not None else [str(label) for label in present]
    return numbers, names, shorts


def make_groups(
    numbers: NDArray[np.int64], names: list[str], shorts: list[str]
) -> list[Group]:
    """Return the groups in order, each unlike the others; those in no group are last.

    Beyond 49, the smallest are drawn alike, as one.
    """
    sizes = np.bincount(numbers[numbers >= 0], minlength=len(names))
    by_size = np.argsort(-sizes, kind="stable")
    shown = np.sort(by_size[:_MOST_GROUPS]).tolist()
    groups = [
        Group(
            names[number],
            shorts[number],
            _COLORS[i % len(_COLORS)],
            _MARKERS[i // len(_COLORS)],
            np.flatnonzero(numbers == number),
        )
        for i, number in enumerate(n for n in shown if sizes[n])
    ]
    small = [number for number in by_size[_MOST_GROUPS:] if sizes[number]]
    if small:
        rows = np.flatnonzero(np.isin(numbers, small))
        groups.append(Group(f"{len(small)} others", "", "0.35", "h", rows))
    if (numbers < 0).any():
        rows = np.flatnonzero(numbers < 0)
        groups.append(Group(NO_GROUP, "", "0.75", "o", rows, is_group=False))
    return groups


def one_group(n_images: int) -> list[Group]:
    """Return all images as one, for a map without labels."""
    return [Group("images", "", _COLORS[0], "o", np.arange(n_images))]
