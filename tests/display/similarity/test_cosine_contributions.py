"""Tests of splitting a cosine, against all pairs of places."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imgsim.display.similarity._cosine_contributions import pool, split_cosine


@pytest.fixture
def maps():
    """Return two maps of different grids, with negative features."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=(*grid, 6)).astype(np.float32) for grid in ((3, 4), (2, 5))]


def _cosine(one, other):
    return one @ other / (np.linalg.norm(one) * np.linalg.norm(other))


@pytest.mark.parametrize("pooling", ["avg", "token_avg"])
def test_a_mean_is_split_as_all_pairs_of_places_are(maps, pooling):
    """Each pair of places adds its dot product, to one place of either image."""
    one, other = (features.reshape(-1, 6).astype(float) for features in maps)
    lengths = [np.linalg.norm(rows.mean(axis=0)) for rows in (one, other)]
    pairs = one @ other.T / (len(one) * len(other) * lengths[0] * lengths[1])

    split = split_cosine(*maps, pooling=pooling)

    assert_allclose(split.first, pairs.sum(axis=1).reshape(3, 4), atol=1e-14)
    assert_allclose(split.second, pairs.sum(axis=0).reshape(2, 5), atol=1e-14)
    assert split.similarity == pytest.approx(pairs.sum(), abs=1e-14)


def test_a_maximum_is_split_feature_by_feature(maps):
    """Each belongs to the one place it comes from."""
    rows = [features.reshape(-1, 6).max(axis=0).astype(float) for features in maps]
    by_feature = rows[0] * rows[1] / np.prod([np.linalg.norm(row) for row in rows])
    expected = np.zeros(12)
    for feature, place in enumerate(maps[0].reshape(-1, 6).argmax(axis=0)):
        expected[place] += by_feature[feature]

    split = split_cosine(*maps, pooling="max")

    assert_allclose(split.first, expected.reshape(3, 4), atol=1e-14)
    assert split.similarity == pytest.approx(_cosine(*rows), abs=1e-14)


def test_places_that_tie_for_the_maximum_share_it():
    """Alike, wherever they stand."""
    features = np.array([[[2.0, 1.0], [2.0, 0.0], [0.0, 0.0]]])

    split = split_cosine(features, features, pooling="max")

    assert_allclose(split.first, [[2 / 5 + 1 / 5, 2 / 5, 0]])


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_both_maps_sum_to_the_cosine_of_the_pooled_rows(maps, pooling):
    """Whatever the grids."""
    split = split_cosine(*maps, pooling=pooling)

    expected = _cosine(*(pool(features, pooling) for features in maps))
    assert split.similarity == pytest.approx(expected, abs=1e-14)
    assert split.first.sum() == pytest.approx(expected, abs=1e-14)
    assert split.second.sum() == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_a_map_does_not_matter(maps, scale):
    """Nor do squares of its features overflow."""
    split = split_cosine(maps[0].astype(float) * scale, maps[1], pooling="avg")

    assert_allclose(split.first, split_cosine(*maps, pooling="avg").first)


def test_a_map_of_zeros_is_similar_to_nothing(maps):
    """It has no direction, and `normalize` leaves its row zero, too."""
    split = split_cosine(np.zeros_like(maps[0]), maps[1], pooling="avg")

    assert split.similarity == 0
    assert_array_equal(split.first, np.zeros((3, 4)))
    assert_array_equal(split.second, np.zeros((2, 5)))
