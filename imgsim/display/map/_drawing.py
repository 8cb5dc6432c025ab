"""Points, pictures and names on the axes of a map."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim.display._grid import BOX_GRAY, THUMBNAIL_PIXELS
from imgsim.display._text import CHARACTER_WIDTH, drawable, shortened, source_name
from imgsim.display.map._groups import Group
from imgsim.display.map._layout import Places, View, place_names, typical_place
from imgsim.images._thumbnails import stream_thumbnails

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUERY_COLOR = "#F0E442"
_PICTURE_SHARE = 0.86  # of the side of its cell
_NAME_LENGTH = 20  # characters
# From below: what is in no group, points, pictures, their markers, queries, names.
_NO_GROUP, _POINTS, _PICTURES, _MARKS, _QUERIES, _NAMES = range(1, 7)


class Picture(NamedTuple):
    """What is drawn in the middle of a cell, in a frame."""

    source: Any
    x: float
    y: float
    color: str
    is_query: bool


def point_area(n_points: int, width: float, height: float) -> float:
    """Return the area of a point, in square points of print as that of the map is."""
    return float(np.clip(0.1 * width * height / n_points, 4, 60))


def draw_points(
    ax: "Axes", places: Places, groups: Sequence[Group], area: float, *, on_top: bool
) -> None:
    """Draw the marker of its group at each place; NaN is no place."""
    for group in groups:
        below = _POINTS if group.is_group else _NO_GROUP
        ax.scatter(
            places[group.rows, 0],
            places[group.rows, 1],
            s=area,
            marker=group.marker,
            color=group.color,
            edgecolors="white",
            linewidths=0.4,
            zorder=_MARKS if on_top else below,
        )


def draw_queries(ax: "Axes", places: Places, area: float) -> None:
    """Draw a star at each place."""
    ax.scatter(
        places[:, 0],
        places[:, 1],
        s=area,
        marker="*",
        color=QUERY_COLOR,
        edgecolors="black",
        linewidths=1.1,
        zorder=_QUERIES,
    )


def draw_pictures(
    ax: "Axes", pictures: Sequence[Picture], side: float, points: float
) -> Places:
    """Draw pictures in cells of `side` units, which are `points` points in print.

    Returns
    -------
    corners : ndarray of shape (n_pictures, 2)
        The upper left corner of each.
    """
    side, points = side * _PICTURE_SHARE, points * _PICTURE_SHARE
    corners = np.zeros((len(pictures), 2))
    for batch in stream_thumbnails([p.source for p in pictures], THUMBNAIL_PIXELS):
        for i, thumbnail in zip(batch.rows, batch.images, strict=True):
            corners[i] = _draw_thumbnail(ax, thumbnail, pictures[i], side)
        for failure in batch.failures:
            picture = pictures[failure.row]
            text = f"{source_name(picture.source)} unreadable: {failure.reason}"
            corners[failure.row] = _draw_reason(ax, text.strip(), picture, side, points)
    return corners


def _draw_thumbnail(
    ax: "Axes", thumbnail: NDArray[np.uint8], picture: Picture, side: float
) -> tuple[float, float]:
    longest = max(thumbnail.shape[:2])
    height, width = (side * n / longest for n in thumbnail.shape[:2])
    left, top = picture.x - width / 2, picture.y + height / 2
    ax.imshow(
        thumbnail,
        extent=(left, left + width, top - height, top),
        zorder=_PICTURES,
        interpolation="antialiased",
        origin="upper",
    )
    _draw_frame(ax, picture, width, height, "none")
    return left, top


def _draw_reason(
    ax: "Axes", text: str, picture: Picture, side: float, points: float
) -> tuple[float, float]:
    """Draw a grey box that says why there is no picture, as much as fits."""
    _draw_frame(ax, picture, side, side, BOX_GRAY)
    size = min(max(points / 13, 3), 8)
    n_characters = max(int(points / (size * CHARACTER_WIDTH)), 4)
    n_lines = max(int(points / (1.35 * size)), 1)
    text = textwrap.fill(
        drawable(text), n_characters, max_lines=n_lines, placeholder=" …"
    )
    ax.text(
        picture.x,
        picture.y,
        text,
        size=size,
        color="black",
        ha="center",
        va="center",
        zorder=_PICTURES,
        parse_math=False,
    )
    return picture.x - side / 2, picture.y + side / 2


def _draw_frame(
    ax: "Axes", picture: Picture, width: float, height: float, facecolor: str
) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(
        Rectangle(
            (picture.x - width / 2, picture.y - height / 2),
            width,
            height,
            facecolor=facecolor,
            edgecolor=picture.color,
            linewidth=2.5 if picture.is_query else 1.5,
            zorder=_PICTURES,
        )
    )


def draw_names(ax: "Axes", places: Places, groups: Sequence[Group], view: View) -> None:
    """Write the name of each group where it is, the largest groups first.

    A name that would cover another is left out.
    """
    from matplotlib.patheffects import withStroke

    named = sorted((g for g in groups if g.short), key=lambda group: -len(group.rows))
    anchors = np.array([typical_place(places[group.rows]) for group in named])
    area = view.box
    most = 12 if len(named) <= 12 else 10 if len(named) <= 25 else 8
    size = min(max(area.width * view.scale / 40, 7), most)
    texts = [
        ax.text(
            anchor[0],
            anchor[1],
            drawable(shortened(group.short, _NAME_LENGTH), weight="bold"),
            size=size,
            weight="bold",
            color="black",
            ha="center",
            va="center",
            zorder=_NAMES,
            parse_math=False,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )
        for anchor, group in zip(anchors, named, strict=True)
    ]
    pixels = view.scale * ax.figure.dpi / 72
    boxes = [text.get_window_extent() for text in texts]
    sizes = [(box.width / pixels, box.height / pixels) for box in boxes]
    for text, center in zip(texts, place_names(anchors, sizes, area), strict=True):
        if center is None:
            text.remove()
        else:
            text.set_position(center)
