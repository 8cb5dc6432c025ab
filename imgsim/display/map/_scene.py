"""What a map shows, put together from what its display keeps."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._optional import import_optional
from imgsim._validation import find_readable_rows
from imgsim.display._checks import check_length
from imgsim.display._grid import size_in_points
from imgsim.display.map._drawing import (
    Picture,
    draw_names,
    draw_pictures,
    draw_points,
    draw_queries,
    point_area,
)
from imgsim.display.map._groups import Group, make_groups, name_labels, one_group
from imgsim.display.map._layout import Places, View, find_cells, find_view
from imgsim.display.map._legend import Entry, draw_legend, make_entries
from imgsim.images._sources import check_image_sources

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEAST_INCHES, _MOST_INCHES = 5.0, 9.0  # of the sides of a map on axes of its own
_TITLE_INCHES = 0.6
_LEGEND_INCHES = 6.0  # at most, beside a map on axes of its own
_LEGEND_SHARE = 0.45  # at most, of given axes
_QUERY_AREA = 260.0  # square points
_SMALL_AREA = 9.0  # square points, of a point among pictures
_BADGE_SHARE = 0.22  # of the side of a cell
_CHARACTER_WIDTH = 0.6  # in font sizes
_MOST_BADGE = 9.0  # points


class Scene(NamedTuple):
    """Places of images and then of queries, all of them known; groups of the images."""

    places: Places
    sources: NDArray[Any]
    groups: list[Group]
    is_query: NDArray[np.bool_]
    n_unplaced: int
    n_unplaced_queries: int

    @classmethod
    def of(
        cls,
        positions: Places,
        images: Any,
        labels: ArrayLike | None,
        label_names: Mapping[int, str] | Sequence[str] | None,
        query_positions: Places | None,
        query_images: Any,
    ) -> Self:
        """Leave out what has no place."""
        asked = np.zeros((0, 2)) if query_positions is None else query_positions
        check_attached("images", images, len(positions), "positions")
        check_attached("query_images", query_images, len(asked), "query_positions")
        known, known_asked = find_readable_rows(positions), find_readable_rows(asked)
        sources = [
            _as_column(images, len(positions))[known],
            _as_column(query_images, len(asked))[known_asked],
        ]
        n_images, n_queries = int(known.sum()), int(known_asked.sum())
        if not n_images:
            raise ValueError(f"none of the {len(known)} images has a place.")
        if labels is None:
            groups = one_group(n_images)
        else:
            numbers, names, shorts = name_labels(labels, label_names)
            groups = make_groups(numbers[known], names, shorts)
        return cls(
            np.vstack([positions[known], asked[known_asked]]),
            np.concatenate(sources),
            groups,
            np.arange(n_images + n_queries) >= n_images,
            len(known) - n_images,
            len(known_asked) - n_queries,
        )

    @property
    def n_queries(self) -> int:
        """Number of queries that have a place."""
        return int(self.is_query.sum())

    @property
    def rank(self) -> NDArray[np.int64]:
        """Queries before images, and -1 for what has no picture."""
        has_picture = np.array([source is not None for source in self.sources], bool)
        return np.where(has_picture, np.where(self.is_query, 0, 1), -1)

    @property
    def colors(self) -> NDArray[Any]:
        """Colour of each image's group; queries have that of text."""
        matplotlib = import_optional("matplotlib", caller="EmbeddingMapDisplay.plot")
        color = matplotlib.rcParams["text.color"]
        colors = np.full(len(self.places), color, dtype=object)
        for group in self.groups:
            colors[group.rows] = group.color
        return colors

    @property
    def title(self) -> str:
        """Say how many images there are, and what is left out."""
        n_images = len(self.places) - self.n_queries
        left_out = [
            _counted(n, name)
            for n, name in (
                (self.n_unplaced, "image"),
                (self.n_unplaced_queries, "query"),
            )
            if n
        ]
        note = f"\nwithout a place: {', '.join(left_out)}" if left_out else ""
        return f"{_counted(n_images, 'image')}{note}"


def _counted(n: int, name: str) -> str:
    plural = {"image": "images", "query": "queries"}[name]
    return f"{n:,} {name if n == 1 else plural}"


def _as_column(images: Any, n_expected: int) -> NDArray[Any]:
    """Return sources as an array of objects, None where there are none."""
    column = np.full(n_expected, None, dtype=object)
    for i, image in enumerate(() if images is None else check_image_sources(images)):
        column[i] = image
    return column


