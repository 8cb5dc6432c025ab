"""Seconds to find the 10 nearest of 20,000 rows of width 512 for 500 queries.

The baseline is scikit-learn's brute-force `NearestNeighbors` on the same rows, float32.
"""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from imgsim import SimilarityIndex

N_ROWS, N_QUERIES, WIDTH, K = 20_000, 500, 512, 10


@pytest.fixture(scope="module")
def rows():
    """Return rows and queries, float32."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS + N_QUERIES, WIDTH)).astype(np.float32)
    return X[:N_ROWS], X[N_ROWS:]


INDEXES = {
    "NearestNeighbors (baseline)": lambda metric: NearestNeighbors(
        n_neighbors=K, metric=metric, algorithm="brute"
    ),
    "SimilarityIndex": lambda metric: SimilarityIndex(n_neighbors=K, metric=metric),
}


@pytest.mark.benchmark(group="10 nearest of 20,000 x 512 for 500 queries, seconds")
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
@pytest.mark.parametrize("name", INDEXES)
def bench_kneighbors(benchmark, rows, name, metric):
    """Search among the same rows."""
    X, queries = rows
    index = INDEXES[name](metric).fit(X)

    _, indices = benchmark.pedantic(
        index.kneighbors, args=(queries,), rounds=3, warmup_rounds=1
    )

    assert indices.shape == (N_QUERIES, K)
