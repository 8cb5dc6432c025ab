"""Tests of finding exact copies among images of a figure."""

import shutil

import numpy as np
from PIL import Image

from imgsim.display._copies import group_copies


def test_files_are_compared_byte_by_byte(pictures, tmp_path):
    """Names, paths and the kind of path do not matter."""
    for i in range(3):
        Image.fromarray(pictures[i]).save(tmp_path / f"{i}.png")
    shutil.copy(tmp_path / "1.png", tmp_path / "copy.png")
    names = ["0.png", "1.png", "copy.png", "2.png", "1.png"]

    groups = group_copies([str(tmp_path / name) for name in names])

    assert groups == [(0, 1), (1, 3), (3, 1)]


def test_files_of_equal_size_may_differ(tmp_path):
    """The size only decides which files are read."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.bmp").write_bytes(name.encode() * 100)

    assert group_copies([tmp_path / "a.bmp", tmp_path / "b.bmp"]) == [(0, 1), (1, 1)]


def test_images_in_memory_are_compared_pixel_by_pixel(pictures):
    """Different arrays may have equal pixels."""
    nearly = pictures[0].copy()
    nearly[0, 0, 0] ^= 1
    images = [pictures[0], nearly, pictures[0].copy(), Image.fromarray(pictures[0])]

    assert group_copies(images)[:2] == [(0, 2), (1, 1)]
    assert group_copies([Image.fromarray(pictures[0])] * 3) == [(0, 3)]


def test_unreadable_images_are_not_copies(tmp_path):
    """It is not known whether missing files are equal."""
    images = [tmp_path / "missing.png", tmp_path / "other.png", np.zeros((0, 4), int)]

    assert len(group_copies(images)) == 3