def check_attached(name: str, images: Any, n_expected: int, of_what: str) -> None:
    """Raise an error unless there is a picture for each row, or none at all."""
    if images is not None:
        check_length(name, check_image_sources(images), n_expected, of_what)


def draw_scene(
    scene: Scene, ax: "Axes | None", n_thumbnails: int, show_names: bool, caller: str
) -> "Axes":
    """Draw a map and its legend, on axes of its own if `ax` is None."""
    is_own = ax is None
    ax = _new_axes(scene.places, caller) if ax is None else ax
    _prepare(ax, scene.title)
    width, height = size_in_points(ax, ax)
    most = 72 * _LEGEND_INCHES if is_own else _LEGEND_SHARE * width
    right = draw_legend(ax, _entries(scene), most, height)
    if is_own:
        width = _cut_to(ax, width - most + right)
    if n_thumbnails and (scene.rank >= 0).any():
        view = _draw_with_pictures(ax, scene, n_thumbnails, width - right, height)
    else:
        view = find_view(scene.places, width - right, height)
        _draw_without_pictures(ax, scene, view, show_names)
    left, stop = view.x_limits
    ax.set(xlim=(left, stop + right / view.scale), ylim=view.y_limits, aspect="equal")
    return ax


def _entries(scene: Scene) -> list[Entry]:
    entries = make_entries(scene.groups, scene.n_queries)
    is_told_apart = len(entries) > 1 or any(group.short for group in scene.groups)
    return entries if is_told_apart else []


def _new_axes(places: Places, caller: str) -> "Axes":
    """Make axes as wide to high as the map is, with room for a legend."""
    pyplot = import_optional("matplotlib.pyplot", caller=caller)
    extent = np.ptp(places, axis=0)
    sides = extent / extent.max() if extent.any() else extent
    width, height = np.maximum(_MOST_INCHES * sides, _LEAST_INCHES)
    size = (width + _LEGEND_INCHES, height + _TITLE_INCHES)
    top = height / (height + _TITLE_INCHES)
    axes: Axes = pyplot.figure(figsize=size).add_axes((0, 0, 1, top))
    return axes


def _cut_to(ax: "Axes", width: float) -> float:
    """Make the figure as wide as its axes are to be, in points."""
    ax.figure.figure.set_size_inches(width / 72, ax.figure.figure.get_figheight())
    return width


def _prepare(ax: "Axes", title: str) -> None:
    """Write the title, and let the figure find where the axes are, if it does that."""
    width = size_in_points(ax, ax)[0]
    longest = max(map(len, title.split("\n")))
    size = min(max(width / (_CHARACTER_WIDTH * longest), 4), 12)
    ax.set_title(title, size=size)
    ax.set_axis_off()
    figure = ax.figure.figure  # of a part of a figure, the whole
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()


def _draw_without_pictures(
    ax: "Axes", scene: Scene, view: View, show_names: bool
) -> None:
    width, height = view.box.width * view.scale, view.box.height * view.scale
    area = point_area(len(scene.places), width, height)
    draw_points(ax, scene.places, scene.groups, area, on_top=False)
    if show_names:
        draw_names(ax, scene.places, scene.groups, view)
    draw_queries(ax, scene.places[scene.is_query], _QUERY_AREA)


def _draw_with_pictures(
    ax: "Axes", scene: Scene, n_thumbnails: int, width: float, height: float
) -> View:
    cells = find_cells(scene.places, scene.rank, n_thumbnails, width, height)
    view = find_view(scene.places, width, height, side=cells.side)
    places = scene.places.copy()
    places[cells.rows] = np.nan  # no point where there is a picture
    draw_points(ax, places, scene.groups, _SMALL_AREA, on_top=False)
    draw_queries(ax, places[scene.is_query], _QUERY_AREA)
    colors, is_query = scene.colors, scene.is_query
    pictures = [
        Picture(scene.sources[row], x, y, colors[row], bool(is_query[row]))
        for row, (x, y) in zip(cells.rows, cells.centers, strict=True)
    ]
    corners = np.full_like(places, np.nan)
    corners[cells.rows] = draw_pictures(
        ax, pictures, cells.side / view.scale, cells.side
    )
    badge = min(_BADGE_SHARE * cells.side, _MOST_BADGE) ** 2
    if any(group.short for group in scene.groups):
        draw_points(ax, corners, scene.groups, badge, on_top=True)
    draw_queries(ax, corners[is_query], 3 * badge)
    return view
