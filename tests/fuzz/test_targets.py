"""The first cases of each target, as part of the tests."""

import numpy as np
import pytest
from targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_refused_or_read_correctly(name, tmp_path):
    """Damaged files are found in every collection, and must not give wrong answers."""
    target = TARGETS[name](tmp_path)
    target.run_valid_files()
    for case in range(25):
        target.run(np.random.default_rng([0, case]))
