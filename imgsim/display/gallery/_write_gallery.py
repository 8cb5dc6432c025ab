"""A page to browse a collection of images, in one HTML file."""

import base64
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from imgsim._atomic_file import check_target, replace_file
from imgsim._distance.metric import MetricName
from imgsim._html import as_text, render_html
from imgsim._validation import (
    Interval,
    StrOptions,
    check_embeddings,
    validate_params,
)
from imgsim.display._checks import check_length
from imgsim.display._labels import LabelNames
from imgsim.display.gallery._page_data import (
    PageClusters,
    PageImages,
    center_distances,
    embed_images,
    find_folders,
    find_neighbors,
    image_names,
    link_images,
    make_clusters,
    make_index,
    scale_positions,
)
from imgsim.images._sources import check_image_sources
from imgsim.index import SimilarityIndex

_SCRIPTS = (
    "gallery_map.js",
    "gallery_parts.js",
    "gallery_grid.js",
    "gallery_panel.js",
    "gallery.js",  # uses the scripts before it
)
_PACKAGE = "imgsim.display.gallery"
_BLOCK_SIZE = 64  # number of addresses that the page parses at a time


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
    label_names: LabelNames | None = None,
    positions: ArrayLike | None = None,
    queries: ArrayLike | None = None,
    query_images: Any = None,
    n_neighbors: int = 12,
    max_distance: float | None = None,
    metric: MetricName | Callable[..., float] = "cosine",
    thumbnails: Literal["embed", "link"] = "embed",
    thumbnail_size: int = 128,
    title: str = "Images",
) -> Path:
    """Write an HTML page of images with neighbors, clusters, a map and search results.

    The page is a single file that any browser opens without a network. A click on an
    image opens a panel with the image, its path and its neighbors, which can be clicked
    in turn. Images can be filtered by cluster and by folder, and searched by file name.
    Everything works with the keyboard and on a phone.

    Parameters
    ----------
    path : str or path-like
        File to write, whose name ends in ".html" or ".htm". Its folder must exist. An
        existing file is replaced and keeps its permissions; a symbolic link is
        followed.

    images : sequence of image sources of length n_images
        Images of the page. Images given as paths are shown with their file names, and
        with the part of their path below the folder that contains all of them.

    X : array-like of shape (n_images, n_features), default=None
        Embeddings of the images, which are searched for neighbors. A row of NaN has no
        neighbors.

    index : SimilarityIndex, default=None
        Fitted index of the images, as an alternative to X.

    labels : array-like of shape (n_images,), default=None
        Cluster or class of each image, as an integer or a string. A negative integer
        means noise.

    label_names : mapping of int to str or sequence of str, default=None
        Names of integer labels. None means "cluster 0", "cluster 1" and so on.

    positions : array-like of shape (n_images, 2), default=None
        Position of each image on a map, such as `positions` of an
        `EmbeddingMapDisplay`. NaN leaves an image out of the map. None draws no map.

    queries : array-like of shape (n_queries, n_features), default=None
        Embeddings of queries to search for in X or `index`. The page shows the
        neighbors of each query in a row.

    query_images : sequence of image sources of length n_queries, default=None
        Images of the queries.

    n_neighbors : int, default=12
        Maximum number of neighbors of an image or a query.

    max_distance : float, default=None
        Largest distance of a neighbor, at least 0. None sets no limit.

    metric : str or callable, default="cosine"
        Distance between rows of X, as in :class:`~imgsim.SimilarityIndex`. Not used if
        `index` is given, which has its own metric.

    thumbnails : {"embed", "link"}, default="embed"
        Whether the page contains thumbnails, or links to the image files relative to
        its folder. Links require that all images are given as paths, and the images
        are not read.

    thumbnail_size : int, default=128
        Longer side of a thumbnail in pixels, 16 to 1024.

    title : str, default="Images"
        Title of the page.

    Returns
    -------
    path : Path
        Path of the file.

    Raises
    ------
    ValueError
        If arguments differ in length or number of features, if labels are missing or
        neither integers nor strings, if `label_names` is given without labels, if both
        X and `index` are given, if `queries` or `max_distance` are given without X or
        `index`, if `queries` and `query_images` are not given together, if
        `thumbnails="link"` and an image is not a path, or if `path` is not a valid
        name of an HTML file.

    TypeError
        If X or `queries` is sparse.

    OSError
        If the file cannot be written. The message names it, and an existing file is
        left unchanged.

    See Also
    --------
    NeighborsDisplay : Queries with their nearest neighbors, as a figure.
    ClusterDisplay : The most typical images of each cluster, as a figure.

    Notes
    -----
    An unreadable image is shown as a gray card with the reason; with links, the browser
    reports only that it cannot show the file. Names and labels are shown as text, even
    if they contain HTML. The content security policy of the page forbids other scripts
    and, except for linked images, all requests. A page with embedded thumbnails does
    not contain links to the files, and contains only the part of their paths below the
    folder that contains all of them, so that it can be shared.

    Each image is read once. A thumbnail of 128 pixels takes about 5 KB, and the page is
    assembled in memory. Images can be sorted by their distance to the mean of their
    cluster, if X and labels are given and the metric has a mean. While an image is
    open, images are sorted by their distance to it: its neighbors come first, and the
    distances of other images are not known.

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
    target, images = _checked_target(path), check_image_sources(images, "images")
    clusters = make_clusters(labels, label_names, len(images))
    has_neighbors = X is not None or index is not None
    if max_distance is not None and not has_neighbors:
        raise ValueError(
            f"max_distance={max_distance} needs X or index to find neighbors; pass one."
        )
    search = partial(
        find_neighbors,
        _checked_index(X, index, metric, images),
        n_neighbors=n_neighbors,
        max_distance=max_distance,
    )
    data: dict[str, Any] = {
        "names": image_names(images),
        **_folder_data(images),
        **_cluster_data(clusters, X, metric),
        "positions": scale_positions(positions, len(images)),
        "neighbors": search(len(images)) if has_neighbors else None,
        "queries": None,
        "blockSize": _BLOCK_SIZE,
    }
    sources = {"images": images}
    if queries is not None or query_images is not None:
        query_images = _checked_query_images(queries, query_images, has_neighbors)
        data["queries"] = {
            "names": image_names(query_images, "query"),
            "results": search(len(query_images), queries),
        }
        sources["query_images"] = query_images
    if thumbnails == "link":
        page_images = link_images(sources, target)
    else:
        page_images = embed_images(sources, thumbnail_size)
    page = _render_page(data, page_images, title, is_linked=thumbnails == "link")
    with replace_file(target) as file:
        file.write(page.encode("utf-8"))
    return target


def _cluster_data(
    clusters: PageClusters | None,
    X: ArrayLike | None,
    metric: MetricName | Callable[..., float],
) -> dict[str, Any]:
    return {
        "clusters": clusters and clusters.names,
        "clusterOf": clusters and clusters.of_image.tolist(),
        "noise": clusters and clusters.noise,
        "centerDistances": clusters and center_distances(X, clusters.of_image, metric),
    }


def _folder_data(images: Sequence[Any]) -> dict[str, Any]:
    folders = find_folders(images)
    return {
        "folders": folders and folders.names,
        "folderOf": folders and folders.of_image,
    }


def _checked_target(path: str | os.PathLike[str]) -> Path:
    target = Path(os.fsdecode(path))
    if target.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"path={str(target)!r} must end in '.html' or '.htm'.")
    check_target(target)
    return target


def _checked_index(
    X: ArrayLike | None,
    index: SimilarityIndex | None,
    metric: MetricName | Callable[..., float],
    images: Sequence[Any],
) -> SimilarityIndex | None:
    """Return the index of the images, or None if there are no embeddings."""
    if index is None:
        return make_index(X, metric, len(images))
    if X is not None:
        raise ValueError("X and index are both given; pass one of them.")
    check_is_fitted(index)
    check_length("images", images, index.n_samples_fit_, "rows of the index")
    return index


def _checked_query_images(
    queries: ArrayLike | None, query_images: Any, has_neighbors: bool
) -> Sequence[Any]:
    if queries is None or query_images is None:
        raise ValueError("queries and query_images must be given together.")
    if not has_neighbors:
        raise ValueError("queries needs X or index to search in; pass one of them.")
    sources = check_image_sources(query_images, "query_images")
    n_queries = len(check_embeddings(queries, "write_gallery", name="queries"))
    check_length("query_images", sources, n_queries, "queries")
    return sources


def _render_page(
    data: Mapping[str, Any], images: PageImages, title: str, *, is_linked: bool
) -> str:
    addresses = images.addresses
    return render_html(
        _PACKAGE,
        "gallery.html",
        title=as_text(title),
        data={**data, "reasons": images.reasons},
        blocks=[
            addresses[i : i + _BLOCK_SIZE]
            for i in range(0, len(addresses), _BLOCK_SIZE)
        ],
        scripts=_SCRIPTS,
        script_hashes=[_hash(name) for name in _SCRIPTS],
        style_hash=_hash("gallery.css"),
        is_linked=is_linked,
    )


def _hash(template: str) -> str:
    """Return the hash with which the content security policy allows a template."""
    digest = hashlib.sha256(render_html(_PACKAGE, template).encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")
