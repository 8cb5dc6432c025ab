"""Display of queries with their nearest neighbors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from imgsim._distance.metric import check_max_distance
from imgsim._validation import check_embeddings, find_readable_rows
from imgsim.display._checks import check_length
from imgsim.display._grid import GAP, LINE_HEIGHT, TextLine, Tile, draw_grid
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
    the row. They are faded, and their caption shows both distances. Create the
    display with :meth:`from_index` or :meth:`from_estimator`.

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
    ) -> None:
        self.query_images = query_images
        self.neighbor_images = neighbor_images
        self.distances = distances
        self.left_out_images = left_out_images
        self.left_out_distances = left_out_distances
        self.max_distance = max_distance

    @classmethod
    def from_index(
        cls,
        index: SimilarityIndex,
        X: ArrayLike | None = None,
        *,
        images: Any,
        query_images: Any = None,
        rows: ArrayLike | None = None,
        n_neighbors: int | None = None,
        max_distance: float | None = None,
    ) -> Self:
        """Search an index and select the images of the results.

        Parameters
        ----------
        index : SimilarityIndex
            Fitted index.

        X : array-like of shape (n_queries, n_features), default=None
            Embeddings of the queries. None uses each indexed row as a query, and
            excludes it from its own result.

        images : sequence of image sources
            Images of the index, in the order of its rows.

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

        Returns
        -------
        display : NeighborsDisplay
            Display, to be drawn with :meth:`plot`.

        Raises
        ------
        ValueError
            If the number of images differs from the number of rows, if `query_images`
            is missing, or if `max_distance` is not a number of at least 0.

        IndexError
            If `rows` contains a row that does not exist.
        """
        check_is_fitted(index)
        if X is not None and query_images is None:
            raise ValueError(
                "query_images=None is only allowed if X=None; pass one image for each "
                "row of X."
            )
        images = check_image_sources(images, "images")
        check_length("images", images, index.n_samples_fit_, "rows of the index")
        readable = index.readable_
        if X is None:
            query_images = images
        else:
            query_images = check_image_sources(query_images, "query_images")
            rows_of_X = check_embeddings(X, f"{cls.__name__}.from_index")
            readable = find_readable_rows(rows_of_X)
        check_length("query_images", query_images, len(readable), "rows of X")
        queries = np.arange(len(readable))
        if rows is not None:
            queries = np.atleast_1d(queries[_as_rows(rows)])
        neighbors, distances = _search_rows(index, X, queries, n_neighbors)
        limit = check_max_distance(max_distance, index.effective_metric_)
        n_near = [int(np.searchsorted(d, limit, side="right")) for d in distances]
        return cls(
            query_images=[query_images[i] for i in queries],
            neighbor_images=[
                [images[j] for j in neighbors[i][:n]] if readable[query] else None
                for i, (query, n) in enumerate(zip(queries, n_near, strict=True))
            ],
            distances=[d[:n] for d, n in zip(distances, n_near, strict=True)],
            left_out_images=[
                [images[j] for j in nearest[n:]]
                for nearest, n in zip(neighbors, n_near, strict=True)
            ],
            left_out_distances=[d[n:] for d, n in zip(distances, n_near, strict=True)],
            max_distance=max_distance,
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Pipeline,
        X: Any,
        *,
        images: Any,
        n_neighbors: int | None = None,
        max_distance: float | None = None,
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

        images : sequence of image sources
            Images that the pipeline was fitted on.

        n_neighbors : int, default=None
            Number of nearest images to search for; fewer if the index contains fewer.
            None uses `n_neighbors` of the index.

        max_distance : float, default=None
            Largest distance of a neighbor. Nearest images beyond it are drawn as left
            out. None sets no limit.

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
        )

    def plot(self, *, ax: "Axes | None" = None) -> Self:
        """Draw the queries and their neighbors.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure of suitable size.

        Returns
        -------
        display : NeighborsDisplay
            The display itself, with `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        """
        tiles: list[Tile] = []
        lines: list[TextLine] = []
        named = any(map(source_name, self.query_images))
        caption_height = (2 if named else 1) * LINE_HEIGHT + GAP
        n_columns = 1 + _GUTTER + 2.0
        for i, query in enumerate(self.query_images):
            top = i * (1 + caption_height) + caption_height
            tiles.append(Tile(query, _caption("query", query), 0, top))
            neighbors = self._neighbor_tiles(i, top)
            if not neighbors:
                is_searched = self.neighbor_images[i] is not None
                text = "no similar images" if is_searched else "not searched"
                lines.append(TextLine(text, 1 + _GUTTER + GAP / 2, top + 0.45))
            left_out = self._left_out_tiles(i, 1 + _GUTTER + (len(neighbors) or 2), top)
            tiles += neighbors + left_out
            n_columns = max(n_columns, 1 + (neighbors + left_out or tiles)[-1].column)
        self.ax_ = draw_grid(
            tiles,
            lines,
            n_columns=n_columns,
            n_rows=len(self.query_images) * (1 + caption_height),
            ax=ax,
            caller=f"{type(self).__name__}.plot",
        )
        self.figure_: Figure = self.ax_.figure  # type: ignore[assignment]  # or SubFigure
        return self

    def _neighbor_tiles(self, i: int, top: float) -> list[Tile]:
        pairs = zip(
            self.neighbor_images[i] or (), np.asarray(self.distances[i]), strict=True
        )
        return [
            Tile(
                image,
                _caption(f"#{rank}   {distance:.3f}", image),
                _GUTTER + rank,
                top,
            )
            for rank, (image, distance) in enumerate(pairs, start=1)
        ]

    def _left_out_tiles(self, i: int, column: float, top: float) -> list[Tile]:
        """Return faded tiles of nearest images beyond `max_distance`."""
        if self.left_out_images is None or self.left_out_distances is None:
            return []
        pairs = zip(
            self.left_out_images[i], np.asarray(self.left_out_distances[i]), strict=True
        )
        return [
            Tile(
                image,
                _caption(_comparison(distance, self.max_distance), image),
                column + _GUTTER + n,
                top,
                is_faded=True,
            )
            for n, (image, distance) in enumerate(pairs)
        ]


def _caption(text: str, image: Any) -> str:
    return f"{text}\n{source_name(image)}".strip()


def _comparison(distance: float, max_distance: float | None) -> str:
    rounded = f"{distance:.3f}"
    if max_distance is None:
        return rounded
    limit = f"{max_distance:.3f}"
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
