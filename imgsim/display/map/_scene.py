"""The content of a map, and the drawing of all its parts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._optional import import_optional
from imgsim._validation import find_readable_rows
from imgsim.display._checks import check_length
from imgsim.display._labels import LabelNames
from imgsim.display._pictures import prepare_axes, size_in_points
from imgsim.display.map._cells import NEIGHBOR, OTHER, QUERY, WITHOUT_IMAGE, find_cells
from imgsim.display.map._drawing import (
    MapThumbnail,
    draw_names,
    draw_points,
    draw_queries,
    draw_thumbnails,
    point_area,
)
from imgsim.display.map._label_groups import (
    LabelGroup,
    NumberedLabels,
    group_all,
    group_by_label,
    number_labels,
)
from imgsim.display.map._layout import Positions, View, find_view
from imgsim.display.map._legend import LegendEntry, draw_legend, make_entries
from imgsim.images._sources import check_image_sources

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_QUERY_NEIGHBORS = 5
_MIN_INCHES, _MAX_INCHES = 5.0, 10.0  # sides of a map on axes of its own
_TITLE_INCHES = 0.6
_MAX_LEGEND_INCHES = 6.0  # beside a map on axes of its own
_MAX_LEGEND_SHARE = 0.45  # of the width of given axes
_QUERY_AREA = 260.0  # square points
_SMALL_AREA = 9.0  # square points, for points beside thumbnails
_BADGE_SHARE = 0.22  # of the side of a cell, for the marker at a corner of a thumbnail
_MAX_BADGE = 9.0  # points
_TITLE_CHARACTER_WIDTH = 0.6  # in font sizes


class Scene(NamedTuple):
    """Content of a map: the images that have a position, then such queries."""

    positions: Positions
    sources: NDArray[Any]
    groups: list[LabelGroup]
    is_query: NDArray[np.bool_]
    is_neighbor: NDArray[np.bool_]
    n_images_left_out: int
    n_queries_left_out: int

    @classmethod
    def of(
        cls,
        positions: Positions,
        images: Any,
        labels: ArrayLike | None,
        label_names: LabelNames | None,
        query_positions: Positions | None,
        query_images: Any,
        query_neighbors: Sequence[ArrayLike] | None,
    ) -> Self:
        """Select the images and queries that have a position."""
        if query_positions is None:
            query_positions = np.zeros((0, 2))
        check_images("images", images, len(positions), "positions")
        check_images(
            "query_images", query_images, len(query_positions), "query_positions"
        )
        known = find_readable_rows(positions)
        known_queries = find_readable_rows(query_positions)
        n_images, n_queries = int(known.sum()), int(known_queries.sum())
        if not n_images:
            raise ValueError(f"none of the {len(known)} images has a position.")
        if labels is None:
            groups = group_all(n_images)
        else:
            numbered = number_labels(labels, label_names)
            groups = group_by_label(
                NumberedLabels(numbered.numbers[known], *numbered[1:])
            )
        return cls(
            np.vstack([positions[known], query_positions[known_queries]]),
            np.concatenate(
                [
                    _as_column(images, len(known))[known],
                    _as_column(query_images, len(known_queries))[known_queries],
                ]
            ),
            groups,
            np.arange(n_images + n_queries) >= n_images,
            np.concatenate(
                [
                    _find_neighbors(positions, query_positions, query_neighbors)[known],
                    np.zeros(n_queries, dtype=bool),
                ]
            ),
            len(known) - n_images,
            len(known_queries) - n_queries,
        )

    @property
    def n_queries(self) -> int:
        """Number of queries that have a position."""
        return int(self.is_query.sum())

    @property
    def rank(self) -> NDArray[np.int64]:
        """Priority of thumbnails."""
        has_source = np.array([source is not None for source in self.sources], bool)
        rank = np.where(self.is_query, QUERY, OTHER)
        rank[self.is_neighbor] = NEIGHBOR
        return np.where(has_source, rank, WITHOUT_IMAGE)

    @property
    def colors(self) -> NDArray[Any]:
        """Color of each frame: the color of the group, or of text for queries."""
        matplotlib = import_optional("matplotlib", caller="EmbeddingMapDisplay.plot")
        color = matplotlib.rcParams["text.color"]
        colors = np.full(len(self.positions), color, dtype=object)
        for group in self.groups:
            colors[group.rows] = group.color
        return colors

    @property
    def line_styles(self) -> NDArray[Any]:
        """Line style of each frame; solid for queries."""
        styles = np.full(len(self.positions), "-", dtype=object)
        for group in self.groups:
            for row in group.rows:
                styles[row] = group.line_style
        return styles

    @property
    def title(self) -> str:
        """Number of images, and of images and queries that are left out."""
        n_images = len(self.positions) - self.n_queries
        left_out = [
            _counted(n, name)
            for n, name in (
                (self.n_images_left_out, "image"),
                (self.n_queries_left_out, "query"),
            )
            if n
        ]
        note = f"\nwithout a position: {', '.join(left_out)}" if left_out else ""
        return f"{_counted(n_images, 'image')}{note}"


def _find_neighbors(
    positions: Positions,
    query_positions: Positions,
    query_neighbors: Sequence[ArrayLike] | None,
) -> NDArray[np.bool_]:
    """Return which images are neighbors of a query, by default on the map."""
    is_neighbor = np.zeros(len(positions), dtype=bool)
    if query_neighbors is not None:
        for rows in query_neighbors:
            is_neighbor[np.asarray(rows, dtype=np.int64)] = True
        return is_neighbor
    known = np.flatnonzero(find_readable_rows(positions))
    for query in query_positions[find_readable_rows(query_positions)]:
        distances = np.hypot(*(positions[known] - query).T)
        nearest = np.argsort(distances, kind="stable")[:N_QUERY_NEIGHBORS]
        is_neighbor[known[nearest]] = True
    return is_neighbor


def _counted(n: int, name: str) -> str:
    plural = {"image": "images", "query": "queries"}[name]
    return f"{n:,} {name if n == 1 else plural}"


def _as_column(images: Any, n_expected: int) -> NDArray[Any]:
    """Return sources as an array of objects, which are None without images."""
    column = np.full(n_expected, None, dtype=object)
    sources = () if images is None else check_image_sources(images, "images")
    for i, image in enumerate(sources):
        column[i] = image
    return column


def check_images(name: str, images: Any, n_expected: int, of_what: str) -> None:
    """Raise an error unless `images` is None or has one image for each position."""
    if images is not None:
        check_length(name, check_image_sources(images, name), n_expected, of_what)


def draw_scene(
    scene: Scene, ax: "Axes | None", n_thumbnails: int, show_names: bool, caller: str
) -> "Axes":
    """Draw a map and its legend. Without `ax`, a figure is created."""
    is_own = ax is None
    ax = _new_axes(scene.positions, caller) if ax is None else ax
    _draw_title(ax, scene.title)
    width, height = size_in_points(ax, ax)
    max_width = 72 * _MAX_LEGEND_INCHES if is_own else _MAX_LEGEND_SHARE * width
    has_thumbnails = bool(n_thumbnails and (scene.rank >= 0).any())
    entries = _entries(scene, has_frames=has_thumbnails)
    legend_width = draw_legend(ax, entries, max_width, height)
    if is_own:
        width = _set_width(ax, width - max_width + legend_width)
    if has_thumbnails:
        view = _draw_with_thumbnails(
            ax, scene, n_thumbnails, width - legend_width, height
        )
    else:
        view = find_view(scene.positions, width - legend_width, height)
        _draw_without_thumbnails(ax, scene, view, show_names)
    left, right = view.x_limits
    ax.set(
        xlim=(left, right + legend_width / view.scale),
        ylim=view.y_limits,
        aspect="equal",
    )
    return ax


def _entries(scene: Scene, *, has_frames: bool) -> list[LegendEntry]:
    entries = make_entries(scene.groups, scene.n_queries, has_frames=has_frames)
    is_useful = len(entries) > 1 or any(group.short_name for group in scene.groups)
    return entries if is_useful else []


def _new_axes(positions: Positions, caller: str) -> "Axes":
    """Create axes in the proportions of the map, with room for a legend."""
    pyplot = import_optional("matplotlib.pyplot", caller=caller)
    extent = np.ptp(positions, axis=0)
    sides = extent / extent.max() if extent.any() else extent
    width, height = np.maximum(_MAX_INCHES * sides, _MIN_INCHES)
    size = (width + _MAX_LEGEND_INCHES, height + _TITLE_INCHES)
    top = height / (height + _TITLE_INCHES)
    axes: Axes = pyplot.figure(figsize=size).add_axes((0, 0, 1, top))
    return axes


def _set_width(ax: "Axes", width: float) -> float:
    """Give the figure a new width in points, and return it."""
    ax.figure.figure.set_size_inches(width / 72, ax.figure.figure.get_figheight())
    return width


def _draw_title(ax: "Axes", title: str) -> None:
    """Write the title above the axes, which a layout engine may then move."""
    width = size_in_points(ax, ax)[0]
    longest = max(map(len, title.split("\n")))
    size = min(max(width / (_TITLE_CHARACTER_WIDTH * longest), 4), 12)
    ax.set_title(title, size=size)
    prepare_axes(ax)


def _draw_without_thumbnails(
    ax: "Axes", scene: Scene, view: View, show_names: bool
) -> None:
    width, height = view.box.width * view.scale, view.box.height * view.scale
    area = point_area(len(scene.positions), width, height)
    draw_points(ax, scene.positions, scene.groups, area, on_top=False)
    _draw_neighbors(ax, scene, scene.positions, 1.6 * area)
    if show_names:
        draw_names(ax, scene.positions, scene.groups, view)
    draw_queries(ax, scene.positions[scene.is_query], _QUERY_AREA)


def _draw_with_thumbnails(
    ax: "Axes", scene: Scene, n_thumbnails: int, width: float, height: float
) -> View:
    cells = find_cells(scene.positions, scene.rank, n_thumbnails, width, height)
    view = find_view(scene.positions, width, height, side=cells.side)
    positions = scene.positions.copy()
    positions[cells.rows] = np.nan  # a thumbnail replaces the point
    draw_points(ax, positions, scene.groups, _SMALL_AREA, on_top=False)
    _draw_neighbors(ax, scene, positions, 4 * _SMALL_AREA)
    draw_queries(ax, positions[scene.is_query], _QUERY_AREA)
    colors, line_styles, is_query = scene.colors, scene.line_styles, scene.is_query
    is_important = is_query | scene.is_neighbor
    thumbnails = [
        MapThumbnail(
            scene.sources[row],
            x,
            y,
            colors[row],
            line_styles[row],
            bool(is_important[row]),
        )
        for row, (x, y) in zip(cells.rows, cells.centers, strict=True)
    ]
    corners = np.full_like(positions, np.nan)
    corners[cells.rows] = draw_thumbnails(
        ax, thumbnails, cells.side / view.scale, cells.side
    )
    badge = min(_BADGE_SHARE * cells.side, _MAX_BADGE) ** 2
    if any(group.short_name for group in scene.groups):
        draw_points(ax, corners, scene.groups, badge, on_top=True)
    draw_queries(ax, corners[is_query], 3 * badge)
    return view


def _draw_neighbors(
    ax: "Axes", scene: Scene, positions: Positions, area: float
) -> None:
    """Draw neighbors of queries as points on top. NaN is not drawn."""
    if scene.is_neighbor.any():
        chosen = np.where(scene.is_neighbor[:, np.newaxis], positions, np.nan)
        draw_points(ax, chosen, scene.groups, area, on_top=True, edge_color="black")
