"""Tests of the representation of objects that contain many images."""

import pickle

import numpy as np
import pytest

from imgsim import load_image_folder
from imgsim.datasets import load_digit_images, load_sample_photos
from imgsim.images import ImageStream


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (load_sample_photos, "<Bunch: images: list of length 96, target: array of "),
        (load_digit_images, "<Bunch: images: "),
        (
            lambda: next(iter(ImageStream([np.zeros((300, 300, 3), np.uint8)] * 9))),
            "<ImageBatch: rows: array of shape (9,), images: list of length 9, ",
        ),
    ],
    ids=["photos", "digits", "batch"],
)
def test_images_are_counted_and_not_printed(make, start):
    """The last expression of a cell would otherwise fill the screen with pixels."""
    data = make()

    assert repr(data).startswith(start)
    assert len(repr(data)) < 1000
    assert repr(pickle.loads(pickle.dumps(data))) == repr(data)


def test_a_folder_is_described_by_its_size(tmp_path):
    """A folder may contain a million paths."""
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"")

    data = load_image_folder(tmp_path)

    assert repr(data) == (
        "<Bunch: paths: list of length 2, target: array of shape (2,), target_names: "
        "list of length 2>"
    )
    assert data.target_names == data["target_names"] == ["a", "b"]
