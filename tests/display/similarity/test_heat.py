"""Tests of painting numbers over a picture."""

import numpy as np
from matplotlib import colormaps
from numpy.testing import assert_allclose, assert_array_equal

from imgsim.display.similarity._heat import HeatScale, color_bar, paint


def _picture(grey=100):
    return np.full((40, 60, 3), grey, dtype=np.uint8)


def test_a_scale_fits_all_that_is_given():
    """What is hardly negative needs no colours of its own."""
    assert HeatScale.of([[0.0, 2.0]], [[3.0]]) == (3.0, False)
    assert HeatScale.of([[-4.0, 2.0]]) == (4.0, True)
    assert HeatScale.of([[-0.01, 2.0]]) == (2.0, False)


def test_where_nothing_is_added_the_picture_is_grey():
    """Even of a colourful one, so that all colour is heat."""
    picture = _picture()
    picture[..., 0] = 255

    painted = paint(picture, np.zeros((3, 3)), HeatScale(1.0, False))

    assert painted.shape == picture.shape
    assert_array_equal(np.ptp(painted, axis=2), 0)


def test_the_largest_amount_has_the_last_colour():
    """Mixed with a quarter of the picture, which stays visible."""
    painted = paint(_picture(), [[1.0]], HeatScale(1.0, False))

    color = np.array(colormaps["inferno"](1.0)[:3]) * 255
    assert_allclose(painted[0, 0], 0.25 * 100 + 0.75 * color, atol=0.6)


def test_amounts_stand_where_their_places_do():
    """Top to bottom, left to right, and smooth in between."""
    amounts = [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]

    painted = paint(_picture(), amounts, HeatScale(1.0, False)).astype(int)

    red = painted[..., 0]
    assert red[5, 55] == red.max()
    assert abs(np.diff(red[10])).max() < 20
    assert_array_equal(painted[:, :18], 100)


def test_what_takes_away_is_purple_and_what_adds_orange():
    """Told apart by blue against red, which colour-blind eyes tell apart."""
    scale = HeatScale(1.0, True)

    adds = paint(_picture(), [[1.0]], scale)[0, 0].astype(int)
    takes = paint(_picture(), [[-1.0]], scale)[0, 0].astype(int)

    assert adds[0] > adds[2] + 40
    assert takes[2] > takes[0] + 20


def test_the_bar_shows_the_colours_from_the_least_on():
    """As they look on a picture of middle grey."""
    for scale, amounts in (
        (HeatScale(2.0, False), [0, 2]),
        (HeatScale(2.0, True), [-2, 2]),
    ):
        bar = color_bar(scale, 9)

        ends = [paint(_picture(128), [[amount]], scale)[0, 0] for amount in amounts]
        assert bar.shape == (1, 9, 3)
        assert_array_equal(bar[0, [0, -1]], ends)


def test_amounts_of_zero_alone_leave_the_picture():
    """There is no scale to divide by."""
    scale = HeatScale.of([[0.0]])

    assert_array_equal(paint(_picture(), [[0.0]], scale), _picture())
