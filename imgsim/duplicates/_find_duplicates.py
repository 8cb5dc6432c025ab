"""Search for groups of images that are copies of each other."""

from collections.abc import Callable, Hashable, Sequence
from copy import copy
from numbers import Real
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted

from imgsim._distance.metric import Metric, MetricName
from imgsim._distance.rows import DistanceRows
from imgsim._typing import SupportsArray
from imgsim._validation import (
    Interval,
    StrOptions,
    check_embeddings,
    validate_params,
)
from imgsim.duplicates._complete_linkage import complete_linkage, positions_by_label
from imgsim.duplicates._duplicate_group import DuplicateGroup
from imgsim.duplicates._exact_copies import find_first_copies, label_contents
from imgsim.duplicates._same_files import find_distinct_files
from imgsim.images._sources import check_image_sources
from imgsim.index._similarity_index import SimilarityIndex
from imgsim.index.exact._near_pairs import find_near_pairs

_DEFAULT_FOR_COSINE = 0.21


@validate_params(
    {
        "X": ["array-like", SimilarityIndex],
        "max_distance": [Interval(Real, 0, None, closed="left"), None],
        "metric": [StrOptions({*get_args(MetricName)}), callable, None],
        "keep": [StrOptions({"first", "medoid"}), "array-like"],
    },
    prefer_skip_nested_validation=True,
)
def find_duplicates(
    X: ArrayLike | SimilarityIndex,
    max_distance: float | None = None,
    *,
    metric: MetricName | Callable[..., float] | None = None,
    ids: Sequence[Hashable] | None = None,
    keep: Literal["first", "medoid"] | Sequence[float] | SupportsArray = "first",
    images: Sequence[Any] | None = None,
) -> list[DuplicateGroup]:
    """Find groups of images that are exact or near copies of each other.

    All pairs of images in a group are within `max_distance`. A chain of images, each
    of which is similar only to the next one, is therefore not a group. Exact copies are
    identified by their content before any distance is computed. Several paths of one
    file, such as links, count as one image, not as copies.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features) or SimilarityIndex
        Embeddings, or a fitted index. The embeddings, ids and metric of an index are
        used. Rows that contain NaN, which stand for unreadable images, are in no group.

    max_distance : float, default=None
        Largest distance between two images of a group. None means 0.21 for the metric
        "cosine", see Notes. For other metrics, a value is required.

    metric : str or callable, default=None
        Distance between embeddings, as in :class:`SimilarityIndex`. None means
        "cosine", or the metric of the index.

    ids : sequence of length n_samples, default=None
        Unique ids of the images, such as their paths. None means the row numbers, or
        the ids of the index. Ids that are paths of the same file stand for one image.

    keep : {"first", "medoid"} or array-like of shape (n_samples,), default="first"
        Which image of a group to keep: the first one; the medoid, which has the
        smallest sum of distances to the other images; or the image with the largest
        value in an array, such as the number of pixels or bytes. Ties are broken by
        keeping the first image.

    images : sequence of length n_samples, default=None
        The images whose embeddings `X` contains, as passed to the embedder.
        Images with equal content are exact copies, and their distance is 0 even if
        their embeddings differ, or are zero vectors, which have no direction.

    Returns
    -------
    groups : list of DuplicateGroup
        Groups of at least two images. The groups are sorted by size, the largest first;
        ties are broken by the smaller maximum distance. No two groups can be merged
        without exceeding `max_distance`.

    Raises
    ------
    ValueError
        If `max_distance` is negative, or is None although the metric is not "cosine";
        if an index is passed together with `metric` or `ids`; if lengths differ; or if
        the pairs within `max_distance` do not fit in memory.

    ImageReadError
        If one of `images` cannot be read although its embedding is not NaN.

    See Also
    --------
    SimilarityIndex : Find the nearest neighbors of each image.
    DuplicateGroup : A group of images that are copies of each other.

    Notes
    -----
    The default of `max_distance` maximizes the F1 score of pairs, which is 0.73, on a
    collection of 30 photographs in nine variants each (cropped, mirrored, brighter,
    recompressed, rotated by five degrees, captioned, in gray, at half the size) among
    1,467 photographs of 25 kinds of animals, embedded by MobileNetV2. At this distance,
    78 of 100 pairs in a group are variants of the same photograph, and 69 of 100 such
    pairs are found. Below 0.1, almost no pair is wrong, and one in four is found.
    Inspect the groups before you delete any file. Another network needs another
    distance.

    Single linkage, which also groups chains, finds more of these variants at a smaller
    distance (an F1 score of 0.82 at 0.14), but merges everything if the distance is
    slightly too large (an F1 score of 0.43 at 0.17).

    Files are identified by their device and inode, given as paths or open files in
    `images`, or as paths in `ids`. Only one of several entries of the same file is
    considered. Entries that are not symbolic links take precedence. Among these, the
    first entry is used or, if `keep` is an array, the entry with the largest value. The
    other entries are in no group. Therefore, no content is lost if all `extra` images
    that are exact copies are deleted.

    The groups are the result of complete linkage: the two nearest groups are merged
    until no two groups can be merged without exceeding `max_distance`.

    The number of operations is `n_samples ** 2 / 2 * n_features`, where exact copies
    count as one sample. Memory use, in addition to the embeddings, is at most twice the
    `working_memory` of scikit-learn.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder
    >>> from imgsim.datasets import load_sample_photos
    >>> from imgsim.duplicates import find_duplicates
    >>> photos = load_sample_photos(n_crops=2, n_copies=2)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> for group in find_duplicates(X, max_distance=0.05):
    ...     print(group.kept, group.extra, round(group.distance, 3))
    0 [1, 2] 0.004
    3 [4, 5] 0.014
    6 [7, 8] 0.019
    9 [11] 0.001
    """
    embeddings = _readable_embeddings(X, metric, ids)
    limit = _checked_max_distance(max_distance, embeddings.metric)
    sources = _checked_images(images, embeddings)
    values = _checked_keep(keep, embeddings)
    chosen = find_distinct_files(embeddings.ids.tolist(), sources, values)
    embeddings, values = embeddings.select(chosen), values[chosen]
    contents = None
    if sources is not None:
        contents = label_contents([sources[i] for i in chosen])
    comparable = embeddings.rows.terms.scale > 0
    first_copy = find_first_copies(embeddings.rows.values, comparable, contents)
    distinct, distinct_of = np.unique(first_copy, return_inverse=True)
    pairs = _find_pairs(embeddings.select(distinct), limit)
    labels = complete_linkage(len(distinct), *pairs)
    pairs = pairs.within_groups(labels)
    if isinstance(keep, str) and keep == "medoid":
        values = -pairs.sum_distances(distinct_of)
    found = _Duplicates(
        embeddings, distinct, distinct_of, pairs.farthest(labels), values
    )
    groups = [
        found.group(labels[distinct_of[members[0]]], members)
        for members in _repeated_positions(labels[distinct_of])
    ]
    return sorted(
        groups, key=lambda group: (-len(group), group.distance, group.rows[0])
    )


