"""Results of a search, which notebooks display as images."""

import os
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from imgsim._html import as_text, render_html
from imgsim._typing import SupportsArray
from imgsim.export._json_value import to_json_value
from imgsim.images._read import ImageSource
from imgsim.images._sources import check_image_sources
from imgsim.images._thumbnails import thumbnail_data_uris
from imgsim.images.listing._files import is_image_path
from imgsim.index._row_store import RowStore

_MAX_QUERIES = 20  # displayed by a notebook
_MAX_NEIGHBORS = 10
_THUMBNAIL_PIXELS = 96


class KnownQuery(NamedTuple):
    """A query that is a row of the index: its row number and its id."""

    row: int
    id: Any


class SearchResult(tuple[list[NDArray[Any]], list[NDArray[Any]]]):
    """Result of :meth:`SimilarityIndex.search`: the pair of distances and ids.

    `distances, ids = result` unpacks it. Notebooks display the result as a table of
    images if the ids are paths of images, or if :meth:`with_images` was called. A query
    is displayed in front of its neighbors if it is a row of the index, or if its image
    was passed to :meth:`with_images`.

    Parameters
    ----------
    distances : list of n_queries ndarray, each of shape (n_found,)
        Distances of the neighbors of each query, in increasing order.

    ids : list of n_queries ndarray, each of shape (n_found,)
        Ids of the neighbors of each query, in the same order.

    rows : list of n_queries ndarray, each of shape (n_found,), dtype int64
        Row numbers of the neighbors in the index, in the same order.

    known_queries : sequence of (int, id) or None, default=()
        Row number and id of each of the first queries that is a row of the index. None
        stands for other queries.

    See Also
    --------
    imgsim.display.NeighborsDisplay : Draws queries and their neighbors as a figure.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim import SimilarityIndex
    >>> index = SimilarityIndex(n_neighbors=2).fit(np.eye(3), ids=["a", "b", "c"])
    >>> result = index.search([[3.0, 2.0, 1.0]])
    >>> [neighbors.tolist() for neighbors in result.ids]
    [['a', 'b']]
    >>> distances, ids = result
    """

    rows: list[NDArray[Any]]
    _known_queries: Sequence["KnownQuery | None"]
    _images: Sequence[Any] | None = None
    _query_images: Sequence[Any] | None = None

    def __new__(
        cls,
        distances: list[NDArray[Any]],
        ids: list[NDArray[Any]],
        rows: list[NDArray[Any]],
        known_queries: Sequence["KnownQuery | None"] = (),
    ) -> Self:
        """Create the pair of distances and ids."""
        result = super().__new__(cls, (distances, ids))
        result.rows = rows
        result._known_queries = known_queries
        return result

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Return the arguments of `__new__`, for copies and pickles."""
        return self.distances, self.ids, self.rows, self._known_queries

    def __repr__(self) -> str:
        n_found = sum(map(len, self.ids))
        return f"<SearchResult: {len(self.ids)} queries, {n_found} neighbors>"

    @property
    def ids(self) -> list[NDArray[Any]]:
        """Return the ids of the neighbors of each query."""
        return self[1]

    @property
    def distances(self) -> list[NDArray[Any]]:
        """Return the distances of the neighbors of each query."""
        return self[0]

    def to_dict(self) -> dict[str, list[list[Any]]]:
        """Return the result as a dictionary that the module `json` can write.

        Returns
        -------
        result : dict
            `distances`, `ids` and `rows` by name, each a list with one list for each
            query. Ids that are paths are strings. A distance of NaN or infinity is
            None.
        """
        names = ("distances", "ids", "rows")
        result: dict[str, list[list[Any]]] = to_json_value(
            {name: getattr(self, name) for name in names}
        )
        return result

    def with_images(
        self,
        images: Sequence[ImageSource] | SupportsArray | None = None,
        query_images: Sequence[ImageSource] | SupportsArray | None = None,
    ) -> "SearchResult":
        """Return the same result, displayed with these images.

        Parameters
        ----------
        images : sequence of image sources, default=None
            Images of the index, in the order of its rows. None displays the files whose
            paths are ids.

        query_images : sequence of image sources of length n_queries, default=None
            Images of the queries. None displays the images of those queries that are
            rows of the index.

        Returns
        -------
        result : SearchResult
            A copy that contains the images.

        Raises
        ------
        ValueError
            If an image is missing for one of the neighbors, or the number of
            `query_images` differs from the number of queries.
        """
        sources = None if images is None else self._check_images(images)
        query_sources = None
        if query_images is not None:
            query_sources = check_image_sources(query_images, "query_images")
            if len(query_sources) != len(self.ids):
                raise ValueError(
                    f"query_images has {len(query_sources)} entries, but there are "
                    f"{len(self.ids)} queries; pass an image for each query."
                )
        result = SearchResult(*self, self.rows, self._known_queries)
        result._images, result._query_images = sources, query_sources
        return result

    def _check_images(
        self, images: Sequence[ImageSource] | SupportsArray
    ) -> Sequence[Any]:
        sources = check_image_sources(images, "images")
        n_rows = max((int(row.max()) + 1 for row in self.rows if len(row)), default=0)
        if len(sources) < n_rows:
            raise ValueError(
                f"images has {len(sources)} entries, but the index has at least "
                f"{n_rows} rows; pass an image for each row."
            )
        return sources

    def _repr_html_(self) -> str:
        n_displayed = min(len(self.ids), _MAX_QUERIES)
        lines = [
            [self._query_cell(i), *self._neighbor_cells(i)] for i in range(n_displayed)
        ]
        sources = [cell.source for line in lines for cell in line]
        thumbnails = iter(_make_thumbnails(sources))
        return render_html(
            "imgsim.index",
            "search_result.html",
            lines=[[(cell, next(thumbnails)) for cell in line] for line in lines],
            n_neighbors=[len(neighbors) for neighbors in self.ids],
            n_more=len(self.ids) - n_displayed,
            size=_THUMBNAIL_PIXELS,
        )

    def _query_cell(self, i: int) -> "_Cell":
        title, known = f"query {i}", None
        if i < len(self._known_queries):
            known = self._known_queries[i]
        if self._query_images is not None:
            source = self._query_images[i]
            return _Cell(
                title, source, _display_name(source) if _is_path(source) else ""
            )
        if known is None:
            return _Cell(title, None)
        name = _display_name(known.id) if _is_path(known.id) else ""
        return _Cell(title, self._image(known.id, known.row), name)

    def _neighbor_cells(self, i: int) -> "list[_Cell]":
        neighbors = zip(self.ids[i], self.distances[i], self.rows[i], strict=True)
        return [
            _Cell(f"{distance:.3f}", self._image(name, int(row)), _display_name(name))
            for name, distance, row in islice(neighbors, _MAX_NEIGHBORS)
        ]

    def _image(self, name: Any, row: int) -> Any:
        if self._images is not None and row < len(self._images):
            return self._images[row]
        return name if is_image_path(name) else None


class _Cell(NamedTuple):
    title: str
    source: Any
    name: str = ""


def find_known_queries(
    queries: NDArray[Any] | None, indices: Sequence[NDArray[Any]], store: RowStore
) -> list[KnownQuery | None]:
    """Return which of the first queries are rows of an index.

    Without queries, each row is a query. Other queries are compared with their nearest
    neighbor.
    """
    ids = store.ids
    if queries is None:
        return [KnownQuery(row, ids[row]) for row in range(min(len(ids), _MAX_QUERIES))]
    values, slots = store.slot_rows.values, np.flatnonzero(store.present)
    nearest = [int(rows[0]) if len(rows) else None for rows in indices[:_MAX_QUERIES]]
    return [
        None
        if row is None or not np.array_equal(query, values[slots[row]])
        else KnownQuery(row, ids[row])
        for query, row in zip(queries, nearest, strict=False)
    ]


def _is_path(name: Any) -> bool:
    return isinstance(name, str | os.PathLike)


def _display_name(name: Any) -> str:
    return as_text(os.path.basename(name) if _is_path(name) else name)


class _Thumbnail(NamedTuple):
    uri: str = ""
    failure: str = ""


def _make_thumbnails(sources: list[Any]) -> list[_Thumbnail]:
    """Return the thumbnail of each source, or an empty thumbnail for None."""
    thumbnails = [_Thumbnail()] * len(sources)
    known = [i for i, source in enumerate(sources) if source is not None]
    if not known:
        return thumbnails
    uris, failures = thumbnail_data_uris([sources[i] for i in known], _THUMBNAIL_PIXELS)
    for i, uri in zip(known, uris, strict=True):
        thumbnails[i] = _Thumbnail(uri or "")
    for failure in failures:
        i = known[failure.row]
        thumbnails[i] = _Thumbnail(failure=as_text(failure.reason))
    return thumbnails
