"""Photographs for the benchmarks."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from imgsim import list_images


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Return paths of 200 JPEGs of about 500 x 375 pixels.

    If IMGSIM_TEST_DATA is the path of a folder with photographs, they are taken from
    there. Otherwise, they are the two sample photographs of scikit-learn, shifted so
    that no two files are equal.
    """
    data = os.environ.get("IMGSIM_TEST_DATA")
    if data:
        return list_images(Path(data) / "data/animals")[::7][:200]
    folder = tmp_path_factory.mktemp("photographs")
    photos = load_sample_images().images
    for i in range(200):
        shifted = np.roll(photos[i % 2], 3 * i, axis=1)
        Image.fromarray(shifted).resize((500, 375)).save(folder / f"{i:03}.jpg")
    return list_images(folder)
