"""Tests of the knee of a curve."""

import numpy as np
import pytest

from imgsim.cluster._knee import find_knee


def _by_hand(x, y):
    """Return the point farthest below the chord, comparing one after another."""
    best, place = 0.0, None
    for i, (along, height) in enumerate(zip(x, y, strict=True)):
        share = (along - x[0]) / (x[-1] - x[0])
        below = y[0] + share * (y[-1] - y[0]) - height
        if below > best + 1e-9:
            best, place = below, i
    return place


def test_the_knee_of_two_lines_is_where_they_meet():
    """Both for rising distances and for a falling inertia."""
    assert find_knee(range(7), [0, 1, 2, 3, 20, 40, 60]) == 3
    assert find_knee(range(6), [100, 60, 20, 19, 18, 17]) == 2


@pytest.mark.parametrize(
    "curve", [np.exp, lambda x: 1 / x, lambda x: x**3, lambda x: -np.log(x)]
)
def test_the_knee_is_the_point_farthest_below_the_chord(curve):
    """The steps along x may be uneven, as candidates for k may be."""
    x = np.array([1, 2, 3, 5, 8, 13, 21, 34]) / 7

    assert find_knee(x, curve(x)) == _by_hand(x, curve(x))


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_do_not_matter(unit):
    """An inertia may be huge, and distances may be tiny."""
    x = np.linspace(1, 10, 30)

    assert find_knee(x * unit, 1 / x) == find_knee(x, unit / x) == find_knee(x, 1 / x)


@pytest.mark.parametrize(
    "y",
    [
        [],
        [1.0],
        [3.0, 1.0],
        [2.0, 2.0, 2.0, 2.0],
        [1.0, 2.0, 3.0, 4.0],
        [0.1, 0.2, 0.3, 0.4],
        [4.0, 3.9, 3.0, 0.0],
    ],
    ids=["no point", "one", "two", "constant", "line", "rounded line", "concave"],
)
def test_without_a_bend_there_is_no_knee(y):
    """Callers then fall back on another rule."""
    assert find_knee(range(len(y)), y) is None


def test_the_first_of_equal_knees_is_returned():
    """It is the smallest number of clusters, or the smallest radius."""
    assert find_knee([0, 1, 2, 3], [3, 1, 0, 0]) == 1


def test_lists_and_read_only_float32_are_accepted():
    """Columns of a table are passed unchanged."""
    y = np.array([9, 3, 2, 1], dtype=np.float32)
    y.flags.writeable = False

    assert find_knee([2, 3, 4, 5], y) == 1
