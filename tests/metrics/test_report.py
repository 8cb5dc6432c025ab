"""Tests of the report of retrieval metrics."""

import numpy as np

from imgsim.metrics import average_precision_at_k, precision_at_k, retrieval_report


def test_rows_contain_the_metrics():
    """The values are the results of the functions, and all ranks come last."""
    relevance = np.random.default_rng(0).random((10, 8)) < 0.5
    n_relevant = relevance.sum(axis=1) + 1

    header, *rows = retrieval_report(
        relevance, n_relevant, ks=(1, 5), digits=4
    ).splitlines()

    assert header.split() == ["k", "precision", "recall", "AP", "NDCG"]
    assert [row.split()[0] for row in rows] == ["1", "5", "8"]
    assert float(rows[1].split()[1]) == round(precision_at_k(relevance, k=5), 4)
    assert float(rows[2].split()[3]) == round(
        average_precision_at_k(relevance, n_relevant), 4
    )
    assert len({len(line) for line in (header, *rows)}) == 1
