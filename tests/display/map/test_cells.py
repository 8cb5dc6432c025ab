"""Tests of the choice of images that a map shows as thumbnails."""

from itertools import combinations

import numpy as np
import pytest

from imgsim.display.map._cells import (
    NEIGHBOR,
    OTHER,
    QUERY,
    WITHOUT_IMAGE,
    find_cells,
)
from imgsim.display.map._layout import find_view


@pytest.mark.parametrize("max_cells", [1, 7, 60, 1000])
def test_cells_are_disjoint_and_visible(scatter, max_cells):
    """Each cell is near the position of its image."""
    cells = find_cells(scatter, np.full(len(scatter), OTHER), max_cells, 500, 300)

    view = find_view(scatter, 500, 300, side=cells.side)
    side = cells.side / view.scale
    box = view.box
    assert 1 <= len(cells.rows) == len(set(cells.rows.tolist())) <= max_cells
    for a, b in combinations(cells.centers, 2):
        assert np.abs(a - b).max() > 0.999 * side
    to_center = np.hypot(*(scatter[cells.rows] - cells.centers).T)
    assert (to_center < 2.61 * side).all()
    low, high = cells.centers - side / 2, cells.centers + side / 2
    assert (low > [box.left, box.bottom]).all()
    assert (high < [box.left + box.width, box.bottom + box.height]).all()


def test_a_cell_with_images_shows_the_one_nearest_to_its_center():
    """The reference is a brute-force search."""
    positions = np.random.default_rng(1).uniform(size=(400, 2))

    cells = find_cells(positions, np.full(400, OTHER), 30, 400, 400)

    side = cells.side / find_view(positions, 400, 400, side=cells.side).scale
    for row, center in zip(cells.rows, cells.centers, strict=True):
        members = np.abs(positions - center).max(axis=1) < side / 2
        distances = np.where(
            members, np.linalg.norm(positions - center, axis=1), np.inf
        )
        assert row == distances.argmin()


def test_dense_regions_extend_into_empty_ones():
    """Four dense clusters fill the map, so that far more images are drawn."""
    rng = np.random.default_rng(0)
    centers = np.array([[0, 0], [9, 0], [0, 9], [9, 9]])
    positions = np.repeat(centers, 300, axis=0) + rng.normal(size=(1200, 2))

    cells = find_cells(positions, np.full(1200, OTHER), 250, 648, 648)

    assert 235 <= len(cells.rows) <= 250
    nearest = np.linalg.norm(cells.centers[:, None] - centers, axis=2).argmin(axis=1)
    assert (nearest == cells.rows // 300).mean() > 0.99  # not beside another cluster


def test_queries_and_neighbors_are_drawn_in_any_case():
    """They have cells of their own even if they are all at the same place."""
    positions = np.random.default_rng(1).uniform(size=(400, 2))
    positions[:12] = 0.5
    rank = np.repeat([QUERY, NEIGHBOR, OTHER], [4, 8, 388])

    for n in (12, 20, 250):
        assert set(range(12)) <= set(
            find_cells(positions, rank, n, 400, 400).rows.tolist()
        )
    few = find_cells(positions, rank, 6, 400, 400).rows
    assert set(range(4)) < set(few.tolist()) < set(range(12))


def test_images_without_a_source_have_no_cell():
    """They are drawn as points."""
    positions = np.random.default_rng(1).uniform(size=(400, 2))
    rank = np.where(np.arange(400) < 300, OTHER, WITHOUT_IMAGE)

    assert (find_cells(positions, rank, 50, 400, 400).rows < 300).all()


def test_fewer_thumbnails_are_larger():
    """The space of the map is used."""
    positions = np.random.default_rng(1).uniform(size=(400, 2))

    sides = [
        find_cells(positions, np.full(400, OTHER), n, 600, 600).side
        for n in (8, 40, 150)
    ]

    assert sides[0] > sides[1] > sides[2]


def test_the_order_of_images_does_not_matter():
    """The same images are chosen for a permuted collection."""
    positions = np.random.default_rng(1).uniform(size=(200, 2))
    order = np.random.default_rng(2).permutation(200)

    cells = find_cells(positions, np.full(200, OTHER), 50, 400, 400)
    shuffled = find_cells(positions[order], np.full(200, OTHER), 50, 400, 400)

    assert set(order[shuffled.rows].tolist()) == set(cells.rows.tolist())
