"""Points, thumbnails and names on the axes of a map."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from imgsim._typing import PixelArray
from imgsim.display._pictures import BOX_GRAY, THUMBNAIL_PIXELS
from imgsim.display._text import source_name, wrap, write
from imgsim.display.map._label_groups import LabelGroup, LineStyle
from imgsim.display.map._layout import (
    Positions,
    View,
    central_position,
    place_names,
)
from imgsim.images._thumbnails import stream_thumbnails

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUERY_COLOR = "#F0E442"
_THUMBNAIL_SHARE = 0.86  # of the side of its cell
_MAX_NAME_WIDTH = 13.0  # font sizes
# The zorder of artists, from the back to the front.
_NOISE, _POINTS, _THUMBNAILS, _MARKERS, _QUERIES, _NAMES = range(1, 7)


class MapThumbnail(NamedTuple):
    """An image in a frame, centered at (x, y)."""

    source: Any
    x: float
    y: float
    color: str
    line_style: LineStyle
    is_important: bool


def point_area(n_points: int, width: float, height: float) -> float:
    """Return the area of a marker in square points, from the size of the map."""
    return float(np.clip(0.1 * width * height / n_points, 4, 60))


def draw_points(
    ax: "Axes",
    positions: Positions,
    groups: Sequence[LabelGroup],
    area: float,
    *,
    on_top: bool,
    edge_color: str = "white",
) -> None:
    """Draw images as markers in the style of their group. NaN is not drawn."""
    for group in groups:
        below = _NOISE if group.is_noise else _POINTS
        ax.scatter(
            positions[group.rows, 0],
            positions[group.rows, 1],
            s=area,
            marker=group.marker,
            color=group.color,
            edgecolors=edge_color,
            linewidths=0.4 if edge_color == "white" else 1.0,
            zorder=_MARKERS if on_top else below,
        )


def draw_queries(ax: "Axes", positions: Positions, area: float) -> None:
    """Draw queries as stars. NaN is not drawn."""
    ax.scatter(
        positions[:, 0],
        positions[:, 1],
        s=area,
        marker="*",
        color=QUERY_COLOR,
        edgecolors="black",
        linewidths=1.1,
        zorder=_QUERIES,
    )


def draw_thumbnails(
    ax: "Axes", thumbnails: Sequence[MapThumbnail], side: float, points: float
) -> Positions:
    """Draw images in cells with a side of `side` data units, or `points` points.

    Returns
    -------
    corners : ndarray of shape (n_thumbnails, 2)
        Upper left corner of each thumbnail.
    """
    side, points = side * _THUMBNAIL_SHARE, points * _THUMBNAIL_SHARE
    corners = np.zeros((len(thumbnails), 2))
    sources = [thumbnail.source for thumbnail in thumbnails]
    for batch in stream_thumbnails(sources, THUMBNAIL_PIXELS):
        for i, pixels in zip(batch.rows, batch.images, strict=True):
            corners[i] = _draw_pixels(ax, pixels, thumbnails[i], side)
        for failure in batch.failures:
            thumbnail = thumbnails[failure.row]
            text = f"{source_name(thumbnail.source)} unreadable: {failure.reason}"
            corners[failure.row] = _draw_placeholder(
                ax, text.strip(), thumbnail, side, points
            )
    return corners


def _draw_pixels(
    ax: "Axes", pixels: PixelArray, thumbnail: MapThumbnail, side: float
) -> tuple[float, float]:
    longest = max(pixels.shape[:2])
    height, width = (side * n / longest for n in pixels.shape[:2])
    left, top = thumbnail.x - width / 2, thumbnail.y + height / 2
    ax.imshow(
        pixels,
        extent=(left, left + width, top - height, top),
        zorder=_THUMBNAILS,
        interpolation="antialiased",
        origin="upper",
    )
    _draw_frame(ax, thumbnail, width, height, "none")
    return left, top


def _draw_placeholder(
    ax: "Axes", text: str, thumbnail: MapThumbnail, side: float, points: float
) -> tuple[float, float]:
    """Draw a gray box with as much of the text as fits."""
    _draw_frame(ax, thumbnail, side, side, BOX_GRAY)
    size = min(max(points / 13, 3), 8)
    artist = ax.text(
        thumbnail.x,
        thumbnail.y,
        "",
        size=size,
        color="black",
        ha="center",
        va="center",
        zorder=_THUMBNAILS,
    )
    wrap(artist, text, 0.94 * points, max(int(points / (1.35 * size)), 1))
    return thumbnail.x - side / 2, thumbnail.y + side / 2


def _draw_frame(
    ax: "Axes", thumbnail: MapThumbnail, width: float, height: float, facecolor: str
) -> None:
    """Draw a frame, in white under the color so that dashes are visible."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    line_width = 2.6 if thumbnail.is_important else 1.6
    box = Rectangle(
        (thumbnail.x - width / 2, thumbnail.y - height / 2),
        width,
        height,
        facecolor=facecolor,
        edgecolor=thumbnail.color,
        linestyle=thumbnail.line_style,
        linewidth=line_width,
        zorder=_THUMBNAILS,
    )
    if thumbnail.line_style != "-":
        solid = {"dash_offset": 0, "dash_list": None}
        below = withStroke(linewidth=line_width, foreground="white", dashes=solid)
        box.set_path_effects([below])
    ax.add_patch(box)


def draw_names(
    ax: "Axes", positions: Positions, groups: Sequence[LabelGroup], view: View
) -> None:
    """Write the name of each group in the middle of its images, largest groups first.

    A name that would cover another name is left out.
    """
    from matplotlib.patheffects import withStroke

    named = sorted((g for g in groups if g.short_name), key=lambda g: -len(g.rows))
    anchors = np.array([central_position(positions[g.rows]) for g in named])
    area = view.box
    largest = 12 if len(named) <= 12 else 10 if len(named) <= 25 else 8
    size = min(max(area.width * view.scale / 40, 7), largest)
    texts = [
        ax.text(
            anchor[0],
            anchor[1],
            "",
            size=size,
            weight="bold",
            color="black",
            ha="center",
            va="center",
            zorder=_NAMES,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )
        for anchor, group in zip(anchors, named, strict=True)
    ]
    for text, group in zip(texts, named, strict=True):
        write(text, "", name=group.short_name, max_width=_MAX_NAME_WIDTH * size)
    pixels_per_unit = view.scale * ax.figure.dpi / 72
    boxes = [text.get_window_extent() for text in texts]
    sizes = [
        (box.width / pixels_per_unit, box.height / pixels_per_unit) for box in boxes
    ]
    for text, center in zip(texts, place_names(anchors, sizes, area), strict=True):
        if center is None:
            text.remove()
        else:
            text.set_position(center)
