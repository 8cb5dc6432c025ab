"""Tests of the names and styles of labels on a map."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from imgsim.display.map import _label_groups
from imgsim.display.map._label_groups import (
    NumberedLabels,
    group_by_label,
    number_labels,
)

# Matrices for linear red, green and blue from G. M. Machado et al., "A
# physiologically-based model for simulation of color vision deficiency", 2009,
# severity 1.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)


def _lab(color, vision):
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(vision) @ linear, 0, 1)
    x, y, z = np.cbrt(np.maximum(TO_XYZ @ seen / TO_XYZ.sum(axis=1), 0.01))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISIONS.values(), ids=VISIONS)
def test_colors_are_distinguishable(vision):
    """Color-blind readers must see each color, also beside white and gray."""
    colors = [*_label_groups._COLORS, "white", "0.75", "0.1"]

    distances = [
        np.linalg.norm(_lab(a, vision) - _lab(b, vision))
        for a, b in combinations(colors, 2)
    ]

    assert min(distances) > 10


def _groups(labels, label_names=None):
    return group_by_label(number_labels(labels, label_names))


@pytest.mark.parametrize("n_groups", [1, 7, 8, 40, 49, 50, 200])
def test_each_label_has_a_style_of_its_own(n_groups):
    """Beyond 49 labels, the smallest share a style. Every image is in one group."""
    labels = np.r_[np.repeat(np.arange(n_groups), 2), np.arange(n_groups), -1, -2]

    groups = _groups(labels)

    styles = {(group.color, group.marker) for group in groups}
    lines = {
        (group.color, group.line_style) for group in groups if group.name != "noise"
    }
    rows = np.concatenate([group.rows for group in groups])
    assert len(styles) == len(groups) == min(n_groups, 50) + 1
    assert len(lines) == min(n_groups, 50)  # frames differ without their markers
    assert np.sort(rows).tolist() == [*range(len(labels))]
    assert groups[-1].name == "noise"
    assert groups[-1].rows.tolist() == [len(labels) - 2, len(labels) - 1]


def test_the_largest_clusters_keep_their_names():
    """The order of the labels does not matter."""
    labels = np.r_[np.arange(60), np.full(5, 59), np.full(3, 30)]

    groups = _groups(labels)

    assert groups[-1].name == "11 others"
    assert "cluster 59" in {group.name for group in groups}
    assert "cluster 48" not in {group.name for group in groups}


def test_groups_are_in_the_order_of_their_labels():
    """Integers are sorted by value, and strings alphabetically."""
    numbered = _groups([3, 1, 3, -1], ["a", "z", "b", "c"])
    named = _groups(np.array(["pear", "apple", "pear"], dtype=object))

    assert [g.name for g in numbered] == ["z", "c", "noise"]
    assert [g.short_name for g in _groups([10, 2])] == ["2", "10"]
    assert [(g.name, g.rows.tolist()) for g in named] == [
        ("apple", [1]),
        ("pear", [0, 2]),
    ]


def test_invalid_labels_are_refused():
    """The message names the valid types."""
    with pytest.raises(ValueError, match="labels must be integers or strings; got"):
        number_labels([0.5, 1.5])
    with pytest.raises(ValueError, match="label_names is for integer labels"):
        number_labels(["a", "b"], ["a", "b"])


@pytest.mark.parametrize("names", [["a", "b"], {0: "a", 5: "z"}], ids=str)
def test_a_label_without_a_name_is_numbered(names):
    """Names may be a sequence or a mapping."""
    assert number_labels([2, 0, -1], names).names == ["a", "cluster 2"]


def test_integers_of_pandas_are_integers():
    """NumPy would convert them to objects or floats."""
    pd = pytest.importorskip("pandas")

    numbers, names, _ = number_labels(pd.Series([3, 0, -1], dtype="Int64"))

    assert numbers.tolist() == [1, 0, -1]
    assert names == ["cluster 0", "cluster 3"]


def test_labels_without_images_on_the_map_are_not_counted():
    """Images without a position may be the only ones with their label."""
    names = [str(i) for i in range(60)]

    groups = group_by_label(NumberedLabels(np.arange(49), names, names))

    assert [group.name for group in groups] == names[:49]
