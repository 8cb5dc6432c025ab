"""The legend of a map, in the largest font that fits."""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from imgsim.display._pictures import size_in_points
from imgsim.display._text import DrawnLine, write
from imgsim.display.map._drawing import QUERY_COLOR
from imgsim.display.map._label_groups import LabelGroup, LineStyle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

# Font sizes, and widths of a name in font sizes, which are tried in this order.
_SIZES = ((10, 17), (9, 15), (8, 13), (7, 11), (6, 9), (5, 6))
_LINE_HEIGHT = 1.65  # in font sizes
_PADDING = 0.8  # font sizes between the legend and the edge
_GAP = 10.0  # points between the map and its legend


class LegendEntry(NamedTuple):
    """A line of a legend."""

    name: str
    n_images: int
    color: str
    marker: str
    edge_color: str = "white"
    is_query: bool = False
    line_style: LineStyle = ""


def make_entries(
    groups: Sequence[LabelGroup], n_queries: int, *, has_frames: bool
) -> list[LegendEntry]:
    """Return an entry for each group, and one for the queries if there are any.

    Lines are shown if the map has frames whose lines differ.
    """
    has_lines = has_frames and len({group.line_style for group in groups}) > 1
    entries = [
        LegendEntry(
            group.name,
            len(group.rows),
            group.color,
            group.marker,
            line_style=group.line_style if has_lines else "",
        )
        for group in groups
    ]
    if n_queries:
        name = "queries" if n_queries > 1 else "query"
        entries.append(
            LegendEntry(name, n_queries, QUERY_COLOR, "*", "black", is_query=True)
        )
    return entries


def draw_legend(
    ax: "Axes", entries: list[LegendEntry], max_width: float, max_height: float
) -> float:
    """Draw a legend of limited size, in points, at the right edge.

    The font is reduced until the legend fits. If it does not fit in the smallest font,
    the smallest groups are merged into one entry.

    Returns
    -------
    width : float
        Width of the legend and its margins in points, or 0 if it does not fit at all.
    """
    drawn = entries
    while drawn:
        for size, name_width in _SIZES if drawn is entries else _SIZES[-1:]:
            legend = _make_legend(ax, drawn, size, name_width, max_height)
            width, height = size_in_points(ax, legend)
            width += _GAP + _PADDING * size
            if width <= max_width and height <= max_height:
                return width
            legend.remove()
        drawn = _merge_smallest(entries, int(0.8 * len(drawn)))
    return 0.0


def _merge_smallest(entries: list[LegendEntry], n_left: int) -> list[LegendEntry]:
    """Return `n_left` entries, one of which counts the groups that are left out."""
    if n_left < 2:
        return []
    groups = [entry for entry in entries if not entry.is_query]
    queries = [entry for entry in entries if entry.is_query]
    by_size = sorted(groups, key=lambda entry: -entry.n_images)
    n_kept = max(n_left - 1 - len(queries), 0)
    largest, others = by_size[:n_kept], by_size[n_kept:]
    n_images = sum(entry.n_images for entry in others)
    merged = LegendEntry(f"{len(others)} more", n_images, "none", "o", "none")
    return [*(entry for entry in groups if entry in largest), merged, *queries]


def _make_legend(
    ax: "Axes",
    entries: list[LegendEntry],
    size: float,
    name_width: float,
    max_height: float,
) -> "Legend":
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            linestyle=entry.line_style,
            linewidth=1.6,
            marker=entry.marker,
            color=entry.color,
            markeredgecolor=entry.edge_color,
            markeredgewidth=0.9 if entry.marker == "*" else 0.4,
            markersize=size * (1.1 if entry.marker == "*" else 0.75),
        )
        for entry in entries
    ]
    n_rows = max(int(max_height / (_LINE_HEIGHT * size)), 1)
    legend = ax.legend(
        handles,
        [str(i) for i in range(len(entries))],
        loc="center right",
        borderaxespad=_PADDING,
        borderpad=0,
        frameon=False,
        fontsize=size,
        ncols=ceil(len(entries) / n_rows),
        handlelength=3.2 if any(entry.line_style for entry in entries) else 1,
        handletextpad=0.5,
        columnspacing=1.2,
        labelspacing=0.4,
    )
    # Set afterwards, because a legend drops labels that begin with an underscore.
    for text, entry in zip(legend.get_texts(), entries, strict=True):
        name = DrawnLine.of(" ".join(entry.name.split())).shortened(name_width).text
        write(text, f"{name} ({entry.n_images:,})")
    return legend
