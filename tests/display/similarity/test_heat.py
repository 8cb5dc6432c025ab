"""Tests of blending a heat map over an image."""

import numpy as np
from matplotlib import colormaps
from numpy.testing import assert_allclose, assert_array_equal

from imgsim.display.similarity._heat import HeatScale, color_bar, paint


def _image(gray=100):
    return np.full((40, 60, 3), gray, dtype=np.uint8)


def test_a_scale_fits_all_arrays():
    """Negative amounts that would not be visible need no colors of their own."""
    assert HeatScale.of([[0.0, 2.0]], [[3.0]]) == (3.0, False)
    assert HeatScale.of([[-4.0, 2.0]]) == (4.0, True)
    assert HeatScale.of([[-0.01, 2.0]]) == (2.0, False)


def test_an_amount_of_zero_leaves_the_image_gray():
    """A colorful image is turned gray, so that every color is part of the heat map."""
    image = _image()
    image[..., 0] = 255

    painted = paint(image, np.zeros((3, 3)), HeatScale(1.0, False))

    assert painted.shape == image.shape
    assert_array_equal(np.ptp(painted, axis=2), 0)


def test_the_largest_amount_has_the_last_color():
    """A quarter of the image remains, so that it stays visible."""
    painted = paint(_image(), [[1.0]], HeatScale(1.0, False))

    color = np.array(colormaps["inferno"](1.0)[:3]) * 255
    assert_allclose(painted[0, 0], 0.25 * 100 + 0.75 * color, atol=0.6)


def test_amounts_are_drawn_over_their_cells():
    """Rows go from top to bottom and columns from left to right, smoothly."""
    amounts = [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]

    painted = paint(_image(), amounts, HeatScale(1.0, False)).astype(int)

    red = painted[..., 0]
    assert red[5, 55] == red.max()
    assert abs(np.diff(red[10])).max() < 20
    assert_array_equal(painted[:, :18], 100)


def test_negative_amounts_are_purple_and_positive_ones_orange():
    """Blue against red is a contrast that color-blind readers see."""
    scale = HeatScale(1.0, True)

    positive = paint(_image(), [[1.0]], scale)[0, 0].astype(int)
    negative = paint(_image(), [[-1.0]], scale)[0, 0].astype(int)

    assert positive[0] > positive[2] + 40
    assert negative[2] > negative[0] + 20


def test_the_color_bar_shows_the_scale_from_its_lower_end():
    """Its colors are those of a heat map over a medium gray image."""
    for scale, amounts in (
        (HeatScale(2.0, False), [0, 2]),
        (HeatScale(2.0, True), [-2, 2]),
    ):
        bar = color_bar(scale, 9)

        ends = [paint(_image(128), [[amount]], scale)[0, 0] for amount in amounts]
        assert bar.shape == (1, 9, 3)
        assert_array_equal(bar[0, [0, -1]], ends)


def test_a_heat_map_of_zeros_leaves_the_image():
    """The scale is zero then, and must not be divided by."""
    scale = HeatScale.of([[0.0]])

    assert_array_equal(paint(_image(), [[0.0]], scale), _image())
