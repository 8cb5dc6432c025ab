"""Layout of a map: its view, the grid of its thumbnails, and the boxes of its names."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.float64]

_MARGIN = 9.0  # points between the outermost cell and the edge
_N_SIDES = 32  # number of cell sizes that are tried
_LARGEST_SIDE, _SMALLEST_SIDE = 100.0, 30.0  # points
_SUFFICIENT_SHARE = 0.8  # of the largest possible number of thumbnails
# Vertical shifts of a name that would cover another, in heights of the name.
_SHIFTS = (0, 1, -1, 2, -2, 3, -3)


class View(NamedTuple):
    """The visible part of the plane. `scale` is in points per unit of the plane."""

    x_limits: tuple[float, float]
    y_limits: tuple[float, float]
    scale: float

    @property
    def box(self) -> "Box":
        """The visible part as a rectangle."""
        (left, right), (bottom, top) = self.x_limits, self.y_limits
        return Box(left, bottom, right - left, top - bottom)


class Cells(NamedTuple):
    """Grid cells with a thumbnail: the row of the image, the center, and the side."""

    rows: NDArray[np.intp]
    centers: Positions
    side: float


class Box(NamedTuple):
    """A rectangle with sides parallel to the axes."""

    left: float
    bottom: float
    width: float
    height: float

    def overlaps(self, other: Self) -> bool:
        """Return whether two rectangles have more than an edge in common."""
        return (
            abs(self.left - other.left + (self.width - other.width) / 2)
            < (self.width + other.width) / 2
            and abs(self.bottom - other.bottom + (self.height - other.height) / 2)
            < (self.height + other.height) / 2
        )

    def contains(self, other: Self) -> bool:
        """Return whether a rectangle is inside this one."""
        return (
            other.left >= self.left
            and other.bottom >= self.bottom
            and other.left + other.width <= self.left + self.width
            and other.bottom + other.height <= self.bottom + self.height
        )


def find_view(
    positions: Positions, width: float, height: float, *, side: float = 0.0
) -> View:
    """Fit positions into an area of `width` by `height` points.

    A cell of `side` points around each position is visible, too.
    """
    margin = side + 2 * _MARGIN
    low, high = positions.min(axis=0), positions.max(axis=0)
    room = np.maximum([width - margin, height - margin], 1.0)
    extent = high - low
    scale = float(np.min(room[extent > 0] / extent[extent > 0], initial=np.inf))
    if not np.isfinite(scale):
        scale = float(room.min())
    x, y = (low + high) / 2
    half_width, half_height = width / 2 / scale, height / 2 / scale
    return View(
        (float(x - half_width), float(x + half_width)),
        (float(y - half_height), float(y + half_height)),
        scale,
    )


def find_cells(
    positions: Positions,
    rank: NDArray[np.int64],
    max_cells: int,
    width: float,
    height: float,
) -> Cells:
    """Cover the map with a grid, and choose the image nearest to each cell center.

    The cells are the largest with which the number of thumbnails is at least four
    fifths of the largest possible number. Within a cell, images of lower `rank` have
    priority. Images of negative rank have no thumbnail.

    Returns
    -------
    cells : Cells
        At most `max_cells` cells, with their side in points.
    """
    limit = min(width, height)
    largest, smallest = min(_LARGEST_SIDE, limit / 2), min(_SMALLEST_SIDE, limit / 8)
    sides = np.geomspace(largest, smallest, _N_SIDES)
    grids = [_grid(positions, side, width, height) for side in sides]
    with_image = positions[rank >= 0]
    counts = np.array(
        [len(np.unique(_cells_of(with_image, *grid)[0], axis=0)) for grid in grids]
    )
    possible = counts <= max_cells
    enough = possible & (counts >= _SUFFICIENT_SHARE * counts[possible].max(initial=0))
    chosen = int(enough.argmax())  # 0, the largest cells, if all grids have too many
    rows, centers = _fill_cells(positions, rank, max_cells, *grids[chosen])
    return Cells(rows, centers, float(sides[chosen]))


def _grid(
    positions: Positions, side: float, width: float, height: float
) -> tuple[Positions, NDArray[np.int64], float]:
    """Return the lower left corner, the numbers of cells, and the side of a cell."""
    unit = side / find_view(positions, width, height, side=side).scale
    low, high = positions.min(axis=0), positions.max(axis=0)
    n_cells = np.maximum(np.ceil((high - low) / unit - 1e-9), 1).astype(np.int64)
    return (low + high) / 2 - n_cells * unit / 2, n_cells, unit


def _cells_of(
    positions: Positions, corner: Positions, n_cells: NDArray[np.int64], unit: float
) -> tuple[NDArray[np.int64], Positions]:
    """Return the column and row of the cell of each position, and its center."""
    cells = ((positions - corner) // unit).astype(np.int64).clip(0, n_cells - 1)
    return cells, corner + (cells + 0.5) * unit


def _fill_cells(
    positions: Positions,
    rank: NDArray[np.int64],
    max_cells: int,
    corner: Positions,
    n_cells: NDArray[np.int64],
    unit: float,
) -> tuple[NDArray[np.intp], Positions]:
    cells, centers = _cells_of(positions, corner, n_cells, unit)
    from_center = np.hypot(*(positions - centers).T)
    order = np.lexsort((from_center, rank))
    order = order[rank[order] >= 0]
    _, chosen, counts = np.unique(
        cells[order], axis=0, return_index=True, return_counts=True
    )
    rows = order[chosen]
    # If there are too many cells, those with the most images are kept.
    kept = np.sort(np.lexsort((-counts, rank[rows]))[:max_cells])
    return rows[kept], centers[rows[kept]]


def place_names(
    anchors: Positions, sizes: Sequence[tuple[float, float]], area: Box
) -> list[tuple[float, float] | None]:
    """Return the center of each name, at its anchor or a little above or below.

    Earlier names have priority. The result is None for a name that would cover another
    one or extend beyond the area.
    """
    taken: list[Box] = []
    centers: list[tuple[float, float] | None] = []
    for (x, y), (width, height) in zip(anchors, sizes, strict=True):
        left = min(max(x - width / 2, area.left), area.left + area.width - width)
        boxes = (
            Box(left, y + shift * height - height / 2, width, height)
            for shift in _SHIFTS
        )
        box = next((box for box in boxes if _is_free(box, taken, area)), None)
        if box is not None:
            taken.append(box)
        centers.append(box and (box.left + width / 2, box.bottom + height / 2))
    return centers


def _is_free(box: Box, taken: list[Box], area: Box) -> bool:
    return area.contains(box) and not any(box.overlaps(other) for other in taken)


def central_position(positions: Positions) -> Any:
    """Return the position nearest to the median of all positions."""
    from_median = np.hypot(*(positions - np.median(positions, axis=0)).T)
    return positions[from_median.argmin()]
