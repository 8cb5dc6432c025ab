"""Seeds from a `random_state` of scikit-learn."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

__all__ = ["RandomState", "as_seed", "draw_seed"]

RandomState = int | np.random.RandomState | None


def as_seed(random_state: RandomState) -> int:
    """Return an int unchanged; otherwise, draw a seed from the random state."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return draw_seed(random_state)


def draw_seed(random_state: RandomState) -> int:
    """Draw a seed from the random state; an int is the seed of that random state."""
    return int(check_random_state(random_state).randint(2**31 - 1))
