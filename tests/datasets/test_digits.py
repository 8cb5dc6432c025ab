"""Tests of the images of handwritten digits."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from imgsim.datasets import load_digit_images


def test_images_are_the_digits_of_scikit_learn():
    """At the original size, the 16 gray levels are only rescaled to 255."""
    digits, data = load_digits(), load_digit_images(size=8)

    assert data.images.dtype == np.uint8
    np.testing.assert_allclose(data.images, digits.images * 255 / 16, atol=0.5)
    np.testing.assert_array_equal(data.target, digits.target)


def test_each_digit_has_the_requested_number_of_images():
    """The classes are balanced, and the images have the requested size."""
    data = load_digit_images(n_per_class=3, size=20)

    assert data.images.shape == (30, 20, 20)
    np.testing.assert_array_equal(np.bincount(data.target), [3] * 10)


@pytest.mark.parametrize("parameters", [{"n_per_class": 0}, {"size": 0}])
def test_invalid_parameters_are_named(parameters):
    """The message contains the value and the bound."""
    with pytest.raises(ValueError, match="=0 must be an integer, at least 1"):
        load_digit_images(**parameters)
