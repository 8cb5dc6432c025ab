"""The legend of a map, as large as there is room for it."""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from imgsim.display._grid import size_in_points
from imgsim.display._text import drawable, shortened
from imgsim.display.map._drawing import QUERY_COLOR
from imgsim.display.map._groups import Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

_SIZES = ((10, 30), (9, 26), (8, 22), (7, 18), (6, 14), (5, 10))  # font, characters
_LINE_HEIGHT = 1.65  # in font sizes
_PADDING = 0.8  # font sizes between the legend and the edge
_GAP = 10.0  # points between the map and its legend


class Entry(NamedTuple):
    """A line of a legend."""

    name: str
    n_images: int
    color: str
    marker: str
    edge: str = "white"
    is_query: bool = False


def make_entries(groups: Sequence[Group], n_queries: int) -> list[Entry]:
    """Return a line for each group, and one for the queries if there are any."""
    entries = [Entry(g.name, len(g.rows), g.color, g.marker) for g in groups]
    if n_queries:
        name = "queries" if n_queries > 1 else "query"
        entries.append(Entry(name, n_queries, QUERY_COLOR, "*", "black", is_query=True))
    return entries


def draw_legend(ax: "Axes", entries: list[Entry], width: float, height: float) -> float:
    """Draw a legend at the right edge, of at most `width` by `height` points.

    The font shrinks until it fits; then the smallest groups are left out, and counted.

    Returns
    -------
    width : float
        What it takes of the axes, in points; 0 if there is no room for it at all.
    """
    shown = entries
    while shown:
        for size, n_characters in _SIZES if shown is entries else _SIZES[-1:]:
            legend = _make_legend(ax, shown, size, n_characters, height)
            taken, high = size_in_points(ax, legend)
            taken += _GAP + _PADDING * size
            if taken <= width and high <= height:
                return taken
            legend.remove()
        shown = _without_smallest(entries, int(0.8 * len(shown)))
    return 0.0


def _without_smallest(entries: list[Entry], n_left: int) -> list[Entry]:
    """Return `n_left` lines, one of which counts the groups left out."""
    if n_left < 2:
        return []
    groups = [entry for entry in entries if not entry.is_query]
    queries = [entry for entry in entries if entry.is_query]
    by_size = sorted(groups, key=lambda entry: -entry.n_images)
    n_kept = max(n_left - 1 - len(queries), 0)
    largest, others = by_size[:n_kept], by_size[n_kept:]
    n_images = sum(entry.n_images for entry in others)
    more = Entry(f"{len(others)} more", n_images, "none", "o", "none")
    return [*(entry for entry in groups if entry in largest), more, *queries]


def _make_legend(
    ax: "Axes", entries: list[Entry], size: float, n_characters: int, height: float
) -> "Legend":
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=entry.marker,
            color=entry.color,
            markeredgecolor=entry.edge,
            markeredgewidth=0.9 if entry.marker == "*" else 0.4,
            markersize=size * (1.1 if entry.marker == "*" else 0.75),
        )
        for entry in entries
    ]
    n_rows = max(int(height / (_LINE_HEIGHT * size)), 1)
    legend = ax.legend(
        handles,
        [str(i) for i in range(len(entries))],
        loc="center right",
        borderaxespad=_PADDING,
        borderpad=0,
        frameon=False,
        fontsize=size,
        ncols=ceil(len(entries) / n_rows),
        handlelength=1,
        handletextpad=0.5,
        columnspacing=1.2,
        labelspacing=0.4,
    )
    for text, entry in zip(legend.get_texts(), entries, strict=True):
        text.set_parse_math(False)
        text.set_text(_line(entry, n_characters))
    return legend


def _line(entry: Entry, n_characters: int) -> str:
    name = shortened(" ".join(entry.name.split()), n_characters)
    return drawable(f"{name} ({entry.n_images:,})")
