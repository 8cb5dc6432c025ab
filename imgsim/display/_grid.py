"""Thumbnails and captions in a grid on given axes."""

import os
import textwrap
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim._optional import import_optional
from imgsim.images._thumbnails import stream_thumbnails

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Lengths are in cells; a cell is the square that a thumbnail is fitted into.
LINE_HEIGHT = 0.15
GAP = 0.1
_CELL_INCHES = 1.35
THUMBNAIL_PIXELS = 192
CHARACTER_WIDTH = 0.62  # in font sizes
BOX_GREY = "0.88"
_FADED = 0.45  # opacity


class Tile(NamedTuple):
    """A picture, captions above and below; (column, row) is its upper left corner."""

    source: Any
    caption: str
    column: float
    row: float
    below: str = ""
    is_faded: bool = False


class Line(NamedTuple):
    """A line of text that starts at (column, row), its middle height."""

    text: str
    column: float
    row: float


def draw_grid(
    tiles: Sequence[Tile],
    lines: Sequence[Line],
    *,
    n_columns: float,
    n_rows: float,
    ax: "Axes | None",
    caller: str,
    cell_inches: float = _CELL_INCHES,
) -> "Axes":
    """Draw pictures and text on axes of `n_columns` by `n_rows` cells.

    New axes of a fitting size are made if `ax` is None.
    """
    if ax is None:
        ax = _new_axes(n_columns * cell_inches, n_rows * cell_inches, caller)
    cell_points = _cell_points(ax, n_columns, n_rows)
    font_size = min(max(cell_points, 1) / 11, 10)
    n_characters = int(cell_points * (1 - GAP) / (font_size * CHARACTER_WIDTH))
    if tiles:
        _draw_pictures(ax, tiles, 0.8 * font_size, n_characters)
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


def source_name(source: Any) -> str:
    """Return the file name of a path, and nothing for an image in memory."""
    if not isinstance(source, str | os.PathLike):
        return ""
    return " ".join(Path(source).name.splitlines())


def check_length(name: str, images: Any, n_expected: int, of_what: str) -> None:
    """Raise ValueError if there is not one image for each of something."""
    if len(images) != n_expected:
        raise ValueError(
            f"{name} holds {len(images)} images for {n_expected} {of_what}."
        )


def _new_axes(width: float, height: float, caller: str) -> "Axes":
    pyplot = import_optional("matplotlib.pyplot", caller=caller)
    figure = pyplot.figure(figsize=(width, height))
    axes: Axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    return axes


def size_in_points(ax: "Axes", artist: Any) -> tuple[float, float]:
    """Return width and height of what is drawn on axes, or of the axes themselves."""
    extent, points = artist.get_window_extent(), 72 / ax.figure.dpi
    return float(extent.width * points), float(extent.height * points)


def _cell_points(ax: "Axes", n_columns: float, n_rows: float) -> float:
    width, height = size_in_points(ax, ax)
    return min(width / n_columns, height / n_rows)


def _draw_pictures(
    ax: "Axes", tiles: Sequence[Tile], font_size: float, n_characters: int
) -> None:
    for batch in stream_thumbnails([t.source for t in tiles], THUMBNAIL_PIXELS):
        for i, thumbnail in zip(batch.rows, batch.images, strict=True):
            _draw_thumbnail(ax, thumbnail, tiles[i])
        for failure in batch.failures:
            tile = tiles[failure.row]
            text = f"{source_name(tile.source)} unreadable: {failure.reason}".strip()
            _draw_placeholder(ax, text, tile, font_size, n_characters)


def _draw_thumbnail(ax: "Axes", thumbnail: NDArray[np.uint8], tile: Tile) -> None:
    """Draw a picture as large as its cell allows, in the middle of the cell."""
    longest = max(thumbnail.shape[:2])
    height, width = (side / longest * (1 - GAP) for side in thumbnail.shape[:2])
    left, top = tile.column + (1 - width) / 2, tile.row + (1 - GAP - height) / 2
    alpha = _FADED if tile.is_faded else 1
    extent = (left, left + width, top + height, top)
    ax.imshow(thumbnail, extent=extent, alpha=alpha, origin="upper")
    _draw_box(ax, left, top, width, height, facecolor="none")  # for white pictures


def _draw_placeholder(
    ax: "Axes", text: str, tile: Tile, font_size: float, n_characters: int
) -> None:
    side = 1 - GAP
    _draw_box(ax, tile.column + GAP / 2, tile.row, side, side, facecolor=BOX_GREY)
    text = textwrap.fill(text, n_characters, max_lines=7, placeholder=" …")
    center = tile.column + 0.5, tile.row + side / 2
    _write(ax, *center, text, size=font_size, color="black")


def _draw_box(
    ax: "Axes", left: float, top: float, width: float, height: float, *, facecolor: str
) -> None:
    columns = [left, left + width, left + width, left]
    rows = [top, top, top + height, top + height]
    ax.fill(columns, rows, facecolor=facecolor, edgecolor=BOX_GREY, linewidth=0.6)


def shortened(text: str, n_characters: int) -> str:
    """Cut the middle out of a text that is too long; a name's ends tell most."""
    if len(text) <= n_characters:
        return text
    n_kept = max(n_characters - 1, 2)
    return f"{text[: (n_kept + 1) // 2]}…{text[-(n_kept // 2) :]}"


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
    # File names are no formulas, and may be in a script that the font lacks.
    text = drawable(text)
    shown = ax.text(column, row, text, size=size, ha=ha, va=va, parse_math=False)
    if color is not None:
        shown.set_color(color)


def drawable(text: str, weight: str = "normal") -> str:
    """Replace what the default font cannot draw, which matplotlib would warn about."""
    from matplotlib.font_manager import FontProperties, findfont

    font = findfont(FontProperties(weight=weight))
    drawable = _characters_of_font(font) | {"\n"}
    return "".join(c if c in drawable else "\N{WHITE SQUARE}" for c in text)


@lru_cache(maxsize=4)
def _characters_of_font(path: str) -> frozenset[str]:
    from matplotlib.font_manager import get_font

    return frozenset(map(chr, get_font(path).get_charmap()))
