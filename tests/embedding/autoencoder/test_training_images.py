"""Tests of images for training, kept or read anew."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn import config_context

from imgsim.embedding.autoencoder._training_images import TrainingImages


def _images(sources, *, on_error="raise", batch_size=5):
    return TrainingImages(
        sources,
        lambda rgb: rgb[:16, :16],
        batch_size=batch_size,
        n_jobs=2,
        on_error=on_error,
    )


@pytest.mark.parametrize("memory", [0, 1])
def test_images_come_in_any_order(pictures, memory):
    """Kept or not, in batches, the last shorter."""
    order = np.random.default_rng(0).permutation(12)

    with config_context(working_memory=memory):
        images = _images(pictures)
    batches = list(images.batches(order))

    assert images.are_kept == (memory == 1)
    assert len(images) == 12
    assert [len(batch) for batch in batches] == [5, 5, 2]
    expected = [pictures[i][:16, :16] for i in order]
    assert_array_equal(np.concatenate(batches), expected)
    assert_array_equal(images.sample(order[:7]), expected[:7])


def test_images_are_kept_up_to_the_working_memory(pictures):
    """Counted in bytes of prepared images, not of files."""
    enough = 12 * 16 * 16 * 3 / 2**20

    for memory, are_kept in ((enough, True), (0.9 * enough, False)):
        with config_context(working_memory=memory):
            assert _images(pictures).are_kept == are_kept


@pytest.mark.parametrize("memory", [0, 1])
def test_numbers_count_readable_images(pictures, memory):
    """Those that cannot be read are told, and never come."""
    sources = ["a.jpg", *pictures[:3], "b.jpg", *pictures[3:]]

    with config_context(working_memory=memory):
        images = _images(sources, on_error="nan", batch_size=1)
    found = images.sample(np.arange(12))

    assert [failure.row for failure in images.failures] == [0, 4]
    assert len(images) == 12
    assert_array_equal(found, [picture[:16, :16] for picture in pictures])


def test_the_fingerprint_tells_collections_apart(pictures):
    """By pixels and their order, not by batches or memory."""
    same = _images(pictures).fingerprint

    with config_context(working_memory=0):
        assert _images(pictures, batch_size=7).fingerprint == same
    assert _images(pictures[::-1]).fingerprint != same
    assert _images(pictures[:-1]).fingerprint != same
