"""Scores of all candidates by all criteria, as a table."""

from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import LabelEncoder

from imgsim.cluster.algorithms._feature_space import to_euclidean
from imgsim.cluster.algorithms._registry import ClusteringTask
from imgsim.cluster.criteria._gap_and_stability import (
    gap_statistic,
    reference_box,
    stability,
)
from imgsim.cluster.criteria._silhouette import silhouette_score_many
from imgsim.cluster.criteria._variance_criteria import (
    VarianceCriteria,
    compute_variance_criteria,
)
from imgsim.cluster.selection._candidates import (
    CLUSTERING_ERRORS,
    Candidate,
    map_with_jobs,
)
from imgsim.export import Table

_MOST_ROWS = 20_000
_SAMPLE_SIZE = 5_000

SampleSize = int | Literal["auto"] | None
Score = tuple[float, float]  # and its standard error
_NO_SCORE: Score = (np.nan, np.nan)


def score_candidates(
    task: ClusteringTask,
    candidates: list[Candidate],
    criterion: str,
    sample_size: SampleSize,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Table:
    """Return a table with one row for each candidate, with NaN for missing scores."""
    resampled: dict[int, Score] = {}
    if criterion in ("gap", "stability"):
        score = partial(_score_by_resampling, task, criterion)
        outcomes = map_with_jobs(
            score, candidates, n_jobs, verbose=verbose, name=criterion
        )
        candidates = [candidate for candidate, _ in outcomes]
        resampled = {candidate.k: score for candidate, score in outcomes}
    scored = [c for c in candidates if c.has_scores]
    scores: dict[str, dict[int, Score]] = {
        "silhouette": _silhouettes(task, scored, sample_size)
    }
    clustered = [c for c in candidates if c.has_scores or _is_single(c)]
    variance = map_with_jobs(partial(_variance_criteria, task), clustered, n_jobs)
    for name in ("calinski_harabasz", "davies_bouldin", "inertia"):
        scores[name] = {
            c.k: (getattr(value, name), getattr(error, name))
            for c, (value, error) in zip(clustered, variance, strict=True)
            # Only the inertia is defined for a single cluster.
            if c.has_scores or name == "inertia"
        }
    if resampled:
        scores[criterion] = resampled
    return _as_table(candidates, scores)


def _is_single(candidate: Candidate) -> bool:
    """Return whether all rows in clusters, at least two, are in a single cluster."""
    clustered = candidate.labels[candidate.labels >= 0]
    return len(clustered) > 1 and bool((clustered == clustered[0]).all())


def _score_by_resampling(
    task: ClusteringTask, criterion: str, candidate: Candidate
) -> tuple[Candidate, Score]:
    """Score a candidate by clustering other rows, and note why if that fails."""
    # Only the gap statistic is defined for a single cluster.
    is_single = criterion == "gap" and candidate.k == 1
    has_clusters = is_single and candidate.estimator is not None
    if not candidate.has_scores and not has_clusters:
        return candidate, _NO_SCORE
    score = _gap if criterion == "gap" else _stability
    try:
        return candidate, score(task, candidate)
    except CLUSTERING_ERRORS as error:
        return replace(candidate, reason=f"{criterion}: {error}"), _NO_SCORE


def _silhouettes(
    task: ClusteringTask, candidates: list[Candidate], sample_size: SampleSize
) -> dict[int, Score]:
    if not candidates:
        return {}
    if isinstance(sample_size, str):
        is_large = len(task.rows) > _MOST_ROWS and task.metric != "cosine"
        sample_size = _SAMPLE_SIZE if is_large else None
    means, errors = silhouette_score_many(
        task.rows,
        np.stack([c.labels for c in candidates]),
        metric=task.metric,
        sample_size=sample_size,
        random_state=task.seed,
    )
    return {
        c.k: (float(mean), float(error))
        for c, mean, error in zip(candidates, means, errors, strict=True)
    }


def _variance_criteria(
    task: ClusteringTask, candidate: Candidate
) -> tuple[VarianceCriteria, VarianceCriteria]:
    clustered = candidate.labels >= 0
    rows = to_euclidean(task.rows[clustered], task.metric)
    codes = LabelEncoder().fit_transform(candidate.labels[clustered])
    return compute_variance_criteria(rows, codes, task.seed)


def _gap(task: ClusteringTask, candidate: Candidate) -> Score:
    draw = reference_box(task.features)
    # Equal seeds draw the same references for every k.
    rng = np.random.default_rng(task.seed)
    return gap_statistic(
        task.features,
        candidate.labels,
        lambda rows: task.fit(candidate.k, rows)[1],
        lambda: to_euclidean(draw(rng), task.metric),
    )


def _stability(task: ClusteringTask, candidate: Candidate) -> Score:
    return stability(
        task.features,
        candidate.labels,
        lambda rows: task.fit(candidate.k, rows)[1],
        np.random.default_rng(task.seed),
    )


def _as_table(
    candidates: list[Candidate], scores: dict[str, dict[int, Score]]
) -> Table:
    columns: dict[str, NDArray[Any]] = {"k": np.array([c.k for c in candidates])}
    for name, by_k in scores.items():
        pairs = np.array([by_k.get(c.k, _NO_SCORE) for c in candidates])
        columns[name], columns[f"{name}_se"] = pairs.T
    sizes = np.empty(len(candidates), dtype=object)
    sizes[:] = [_cluster_sizes(c.labels) for c in candidates]
    columns["n_clusters"] = np.array([len(some) for some in sizes])
    columns["sizes"] = sizes
    columns["seconds"] = np.array([c.seconds for c in candidates])
    columns["reason"] = np.array([c.reason for c in candidates])
    return Table(columns)


def _cluster_sizes(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    return np.sort(counts)[::-1]
