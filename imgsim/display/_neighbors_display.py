"""Queries with their nearest images beside them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from imgsim._distance.metric import check_max_distance
from imgsim._validation import find_readable_rows
from imgsim.display._checks import check_length
from imgsim.display._grid import GAP, LINE_HEIGHT, TextLine, Tile, draw_grid
from imgsim.display._text import source_name
from imgsim.images._sources import check_image_sources
from imgsim.index import SimilarityIndex

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GUTTER = 0.35  # cells between a query, its neighbours and those left out


class NeighborsDisplay:
    """Rows of pictures: a query on the left, its neighbours to the right.

    Each neighbour bears its rank and its distance. A query without neighbours is
    answered in words. Nearest images that a threshold leaves out stand at the end,
    faded, with the distance that is too large. Create it by :meth:`from_index` or
    :meth:`from_estimator`.

    Parameters
    ----------
    query_images : sequence of image sources of length n_queries
        The queries.

    neighbor_images : list of n_queries lists of image sources
        The neighbours of each query, the nearest first; perhaps none. None instead
        of a list says that the query was not searched, being unreadable.

    distances : list of n_queries array-like
        Their distances.

    left_out_images : list of n_queries lists of image sources, default=None
        The nearest images that are no neighbours, being farther than `max_distance`.

    left_out_distances : list of n_queries array-like, default=None
        Their distances.

    max_distance : float, default=None
        Largest distance of a neighbour.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.

    figure_ : matplotlib Figure
        The figure that holds them.

    See Also
    --------
    ClusterDisplay : Groups of images.

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
        """Search an index and keep the pictures of its answers.

        Parameters
        ----------
        index : SimilarityIndex
            A fitted index.

        X : array-like of shape (n_queries, n_features), default=None
            Embeddings of the queries. None takes the rows of the index, and then no
            image is its own neighbour.

        images : sequence of image sources
            The images of the index, in the order of its rows.

        query_images : sequence of image sources of length n_queries, default=None
            The queries as images. May be left out if X is None.

        rows : array-like of int, default=None
            Which rows of the index, or of X if that is given, are queries. None takes
            all.

        n_neighbors : int, default=None
            Number of nearest images looked for, or as many as there are. None takes
            that of the index.

        max_distance : float, default=None
            Largest distance of a neighbour; the nearest images beyond it are shown as
            left out. None sets no limit.

        Returns
        -------
        display : NeighborsDisplay
            To be drawn by :meth:`plot`.

        Raises
        ------
        ValueError
            If there are not as many images as rows, or no images of the queries; if
            `max_distance` is no number of at least 0.

        IndexError
            If one of `rows` does not exist.
        """
        check_is_fitted(index)
        if X is not None and query_images is None:
            raise ValueError("query_images must be given, one for each row of X.")
        images = check_image_sources(images)
        check_length("images", images, index.n_samples_fit_, "rows of the index")
        query_images = images if X is None else check_image_sources(query_images)
        readable = index.readable_ if X is None else find_readable_rows(np.asarray(X))
        check_length("query_images", query_images, len(readable), "rows of X")
        queries = np.arange(len(readable))
        if rows is not None:
            queries = np.atleast_1d(queries[_as_rows(rows)])
        found, distances = _search_rows(index, X, queries, n_neighbors)
        limit = check_max_distance(max_distance, index.effective_metric_)
        n_near = [int(np.searchsorted(some, limit, side="right")) for some in distances]
        return cls(
            query_images=[query_images[i] for i in queries],
            neighbor_images=[
                [images[j] for j in found[i][:n]] if readable[query] else None
                for i, (query, n) in enumerate(zip(queries, n_near, strict=True))
            ],
            distances=[some[:n] for some, n in zip(distances, n_near, strict=True)],
            left_out_images=[
                [images[j] for j in some[n:]]
                for some, n in zip(found, n_near, strict=True)
            ],
            left_out_distances=[
                some[n:] for some, n in zip(distances, n_near, strict=True)
            ],
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
        """Embed queries, search, and keep the pictures of the answers.

        Parameters
        ----------
        estimator : Pipeline
            Fitted, with a :class:`~imgsim.SimilarityIndex` as last step and an
            embedder before it; or a search over such pipelines, for its best one.

        X : sequence of image sources of length n_queries
            The queries.

        images : sequence of image sources
            The images that the pipeline was fitted on.

        n_neighbors : int, default=None
            Number of nearest images looked for, or as many as there are. None takes
            that of the index.

        max_distance : float, default=None
            Largest distance of a neighbour; the nearest images beyond it are shown as
            left out. None sets no limit.

        Returns
        -------
        display : NeighborsDisplay
            To be drawn by :meth:`plot`.

        Raises
        ------
        TypeError
            If `estimator` is no pipeline that ends in an index.
        """
        estimator = getattr(estimator, "best_estimator_", estimator)
        if not isinstance(estimator, Pipeline) or not isinstance(
            estimator[-1], SimilarityIndex
        ):
            raise TypeError(
                "estimator must be a fitted Pipeline that ends in a SimilarityIndex; "
                f"got {type(estimator).__name__}. For an index use from_index."
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
        """Draw the rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure of a fitting size.

        Returns
        -------
        display : NeighborsDisplay
            With `ax_` and `figure_` set.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is missing.
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
                answer = "not searched"
                if self.neighbor_images[i] is not None:
                    answer = "no similar images"
                lines.append(TextLine(answer, 1 + _GUTTER + GAP / 2, top + 0.45))
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
        self.figure_: Figure = self.ax_.figure  # type: ignore[assignment]  # or a part
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
        """Tell why nearest images are no neighbours."""
        if self.left_out_images is None or self.left_out_distances is None:
            return []
        pairs = zip(
            self.left_out_images[i], np.asarray(self.left_out_distances[i]), strict=True
        )
        return [
            Tile(
                image,
                _caption(_beyond(distance, self.max_distance), image),
                column + _GUTTER + n,
                top,
                is_faded=True,
            )
            for n, (image, distance) in enumerate(pairs)
        ]


def _caption(text: str, image: Any) -> str:
    return f"{text}\n{source_name(image)}".strip()


def _beyond(distance: float, limit: float | None) -> str:
    if limit is None:
        return f"{distance:.3f}"
    shown, bound = f"{distance:.3f}", f"{limit:.3f}"
    return f"just > {bound}" if shown == bound else f"{shown} > {bound}"


def _as_rows(rows: ArrayLike) -> NDArray[Any]:
    """Return row numbers, or a mask, for indexing; an empty list is no row."""
    chosen = np.asarray(rows)
    return chosen if chosen.size else chosen.astype(np.int64)


def _search_rows(
    index: SimilarityIndex,
    X: ArrayLike | None,
    queries: NDArray[np.int64],
    n_neighbors: int | None,
) -> tuple[list[NDArray[np.int64]], list[NDArray[Any]]]:
    """Search for rows of the index, some of which or of X are the queries."""
    if X is not None:
        result = index.search(np.asarray(X)[queries], n_neighbors)
        return result.rows, result.distances
    result = index.search(n_neighbors=n_neighbors)
    return [result.rows[i] for i in queries], [result.distances[i] for i in queries]
