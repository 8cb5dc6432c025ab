"""Choice of the images that a map shows as thumbnails, each in a cell of a grid."""

from bisect import bisect_left
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from imgsim.display.map._layout import Positions, find_view

# Ranks of images. Those of low rank are drawn first.
QUERY, NEIGHBOR, OTHER, WITHOUT_IMAGE = 0, 1, 2, -1
_N_SIDES = 32  # number of cell sizes that are tried
_LARGEST_SIDE, _SMALLEST_SIDE = 100.0, 30.0  # points
_SUFFICIENT_SHARE = 0.95  # of the largest possible number of thumbnails
_REACH = 2.6  # sides of a cell, between an image and the center of its cell
_N_CANDIDATES = 8  # images that are tried for a cell


class Cells(NamedTuple):
    """Grid cells with a thumbnail: the row of the image, the center, and the side."""

    rows: NDArray[np.intp]
    centers: Positions
    side: float


class _Grid(NamedTuple):
    """Centers of square cells, the cell of each position, and the side of a cell."""

    centers: Positions
    cell_of: NDArray[np.int64]
    unit: float

    @classmethod
    def over(
        cls, positions: Positions, side: float, width: float, height: float
    ) -> Self:
        """Cover all positions with cells of `side` points."""
        unit = side / find_view(positions, width, height, side=side).scale
        low, high = positions.min(axis=0), positions.max(axis=0)
        n_cells = np.maximum(np.ceil((high - low) / unit - 1e-9), 1).astype(np.int64)
        corner = (low + high) / 2 - n_cells * unit / 2
        cells = ((positions - corner) // unit).astype(np.int64).clip(0, n_cells - 1)
        places = np.indices(n_cells).reshape(2, -1).T
        return cls(
            corner + (places + 0.5) * unit, cells[:, 0] * n_cells[1] + cells[:, 1], unit
        )


def find_cells(
    positions: Positions,
    rank: NDArray[np.int64],
    max_cells: int,
    width: float,
    height: float,
) -> Cells:
    """Cover the map with a grid, and choose images for its cells.

    Queries and neighbors come first. A cell that contains other images then shows the
    one nearest to its center. Empty cells show images from cells nearby, so that dense
    regions extend into empty ones. The cells are the largest with which about the
    largest possible number of thumbnails is drawn.

    Returns
    -------
    cells : Cells
        At most `max_cells` cells, with their side in points.
    """
    limit = min(width, height)
    largest, smallest = min(_LARGEST_SIDE, limit / 2), min(_SMALLEST_SIDE, limit / 8)
    sides = np.geomspace(largest, smallest, _N_SIDES)

    def fill(side: float) -> Cells:
        grid = _Grid.over(positions, side, width, height)
        return _fill_cells(positions, rank, max_cells, side, grid)

    most = max(len(fill(side).rows) for side in (sides[0], sides[-1]))
    enough = _SUFFICIENT_SHARE * most
    i = bisect_left(sides, True, key=lambda side: len(fill(side).rows) >= enough)
    return fill(sides[min(i, _N_SIDES - 1)])


def _fill_cells(
    positions: Positions,
    rank: NDArray[np.int64],
    max_cells: int,
    side: float,
    grid: _Grid,
) -> Cells:
    row_of_cell = np.full(len(grid.centers), -1)
    for first in (QUERY, NEIGHBOR):
        rows = np.flatnonzero(rank == first)
        _assign_near(row_of_cell, rows, positions, grid, max_cells, np.inf)
    rows = np.setdiff1d(np.flatnonzero(rank == OTHER), row_of_cell)
    _assign_central(row_of_cell, rows, positions, grid, max_cells)
    rows = np.setdiff1d(rows, row_of_cell)
    _assign_near(row_of_cell, rows, positions, grid, max_cells, _REACH * grid.unit)
    filled = np.flatnonzero(row_of_cell >= 0)
    return Cells(row_of_cell[filled], grid.centers[filled], side)


def _assign_central(
    row_of_cell: NDArray[np.int64],
    rows: NDArray[np.int64],
    positions: Positions,
    grid: _Grid,
    max_cells: int,
) -> None:
    """Assign to each free cell the image inside that is nearest to its center.

    If there are too many cells, those with the most images are kept.
    """
    rows = rows[row_of_cell[grid.cell_of[rows]] < 0]
    cells = grid.cell_of[rows]
    from_center = np.hypot(*(positions[rows] - grid.centers[cells]).T)
    order = np.argsort(from_center, kind="stable")
    found, nearest, counts = np.unique(
        cells[order], return_index=True, return_counts=True
    )
    n_left = max_cells - np.count_nonzero(row_of_cell >= 0)
    kept = np.argsort(-counts, kind="stable")[:n_left]
    row_of_cell[found[kept]] = rows[order[nearest[kept]]]


def _assign_near(
    row_of_cell: NDArray[np.int64],
    rows: NDArray[np.int64],
    positions: Positions,
    grid: _Grid,
    max_cells: int,
    reach: float,
) -> None:
    """Assign images to free cells within reach, the nearest pairs first."""
    n_left = max_cells - int(np.count_nonzero(row_of_cell >= 0))
    n_assigned = -1
    while n_assigned and n_left and len(rows):
        free = np.flatnonzero(row_of_cell < 0)
        n_assigned = 0
        for cell, row in _nearest_pairs(grid.centers[free], positions[rows], reach):
            if n_assigned < n_left and row_of_cell[free[cell]] < 0 <= rows[row]:
                row_of_cell[free[cell]] = rows[row]
                rows[row] = -1
                n_assigned += 1
        rows = rows[rows >= 0]
        n_left -= n_assigned


def _nearest_pairs(
    centers: Positions, positions: Positions, reach: float
) -> list[tuple[int, int]]:
    """Return pairs of a center and one of its nearest positions, nearest first."""
    if not len(centers):
        return []
    k = [*range(1, min(_N_CANDIDATES, len(positions)) + 1)]
    distances, nearest = cKDTree(positions).query(
        centers, k, distance_upper_bound=reach
    )
    order = np.argsort(distances, axis=None, kind="stable")
    order = order[np.isfinite(distances.ravel()[order])]
    cells, _ = np.unravel_index(order, distances.shape)
    return [*zip(cells.tolist(), nearest.ravel()[order].tolist(), strict=True)]
