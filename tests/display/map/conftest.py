"""Positions that several tests of maps share."""

import numpy as np
import pytest

SCATTERS = {
    "uniform": lambda rng: rng.uniform(size=(200, 2)),
    "clusters": lambda rng: (
        np.repeat(rng.normal(size=(4, 2)) * 1e3, 50, axis=0) + rng.normal(size=(200, 2))
    ),
    "line": lambda rng: np.c_[rng.normal(size=200), np.zeros(200)],
    "outlier": lambda rng: np.vstack([rng.normal(size=(199, 2)), [[1e4, -1e4]]]),
    "one position": lambda rng: np.full((200, 2), 3.0),
    "one image": lambda rng: np.full((1, 2), -7.0),
}


@pytest.fixture(params=SCATTERS.values(), ids=SCATTERS)
def scatter(request):
    """Return positions of various distributions."""
    return request.param(np.random.default_rng(0))
