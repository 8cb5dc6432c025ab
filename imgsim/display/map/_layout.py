"""Layout of a map: its view, and the boxes of its names."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.float64]

_MARGIN = 9.0  # points between the outermost cell and the edge
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
