"""Tests of the cuts of photographs and their near copies."""

import numpy as np
import pytest

from imgsim.datasets import load_sample_photos


def test_each_picture_is_followed_by_its_copies():
    """Row by row, target and name of the variation tell what an image is."""
    data = load_sample_photos(n_crops=8, n_copies=7)

    assert len(data.images) == len(data.target) == len(data.copy_names) == 2 * 8 * 8
    assert data.copy_names[:3] == ["original", "recompressed", "half size"]
    np.testing.assert_array_equal(data.target, np.repeat(range(16), 8))
    assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in data.images)


def test_copies_differ_from_their_picture_and_resemble_it():
    """A copy that is equal, or unlike, would make a poor example."""
    data = load_sample_photos(n_crops=1, n_copies=7)
    original, *copies = (image.mean(axis=(0, 1)) for image in data.images[:8])

    for copy, image in zip(copies, data.images[1:8], strict=True):
        assert not np.array_equal(image, data.images[0])
        assert np.abs(copy - original).max() < 80


def test_cuts_do_not_overlap():
    """Else two pictures would be near copies of each other."""
    data = load_sample_photos(n_copies=0)

    shapes = {image.shape for image in data.images}
    assert shapes == {(160, 160, 3)}
    assert len({image.tobytes() for image in data.images}) == 16


@pytest.mark.parametrize(
    "parameters", [{"n_crops": 0}, {"n_crops": 9}, {"n_copies": -1}, {"n_copies": 8}]
)
def test_bad_parameters_are_named(parameters):
    """The message has the value and the bounds."""
    [(name, value)] = parameters.items()

    with pytest.raises(ValueError, match=f"{name}={value} must be"):
        load_sample_photos(**parameters)
