"""Tests of the layout of a map."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from imgsim.display.map._layout import (
    Box,
    central_position,
    find_view,
    place_names,
)


@pytest.mark.parametrize("side", [0, 40])
def test_all_positions_are_visible(scatter, side):
    """A cell around each position is visible, and both axes have the same scale."""
    view = find_view(scatter, 500, 300, side=side)

    margin = side / 2 / view.scale
    assert_allclose(view.box.width * view.scale, 500)
    assert_allclose(view.box.height * view.scale, 300)
    assert (scatter - margin > [view.x_limits[0], view.y_limits[0]]).all()
    assert (scatter + margin < [view.x_limits[1], view.y_limits[1]]).all()


def test_names_are_shifted_and_stay_inside():
    """The first stays at its anchor, and a name without room is left out."""
    area = Box(0, 0, 10, 10)
    anchors = np.array([[5, 5], [5, 5], [9.9, 5], [5, 5], [5, 9.9]])
    sizes = [(4, 1), (4, 1), (2, 1), (11, 1), (4, 1)]

    centers = place_names(anchors, sizes, area)

    assert centers[0] == (5, 5)
    assert centers[1] == (5, 6)
    assert centers[2] == (9, 5)
    assert centers[3] is None
    assert centers[4] == pytest.approx((5, 8.9))


def test_edges_may_touch():
    """Rectangles side by side do not overlap."""
    box = Box(0, 0, 2, 1)

    assert not box.overlaps(Box(2, 0, 1, 1))
    assert not box.overlaps(Box(0, 1, 1, 1))
    assert box.overlaps(Box(1.9, 0.9, 1, 1))
    assert box.overlaps(Box(0.5, 0.25, 0.5, 0.5))


def test_the_central_position_is_one_of_the_positions():
    """The median of two clusters may be between them, where there is no image."""
    positions = np.array([[0.0, 0], [0, 1], [0, 2], [9, 9], [10, 9]])

    assert central_position(positions).tolist() == [0, 2]
