"""Display of queries with their nearest neighbors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted

from imgsim._distance.metric import check_max_distance
from imgsim._validation import check_embeddings, find_readable_rows
from imgsim.display._checks import check_length
from imgsim.display._grid import (
    GAP,
    LINE_HEIGHT,
    TextLine,
    Tile,
    draw_grid,
    tile_height,
)
from imgsim.display._indexed_images import KINDS, CaptionedImages, CaptionKind, Matches
from imgsim.display._pictures import (
    RIGHT,
    WRONG,
    FrameStyle,
    Picture,
    read_pictures,
)
from imgsim.display._text import source_name
from imgsim.images._sources import check_image_sources
from imgsim.index import SimilarityIndex

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GUTTER = 0.35  # cells between a query, its neighbors and images left out


class NeighborsDisplay:
    """Queries, each in a row with its nearest neighbors.

    The query is on the left. Each neighbor is drawn with its rank and distance. Images
    that are among the nearest, but farther than `max_distance`, follow at the end of
    the row. They are faded, and their caption shows both distances. If it is known
    which neighbors have the label of the query, these have a solid blue frame with a
    check mark, and the others a dashed orange frame with a cross. Create the display
    with :meth:`from_index` or :meth:`from_estimator`.

    Parameters
    ----------
    query_images : sequence of image sources of length n_queries
        Images of the queries.

    neighbor_images : list of n_queries lists of image sources
        Images of the neighbors of each query, nearest first. A list may be empty. None
        instead of a list means that the query is unreadable, and was not searched.

    distances : list of n_queries array-like
        Distances of the neighbors.

    left_out_images : list of n_queries lists of image sources, default=None
        Images that are among the nearest, but farther than `max_distance`.

    left_out_distances : list of n_queries array-like, default=None
        Distances of these images.

    max_distance : float, default=None
        Largest distance of a neighbor.

    query_captions : sequence of n_queries str, default=None
        Captions of the queries. None means the names of image files.

    neighbor_captions : list of n_queries lists of str, default=None
        Captions of the neighbors. None means the names of image files.

    left_out_captions : list of n_queries lists of str, default=None
        Captions of the images that are left out.

    neighbor_matches : list of n_queries lists of bool or None, default=None
        Whether each neighbor has the label of its query; None if this is unknown.

    left_out_matches : list of n_queries lists of bool or None, default=None
        The same for the images that are left out.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.

    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    ClusterDisplay : The most typical images of each cluster.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder, SimilarityIndex
    >>> from imgsim.datasets import load_sample_photos
    >>> from imgsim.display import NeighborsDisplay
    >>> photos = load_sample_photos(n_crops=2, n_copies=3)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> index = SimilarityIndex(n_neighbors=3).fit(X[1:])
    >>> display = NeighborsDisplay.from_index(
    ...     index, X[:1], query_images=photos.images[:1], images=photos.images[1:]
    ... )
    >>> display.plot().ax_.texts[1].get_text()
    '#1   0.001'
    """

    def __init__(
        self,
        *,
        query_images: Sequence[Any],
        neighbor_images: Sequence[Sequence[Any] | None],
        distances: Sequence[ArrayLike],
        left_out_images: Sequence[Sequence[Any]] | None = None,
        left_out_distances: Sequence[ArrayLike] | None = None,
        max_distance: float | None = None,
        query_captions: Sequence[str] | None = None,
        neighbor_captions: Sequence[Sequence[str]] | None = None,
        left_out_captions: Sequence[Sequence[str]] | None = None,
        neighbor_matches: Sequence[Sequence[bool | None]] | None = None,
        left_out_matches: Sequence[Sequence[bool | None]] | None = None,
    ) -> None:
        self.query_images = query_images
        self.neighbor_images = neighbor_images
        self.distances = distances
        self.left_out_images = left_out_images
        self.left_out_distances = left_out_distances
        self.max_distance = max_distance
        self.query_captions = query_captions
        self.neighbor_captions = neighbor_captions
        self.left_out_captions = left_out_captions
        self.neighbor_matches = neighbor_matches
        self.left_out_matches = left_out_matches

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: n_queries={len(self.query_images)}>"

    @classmethod
    def from_index(
        cls,
        index: SimilarityIndex,
        X: ArrayLike | None = None,
        *,
        images: Any = None,
        query_images: Any = None,
        rows: ArrayLike | None = None,
        n_neighbors: int | None = None,
        max_distance: float | None = None,
        captions: CaptionKind = "name",
        frame: Literal["label"] | None = None,
        query_labels: ArrayLike | None = None,
    ) -> Self:
        """Search an index and select the images of the results.

        Parameters
        ----------
        index : SimilarityIndex
            Fitted index.

        X : array-like of shape (n_queries, n_features), default=None
            Embeddings of the queries. None uses each indexed row as a query, and
            excludes it from its own result.

        images : sequence of image sources, default=None
            Images of the index, in the order of its rows. None means that its ids are
            paths of the images.

        query_images : sequence of image sources of length n_queries, default=None
            Images of the queries. Required unless X is None.

        rows : array-like of int, default=None
            Rows to use as queries: of X, or of the index if X is None. None uses all.

        n_neighbors : int, default=None
            Number of nearest images to search for; fewer if the index contains fewer.
            None uses `n_neighbors` of the index.

        max_distance : float, default=None
            Largest distance of a neighbor. Nearest images beyond it are drawn as left
            out. None sets no limit.

        captions : {"name", "label", "folder", "id"}, default="name"
            Caption of each image: the name of its file, its label, the folder of its
            file below the folder that contains all drawn images, or its id. Ids that
            are paths are shortened to the part below this folder. A caption that is
            too wide is shortened in the middle.

        frame : {"label"}, default=None
            "label" frames the images with the label of the query in one style, and
            images with another label in another. Requires the labels of the index,
            which are passed to its `fit` as `y`. None draws no such frames.

        query_labels : array-like of shape (n_queries,), default=None
            Labels of the queries, for `captions="label"` and `frame="label"`. If X is
            None, the labels of the index are used.

        Returns
        -------
        display : NeighborsDisplay
            Display, to be drawn with :meth:`plot`.

        Raises
        ------
        ValueError
            If the number of images or labels differs from the number of rows, if
            `images` is missing and no id is the path of a file, if `query_images` or
            the labels for `frame` are missing, or if another parameter has an invalid
            value.

        IndexError
            If `rows` contains a row that does not exist.
        """
        check_is_fitted(index)
        _check_choices(captions, frame)
        caller = f"{cls.__name__}.from_index"
        readable = _find_readable_queries(index, X, query_images, caller)
        queries = np.arange(len(readable))
        if rows is not None:
            queries = np.atleast_1d(queries[_as_rows(rows)])
        neighbors, distances = _search_rows(index, X, queries, n_neighbors)
        drawn = np.concatenate([*neighbors, queries if X is None else queries[:0]])
        indexed = CaptionedImages.of_index(index, images, np.unique(drawn).tolist())
        asked = indexed
        if X is not None:
            asked = _check_queries(query_images, query_labels, len(readable))
        if frame == "label":
            _check_labels_are_known(indexed, asked)
        limit = check_max_distance(max_distance, index.effective_metric_)
        n_near = [int(np.searchsorted(d, limit, side="right")) for d in distances]
        results = _describe(indexed, asked, queries, neighbors, captions, frame)
        return cls(
            query_images=[asked.images[i] for i in queries.tolist()],
            neighbor_images=[
                found[:n] if readable[query] else None
                for found, query, n in zip(results.images, queries, n_near, strict=True)
            ],
            distances=_first(distances, n_near),
            left_out_images=_rest(results.images, n_near),
            left_out_distances=_rest(distances, n_near),
            max_distance=max_distance,
            query_captions=results.query_captions,
            neighbor_captions=_first(results.captions, n_near),
            left_out_captions=_rest(results.captions, n_near),
            neighbor_matches=results.matches and _first(results.matches, n_near),
            left_out_matches=results.matches and _rest(results.matches, n_near),
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Pipeline,
        X: Any,
        *,
        images: Any = None,
        n_neighbors: int | None = None,
        max_distance: float | None = None,
        captions: CaptionKind = "name",
        frame: Literal["label"] | None = None,
        query_labels: ArrayLike | None = None,
    ) -> Self:
        """Embed queries, search for them, and select the images of the results.

        Parameters
        ----------
        estimator : Pipeline
            Fitted pipeline of an embedder and a :class:`~imgsim.SimilarityIndex`. For a
            fitted search over such pipelines, such as `GridSearchCV`, its best
            pipeline is used.

        X : sequence of image sources of length n_queries
            Images of the queries.

        images : sequence of image sources, default=None
            Images that the pipeline was fitted on. None means that the ids of the index
            are paths of the images.

        n_neighbors : int, default=None
            Number of nearest images to search for; fewer if the index contains fewer.
            None uses `n_neighbors` of the index.

        max_distance : float, default=None
            Largest distance of a neighbor. Nearest images beyond it are drawn as left
            out. None sets no limit.

        captions : {"name", "label", "folder", "id"}, default="name"
            Caption of each image, as in :meth:`from_index`.

        frame : {"label"}, default=None
            Whether frames show which images have the label of the query, as in
            :meth:`from_index`.

        query_labels : array-like of shape (n_queries,), default=None
            Labels of the queries.

        Returns
        -------
        display : NeighborsDisplay
            Display, to be drawn with :meth:`plot`.

        Raises
        ------
        TypeError
            If `estimator` is not a pipeline that ends in a SimilarityIndex.
        """
        estimator = getattr(estimator, "best_estimator_", estimator)
        if not isinstance(estimator, Pipeline) or not isinstance(
            estimator[-1], SimilarityIndex
        ):
            raise TypeError(
                "estimator must be a fitted Pipeline that ends in a SimilarityIndex; "
                f"got {type(estimator).__name__}. For an index, use from_index."
            )
        return cls.from_index(
            estimator[-1],
            estimator[:-1].transform(X),
            images=images,
            query_images=X,
            n_neighbors=n_neighbors,
            max_distance=max_distance,
            captions=captions,
            frame=frame,
            query_labels=query_labels,
        )

    def plot(self, *, ax: "Axes | None" = None, show_left_out: bool = True) -> Self:
        """Draw the queries and their neighbors.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure of suitable size.

        show_left_out : bool, default=True
            Whether to draw the nearest images that are farther than `max_distance`.

        Returns
        -------
        display : NeighborsDisplay
            The display itself, with `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        """
        results = [self._tiles(i, show_left_out) for i in range(len(self.query_images))]
        tiles = [tile for row in results for tile in row]
        has_names = any(tile.name for tile in tiles)
        caption_height = (2 if has_names else 1) * LINE_HEIGHT + GAP
        lines = self._legend({tile.frame for tile in tiles} - {None})
        header = 1.5 * LINE_HEIGHT if lines else 0.0
        pictures = read_pictures([tile.source for tile in tiles])
        heights = _heights_of_rows(results, pictures)
        bottoms = header + np.cumsum(
            [height + caption_height + GAP for height in heights]
        )
        tops = [b - GAP - h for b, h in zip(bottoms.tolist(), heights, strict=True)]
        lines += [
            TextLine(self._note(i), 1 + _GUTTER + GAP / 2, top + heights[i] / 2)
            for i, top in enumerate(tops)
            if self._note(i)
        ]
        self.ax_ = draw_grid(
            [
                tile._replace(row=top)
                for row, top in zip(results, tops, strict=True)
                for tile in row
            ],
            lines,
            n_columns=max([3 + _GUTTER, *(1 + tile.column for tile in tiles)]),
            n_rows=max([LINE_HEIGHT, *bottoms.tolist()]),
            ax=ax,
            caller=f"{type(self).__name__}.plot",
            pictures=pictures,
        )
        self.figure_: Figure = self.ax_.figure  # type: ignore[assignment]  # or SubFigure
        return self

    def _note(self, i: int) -> str:
        """Return the text that is drawn in the place of missing neighbors."""
        if self.neighbor_images[i] is None:
            return "not searched"
        return "" if self.neighbor_images[i] else "no similar images"

    @staticmethod
    def _legend(frames: set[FrameStyle | None]) -> list[TextLine]:
        if not frames:
            return []
        row, names = LINE_HEIGHT, ("same label as the query", "another label")
        return [
            TextLine(name, GAP / 2 + i * 1.9, row, frame)
            for i, (frame, name) in enumerate(zip((RIGHT, WRONG), names, strict=True))
        ]

    def _tiles(self, i: int, show_left_out: bool) -> list[Tile]:
        """Return the tiles of a query and its results, in row 0."""
        query = self.query_images[i]
        near = self.neighbor_images[i] or ()
        name = _of(self.query_captions, i, source_name(query))
        tiles = [Tile(query, 0, 0, "query", name)]
        titles = [
            f"#{rank}   {_rounded(distance)}"
            for rank, distance in enumerate(np.asarray(self.distances[i]), start=1)
        ]
        texts, matches = _of(self.neighbor_captions, i), _of(self.neighbor_matches, i)
        tiles += _row_of_tiles(near, titles, texts, matches, 1 + _GUTTER)
        if self.left_out_images is None or self.left_out_distances is None:
            return tiles
        if show_left_out:
            titles = [
                _comparison(distance, self.max_distance)
                for distance in np.asarray(self.left_out_distances[i])
            ]
            tiles += [
                tile._replace(is_faded=True)
                for tile in _row_of_tiles(
                    self.left_out_images[i],
                    titles,
                    _of(self.left_out_captions, i),
                    _of(self.left_out_matches, i),
                    1 + 2 * _GUTTER + (len(near) or 2),
                )
            ]
        return tiles


class _Results(NamedTuple):
    """Images, captions and matches of the nearest images of each query."""

    query_captions: list[str]
    images: list[list[Any]]
    captions: list[list[str]]
    matches: list[Matches] | None


def _describe(
    indexed: CaptionedImages,
    asked: CaptionedImages,
    queries: NDArray[np.int64],
    neighbors: Sequence[NDArray[np.int64]],
    kind: CaptionKind,
    frame: str | None,
) -> _Results:
    rows = [found.tolist() for found in neighbors]
    query_rows = queries.tolist()
    drawn = {row for found in rows for row in found}
    if asked is indexed:
        drawn |= set(query_rows)
    captions = indexed.captions(kind, sorted(drawn))
    of_queries = captions if asked is indexed else asked.captions(kind, query_rows)
    matches = [
        indexed.matches(asked.label(query), found)
        for query, found in zip(query_rows, rows, strict=True)
    ]
    return _Results(
        [of_queries[query] for query in query_rows],
        [[indexed.images[row] for row in found] for found in rows],
        [[captions[row] for row in found] for found in rows],
        matches if frame == "label" else None,
    )


def _heights_of_rows(
    rows: Sequence[Sequence[Tile]], pictures: Sequence[Picture]
) -> list[float]:
    """Return the height of the tallest image of each row."""
    remaining = iter(pictures)
    return [max(tile_height(next(remaining)) for _ in row) for row in rows]


def _row_of_tiles(
    images: Sequence[Any],
    titles: Sequence[str],
    captions: Sequence[str] | None,
    matches: Sequence[bool | None] | None,
    column: float,
) -> list[Tile]:
    names = [*map(source_name, images)] if captions is None else captions
    frames = {True: RIGHT, False: WRONG, None: None}
    styles = [frames[match] for match in matches or [None] * len(images)]
    return [
        Tile(image, column + n, 0, title, name, frame=style)
        for n, (image, title, name, style) in enumerate(
            zip(images, titles, names, styles, strict=True)
        )
    ]


def _of(lists: Sequence[Any] | None, i: int, default: Any = None) -> Any:
    return default if lists is None else lists[i]


def _first(lists: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    return [some[:n] for some, n in zip(lists, counts, strict=True)]


def _rest(lists: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    return [some[n:] for some, n in zip(lists, counts, strict=True)]


def _check_choices(captions: str, frame: str | None) -> None:
    if captions not in KINDS:
        raise ValueError(f"captions={captions!r} must be one of {KINDS}.")
    if frame not in ("label", None):
        raise ValueError(f"frame={frame!r} must be 'label' or None.")


def _find_readable_queries(
    index: SimilarityIndex, X: ArrayLike | None, query_images: Any, caller: str
) -> NDArray[np.bool_]:
    """Return which queries are readable; None for X means the rows of the index."""
    if X is None:
        return index.readable_
    if query_images is None:
        raise ValueError(
            "query_images=None is only allowed if X=None; pass one image for each row "
            "of X."
        )
    return find_readable_rows(check_embeddings(X, caller))


def _check_queries(images: Any, labels: ArrayLike | None, n: int) -> CaptionedImages:
    """Return the images and labels of queries, one for each row of X."""
    sources = check_image_sources(images, "query_images")
    check_length("query_images", sources, n, "rows of X")
    if labels is None:
        return CaptionedImages(sources)
    column = np.asarray(column_or_1d(labels))
    check_length("query_labels", column, n, "rows of X")
    return CaptionedImages(sources, labels=column)


def _check_labels_are_known(indexed: CaptionedImages, asked: CaptionedImages) -> None:
    if indexed.labels is None:
        raise ValueError(
            "frame='label' needs the labels of the indexed images; pass them to fit of "
            "the index as y."
        )
    if asked.labels is None:
        raise ValueError(
            "frame='label' needs the labels of the queries; pass query_labels with one "
            "label for each row of X."
        )


def _rounded(distance: float) -> str:
    return f"{distance:.3f}" if abs(distance) < 1000 else f"{distance:.5g}"


def _comparison(distance: float, max_distance: float | None) -> str:
    rounded = _rounded(distance)
    if max_distance is None:
        return rounded
    limit = _rounded(max_distance)
    return f"just > {limit}" if rounded == limit else f"{rounded} > {limit}"


def _as_rows(rows: ArrayLike) -> NDArray[Any]:
    """Return row numbers or a mask for indexing. An empty list selects no row."""
    selected = np.asarray(rows)
    return selected if selected.size else selected.astype(np.int64)


def _search_rows(
    index: SimilarityIndex,
    X: ArrayLike | None,
    queries: NDArray[np.int64],
    n_neighbors: int | None,
) -> tuple[list[NDArray[np.int64]], list[NDArray[Any]]]:
    """Return the neighbors of some rows of X, or of the index if X is None."""
    if X is not None:
        result = index.search(np.asarray(X)[queries], n_neighbors)
        return result.rows, result.distances
    result = index.search(n_neighbors=n_neighbors)
    return [result.rows[i] for i in queries], [result.distances[i] for i in queries]
