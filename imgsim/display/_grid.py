"""Drawing of thumbnails and captions in a grid."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from imgsim.display._pictures import (
    FrameStyle,
    Picture,
    Rectangle,
    draw_mark,
    draw_picture,
    draw_placeholder,
    new_axes,
    prepare_axes,
    read_pictures,
    size_in_points,
)
from imgsim.display._text import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Lengths are in cells. A cell is the square that contains a thumbnail and its margin.
LINE_HEIGHT = 0.15
GAP = 0.1
MARK_SIZE = 0.13
_CELL_INCHES = 1.35


class Tile(NamedTuple):
    """An image with captions, and the (column, row) of its upper left corner.

    The name follows the caption, and is shortened to the width of the cell.
    """

    source: Any
    column: float
    row: float
    caption: str = ""
    name: str = ""
    below: str = ""
    is_faded: bool = False
    frame: FrameStyle | None = None


class TextLine(NamedTuple):
    """A line of text that starts at `column` and is vertically centered at `row`.

    The mark of a frame is drawn before it.
    """

    text: str
    column: float
    row: float
    frame: FrameStyle | None = None


def draw_grid(
    tiles: Sequence[Tile],
    lines: Sequence[TextLine],
    *,
    n_columns: float,
    n_rows: float,
    ax: "Axes | None",
    caller: str,
    cell_inches: float = _CELL_INCHES,
    pictures: Sequence[Picture] | None = None,
) -> "Axes":
    """Draw images and text on axes of `n_columns` by `n_rows` cells.

    Without `ax`, a figure of suitable size is created. Without `pictures`, the images
    are read from the sources of the tiles.
    """
    if ax is None:
        ax = new_axes(n_columns * cell_inches, n_rows * cell_inches, caller)
    prepare_axes(ax)
    width, height = size_in_points(ax, ax)
    cell_points = min(width / n_columns, height / n_rows)
    font_size = min(max(cell_points, 1) / 11, 10)
    if pictures is None:
        pictures = read_pictures([tile.source for tile in tiles])
    for tile, picture in zip(tiles, pictures, strict=True):
        _draw_tile(ax, tile, picture, cell_points)
        _write_captions(ax, tile, font_size, (1 - GAP / 2) * cell_points)
    for line in lines:
        left = line.column
        if line.frame is not None:
            size = MARK_SIZE * cell_points
            draw_mark(ax, left + MARK_SIZE / 2, line.row, line.frame, size)
            left += 1.4 * MARK_SIZE
        artist = ax.text(left, line.row, "", size=1.1 * font_size, va="center")
        write(artist, line.text)
    ax.set(xlim=(0, n_columns), ylim=(n_rows, 0), aspect="equal")
    return ax


def tile_height(picture: Picture) -> float:
    """Return the height at which an image is drawn in its cell."""
    is_wide = picture.pixels is not None and picture.aspect > 1
    return (1 - GAP) / (picture.aspect if is_wide else 1)


def _draw_tile(ax: "Axes", tile: Tile, picture: Picture, cell_points: float) -> None:
    """Draw an image at the top of its cell, as large as the cell allows."""
    side, center = 1 - GAP, tile.column + 0.5
    if picture.pixels is None:
        box = Rectangle(center - side / 2, tile.row, side, side)
        size = 0.8 * min(max(cell_points, 1) / 11, 10)
        draw_placeholder(ax, picture, box, side * cell_points, size)
    else:
        width, height = side * min(picture.aspect, 1), side / max(picture.aspect, 1)
        box = Rectangle(center - width / 2, tile.row, width, height)
        draw_picture(ax, picture.pixels, box, is_faded=tile.is_faded, frame=tile.frame)
    if tile.frame is not None:
        column, row = box.left + box.width - GAP / 4, box.top + GAP / 4
        draw_mark(ax, column, row, tile.frame, MARK_SIZE * cell_points)


def _write_captions(ax: "Axes", tile: Tile, size: float, max_width: float) -> None:
    center, above, below = tile.column + 0.5, tile.row - 0.04, tile.row + 1 - GAP + 0.03
    if tile.caption or tile.name:
        artist = ax.text(center, above, "", size=size, ha="center", va="bottom")
        write(artist, tile.caption, name=tile.name, max_width=max_width)
    if tile.below:
        write(ax.text(center, below, "", size=size, ha="center", va="top"), tile.below)
