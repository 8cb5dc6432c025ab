"""Tests of rows with the terms of their metric."""

import numpy as np
import pytest
from brute_force import METRICS, draw, make_search
from numpy.testing import assert_array_equal


@pytest.mark.parametrize(
    "part", [slice(2, 7), np.array([5, 0, 5]), np.arange(9) % 2 == 1]
)
@pytest.mark.parametrize("name", METRICS)
def test_selected_rows_have_their_own_terms(name, part):
    """Rows are selected by a slice, by positions or by a mask."""
    rows = make_search(draw(name, 9, 4), draw(name, 1, 4), name)[1].rows

    some = rows[part]

    assert_array_equal(some.values, rows.values[part])
    for term in ("shift", "scale", "bias", "size"):
        assert_array_equal(getattr(some.terms, term), getattr(rows.terms, term)[part])


@pytest.mark.parametrize("n_at_once", [1, 4, 9, 20])
def test_blocks_cover_all_rows_in_order(n_at_once):
    """Blocks are views, so that the rows are not copied."""
    rows = make_search(draw("cosine", 9, 4), draw("cosine", 1, 4), "cosine")[1].rows

    blocks = list(rows.blocks(n_at_once))

    assert [first for first, _ in blocks] == list(range(0, 9, n_at_once))
    assert_array_equal(
        np.concatenate([block.values for _, block in blocks]), rows.values
    )
    assert all(np.shares_memory(block.values, rows.values) for _, block in blocks)
    assert sum(len(block) for _, block in blocks) == len(rows)
