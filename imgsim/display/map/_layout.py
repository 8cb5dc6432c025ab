"""Where a map has room: its view, the cells of its pictures, the boxes of its names."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.float64]

_MARGIN = 9.0  # points between the outermost cell and the edge
_N_SIDES = 32  # sizes of cells tried
_LARGEST, _SMALLEST = 100.0, 30.0  # points
_SHARE_SHOWN = 0.8
# Steps, in heights of a name, by which it gives way to other names.
_STEPS = (0, 1, -1, 2, -2, 3, -3)


class View(NamedTuple):
    """What part of the plane is seen; `scale` is points per unit of the plane."""

    x_limits: tuple[float, float]
    y_limits: tuple[float, float]
    scale: float

    @property
    def box(self) -> "Box":
        """The same as a rectangle."""
        (left, right), (bottom, top) = self.x_limits, self.y_limits
        return Box(left, bottom, right - left, top - bottom)


class Cells(NamedTuple):
    """Pictures on a grid: which rows, the centres of their cells, and a cell's side."""

    rows: NDArray[np.intp]
    centers: Places
    side: float


class Box(NamedTuple):
    """A rectangle with sides parallel to the axes."""

    left: float
    bottom: float
    width: float
    height: float

    def meets(self, other: "Box") -> bool:
        """Tell whether two rectangles have more than an edge in common."""
        return (
            abs(self.left - other.left + (self.width - other.width) / 2)
            < (self.width + other.width) / 2
            and abs(self.bottom - other.bottom + (self.height - other.height) / 2)
            < (self.height + other.height) / 2
        )


def find_view(
    places: Places, width: float, height: float, *, side: float = 0.0
) -> View:
    """Fit places into an area of `width` by `height` points.

    A cell of `side` points around each place is in view, too.
    """
    margin = side + 2 * _MARGIN
    low, high = places.min(axis=0), places.max(axis=0)
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
    places: Places,
    rank: NDArray[np.int64],
    n_most: int,
    width: float,
    height: float,
) -> Cells:
    """Choose a picture for each cell of a grid: the one nearest to its centre.

    Cells are as large as they can be for four fifths of as many pictures as there could
    be. Rows of low `rank` go before others of their cell, and those below 0 have no
    picture.

    Returns
    -------
    cells : Cells
        At most `n_most`; the side is in points.
    """
    limit = min(width, height)
    largest, smallest = min(_LARGEST, limit / 2), min(_SMALLEST, limit / 8)
    sides = np.geomspace(largest, smallest, _N_SIDES)
    grids = [_grid(places, side, width, height) for side in sides]
    pictured = places[rank >= 0]
    counts = np.array(
        [len(np.unique(_cells_of(pictured, *g)[0], axis=0)) for g in grids]
    )
    possible = counts <= n_most
    enough = possible & (counts >= _SHARE_SHOWN * counts[possible].max(initial=0))
    chosen = int(enough.argmax())  # the largest, if too many are in any
    rows, centers = _fill_cells(places, rank, n_most, *grids[chosen])
    return Cells(rows, centers, float(sides[chosen]))


def _grid(
    places: Places, side: float, width: float, height: float
) -> tuple[Places, NDArray[np.int64], float]:
    """Return the lower left corner, the numbers of cells, and the side of a cell."""
    unit = side / find_view(places, width, height, side=side).scale
    low, high = places.min(axis=0), places.max(axis=0)
    n_cells = np.maximum(np.ceil((high - low) / unit - 1e-9), 1).astype(np.int64)
    return (low + high) / 2 - n_cells * unit / 2, n_cells, unit


def _cells_of(
    places: Places, corner: Places, n_cells: NDArray[np.int64], unit: float
) -> tuple[NDArray[np.int64], Places]:
    """Return the column and row of the cell of each place, and the cell's centre."""
    cells = ((places - corner) // unit).astype(np.int64).clip(0, n_cells - 1)
    return cells, corner + (cells + 0.5) * unit


def _fill_cells(
    places: Places,
    rank: NDArray[np.int64],
    n_most: int,
    corner: Places,
    n_cells: NDArray[np.int64],
    unit: float,
) -> tuple[NDArray[np.intp], Places]:
    cells, centers = _cells_of(places, corner, n_cells, unit)
    from_center = np.hypot(*(places - centers).T)
    order = np.lexsort((from_center, rank))
    order = order[rank[order] >= 0]
    _, chosen, counts = np.unique(
        cells[order], axis=0, return_index=True, return_counts=True
    )
    rows = order[chosen]
    # Where there are too many, those that stand for most images are kept.
    kept = np.sort(np.lexsort((-counts, rank[rows]))[:n_most])
    return rows[kept], centers[rows[kept]]


def place_names(
    anchors: Places, sizes: Sequence[tuple[float, float]], area: Box
) -> list[tuple[float, float] | None]:
    """Find the centre of each name: at its anchor or a little above or below.

    The first names have the first choice; one without room is None.
    """
    taken: list[Box] = []
    centers: list[tuple[float, float] | None] = []
    for (x, y), (width, height) in zip(anchors, sizes, strict=True):
        left = min(max(x - width / 2, area.left), area.left + area.width - width)
        boxes = (
            Box(left, y + step * height - height / 2, width, height) for step in _STEPS
        )
        box = next((b for b in boxes if _is_free(b, taken, area)), None)
        if box is not None:
            taken.append(box)
        centers.append(box and (box.left + width / 2, box.bottom + height / 2))
    return centers


def _is_free(box: Box, taken: list[Box], area: Box) -> bool:
    inside = (
        box.left >= area.left
        and box.bottom >= area.bottom
        and box.left + box.width <= area.left + area.width
        and box.bottom + box.height <= area.bottom + area.height
    )
    return inside and not any(box.meets(other) for other in taken)


def typical_place(places: Places) -> Any:
    """Return the place nearest to the median of all, where something is."""
    from_median = np.hypot(*(places - np.median(places, axis=0)).T)
    return places[from_median.argmin()]
