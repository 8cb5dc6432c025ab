"""The candidate that a criterion selects, and warnings if the choice is not clear."""

from typing import Literal, get_args

import numpy as np

from imgsim._warnings import warn_caller
from imgsim.cluster._knee import find_knee
from imgsim.cluster.algorithms._feature_space import ClusterMetric
from imgsim.exceptions import WeakClustersWarning
from imgsim.export import Table

Criterion = Literal[
    "silhouette", "calinski_harabasz", "davies_bouldin", "inertia", "gap", "stability"
]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)

# Mean silhouettes below _WEAK are not trusted, and those above _STRONG are. Differences
# of up to _SIMILAR are ignored.
_WEAK, _STRONG, _SIMILAR = 0.1, 0.5, 0.02


def find_best_k(table: Table, criterion: str) -> int:
    """Return the position of the candidate that a criterion selects.

    Parameters
    ----------
    table : Table
        All candidates in order of k.

    criterion : str
        One of `CRITERIA`.

    Returns
    -------
    position : int
        If candidates are equally good, the smallest k; if they are equally stable, the
        largest.

    Raises
    ------
    ValueError
        If no candidate has a score.
    """
    known = np.flatnonzero(np.isfinite(table[criterion]))
    if criterion == "inertia":
        # The fall from a single cluster to two would hide the knee of more clusters.
        known = known[table["reason"][known] == ""]
    if len(known) == 0:
        raise ValueError(
            f"no candidate has a score by criterion={criterion!r}: {_reasons(table)}."
        )
    values = table[criterion][known]
    if criterion == "davies_bouldin":
        return int(known[values.argmin()])
    if criterion == "inertia":
        knee = find_knee(table["k"][known], values)
        return int(known[0 if knee is None else knee])
    if criterion == "gap":
        # The first candidate whose gap the next one does not clearly exceed.
        errors = table["gap_se"][known]
        enough = values[:-1] >= values[1:] - errors[1:]
        return int(known[enough.argmax() if enough.any() else values.argmax()])
    if criterion == "stability":
        # Merging stable clusters gives stable clusters, too, so the largest k wins.
        return int(known[len(values) - 1 - values[::-1].argmax()])
    return int(known[values.argmax()])


def _reasons(table: Table) -> str:
    """Return each reason once, with the candidates that failed for it."""
    ks_of: dict[str, list[str]] = {}
    for k, reason in zip(table["k"], table["reason"], strict=True):
        ks_of.setdefault(str(reason).rstrip("."), []).append(str(k))
    return "; ".join(f"k={', '.join(ks)}: {reason}" for reason, ks in ks_of.items())


def warn_if_weak(
    table: Table, position: int, criterion: str, metric: ClusterMetric
) -> None:
    """Warn if the silhouettes show no clusters, or no clear number of clusters."""
    silhouettes, k = table["silhouette"], table["k"]
    best = silhouettes[position]
    if k[position] == 1:  # which only the gap statistic can select
        return
    if not best >= _WEAK:
        other_metric = "metric='cosine', " if metric != "cosine" else ""
        warn_caller(
            f"the clusters are barely separated: the mean silhouette of "
            f"k={k[position]} is {best:.3f}, below {_WEAK}. There is no clear cluster "
            f"structure for any k. Try {other_metric}n_components='auto', "
            f"algorithm='leiden', which follows dense regions, or another embedder.",
            WeakClustersWarning,
        )
        return
    if criterion != "silhouette":
        return
    similar = _similar_candidates(table, position)
    if similar:
        warn_caller(
            f"there is no clear maximum: the mean silhouette of k={k[position]}, "
            f"{best:.3f}, is hardly larger than for {similar}. There may be no "
            f"clusters, or clusters that consist of smaller clusters. Look at "
            f"plot() and at the images.",
            WeakClustersWarning,
        )
    elif position == len(k) - 1 and len(k) > 2:
        warn_caller(
            f"the best k={k[position]} is the largest candidate, so that more clusters "
            f"may be better. Widen k_range.",
            WeakClustersWarning,
        )


def _similar_candidates(table: Table, position: int) -> str:
    """Name the candidates that are about as good as the best, "" if there are none.

    Candidates are similar if they differ from the best by at most the standard error
    and at most 0.02; the candidates next to the best in the table are not considered.
    If there are none, half of all candidates are named if the best silhouette is below
    0.5 and less than a tenth above the median of all candidates.
    """
    silhouettes, errors = table["silhouette"], table["silhouette_se"]
    with np.errstate(invalid="ignore"):
        difference = silhouettes[position] - silhouettes
        margin = np.minimum(np.hypot(errors, errors[position]), _SIMILAR)
        is_close = difference <= margin
    is_far = np.abs(np.arange(len(silhouettes)) - position) > 1
    rivals = table["k"][is_close & is_far]
    if len(rivals):
        return f"k={', '.join(map(str, rivals))}"
    median = np.nanmedian(silhouettes)
    least = min(1.1 * median, _STRONG)
    if np.isfinite(silhouettes).sum() > 2 and silhouettes[position] < least:
        return f"half of the candidates (median {median:.3f})"
    return ""
