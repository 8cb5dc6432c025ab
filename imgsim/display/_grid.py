"""Drawing of thumbnails and captions in a grid."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from imgsim._optional import import_optional
from imgsim._typing import PixelArray
from imgsim.display._text import CHARACTER_WIDTH, drawable, shortened, source_name
from imgsim.images._thumbnails import stream_thumbnails

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

# Lengths are in cells. A cell is the square that contains a thumbnail and its margin.
LINE_HEIGHT = 0.15
GAP = 0.1
THUMBNAIL_PIXELS = 192
BOX_GRAY = "0.88"
_CELL_INCHES = 1.35
_FADED_ALPHA = 0.45


class Tile(NamedTuple):
    """An image with captions, and the (column, row) of its upper left corner."""

    source: Any
    caption: str
    column: float
    row: float
    below: str = ""
    is_faded: bool = False


class TextLine(NamedTuple):
    """A line of text that starts at `column` and is vertically centered at `row`."""

    text: str
    column: float
    row: float


def draw_grid(
    tiles: Sequence[Tile],
    lines: Sequence[TextLine],
    *,
    n_columns: float,
    n_rows: float,
    ax: "Axes | None",
    caller: str,
    cell_inches: float = _CELL_INCHES,
) -> "Axes":
    """Draw images and text on axes of `n_columns` by `n_rows` cells.

    Without `ax`, a figure of suitable size is created.
    """
    if ax is None:
        ax = _new_axes(n_columns * cell_inches, n_rows * cell_inches, caller)
    cell_points = _cell_points(ax, n_columns, n_rows)
    font_size = min(max(cell_points, 1) / 11, 10)
    n_characters = int(cell_points * (1 - GAP) / (font_size * CHARACTER_WIDTH))
    if tiles:
        _draw_images(ax, tiles, 0.8 * font_size, n_characters)
    for tile in tiles:
        if tile.caption:
            caption = (
                shortened(part, n_characters) for part in tile.caption.split("\n")
            )
            center, above = tile.column + 0.5, tile.row - 0.03
            _write(ax, center, above, "\n".join(caption), size=font_size, va="bottom")
        if tile.below:
            center, below = tile.column + 0.5, tile.row + 1 - GAP + 0.03
            text = shortened(tile.below, n_characters)
            _write(ax, center, below, text, size=font_size, va="top")
    for line in lines:
        _write(ax, line.column, line.row, line.text, size=1.2 * font_size, ha="left")
    ax.set(xlim=(0, n_columns), ylim=(n_rows, 0), aspect="equal")
    ax.set_axis_off()
    return ax


def size_in_points(ax: "Axes", artist: "Artist") -> tuple[float, float]:
    """Return width and height of an artist on axes, or of the axes themselves."""
    extent, points = artist.get_window_extent(), 72 / ax.figure.dpi
    return float(extent.width * points), float(extent.height * points)


def _new_axes(width: float, height: float, caller: str) -> "Axes":
    pyplot = import_optional("matplotlib.pyplot", caller=caller)
    figure = pyplot.figure(figsize=(width, height))
    axes: Axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    return axes


def _cell_points(ax: "Axes", n_columns: float, n_rows: float) -> float:
    width, height = size_in_points(ax, ax)
    return min(width / n_columns, height / n_rows)


def _draw_images(
    ax: "Axes", tiles: Sequence[Tile], font_size: float, n_characters: int
) -> None:
    for batch in stream_thumbnails([t.source for t in tiles], THUMBNAIL_PIXELS):
        for i, thumbnail in zip(batch.rows, batch.images, strict=True):
            _draw_thumbnail(ax, thumbnail, tiles[i])
        for failure in batch.failures:
            tile = tiles[failure.row]
            text = f"{source_name(tile.source)} unreadable: {failure.reason}".strip()
            _draw_placeholder(ax, text, tile, font_size, n_characters)


def _draw_thumbnail(ax: "Axes", thumbnail: PixelArray, tile: Tile) -> None:
    """Draw an image in the middle of its cell, as large as the cell allows."""
    longest = max(thumbnail.shape[:2])
    height, width = (side / longest * (1 - GAP) for side in thumbnail.shape[:2])
    left, top = tile.column + (1 - width) / 2, tile.row + (1 - GAP - height) / 2
    alpha = _FADED_ALPHA if tile.is_faded else 1
    extent = (left, left + width, top + height, top)
    ax.imshow(thumbnail, extent=extent, alpha=alpha, origin="upper")
    _draw_box(ax, left, top, width, height, facecolor="none")  # frames white images


def _draw_placeholder(
    ax: "Axes", text: str, tile: Tile, font_size: float, n_characters: int
) -> None:
    side = 1 - GAP
    _draw_box(ax, tile.column + GAP / 2, tile.row, side, side, facecolor=BOX_GRAY)
    text = textwrap.fill(text, n_characters, max_lines=7, placeholder=" …")
    center = tile.column + 0.5, tile.row + side / 2
    _write(ax, *center, text, size=font_size, color="black")


def _draw_box(
    ax: "Axes", left: float, top: float, width: float, height: float, *, facecolor: str
) -> None:
    columns = [left, left + width, left + width, left]
    rows = [top, top, top + height, top + height]
    ax.fill(columns, rows, facecolor=facecolor, edgecolor=BOX_GRAY, linewidth=0.6)


def _write(
    ax: "Axes",
    column: float,
    row: float,
    text: str,
    *,
    size: float,
    ha: str = "center",
    va: str = "center",
    color: str | None = None,
) -> None:
    # A dollar sign in a file name does not start a formula.
    artist = ax.text(
        column, row, drawable(text), size=size, ha=ha, va=va, parse_math=False
    )
    if color is not None:
        artist.set_color(color)
