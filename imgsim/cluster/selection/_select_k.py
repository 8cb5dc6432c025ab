"""The choice of the number of groups."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_random_state

from imgsim._validation import (
    Interval,
    StrOptions,
    find_readable_rows,
    floats_for,
    spread_labels,
    validate_params,
)
from imgsim.cluster.algorithms._feature_space import Space
from imgsim.cluster.algorithms._registry import ALGORITHMS
from imgsim.cluster.selection._best_k import CRITERIA, choose, warn_if_weak
from imgsim.cluster.selection._candidates import (
    Candidate,
    Setting,
    check_candidates,
    cluster_candidates,
)
from imgsim.cluster.selection._k_selection import KSelection
from imgsim.cluster.selection._score_candidates import judge_candidates

RandomState = int | np.random.RandomState | None


@validate_params(
    {
        "X": ["array-like"],
        "k_range": ["array-like", range],
        "algorithm": [
            StrOptions({name for name, a in ALGORITHMS.items() if a.takes_n_clusters})
        ],
        "metric": [StrOptions({"euclidean", "cosine"})],
        "criterion": [StrOptions(set(CRITERIA))],
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
            None,
        ],
        "algorithm_params": [dict, None],
        "sample_size": [
            Interval(Integral, 2, None, closed="left"),
            StrOptions({"auto"}),
            None,
        ],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    },
    # The parameters of an algorithm are checked by its estimator.
    prefer_skip_nested_validation=False,
)
def select_k(
    X: ArrayLike,
    k_range: Sequence[int] = range(2, 11),
    *,
    algorithm: str = "kmeans",
    metric: str = "cosine",
    criterion: str = "silhouette",
    n_components: int | str | None = None,
    algorithm_params: dict[str, Any] | None = None,
    sample_size: int | str | None = "auto",
    n_jobs: int | None = None,
    random_state: RandomState = None,
    verbose: int = 0,
) -> KSelection:
    """Compare numbers of groups, and choose one.

    Each candidate is clustered once and judged by every criterion; `criterion` decides.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings. Rows that hold NaN are left out.

    k_range : sequence of int, default=range(2, 11)
        The candidates, each at least 1. One that cannot be had is a row of the table
        with the reason.

    algorithm : {"kmeans", "minibatch_kmeans", "bisecting_kmeans", "spectral", \
"agglomerative", "gaussian_mixture", "leiden"}, default="kmeans"
        How rows are grouped, see :class:`~imgsim.ImageClusterer`.

    metric : {"cosine", "euclidean"}, default="cosine"
        Distance between rows. Cosine is the default because embeddings of neural
        networks are compared by direction; their length carries little information.
        For cosine, rows are scaled to unit length before they are clustered.

    criterion : {"silhouette", "calinski_harabasz", "davies_bouldin", "inertia", \
"gap", "stability"}, default="silhouette"
        What decides: the largest mean silhouette [1]_ or ratio of Caliński and
        Harabasz, the smallest index of Davies and Bouldin, the knee of the inertia,
        the smallest k whose gap is not clearly below that of the next [2]_, or the
        largest agreement with the groups of parts of the rows [3]_. The last two
        cluster ten times more. Of equal candidates the smallest is taken, of equally
        stable ones the largest.

    n_components : int, "auto" or None, default=None
        Number of principal components that are clustered; "auto" takes at most 128.
        The criteria are about the rows of X all the same.

    algorithm_params : dict, default=None
        Parameters of the algorithm, such as `{"n_init": 10}`.

    sample_size : int, "auto" or None, default="auto"
        Number of rows whose silhouettes are computed, against all others, every group
        being represented. None takes all. "auto" takes all of up to 20,000 rows and
        else 5,000; for cosine always all, which costs little.

    n_jobs : int, default=None
        Number of candidates clustered at the same time, in threads. None means 1
        unless in a :obj:`joblib.parallel_backend` context. -1 means all processors.

    random_state : int, RandomState instance or None, default=None
        Seeds every candidate alike: with an int, the groups are those of the
        algorithm with that seed.

    verbose : int, default=0
        Whether to show a progress bar.

    Returns
    -------
    selection : KSelection
        `best_k`, the table of all candidates, and their labelings.

    Raises
    ------
    ValueError
        If a candidate is no integer of at least 1, or all candidates fail, as when all
        rows are equal.

    Warns
    -----
    WeakClustersWarning
        If the silhouette of the chosen k is below 0.1, or others are as good.

    See Also
    --------
    imgsim.ImageClusterer : With `n_clusters="auto"` it does the same.

    Notes
    -----
    Silhouettes of all candidates come from one pass over the distances of all pairs,
    in bounded memory: `n_samples ** 2 * n_features / 2` operations for Euclidean
    distances, `n_samples * n_features` for each group for cosine.

    References
    ----------
    .. [1] P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and
       validation of cluster analysis", Journal of Computational and Applied
       Mathematics, 1987.

    .. [2] R. Tibshirani, G. Walther and T. Hastie, "Estimating the number of clusters
       in a data set via the gap statistic", Journal of the Royal Statistical Society
       B, 2001.

    .. [3] A. Ben-Hur, A. Elisseeff and I. Guyon, "A stability based method for
       discovering structure in clustered data", Pacific Symposium on Biocomputing,
       2002.

    Examples
    --------
    >>> from imgsim import ColorHistogramEmbedder
    >>> from imgsim.cluster import select_k
    >>> from imgsim.datasets import load_sample_photos
    >>> photos = load_sample_photos(n_crops=3, n_copies=3)
    >>> X = ColorHistogramEmbedder().fit_transform(photos.images)
    >>> select_k(X, random_state=0).best_k
    6
    """
    rows = check_array(X, dtype=floats_for(X), ensure_all_finite="allow-nan")
    readable = find_readable_rows(rows)
    if not readable.any():
        raise ValueError(f"every row of X holds NaN (n_samples={len(rows)}).")
    seed = as_seed(random_state)
    seen = Space(metric, n_components, seed).fit(rows[readable]).apply(rows[readable])
    params = algorithm_params or {}
    setting = Setting(rows[readable], seen, algorithm, metric, params, seed)
    candidates = cluster_candidates(setting, check_candidates(k_range), n_jobs, verbose)
    return select(setting, candidates, readable, criterion, n_jobs, sample_size)


def as_seed(random_state: RandomState) -> int:
    """Return an int as it is, and else draw one."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def select(
    setting: Setting,
    candidates: list[Candidate],
    readable: NDArray[np.bool_],
    criterion: str,
    n_jobs: int | None,
    sample_size: int | str | None = "auto",
) -> KSelection:
    """Judge candidates that were clustered, and choose one."""
    table = judge_candidates(setting, candidates, criterion, sample_size, n_jobs)
    best = choose(table, criterion)
    warn_if_weak(table, best, criterion)
    labelings = {
        c.k: spread_labels(c.labels, readable)
        for c in candidates
        if c.estimator is not None
    }
    chosen = candidates[best]
    return KSelection(chosen.k, criterion, table, labelings, chosen.estimator)
