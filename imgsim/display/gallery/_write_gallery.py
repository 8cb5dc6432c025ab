"""A page of pictures for the browser, in one file."""

import base64
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from imgsim._atomic_file import check_target, replace_file
from imgsim._html import as_text, render_html
from imgsim._validation import Interval, StrOptions, validate_params
from imgsim.display._checks import check_embeddings, check_length
from imgsim.display.gallery._page_data import (
    Pictures,
    center_distances,
    embedded_pictures,
    find_neighbors,
    image_names,
    linked_pictures,
    make_groups,
    make_index,
    scaled_positions,
)
from imgsim.images._sources import check_image_sources
from imgsim.index import SimilarityIndex

_SCRIPTS = (
    "gallery_map.js",
    "gallery_parts.js",
    "gallery_grid.js",
    "gallery_panel.js",
    "gallery.js",  # which uses those before it
)
_PACKAGE = "imgsim.display.gallery"
_BLOCK = 64  # pictures that the page decodes at a time


@validate_params(
    {
        "path": [str, os.PathLike],
        "index": [SimilarityIndex, None],
        "label_names": [Mapping, list, tuple, np.ndarray, None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "max_distance": [Interval(Real, 0, None, closed="both"), None],
        "thumbnails": [StrOptions({"embed", "link"})],
        "thumbnail_size": [Interval(Integral, 16, 1024, closed="both")],
        "title": [str],
    },
    prefer_skip_nested_validation=True,
)
def write_gallery(
    path: str | os.PathLike[str],
    images: Any,
    X: ArrayLike | None = None,
    *,
    index: SimilarityIndex | None = None,
    labels: ArrayLike | None = None,
    label_names: Mapping[int, str] | Sequence[str] | None = None,
    positions: ArrayLike | None = None,
    queries: ArrayLike | None = None,
    query_images: Any = None,
    n_neighbors: int = 12,
    max_distance: float | None = None,
    metric: str | Callable[..., float] = "cosine",
    thumbnails: str = "embed",
    thumbnail_size: int = 128,
    title: str = "Images",
) -> Path:
    """Write a page of pictures: neighbours, groups, a map and answers to queries.

    The page is one file, which any browser opens without a network. A picture that is
    clicked shows its neighbours, and they theirs. Pictures are filtered by group and
    searched by name; all of it works by keyboard and on a phone.

    Parameters
    ----------
    path : str or path-like
        The file, which ends in ".html" or ".htm". If it exists it is replaced, with
        the same rights, and a link to it stays one; its folder must exist.

    images : sequence of image sources of length n_images
        The pictures. Those given as paths bear their file names.

    X : array-like of shape (n_images, n_features), default=None
        Embeddings of the images, of which the neighbours are taken; a row of NaN has
        none.

    index : SimilarityIndex, default=None
        A fitted index of the same rows, instead of X.

    labels : array-like of shape (n_images,), default=None
        Group of each image: integers, of which those below 0 stand for no group, or
        strings.

    label_names : mapping of int to str or sequence of str, default=None
        Name of each group, by its label, if labels are integers. None counts them.

    positions : array-like of shape (n_images, 2), default=None
        Where each image is on a map, such as `positions` of an `EmbeddingMapDisplay`.
        None draws no map; an image at NaN is left out of it.

    queries : array-like of shape (n_queries, n_features), default=None
        Embeddings that are looked up in X or `index`, each a row of answers.

    query_images : sequence of image sources of length n_queries, default=None
        The queries as images.

    n_neighbors : int, default=12
        Largest number of neighbours of an image or a query.

    max_distance : float, default=None
        Largest distance of a neighbour, at least 0. None sets no limit.

    metric : str or callable, default="cosine"
        Distance between rows of X, as in :class:`~imgsim.SimilarityIndex`. An index
        has its own.

    thumbnails : {"embed", "link"}, default="embed"
        Whether the page holds small copies of the images, or refers to the files where
        they are, relative to its folder. Images must be paths then, and are not read.

    thumbnail_size : int, default=128
        Longer side of the copies in pixels, 16 to 1024.

    title : str, default="Images"
        Heading of the page.

    Returns
    -------
    path : Path
        The file.

    Raises
    ------
    ValueError
        If lengths differ, labels are neither integers nor strings or some are missing,
        names come without labels, X and `index` are both given, or neither while there
        are queries or a `max_distance`, queries come without images, X or queries have
        another shape, or images are linked to that are no paths.

    TypeError
        If X or queries are sparse.

    OSError
        If the file cannot be written. Then the old one stays as it is.

    See Also
    --------
    NeighborsDisplay : Queries and their neighbours as a figure.
    ClusterDisplay : Groups of images as a figure.

    Notes
    -----
    An unreadable image is a grey card that says why; in a page of links, one that the
    browser cannot show. Names and labels are text, whatever they hold, and the page
    forbids itself scripts and addresses other than its own. A page of copies holds no
    paths and no link to the originals, so that it can be given away alone.

    Every image is read once, and its copies take about 5 KB each at 128 pixels; the
    page is made in memory. Images are sorted by distance from the mean of their group,
    where X and labels are given and the metric has means; from an open picture only
    its `n_neighbors` neighbours have a distance, and come first.

    Examples
    --------
    >>> import tempfile
    >>> from imgsim import ColorHistogramEmbedder
    >>> from imgsim.datasets import load_sample_photos
    >>> from imgsim.display import write_gallery
    >>> photos = load_sample_photos(n_crops=2, n_copies=3)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> names = photos.target_names
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_gallery(
    ...         f"{folder}/photos.html", photos.images, X,
    ...         labels=photos.target, label_names=names,
    ...     )
    ...     page.name, page.stat().st_size < 200_000
    ('photos.html', True)
    """
    target, images = _checked_target(path), check_image_sources(images)
    groups = make_groups(labels, label_names, len(images))
    if X is None and index is None and max_distance is not None:
        raise ValueError("max_distance is of neighbours in X or index; pass one.")
    if index is None:
        index = make_index(X, metric, len(images))
    elif X is not None:
        raise ValueError("X and index are both given; pass one of them.")
    else:
        check_is_fitted(index)
        check_length("images", images, index.n_samples_fit_, "rows of the index")
    search = partial(find_neighbors, index, k=n_neighbors, max_distance=max_distance)
    data = {
        "names": image_names(images),
        "groups": groups and groups.names,
        "groupOf": groups and groups.of_image.tolist(),
        "outside": groups and groups.outside,
        "centers": groups and center_distances(X, groups.of_image, metric),
        "positions": scaled_positions(positions, len(images)),
        "neighbors": None if X is None and index is None else search(len(images)),
        "queries": None,
        "blockSize": _BLOCK,
    }
    shown = {"images": images}
    if queries is not None or query_images is not None:
        asked = _checked_queries(queries, query_images, has_rows=data["neighbors"])
        answers = search(len(asked), queries)
        data["queries"] = {"names": image_names(asked, "query"), "answers": answers}
        shown["query_images"] = asked
    if thumbnails == "link":
        pictures = linked_pictures(shown, target)
    else:
        pictures = embedded_pictures(shown, thumbnail_size)
    page = _rendered(data, pictures, title, is_linked=thumbnails == "link")
    with replace_file(target) as file:
        file.write(page.encode("utf-8"))
    return target


def _checked_target(path: str | os.PathLike[str]) -> Path:
    target = Path(os.fsdecode(path))
    if target.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"path={str(target)!r} must end in '.html' or '.htm'.")
    check_target(target)
    return target


def _checked_queries(queries: Any, query_images: Any, has_rows: Any) -> Sequence[Any]:
    if queries is None or query_images is None:
        raise ValueError("queries and query_images must be given together.")
    if has_rows is None:
        raise ValueError("queries are looked up in X or index; pass one of them.")
    asked = check_image_sources(query_images)
    n_queries = len(check_embeddings("queries", queries))
    check_length("query_images", asked, n_queries, "queries")
    return asked


def _rendered(
    data: Mapping[str, Any], pictures: Pictures, title: str, *, is_linked: bool
) -> str:
    n_pictures = len(pictures.addresses)
    return render_html(
        _PACKAGE,
        "gallery.html",
        title=as_text(title),
        data={**data, "reasons": pictures.reasons},
        blocks=[
            pictures.addresses[i : i + _BLOCK] for i in range(0, n_pictures, _BLOCK)
        ],
        scripts=_SCRIPTS,
        script_hashes=[_hash(name) for name in _SCRIPTS],
        style_hash=_hash("gallery.css"),
        is_linked=is_linked,
    )


def _hash(template: str) -> str:
    """Return what tells the browser that a part of the page is ours."""
    digest = hashlib.sha256(render_html(_PACKAGE, template).encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")
