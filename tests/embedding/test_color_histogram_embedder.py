"""Tests of color histograms."""

import colorsys

import numpy as np
import pytest

from imgsim import ColorHistogramEmbedder


def _brute_force(rgb, bins, grid):
    """Count pixel by pixel, with the color conversion of the standard library."""
    counts = np.zeros((*grid, *bins))
    for (i, j), pixel in zip(
        np.ndindex(rgb.shape[:2]), rgb.reshape(-1, 3) / 255, strict=True
    ):
        cell = (i * grid[0] // rgb.shape[0], j * grid[1] // rgb.shape[1])
        levels = (int(x * 255) for x in colorsys.rgb_to_hsv(*pixel))
        color = tuple(x * n // 256 for x, n in zip(levels, bins, strict=True))
        counts[cell + color] += 1
    return counts.ravel() / counts.sum()


@pytest.mark.parametrize("bins", [(8, 8, 4), (3, 1, 2), (1, 1, 1)])
@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (3, 5)])
def test_agrees_with_counting_pixel_by_pixel(bins, grid):
    """The image has the size to which images are resized."""
    rgb = np.random.default_rng(0).integers(256, size=(16, 16, 3), dtype=np.uint8)
    embedder = ColorHistogramEmbedder(bins, grid=grid, image_size=16)

    [row] = embedder.fit_transform([rgb])

    expected = _brute_force(rgb, bins, grid)
    # Pillow and colorsys may round a level at the edge of a bin to either side.
    assert np.abs(row - expected).sum() <= 2 * 8 / 256
    assert row.sum() == pytest.approx(1)


def test_the_grid_locates_colors():
    """A mirrored image has another histogram only if there are several cells."""
    half = np.zeros((8, 8, 3), dtype=np.uint8)
    half[:, :4] = (255, 0, 0)
    pair = [half, half[:, ::-1]]

    on_grid = ColorHistogramEmbedder(grid=(1, 2)).fit_transform(pair)
    without_grid = ColorHistogramEmbedder(grid=(1, 1)).fit_transform(pair)

    assert (on_grid[0] != on_grid[1]).any()
    np.testing.assert_array_equal(without_grid[0], without_grid[1])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bins": (8, 8)}, r"bins=\(8, 8\) must be 3 integers from 1 to 256"),
        ({"bins": (8, 0, 4)}, r"bins=\(8, 0, 4\)"),
        ({"bins": (8, 257, 4)}, r"bins=\(8, 257, 4\)"),
        ({"grid": (2, 2.5)}, r"grid=\(2, 2\.5\) must be 2 integers"),
        ({"grid": (9, 9), "image_size": 8}, r"grid=\(9, 9\).*from 1 to 8"),
    ],
)
def test_invalid_counts_are_rejected(parameters, message, picture):
    """The message contains the value and the bounds."""
    with pytest.raises(ValueError, match=message):
        ColorHistogramEmbedder(**parameters).fit([picture])
