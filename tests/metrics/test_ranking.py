"""Tests of the retrieval metrics against values computed by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from imgsim.metrics import (
    average_precision_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)

# Two queries, five ranks. The first has 4 relevant images in the collection, 3 of them
# retrieved, at ranks 1, 3 and 4; the second has 1, at rank 2.
RELEVANCE = np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 0]], dtype=bool)
N_RELEVANT = [4, 1]


@pytest.mark.parametrize(
    ("k", "by_hand"),
    [(1, (1 + 0) / 2), (2, (1 / 2 + 1 / 2) / 2), (5, (3 / 5 + 1 / 5) / 2)],
)
def test_precision_by_hand(k, by_hand):
    """The denominator is k."""
    assert precision_at_k(RELEVANCE, k=k) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("k", "by_hand"), [(1, (1 / 4 + 0) / 2), (3, (2 / 4 + 1) / 2), (5, (3 / 4 + 1) / 2)]
)
def test_recall_by_hand(k, by_hand):
    """The denominator counts all relevant images, retrieved or not."""
    assert recall_at_k(RELEVANCE, N_RELEVANT, k=k) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("k", "by_hand"),
    [
        (1, (1 / 1 + 0 / 1) / 2),
        (3, ((1 + 2 / 3) / 3 + (1 / 2) / 1) / 2),
        (None, ((1 + 2 / 3 + 3 / 4) / 4 + (1 / 2) / 1) / 2),
    ],
)
def test_average_precision_by_hand(k, by_hand):
    """The denominator is min(k, n_relevant)."""
    assert average_precision_at_k(RELEVANCE, N_RELEVANT, k=k) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("k", "by_hand"),
    [
        (1, (1 + 0) / 2),
        (
            3,
            (
                (1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3) + 1 / np.log2(4))
                + (1 / np.log2(3)) / 1
            )
            / 2,
        ),
    ],
)
def test_ndcg_by_hand(k, by_hand):
    """The ideal ranking has min(k, n_relevant) relevant images first."""
    assert ndcg_at_k(RELEVANCE, N_RELEVANT, k=k) == pytest.approx(by_hand)


def test_full_rankings_agree_with_scikit_learn():
    """The implementation of scikit-learn is independent and is based on scores."""
    rng = np.random.default_rng(0)
    relevance = rng.random((20, 30)) < 0.3
    relevance[:, 0] |= ~relevance.any(axis=1)
    scores = -np.arange(30)
    n_relevant = relevance.sum(axis=1)

    average_precision = np.mean([average_precision_score(r, scores) for r in relevance])
    ndcg = ndcg_score(relevance, np.tile(scores, (20, 1)), k=7)

    assert average_precision_at_k(relevance, n_relevant) == pytest.approx(
        average_precision
    )
    assert ndcg_at_k(relevance, n_relevant, k=7) == pytest.approx(ndcg)


@pytest.mark.parametrize("metric", [recall_at_k, average_precision_at_k, ndcg_at_k])
def test_queries_without_relevant_images_are_ignored(metric):
    """The metrics are undefined for them."""
    relevance, n_relevant = [*RELEVANCE, [False] * 5], [*N_RELEVANT, 0]

    assert metric(relevance, n_relevant, k=3) == metric(RELEVANCE, N_RELEVANT, k=3)


@pytest.mark.parametrize("metric", [recall_at_k, average_precision_at_k, ndcg_at_k])
def test_impossible_counts_are_refused(metric):
    """The score would be greater than 1, or undefined."""
    with pytest.raises(ValueError, match=r"n_relevant\[0\]=2 must be at least 3"):
        metric(RELEVANCE, [2, 1], k=5)
    with pytest.raises(ValueError, match="greater than 0 for at least one query"):
        metric([[False]], [0], k=1)
    with pytest.raises(ValueError, match="3 entries and relevance has 2 queries"):
        metric(RELEVANCE, [4, 1, 1], k=1)


@pytest.mark.parametrize("k", [0, 6, 2.0])
def test_k_out_of_range_is_refused(k):
    """Only ranks that were retrieved can be evaluated."""
    with pytest.raises(ValueError, match=f"k={k!r} must be an integer, at least 1"):
        precision_at_k(RELEVANCE, k=k)


@pytest.mark.parametrize("relevance", [[[0.5, 1]], [["a", "b"]], [[2, 0]]], ids=str)
def test_relevance_must_be_boolean(relevance):
    """Any other value would silently be counted as relevant."""
    with pytest.raises(ValueError, match="booleans, or 0 and 1"):
        precision_at_k(relevance, k=1)


def test_counts_must_be_integers():
    """A proportion passed by mistake would be truncated to 0."""
    with pytest.raises(ValueError, match="n_relevant must be integers"):
        recall_at_k(RELEVANCE, [4.0, 0.5], k=1)
