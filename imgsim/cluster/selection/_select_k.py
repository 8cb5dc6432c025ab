"""Comparison of numbers of clusters, and selection of the best one."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim._compute.seeds import RandomState, as_seed
from imgsim._logging import log_run
from imgsim._validation import (
    ANY_INTEGER,
    RANDOM_STATE,
    Interval,
    StrOptions,
    check_embeddings,
    find_readable_rows,
    spread_labels,
    validate_params,
)
from imgsim.cluster.algorithms._feature_space import ClusterMetric, FeatureSpace
from imgsim.cluster.algorithms._registry import (
    ClusteringTask,
    KAlgorithmName,
)
from imgsim.cluster.selection._best_k import (
    CRITERIA,
    Criterion,
    find_best_k,
    warn_if_weak,
)
from imgsim.cluster.selection._candidates import (
    Candidate,
    check_k_range,
    cluster_candidates,
)
from imgsim.cluster.selection._k_selection import KSelection
from imgsim.cluster.selection._score_candidates import SampleSize, score_candidates


@log_run("best_k", "criterion")
@validate_params(
    {
        "X": ["array-like"],
        "k_range": ["array-like", range],
        "algorithm": [StrOptions(set(get_args(KAlgorithmName)))],
        "metric": [StrOptions({"cosine", "euclidean"})],
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
        "n_jobs": [ANY_INTEGER, None],
        "random_state": RANDOM_STATE,
        "verbose": ["verbose"],
    },
    # The estimator of an algorithm checks the algorithm's parameters.
    prefer_skip_nested_validation=False,
)
def select_k(
    X: ArrayLike,
    k_range: Sequence[int] = range(2, 11),
    *,
    algorithm: KAlgorithmName = "kmeans",
    metric: ClusterMetric = "cosine",
    criterion: Criterion = "silhouette",
    n_components: int | Literal["auto"] | None = None,
    algorithm_params: dict[str, Any] | None = None,
    sample_size: SampleSize = "auto",
    n_jobs: int | None = None,
    random_state: RandomState = None,
    verbose: int = 0,
) -> KSelection:
    """Compare numbers of clusters, and select the best one.

    The embeddings are clustered once with each candidate. Every clustering is scored by
    every criterion, and `criterion` selects the number of clusters.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Embeddings, kept as float32 or float64. A row that contains NaN gets the label
        -1 and does not influence the other rows.

    k_range : sequence of int, default=range(2, 11)
        Candidates for the number of clusters, at least 1 each. A candidate that fails
        is listed in the table with the reason.

    algorithm : {"kmeans", "minibatch_kmeans", "bisecting_kmeans", "spectral", \
"agglomerative", "gaussian_mixture", "leiden"}, default="kmeans"
        Clustering algorithm, see :class:`~imgsim.ImageClusterer`.

    metric : {"cosine", "euclidean"}, default="cosine"
        Distance between embeddings. Cosine is the default because embeddings of neural
        networks are compared by direction; their length carries little information.
        For cosine, embeddings are scaled to unit length before they are clustered.

    criterion : {"silhouette", "calinski_harabasz", "davies_bouldin", "inertia", \
"gap", "stability"}, default="silhouette"
        Criterion that selects the number of clusters:

        - "silhouette": the largest mean silhouette [1]_;
        - "calinski_harabasz": the largest ratio of the dispersion between clusters to
          the dispersion within clusters;
        - "davies_bouldin": the smallest mean similarity of each cluster to its most
          similar cluster;
        - "inertia": the knee, among the candidates of at least 2, of the sum of squared
          distances to the cluster means;
        - "gap": the smallest k whose gap statistic is not clearly smaller than the gap
          statistic of the next k [2]_; each k is clustered ten more times;
        - "stability": the best agreement with clusters of subsamples [3]_; each k is
          clustered ten more times.

        If several candidates are equally good, the smallest k is selected; with
        "stability", the largest k. For k = 1, only "inertia" and "gap" have a value,
        and only "gap" can select it.

    n_components : int, "auto" or None, default=None
        Number of principal components to which embeddings are reduced before they are
        clustered. "auto" keeps at most 128 components, and None keeps all dimensions.
        "gap" and "stability" are computed from the components, and the other criteria
        from all dimensions of X.

    algorithm_params : dict, default=None
        Parameters of the algorithm, such as `{"n_init": 10}`.

    sample_size : int, "auto" or None, default="auto"
        Number of rows whose silhouettes are computed, each compared with all other
        rows. Every cluster is represented. None means all rows. "auto" means all rows
        for the cosine metric, where they cost little, and for up to 20,000 rows;
        otherwise, it means 5,000 rows.

    n_jobs : int, default=None
        Number of candidates clustered at the same time, in threads. None means 1
        unless in a :obj:`joblib.parallel_backend` context. -1 means all processors.

    random_state : int, RandomState instance or None, default=None
        Controls the randomness of the algorithm and of samples. All candidates use the
        same seed. Pass an int for reproducible clusters.

    verbose : int, default=0
        Whether to show a progress bar of the candidates.

    Returns
    -------
    selection : KSelection
        `best_k`, the table of all candidates, and the labels for each candidate.

    Raises
    ------
    ValueError
        If a candidate is not an integer of at least 1; if all candidates fail, for
        example because all rows are equal; if `n_components` is too large; if the
        algorithm does not have a parameter in `algorithm_params`.

    Warns
    -----
    WeakClustersWarning
        If the mean silhouette of the selected k is below 0.1. For
        `criterion="silhouette"`, also if other candidates are about as good, or if the
        largest candidate is selected.

    See Also
    --------
    imgsim.ImageClusterer : Cluster images; `n_clusters="auto"` selects the number of
        clusters in the same way.

    Notes
    -----
    The silhouettes of all candidates come from one pass over the distances of all pairs
    of rows, in bounded memory. The pass takes `n_samples ** 2 * n_features / 2`
    operations for Euclidean distances. For cosine distances, it takes `n_samples *
    n_features` operations for each cluster of each candidate.

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
    rows = check_embeddings(X, "select_k")
    readable = find_readable_rows(rows)
    if not readable.any():
        raise ValueError(f"every row of X contains NaN (n_samples={len(rows)}).")
    rows, seed = rows[readable], as_seed(random_state)
    features = FeatureSpace(metric, n_components, seed).fit(rows).transform(rows)
    params = algorithm_params or {}
    task = ClusteringTask(rows, features, algorithm, metric, params, seed)
    candidates = cluster_candidates(task, check_k_range(k_range), n_jobs, verbose)
    return select_candidate(
        task, candidates, readable, criterion, n_jobs, sample_size, verbose
    )


