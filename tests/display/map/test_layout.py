"""Tests of finding room on a map."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from imgsim.display.map._layout import (
    Box,
    find_cells,
    find_view,
    place_names,
    typical_place,
)

SCATTERS = {
    "uniform": lambda rng: rng.uniform(size=(200, 2)),
    "heaps": lambda rng: (
        np.repeat(rng.normal(size=(4, 2)) * 1e3, 50, axis=0) + rng.normal(size=(200, 2))
    ),
    "line": lambda rng: np.c_[rng.normal(size=200), np.zeros(200)],
    "outlier": lambda rng: np.vstack([rng.normal(size=(199, 2)), [[1e4, -1e4]]]),
    "one place": lambda rng: np.full((200, 2), 3.0),
    "one image": lambda rng: np.full((1, 2), -7.0),
}


@pytest.fixture(params=SCATTERS.values(), ids=SCATTERS)
def scatter(request):
    """Return places of all kinds."""
    return request.param(np.random.default_rng(0))


@pytest.mark.parametrize("side", [0, 40])
def test_all_places_are_in_view(scatter, side):
    """With a cell around each, to one scale in both directions."""
    view = find_view(scatter, 500, 300, side=side)

    margin = side / 2 / view.scale
    assert_allclose(view.box.width * view.scale, 500)
    assert_allclose(view.box.height * view.scale, 300)
    assert (scatter - margin > [view.x_limits[0], view.y_limits[0]]).all()
    assert (scatter + margin < [view.x_limits[1], view.y_limits[1]]).all()


@pytest.mark.parametrize("n_most", [1, 7, 60, 1000])
def test_cells_are_disjoint_and_in_view(scatter, n_most):
    """Each holds the image that stands for it."""
    cells = find_cells(scatter, np.zeros(len(scatter), int), n_most, 500, 300)

    view = find_view(scatter, 500, 300, side=cells.side)
    side = cells.side / view.scale
    box = view.box
    assert 1 <= len(cells.rows) == len(set(cells.rows.tolist())) <= n_most
    for a, b in combinations(cells.centers, 2):
        assert np.abs(a - b).max() > 0.999 * side
    assert (
        np.abs(scatter[cells.rows] - cells.centers).max(axis=1) < 0.501 * side
    ).all()
    low, high = cells.centers - side / 2, cells.centers + side / 2
    assert (low > [box.left, box.bottom]).all()
    assert (high < [box.left + box.width, box.bottom + box.height]).all()


def test_the_image_nearest_to_the_centre_stands_for_its_cell():
    """As brute force finds it."""
    places = np.random.default_rng(1).uniform(size=(400, 2))

    cells = find_cells(places, np.zeros(400, int), 30, 400, 400)

    side = cells.side / find_view(places, 400, 400, side=cells.side).scale
    for row, center in zip(cells.rows, cells.centers, strict=True):
        members = np.abs(places - center).max(axis=1) < side / 2
        distances = np.where(members, np.linalg.norm(places - center, axis=1), np.inf)
        assert row == distances.argmin()


def test_low_ranks_go_first_and_negative_ones_have_no_picture():
    """Queries before images, and nothing for what has no picture."""
    places = np.random.default_rng(1).uniform(size=(400, 2))
    rank = np.where(np.arange(400) < 5, 0, np.where(np.arange(400) < 300, 1, -1))

    cells = find_cells(places, rank, 3, 400, 400)

    assert (cells.rows < 5).all()
    assert (find_cells(places, rank, 50, 400, 400).rows < 300).all()


def test_fewer_pictures_are_larger():
    """Until they are as large as is useful."""
    places = np.random.default_rng(1).uniform(size=(400, 2))

    sides = [
        find_cells(places, np.zeros(400, int), n, 600, 600).side for n in (8, 40, 150)
    ]

    assert sides[0] > sides[1] > sides[2]


def test_order_does_not_matter():
    """The same images are shown."""
    places = np.random.default_rng(1).uniform(size=(200, 2))
    order = np.random.default_rng(2).permutation(200)

    cells = find_cells(places, np.zeros(200, int), 50, 400, 400)
    shuffled = find_cells(places[order], np.zeros(200, int), 50, 400, 400)

    assert set(order[shuffled.rows].tolist()) == set(cells.rows.tolist())


def test_names_give_way_and_stay_inside():
    """The first stays at its anchor; what has no room at all is left out."""
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
    """Rectangles side by side do not cover each other."""
    box = Box(0, 0, 2, 1)

    assert not box.meets(Box(2, 0, 1, 1))
    assert not box.meets(Box(0, 1, 1, 1))
    assert box.meets(Box(1.9, 0.9, 1, 1))
    assert box.meets(Box(0.5, 0.25, 0.5, 0.5))


def test_the_typical_place_is_one_of_the_places():
    """Between two heaps, there is nothing to name."""
    places = np.array([[0.0, 0], [0, 1], [0, 2], [9, 9], [10, 9]])

    assert typical_place(places).tolist() == [0, 2]
