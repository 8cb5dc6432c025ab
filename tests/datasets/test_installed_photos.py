"""Tests of the photographs of installed packages and their near copies."""

import sys
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from imgsim.datasets import load_installed_photos


@pytest.fixture(scope="module")
def data():
    """Load the photographs once for all tests."""
    return load_installed_photos(n_copies=1)


def test_each_photograph_is_followed_by_its_copies(data):
    """The target and the name of the copy describe each image."""
    n_photos = len(data.target_names) + 1  # the motorcycle has two photographs

    assert len(data.images) == len(data.target) == len(data.copy_names) == 2 * n_photos
    assert data.copy_names == ["original", "recompressed"] * n_photos
    np.testing.assert_array_equal(data.target[::2], data.target[1::2])
    assert set(data.target) == set(range(len(data.target_names)))


def test_both_sides_of_the_motorcycle_have_one_target(data):
    """Two photographs of an object should be found as similar."""
    counts = np.bincount(data.target)

    assert counts[data.target_names.index("motorcycle")] == 4
    assert np.count_nonzero(counts != 2) == 1


def test_photographs_have_the_pixels_of_the_package(data):
    """A photograph that is not larger than 400 pixels is read as it is."""
    path = Path(skimage.__file__).parent / "data/coins.png"
    coins = data.images[data.target.tolist().index(data.target_names.index("coins"))]

    with Image.open(path) as file:
        np.testing.assert_array_equal(coins, np.asarray(file.convert("RGB")))


def test_photographs_are_small_rgb_images(data):
    """Examples should neither read large images nor distinguish gray images."""
    for image in data.images:
        assert image.dtype == np.uint8
        assert image.shape[2] == 3
        assert 200 < max(image.shape) <= 400


def test_missing_package_is_named(monkeypatch):
    """The message names the package and the extra that installs it."""
    monkeypatch.setitem(sys.modules, "skimage", None)

    with pytest.raises(ModuleNotFoundError, match=r"scikit-image: .*imgsim\[demo\]"):
        load_installed_photos()


def test_missing_photograph_is_left_out(tmp_path, monkeypatch):
    """Other versions of a package may not contain all of the files."""
    import matplotlib as mpl

    monkeypatch.setattr(mpl, "__file__", str(tmp_path / "__init__.py"))

    with pytest.warns(UserWarning, match=r"'officer' is left out.*of matplotlib"):
        data = load_installed_photos(n_copies=0)

    assert "officer" not in data.target_names
    assert len(data.images) == 18


@pytest.mark.parametrize("n_copies", [-1, 8])
def test_invalid_number_of_copies_is_named(n_copies):
    """The message contains the value and the bounds."""
    with pytest.raises(ValueError, match=f"n_copies={n_copies} must be .* at least 0"):
        load_installed_photos(n_copies=n_copies)