def select_candidate(
    task: ClusteringTask,
    candidates: list[Candidate],
    readable: NDArray[np.bool_],
    criterion: Criterion,
    n_jobs: int | None,
    sample_size: SampleSize = "auto",
    verbose: int = 0,
) -> KSelection:
    """Score the candidates, and select the best one.

    Parameters
    ----------
    task : ClusteringTask
        The readable rows, and how they were clustered.

    candidates : list of Candidate
        All candidates in order of k.

    readable : ndarray of shape (n_samples,), dtype bool
        Which rows of the collection were clustered.

    criterion : str
        One of `CRITERIA`.

    n_jobs : int or None
        Number of candidates scored at the same time.

    sample_size : int, "auto" or None, default="auto"
        Number of rows whose silhouettes are computed.

    verbose : int, default=0
        Whether to show a progress bar if each candidate is clustered ten more times.

    Returns
    -------
    selection : KSelection
        The result, with a label for every row of the collection in each labeling.
    """
    table = score_candidates(task, candidates, criterion, sample_size, n_jobs, verbose)
    best = find_best_k(table, criterion)
    warn_if_weak(table, best, criterion, task.metric)
    labelings = {
        c.k: spread_labels(c.labels, readable)
        for c in candidates
        if c.estimator is not None
    }
    selected = candidates[best]
    return KSelection(selected.k, criterion, table, labelings, selected.estimator)
