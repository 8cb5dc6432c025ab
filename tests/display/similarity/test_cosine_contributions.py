"""Tests of the decomposition of a cosine, against all pairs of locations."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imgsim.display.similarity._cosine_contributions import pool, split_cosine


@pytest.fixture
def maps():
    """Return two feature maps of different sizes, with negative features."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=(*size, 6)).astype(np.float32) for size in ((3, 4), (2, 5))]


def _cosine(one, other):
    return one @ other / (np.linalg.norm(one) * np.linalg.norm(other))


@pytest.mark.parametrize("pooling", ["avg", "token_avg"])
def test_a_mean_is_split_as_all_pairs_of_locations_are(maps, pooling):
    """Each pair of locations contributes its dot product to one location per image."""
    one, other = (features.reshape(-1, 6).astype(float) for features in maps)
    norms = [np.linalg.norm(terms.mean(axis=0)) for terms in (one, other)]
    pairs = one @ other.T / (len(one) * len(other) * norms[0] * norms[1])

    split = split_cosine(*maps, pooling=pooling)

    assert_allclose(split.first, pairs.sum(axis=1).reshape(3, 4), atol=1e-14)
    assert_allclose(split.second, pairs.sum(axis=0).reshape(2, 5), atol=1e-14)
    assert split.similarity == pytest.approx(pairs.sum(), abs=1e-14)


def test_a_maximum_is_split_feature_by_feature(maps):
    """Each feature of a max-pooled embedding comes from a single location."""
    pooled = [features.reshape(-1, 6).max(axis=0).astype(float) for features in maps]
    by_feature = (
        pooled[0] * pooled[1] / np.prod([np.linalg.norm(row) for row in pooled])
    )
    expected = np.zeros(12)
    for feature, location in enumerate(maps[0].reshape(-1, 6).argmax(axis=0)):
        expected[location] += by_feature[feature]

    split = split_cosine(*maps, pooling="max")

    assert_allclose(split.first, expected.reshape(3, 4), atol=1e-14)
    assert split.similarity == pytest.approx(_cosine(*pooled), abs=1e-14)


def test_locations_that_tie_for_the_maximum_share_it():
    """The result must not depend on the order of the locations."""
    features = np.array([[[2.0, 1.0], [2.0, 0.0], [0.0, 0.0]]])

    split = split_cosine(features, features, pooling="max")

    assert_allclose(split.first, [[2 / 5 + 1 / 5, 2 / 5, 0]])


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_both_maps_sum_to_the_cosine_of_the_pooled_embeddings(maps, pooling):
    """The feature maps of the two images may differ in size."""
    split = split_cosine(*maps, pooling=pooling)

    expected = _cosine(*(pool(features, pooling) for features in maps))
    assert split.similarity == pytest.approx(expected, abs=1e-14)
    assert split.first.sum() == pytest.approx(expected, abs=1e-14)
    assert split.second.sum() == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_a_map_does_not_matter(maps, scale):
    """The squares of the features must neither overflow nor underflow."""
    split = split_cosine(maps[0].astype(float) * scale, maps[1], pooling="avg")

    assert_allclose(split.first, split_cosine(*maps, pooling="avg").first)


def test_a_map_of_zeros_is_similar_to_nothing(maps):
    """A zero embedding has no direction, and `normalize` leaves it zero, too."""
    split = split_cosine(np.zeros_like(maps[0]), maps[1], pooling="avg")

    assert split.similarity == 0
    assert_array_equal(split.first, np.zeros((3, 4)))
    assert_array_equal(split.second, np.zeros((2, 5)))
