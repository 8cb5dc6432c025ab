"""Tests of the layout of a map."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from imgsim.display.map._layout import (
    Box,
    central_position,
    find_cells,
    find_view,
    place_names,
)

SCATTERS = {
    "uniform": lambda rng: rng.uniform(size=(200, 2)),
    "clusters": lambda rng: (
        np.repeat(rng.normal(size=(4, 2)) * 1e3, 50, axis=0) + rng.normal(size=(200, 2))
    ),
    "line": lambda rng: np.c_[rng.normal(size=200), np.zeros(200)],
    "outlier": lambda rng: np.vstack([rng.normal(size=(199, 2)), [[1e4, -1e4]]]),
    "one position": lambda rng: np.full((200, 2), 3.0),
    "one image": lambda rng: np.full((1, 2), -7.0),
}


@pytest.fixture(params=SCATTERS.values(), ids=SCATTERS)
def scatter(request):
    """Return positions of various distributions."""
    return request.param(np.random.default_rng(0))


@pytest.mark.parametrize("side", [0, 40])
def test_all_positions_are_visible(scatter, side):
    """A cell around each position is visible, and both axes have the same scale."""
    view = find_view(scatter, 500, 300, side=side)

    margin = side / 2 / view.scale
    assert_allclose(view.box.width * view.scale, 500)
    assert_allclose(view.box.height * view.scale, 300)
    assert (scatter - margin > [view.x_limits[0], view.y_limits[0]]).all()
    assert (scatter + margin < [view.x_limits[1], view.y_limits[1]]).all()


@pytest.mark.parametrize("max_cells", [1, 7, 60, 1000])
def test_cells_are_disjoint_and_visible(scatter, max_cells):
    """Each cell contains the position of its image."""
    cells = find_cells(scatter, np.zeros(len(scatter), int), max_cells, 500, 300)

    view = find_view(scatter, 500, 300, side=cells.side)
    side = cells.side / view.scale
    box = view.box
    assert 1 <= len(cells.rows) == len(set(cells.rows.tolist())) <= max_cells
    for a, b in combinations(cells.centers, 2):
        assert np.abs(a - b).max() > 0.999 * side
    assert (
        np.abs(scatter[cells.rows] - cells.centers).max(axis=1) < 0.501 * side
    ).all()
    low, high = cells.centers - side / 2, cells.centers + side / 2
    assert (low > [box.left, box.bottom]).all()
    assert (high < [box.left + box.width, box.bottom + box.height]).all()


def test_the_image_nearest_to_the_center_is_chosen_for_a_cell():
    """The reference is a brute-force search."""
    positions = np.random.default_rng(1).uniform(size=(400, 2))

    cells = find_cells(positions, np.zeros(400, int), 30, 400, 400)

    side = cells.side / find_view(positions, 400, 400, side=cells.side).scale
    for row, center in zip(cells.rows, cells.centers, strict=True):
        members = np.abs(positions - center).max(axis=1) < side / 2
        distances = np.where(
            members, np.linalg.norm(positions - center, axis=1), np.inf
        )
        assert row == distances.argmin()


def test_low_ranks_have_priority_and_negative_ones_have_no_cell():
    """Queries come before images, and a point without an image has no thumbnail."""
    positions = np.random.default_rng(1).uniform(size=(400, 2))
    rank = np.where(np.arange(400) < 5, 0, np.where(np.arange(400) < 300, 1, -1))

    cells = find_cells(positions, rank, 3, 400, 400)

    assert (cells.rows < 5).all()
    assert (find_cells(positions, rank, 50, 400, 400).rows < 300).all()


def test_fewer_thumbnails_are_larger():
    """The space of the map is used."""
    positions = np.random.default_rng(1).uniform(size=(400, 2))

    sides = [
        find_cells(positions, np.zeros(400, int), n, 600, 600).side
        for n in (8, 40, 150)
    ]

    assert sides[0] > sides[1] > sides[2]


def test_the_order_of_images_does_not_matter():
    """The same images are chosen for a permuted collection."""
    positions = np.random.default_rng(1).uniform(size=(200, 2))
    order = np.random.default_rng(2).permutation(200)

    cells = find_cells(positions, np.zeros(200, int), 50, 400, 400)
    shuffled = find_cells(positions[order], np.zeros(200, int), 50, 400, 400)

    assert set(order[shuffled.rows].tolist()) == set(cells.rows.tolist())


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
