"""Tests of the crops of photographs and their near copies."""

import numpy as np
import pytest

from imgsim.datasets import load_sample_photos


def test_each_crop_is_followed_by_its_copies():
    """The target and the name of the copy describe each image."""
    data = load_sample_photos(n_crops=8, n_copies=7)

    assert len(data.images) == len(data.target) == len(data.copy_names) == 2 * 8 * 8
    assert data.copy_names[:8] == [
        "original",
        "recompressed",
        "half size",
        "cropped",
        "brighter",
        "rotated",
        "mirrored",
        "gray",
    ]
    np.testing.assert_array_equal(data.target, np.repeat(range(16), 8))
    assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in data.images)


def test_copies_differ_from_the_original_but_are_similar():
    """Examples need copies that are neither identical nor unrecognizable."""
    data = load_sample_photos(n_crops=1, n_copies=7)
    original, *copies = (image.mean(axis=(0, 1)) for image in data.images[:8])

    for copy, image in zip(copies, data.images[1:8], strict=True):
        assert not np.array_equal(image, data.images[0])
        assert np.abs(copy - original).max() < 80


def test_crops_are_distinct_and_of_equal_size():
    """Overlapping crops would be near copies of each other."""
    data = load_sample_photos(n_copies=0)

    shapes = {image.shape for image in data.images}
    assert shapes == {(160, 160, 3)}
    assert len({image.tobytes() for image in data.images}) == 16


@pytest.mark.parametrize(
    "parameters", [{"n_crops": 0}, {"n_crops": 9}, {"n_copies": -1}, {"n_copies": 8}]
)
def test_invalid_parameters_are_named(parameters):
    """The message contains the value and the bounds."""
    [(name, value)] = parameters.items()

    with pytest.raises(ValueError, match=f"{name}={value} must be"):
        load_sample_photos(**parameters)
