"""Answers of an index, which a notebook shows as pictures."""

import os
from itertools import islice
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from imgsim._html import as_text, render_html
from imgsim.images._files import is_image_path
from imgsim.images._sources import check_image_sources
from imgsim.images._thumbnails import thumbnail_data_uris

_MOST_QUERIES = 20  # shown by a notebook
_MOST_NEIGHBORS = 10
_THUMBNAIL_PIXELS = 96


class SearchResult(tuple[list[NDArray[Any]], list[NDArray[Any]]]):
    """What :meth:`SimilarityIndex.search` finds: the pair of distances and ids.

    `distances, ids = result` unpacks it. Notebooks show it as a table of pictures,
    if the ids are paths of images, or if they are told by :meth:`with_images`.

    Parameters
    ----------
    distances : list of n_queries ndarray, each of shape (n_found,)
        Distances of the neighbors of each query, increasing.

    ids : list of n_queries ndarray, each of shape (n_found,)
        Ids of the neighbors of each query, the nearest first.

    rows : list of n_queries ndarray, each of shape (n_found,), dtype int64
        Their rows in the index.

    See Also
    --------
    imgsim.display.NeighborsDisplay : The same as a figure.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim import SimilarityIndex
    >>> index = SimilarityIndex(n_neighbors=2).fit(np.eye(3), ids=["a", "b", "c"])
    >>> result = index.search([[3.0, 2.0, 1.0]])
    >>> [found.tolist() for found in result.ids]
    [['a', 'b']]
    >>> distances, ids = result
    """

    rows: list[NDArray[Any]]
    _images: Any = None
    _query_images: Any = None

    def __new__(
        cls,
        distances: list[NDArray[Any]],
        ids: list[NDArray[Any]],
        rows: list[NDArray[Any]],
    ) -> Self:
        """Make the pair."""
        result = super().__new__(cls, (distances, ids))
        result.rows = rows
        return result

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Return what a copy is made from."""
        return self.distances, self.ids, self.rows

    def __repr__(self) -> str:
        n_found = sum(map(len, self.ids))
        return f"<SearchResult: {len(self.ids)} queries, {n_found} neighbours>"

    @property
    def ids(self) -> list[NDArray[Any]]:
        """Return the ids of the neighbours of each query."""
        return self[1]

    @property
    def distances(self) -> list[NDArray[Any]]:
        """Return the distances of the neighbours of each query."""
        return self[0]

    def with_images(self, images: Any, query_images: Any = None) -> "SearchResult":
        """Return the same result, shown with these pictures.

        Parameters
        ----------
        images : sequence of image sources
            The images of the index, in the order of its rows.

        query_images : sequence of image sources of length n_queries, default=None
            The queries as images.

        Returns
        -------
        result : SearchResult
            With the same ids and distances.

        Raises
        ------
        ValueError
            If there are not as many queries, or too few images.
        """
        images = check_image_sources(images)
        n_least = max((int(row.max()) + 1 for row in self.rows if len(row)), default=0)
        if len(images) < n_least:
            raise ValueError(
                f"images holds {len(images)} images; the index has {n_least} rows or "
                f"more."
            )
        if query_images is not None:
            query_images = check_image_sources(query_images)
            if len(query_images) != len(self.ids):
                raise ValueError(
                    f"query_images holds {len(query_images)} images for "
                    f"{len(self.ids)} queries."
                )
        shown = SearchResult(self.distances, self.ids, self.rows)
        shown._images, shown._query_images = images, query_images
        return shown

    def _repr_html_(self) -> str:
        n_shown = min(len(self.ids), _MOST_QUERIES)
        answers = [[self._query(i), *self._neighbors(i)] for i in range(n_shown)]
        cells = [cell for answer in answers for cell in answer]
        pictures = iter(_pictures([cell.source for cell in cells]))
        return render_html(
            "imgsim.index",
            "search_result.html",
            answers=[[(cell, next(pictures)) for cell in answer] for answer in answers],
            n_found=[len(found) for found in self.ids],
            n_more=len(self.ids) - n_shown,
            size=_THUMBNAIL_PIXELS,
        )

    def _query(self, i: int) -> "_Cell":
        images = self._query_images
        return _Cell(f"query {i}", None if images is None else images[i])

    def _neighbors(self, i: int) -> "list[_Cell]":
        found = zip(self.ids[i], self.distances[i], self.rows[i], strict=True)
        return [
            _Cell(f"{distance:.3f}", self._image(name, int(row)), _shown(name))
            for name, distance, row in islice(found, _MOST_NEIGHBORS)
        ]

    def _image(self, name: Any, row: int) -> Any:
        if self._images is not None:
            return self._images[row]
        return name if is_image_path(name) else None


class _Cell(NamedTuple):
    title: str
    source: Any
    name: str = ""


def _shown(name: Any) -> str:
    is_path = isinstance(name, str | os.PathLike)
    return as_text(os.path.basename(name) if is_path else name)


class _Picture(NamedTuple):
    address: str = ""
    fault: str = ""


def _pictures(sources: list[Any]) -> list[_Picture]:
    """Return the picture of each source, an empty one for None."""
    pictures = [_Picture()] * len(sources)
    known = [i for i, source in enumerate(sources) if source is not None]
    if not known:
        return pictures
    addresses, failures = thumbnail_data_uris(
        [sources[i] for i in known], _THUMBNAIL_PIXELS
    )
    for i, address in zip(known, addresses, strict=True):
        pictures[i] = _Picture(address or "")
    for failure in failures:
        pictures[known[failure.row]] = _Picture(fault=as_text(failure.reason))
    return pictures
