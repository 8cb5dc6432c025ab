"""Groups of images that are copies of each other."""

from collections.abc import Callable, Hashable, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted

from imgsim._distance.metric import Metric
from imgsim._distance.rows import DistanceRows
from imgsim._validation import Interval, StrOptions, validate_params
from imgsim.duplicates._complete_linkage import complete_linkage, equal_ones
from imgsim.duplicates._duplicate_group import DuplicateGroup
from imgsim.duplicates._exact_copies import find_first_copies
from imgsim.images._sources import check_image_sources
from imgsim.index._similarity_index import SimilarityIndex
from imgsim.index.exact._near_pairs import find_near_pairs
from imgsim.index.exact._scan import Pairs

_DEFAULT_FOR_COSINE = 0.21


@validate_params(
    {
        "X": ["array-like", SimilarityIndex],
        "max_distance": [Interval(Real, 0, None, closed="left"), None],
        "metric": [str, callable, None],
        "keep": [StrOptions({"first", "central"}), "array-like"],
    },
    prefer_skip_nested_validation=True,
)
def find_duplicates(
    X: ArrayLike | SimilarityIndex,
    max_distance: float | None = None,
    *,
    metric: str | Callable[..., float] | None = None,
    ids: Sequence[Hashable] | None = None,
    keep: str | ArrayLike = "first",
    images: Sequence[Any] | None = None,
) -> list[DuplicateGroup]:
    """Find groups of images that are copies of each other, exactly or nearly.

    Every pair within a group is near: a chain of images, each similar to the next, is
    not one group. Exact copies are told by their content, before anything is compared.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features) or SimilarityIndex
        Embeddings, or a fitted index, of which rows, ids and metric are taken. Rows
        that hold NaN, those of unreadable images, are in no group.

    max_distance : float, default=None
        Largest distance between two images of a group. None takes 0.21 for the
        metric "cosine"; see Notes.

    metric : str or callable, default=None
        Distance between rows, one that :class:`SimilarityIndex` knows. None takes
        "cosine", or that of the index.

    ids : sequence of length n_samples, default=None
        Names by which the groups refer to the rows, such as paths; no two alike. None
        takes the row numbers, or the ids of the index.

    keep : {"first", "central"} or array-like of shape (n_samples,), default="first"
        Which image of a group to keep: the first, that with the smallest sum of
        distances to the others, or that with the largest number, such as pixels or
        bytes. Of equal ones the first is kept.

    images : sequence of length n_samples, default=None
        The images from which the rows were made, as given to the embedder. Those with
        equal content are copies, whatever their rows, and count as at distance 0.

    Returns
    -------
    groups : list of DuplicateGroup
        Groups of two images or more, the largest first; of equally large ones that
        whose furthest images are nearest to each other. No two could be joined.

    Raises
    ------
    ValueError
        If `max_distance` is negative, or missing for a metric other than cosine; if
        an index is given together with `metric` or `ids`; if lengths differ; or if
        more pairs are within `max_distance` than memory should be used for.

    ImageReadError
        If one of the `images` cannot be read, and its row holds no NaN.

    See Also
    --------
    SimilarityIndex : Finds the nearest images of each.
    DuplicateGroup : What a group tells.

    Notes
    -----
    The default of `max_distance` gave the best F1 of pairs, 0.73, for 30 photographs in
    nine variants each (cropped, mirrored, brighter, recompressed, turned by five
    degrees, captioned, grey, half as large), hidden among 1,467 photographs of 25
    kinds of animals and embedded by MobileNetV2: 78 of 100 pairs in a group were
    variants of one photograph, and 69 of 100 such pairs were found. Below 0.1 hardly
    a pair is wrong, and one in four is found. Look at groups before you delete
    anything. Another network needs another threshold.

    Joining chains, too, found more of these variants, at a smaller threshold (F1 0.82
    at 0.14), but there a little more joins everything (F1 0.43 at 0.17).

    Groups come from complete linkage: the two nearest groups are joined again and
    again, as long as no pair gets further apart than `max_distance`.

    It takes `n_samples ** 2 / 2 * n_features` operations, after exact copies were
    put aside, and memory of twice scikit-learn's `working_memory` beside the rows.

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
    view = _view_of(X, metric, ids)
    limit = _checked_limit(max_distance, view.metric)
    first = find_first_copies(view.rows.values, _images_of(view, images))
    distinct, content = np.unique(first, return_inverse=True)
    pairs = find_near_pairs(_taken(view.rows, distinct), view.metric, limit)
    labels = complete_linkage(len(distinct), *pairs)
    pairs = _inside(pairs, labels)
    found = _Found(view, content, distinct, _weakest_pairs(pairs, labels))
    merit = _merit(keep, view, pairs, content)
    groups = [
        found.group(
            labels[content[members[0]]], members, members[merit[members].argmax()]
        )
        for members in _repeated_ones(labels[content])
    ]
    return sorted(
        groups, key=lambda group: (-len(group), group.distance, group.rows[0])
    )


class _View(NamedTuple):
    """The readable rows, how they are compared, and what they are called."""

    rows: DistanceRows
    metric: Metric
    ids: NDArray[Any]
    row_numbers: NDArray[np.int64]
    n_samples: int


class _Found(NamedTuple):
    """What is known of the rows, to tell of a group of them.

    `content` numbers the distinct rows, of which `distinct` holds the first copies.
    """

    view: _View
    content: NDArray[np.int64]
    distinct: NDArray[np.int64]
    weakest: dict[int, tuple[int, int, float]]

    def group(
        self, label: int, members: NDArray[np.int64], kept: np.int64
    ) -> DuplicateGroup:
        """Describe the group that has this label, and these rows."""
        names = self.view.ids
        furthest, distance = members[:2], 0.0
        if label in self.weakest:
            i, j, distance = self.weakest[label]
            furthest = self.distinct[[i, j]]
        first, second = names[furthest].tolist()
        copies = _repeated_ones(self.content[members])
        return DuplicateGroup(
            ids=names[members].tolist(),
            rows=self.view.row_numbers[members],
            kept=names[[kept]].tolist()[0],
            farthest_pair=(first, second),
            distance=distance,
            exact_copies=[names[members[same]].tolist() for same in copies],
        )


def _view_of(
    X: ArrayLike | SimilarityIndex,
    metric: str | Callable[..., float] | None,
    ids: Sequence[Hashable] | None,
) -> _View:
    if isinstance(X, SimilarityIndex):
        check_is_fitted(X)
        if metric is not None or ids is not None:
            given = f"metric={metric!r}" if metric is not None else "ids"
            raise ValueError(
                f"{given} must be None for an index, which has a metric and ids."
            )
        if X.database_augmentation:
            raise ValueError(
                f"database_augmentation={X.database_augmentation} of the index has changed its "
                f"rows, which are not compared: pass the rows themselves."
            )
        index = X
    else:
        name = "cosine" if metric is None else metric
        index = SimilarityIndex(metric=name, algorithm="exact")
        index.fit(X, ids=ids)
    of_index = Metric(index.effective_metric_, index.effective_metric_params_)
    readable = np.flatnonzero(index.readable_)
    values = index.embeddings_
    if len(readable) < len(values):
        values = values[readable]
    rows = DistanceRows(values, of_index.describe(values))
    # A row of zeros has no direction, and is near to none.
    has_place = np.flatnonzero(rows.terms.scale > 0)
    row_numbers = readable[has_place]
    return _View(
        _taken(rows, has_place),
        of_index,
        index.ids_[row_numbers],
        row_numbers,
        index.n_samples_fit_,
    )


def _checked_limit(max_distance: float | None, metric: Metric) -> float:
    if metric.name == "inner_product":
        raise ValueError(
            "metric='inner_product' does not tell copies: a longer row is nearer to a "
            "row than its copy. Take metric='cosine' or 'euclidean'."
        )
    if max_distance is None:
        if metric.name != "cosine":
            raise ValueError(
                f"max_distance=None is for metric='cosine', got metric={metric.name!r}:"
                f" pass the largest distance of two copies."
            )
        return _DEFAULT_FOR_COSINE
    return float(max_distance)


def _images_of(view: _View, images: Any) -> list[Any] | None:
    if images is None:
        return None
    sources = check_image_sources(images)
    if len(sources) != view.n_samples:
        raise ValueError(
            f"images holds {len(sources)} images for {view.n_samples} rows of X."
        )
    return [sources[row] for row in view.row_numbers]


def _taken(rows: DistanceRows, positions: NDArray[np.int64]) -> DistanceRows:
    """Return some of the rows, without a copy if it is all of them."""
    return rows if len(positions) == len(rows) else rows[positions]


def _inside(pairs: Pairs, labels: NDArray[np.int64]) -> Pairs:
    i, j, distances = pairs
    inside = labels[i] == labels[j]
    return i[inside], j[inside], distances[inside]


def _merit(
    keep: Any, view: _View, pairs: Pairs, content: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return numbers of which the largest in a group is that of the image to keep."""
    if isinstance(keep, str):
        if keep == "first":
            return np.zeros(len(content))
        i, j, distances = pairs
        n_copies = np.bincount(content)
        sums = np.zeros(len(n_copies))
        np.add.at(sums, i, distances * n_copies[j])
        np.add.at(sums, j, distances * n_copies[i])
        return -sums[content]
    numbers: NDArray[np.float64] = column_or_1d(keep).astype(np.float64)
    if len(numbers) != view.n_samples:
        raise ValueError(
            f"keep holds {len(numbers)} numbers for {view.n_samples} rows of X."
        )
    numbers = numbers[view.row_numbers]
    return np.where(np.isnan(numbers), -np.inf, numbers)


def _weakest_pairs(
    pairs: Pairs, labels: NDArray[np.int64]
) -> dict[int, tuple[int, int, float]]:
    """Return the pair of largest distance of each group, of equal ones the first."""
    i, j, distances = pairs
    order = np.lexsort((j, i, -distances))
    found, at = np.unique(labels[i[order]], return_index=True)
    chosen = order[at]
    told = zip(
        i[chosen].tolist(), j[chosen].tolist(), distances[chosen].tolist(), strict=True
    )
    return dict(zip(found.tolist(), told, strict=True))


def _repeated_ones(keys: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the positions of each key that occurs twice or more."""
    return [part for part in equal_ones(keys) if len(part) > 1]
