"""Tests of where a curve bends."""

import numpy as np
import pytest

from imgsim.cluster.selection._knee import find_knee


def _by_hand(x, y):
    """Return the point farthest below the chord, one after the other."""
    best, place = 0.0, None
    for i, (along, height) in enumerate(zip(x, y, strict=True)):
        share = (along - x[0]) / (x[-1] - x[0])
        below = y[0] + share * (y[-1] - y[0]) - height
        if below > best + 1e-9:
            best, place = below, i
    return place


def test_a_bent_line_has_its_knee_at_the_bend():
    """As when distances to strangers follow those to neighbours."""
    assert find_knee(range(7), [0, 1, 2, 3, 20, 40, 60]) == 3
    assert find_knee(range(6), [100, 60, 20, 19, 18, 17]) == 2


@pytest.mark.parametrize(
    "curve", [np.exp, lambda x: 1 / x, lambda x: x**3, lambda x: -np.log(x)]
)
def test_is_the_point_farthest_below_the_chord(curve):
    """Also where the steps along are uneven, as candidates for k may be."""
    x = np.array([1, 2, 3, 5, 8, 13, 21, 34]) / 7

    assert find_knee(x, curve(x)) == _by_hand(x, curve(x))


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_do_not_matter(unit):
    """Inertia may be huge, and distances tiny."""
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
    """Whoever asks has to decide otherwise."""
    assert find_knee(range(len(y)), y) is None


def test_of_equal_bends_the_first_counts():
    """The smallest number of groups, or the smallest radius."""
    assert find_knee([0, 1, 2, 3], [3, 1, 0, 0]) == 1


def test_lists_and_single_precision_will_do():
    """A table's column as it is."""
    y = np.array([9, 3, 2, 1], dtype=np.float32)
    y.flags.writeable = False

    assert find_knee([2, 3, 4, 5], y) == 1