class _Embeddings(NamedTuple):
    """The embeddings to compare, their metric, ids and row numbers in X."""

    rows: DistanceRows
    metric: Metric
    ids: NDArray[Any]
    row_numbers: NDArray[np.int64]
    n_samples: int

    def select(self, positions: NDArray[np.int64]) -> "_Embeddings":
        """Return the embeddings at these increasing positions."""
        if len(positions) == len(self.row_numbers):
            return self  # without a copy
        return self._replace(
            rows=self.rows[positions],
            ids=self.ids[positions],
            row_numbers=self.row_numbers[positions],
        )


class _Pairs(NamedTuple):
    """Pairs of distinct embeddings that are near each other, and their distances."""

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    distances: NDArray[np.float64]

    def within_groups(self, labels: NDArray[np.int64]) -> "_Pairs":
        """Return the pairs whose embeddings are in the same group."""
        inside = labels[self.i] == labels[self.j]
        return _Pairs(self.i[inside], self.j[inside], self.distances[inside])

    def sum_distances(self, distinct_of: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the sum of the distances of each image to the others of its group."""
        n_copies = np.bincount(distinct_of)
        sums = np.zeros(len(n_copies))
        np.add.at(sums, self.i, self.distances * n_copies[self.j])
        np.add.at(sums, self.j, self.distances * n_copies[self.i])
        return sums[distinct_of]

    def farthest(self, labels: NDArray[np.int64]) -> dict[int, tuple[int, int, float]]:
        """Return the pair with the largest distance of each group, by label.

        Ties are broken by the smaller positions.
        """
        order = np.lexsort((self.j, self.i, -self.distances))
        label, first = np.unique(labels[self.i[order]], return_index=True)
        chosen = (column[order[first]].tolist() for column in self)
        return dict(zip(label.tolist(), zip(*chosen, strict=True), strict=True))


class _Duplicates(NamedTuple):
    """The result of the grouping, from which each group is described.

    `distinct` are the positions of the distinct embeddings, `distinct_of` is the index
    into `distinct` of each embedding, and `farthest_pairs` are pairs of such indices.
    The image with the largest of the `values` is kept.
    """

    embeddings: _Embeddings
    distinct: NDArray[np.int64]
    distinct_of: NDArray[np.int64]
    farthest_pairs: dict[int, tuple[int, int, float]]
    values: NDArray[np.float64]

    def group(self, label: int, members: NDArray[np.int64]) -> DuplicateGroup:
        """Return the group with this label and these positions."""
        ids = self.embeddings.ids
        farthest, distance = members[:2], 0.0  # exact copies have no pair
        if label in self.farthest_pairs:
            i, j, distance = self.farthest_pairs[label]
            farthest = self.distinct[[i, j]]
        first, second = ids[farthest].tolist()
        kept = members[self.values[members].argmax()]
        copies = _repeated_positions(self.distinct_of[members])
        return DuplicateGroup(
            ids=ids[members].tolist(),
            rows=self.embeddings.row_numbers[members],
            kept=ids[[kept]].tolist()[0],
            farthest_pair=(first, second),
            distance=distance,
            exact_copies=[ids[members[same]].tolist() for same in copies],
        )


def _readable_embeddings(
    X: ArrayLike | SimilarityIndex,
    metric: MetricName | Callable[..., float] | None,
    ids: Sequence[Hashable] | None,
) -> _Embeddings:
    if isinstance(X, SimilarityIndex):
        index = _checked_index(X, metric, ids)
    else:
        check_embeddings(X, "find_duplicates")
        index = SimilarityIndex(metric=metric or "cosine", algorithm="exact")
        index.fit(X, ids=ids)
    effective_metric = Metric(index.effective_metric_, index.effective_metric_params_)
    readable = np.flatnonzero(index.readable_)
    values = index.embeddings_
    if len(readable) < len(values):
        values = values[readable]
    return _Embeddings(
        DistanceRows.from_values(values, effective_metric),
        effective_metric,
        index.ids_[readable],
        readable,
        index.n_samples_fit_,
    )


def _checked_index(
    index: SimilarityIndex,
    metric: str | Callable[..., float] | None,
    ids: Sequence[Hashable] | None,
) -> SimilarityIndex:
    check_is_fitted(index)
    if metric is not None or ids is not None:
        name = f"metric={metric!r}" if metric is not None else "ids"
        raise ValueError(
            f"{name} must be None if X is an index, which has its own metric and ids."
        )
    if index.database_augmentation:
        raise ValueError(
            f"the index has database_augmentation={index.database_augmentation}, which "
            f"changes its embeddings. Pass the original embeddings instead."
        )
    return copy(index)  # other threads may change the index


def _checked_max_distance(max_distance: float | None, metric: Metric) -> float:
    if metric.name == "inner_product":
        raise ValueError(
            "metric='inner_product' cannot identify copies, because an embedding may "
            "be nearer to a longer one than to its copy. Use metric='cosine' or "
            "metric='euclidean'."
        )
    if max_distance is not None:
        return float(max_distance)
    if metric.name != "cosine":
        raise ValueError(
            f"max_distance=None is allowed for metric='cosine' only; got metric="
            f"{metric.name!r}. Pass the largest distance between two copies."
        )
    return _DEFAULT_FOR_COSINE


def _checked_images(images: Any, embeddings: _Embeddings) -> list[Any] | None:
    if images is None:
        return None
    sources = check_image_sources(images, "images")
    if len(sources) != embeddings.n_samples:
        raise ValueError(
            f"images has {len(sources)} entries and X has {embeddings.n_samples} rows; "
            f"both must have the same length."
        )
    return [sources[row] for row in embeddings.row_numbers]


def _checked_keep(keep: Any, embeddings: _Embeddings) -> NDArray[np.float64]:
    """Return a value for each embedding: zero unless `keep` is an array."""
    if isinstance(keep, str):
        return np.zeros(len(embeddings.row_numbers))
    values: NDArray[np.float64] = column_or_1d(keep).astype(np.float64)
    if len(values) != embeddings.n_samples:
        raise ValueError(
            f"keep has {len(values)} entries and X has {embeddings.n_samples} rows; "
            f"both must have the same length."
        )
    values = values[embeddings.row_numbers]
    return np.where(np.isnan(values), -np.inf, values)


def _find_pairs(distinct: _Embeddings, limit: float) -> _Pairs:
    """Return the pairs of near embeddings, in positions among the distinct ones."""
    # Zero vectors have no direction, so that no other embedding is near them.
    comparable = np.flatnonzero(distinct.rows.terms.scale > 0)
    near = find_near_pairs(distinct.select(comparable).rows, distinct.metric, limit)
    return _Pairs(comparable[near.queries], comparable[near.rows], near.distances)


def _repeated_positions(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the positions of each label that occurs more than once."""
    return [part for part in positions_by_label(labels) if len(part) > 1]
