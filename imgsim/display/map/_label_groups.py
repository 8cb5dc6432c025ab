"""The images of a map, grouped by label: name, color and marker of each group."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim.display._labels import NOISE, LabelNames, as_label_column, name_label

# The colors of Okabe and Ito that are visible on white, and a dark one of Tol.
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
# Dashes of the frames of thumbnails: (offset, lengths of lines and gaps).
LineStyle = Literal["-", ""] | tuple[float, tuple[float, ...]]
_LINE_STYLES: tuple[LineStyle, ...] = (
    "-",
    (0, (3, 1.2)),
    (0, (1, 1)),
    (0, (4, 1, 1, 1)),
    (0, (7, 1.5)),
    (0, (4, 1, 1, 1, 1, 1)),
    (0, (1.5, 2)),
)
_MAX_STYLES = len(_COLORS) * len(_MARKERS)
_GRAY, _LIGHT_GRAY = "0.35", "0.75"


class LabelGroup(NamedTuple):
    """Images with the same style, and the name to write on the map."""

    name: str
    short_name: str
    color: str
    marker: str
    rows: NDArray[np.intp]
    is_noise: bool = False
    line_style: LineStyle = "-"


class NumberedLabels(NamedTuple):
    """Labels as numbers that index their names; -1 is noise."""

    numbers: NDArray[np.int64]
    names: list[str]
    short_names: list[str]


def number_labels(
    labels: ArrayLike, label_names: LabelNames | None = None
) -> NumberedLabels:
    """Return the numbers of labels in sorted order, and the name of each number."""
    if np.asarray(labels).dtype.kind == "S":
        labels = np.asarray(labels).astype(str)
    column = as_label_column(labels)
    if column.dtype.kind in "iu":
        return _number_integers(column, label_names)
    if label_names is not None:
        raise ValueError(
            "label_names is for integer labels, but labels are strings; pass "
            "label_names=None."
        )
    classes, numbers = np.unique(column, return_inverse=True)
    names = classes.tolist()
    return NumberedLabels(numbers.astype(np.int64), names, names)


def _number_integers(
    labels: NDArray[Any], label_names: LabelNames | None
) -> NumberedLabels:
    present = np.unique(labels[labels >= 0])
    numbers = np.where(labels >= 0, np.searchsorted(present, labels), -1)
    names = [name_label(label, label_names) for label in present.tolist()]
    short_names = names
    if label_names is None:
        short_names = [str(label) for label in present]
    return NumberedLabels(numbers, names, short_names)


def group_by_label(labels: NumberedLabels) -> list[LabelGroup]:
    """Return one group for each label in use, in order, each with its own style.

    Beyond 49 labels, the images with the least frequent labels are one group. Noise is
    the last group.
    """
    numbers = labels.numbers
    sizes = np.bincount(numbers[numbers >= 0], minlength=len(labels.names))
    by_size = np.argsort(-sizes, kind="stable")
    largest = np.sort(by_size[:_MAX_STYLES]).tolist()
    groups = [
        LabelGroup(
            labels.names[number],
            labels.short_names[number],
            _COLORS[i % len(_COLORS)],
            _MARKERS[i // len(_COLORS)],
            np.flatnonzero(numbers == number),
            line_style=_LINE_STYLES[i // len(_COLORS)],
        )
        for i, number in enumerate(n for n in largest if sizes[n])
    ]
    others = [number for number in by_size[_MAX_STYLES:] if sizes[number]]
    if others:
        rows = np.flatnonzero(np.isin(numbers, others))
        groups.append(LabelGroup(f"{len(others)} others", "", _GRAY, "h", rows))
    if (numbers < 0).any():
        rows = np.flatnonzero(numbers < 0)
        groups.append(LabelGroup(NOISE, "", _LIGHT_GRAY, "o", rows, is_noise=True))
    return groups


def group_all(n_images: int) -> list[LabelGroup]:
    """Return all images as one group, for a map without labels."""
    return [LabelGroup("images", "", _COLORS[0], "o", np.arange(n_images))]
