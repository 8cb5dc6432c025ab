"""Tests of the images of a training run, in memory or read again."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn import config_context

from imgsim.embedding.autoencoder._training_images import TrainingImages, make_resizer


def _images(sources, *, on_error="raise", batch_size=5):
    return TrainingImages(
        sources,
        lambda rgb: rgb[:16, :16],
        batch_size=batch_size,
        n_jobs=2,
        on_error=on_error,
    )


@pytest.mark.parametrize("memory", [0, 1])
def test_batches_follow_any_order(pictures, memory):
    """The last batch may be smaller."""
    order = np.random.default_rng(0).permutation(12)

    with config_context(working_memory=memory):
        images = _images(pictures)
    batches = list(images.batches(order))

    assert images.in_memory == (memory == 1)
    assert len(images) == 12
    assert [len(batch) for batch in batches] == [5, 5, 2]
    expected = [pictures[i][:16, :16] for i in order]
    assert_array_equal(np.concatenate(batches), expected)
    assert_array_equal(images.sample(order[:7]), expected[:7])


def test_images_are_held_in_memory_up_to_the_working_memory(pictures):
    """The size of the resized pixels counts, not the size of the files."""
    n_mebibytes = 12 * 16 * 16 * 3 / 2**20

    for memory, in_memory in ((n_mebibytes, True), (0.9 * n_mebibytes, False)):
        with config_context(working_memory=memory):
            assert _images(pictures).in_memory == in_memory


@pytest.mark.parametrize("memory", [0, 1])
def test_indices_count_readable_images_only(pictures, memory):
    """The other images are listed as failures."""
    sources = ["a.jpg", *pictures[:3], "b.jpg", *pictures[3:]]

    with config_context(working_memory=memory):
        images = _images(sources, on_error="nan", batch_size=1)
    found = images.sample(np.arange(12))

    assert [failure.row for failure in images.failures] == [0, 4]
    assert len(images) == 12
    assert_array_equal(found, [picture[:16, :16] for picture in pictures])


def test_the_digest_depends_on_pixels_and_their_order(pictures):
    """It does not depend on the batch size or the memory."""
    same = _images(pictures).digest

    with config_context(working_memory=0):
        assert _images(pictures, batch_size=7).digest == same
    assert _images(pictures[::-1]).digest != same
    assert _images(pictures[:-1]).digest != same


@pytest.mark.parametrize("n_colors", [1, 3])
def test_images_are_resized_to_a_square(n_colors):
    """The left half of a wide image stays the left half."""
    rgb = np.zeros((40, 80, 3), dtype=np.uint8)
    rgb[:, :40] = 200

    pixels = make_resizer(16, n_colors)(rgb)

    assert pixels.shape == (16, 16, n_colors)
    assert (pixels[:, :7] == 200).all()
    assert (pixels[:, 9:] == 0).all()
