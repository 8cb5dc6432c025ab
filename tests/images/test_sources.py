"""Tests of the validation of X as a sequence of image sources."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from imgsim.images._sources import check_image_sources

PATHS = ["a.jpg", "b.jpg"]

COLLECTIONS = {
    "list": PATHS,
    "tuple": tuple(PATHS),
    "array": np.array(PATHS),
    "object column": np.array(PATHS, dtype=object)[:, None],
    "Series": pd.Series(PATHS, index=[7, 3]),
    "DataFrame": pd.DataFrame({"path": PATHS}),
    "polars Series": pl.Series(PATHS),
    "polars DataFrame": pl.DataFrame({"path": PATHS}),
}


@pytest.mark.parametrize("X", COLLECTIONS.values(), ids=COLLECTIONS)
def test_columns_are_sequences_of_sources(X):
    """A ColumnTransformer passes a column, or a data frame with one column."""
    assert list(check_image_sources(X)) == PATHS


@pytest.mark.parametrize("shape", [(2, 8, 9), (2, 8, 9, 1), (2, 8, 9, 3), (1, 8, 9, 4)])
def test_arrays_are_sequences_of_images(shape):
    """The digits of scikit-learn have shape (n, 8, 8), for example."""
    X = np.zeros(shape, dtype=np.uint8)

    assert check_image_sources(X)[0].shape == shape[1:]


SINGLES = {
    "str": "folder",
    "path": Path("folder"),
    "bytes": b"\xff\xd8",
    "PIL": Image.new("L", (2, 2)),
    "file": io.BytesIO(),
}


@pytest.mark.parametrize("X", SINGLES.values(), ids=SINGLES)
def test_a_single_image_is_refused(X):
    """A string, for example, would be a sequence of characters."""
    with pytest.raises(TypeError, match="X must be a sequence of images; got"):
        check_image_sources(X)


def test_the_error_for_a_string_suggests_list_images():
    """Passing a folder is the most frequent mistake."""
    with pytest.raises(TypeError, match=r"list_images\('photos'\) for a folder"):
        check_image_sources("photos")


@pytest.mark.parametrize("shape", [(8, 9, 3), (8, 9), (2, 2, 8, 9, 3), (5,)])
def test_other_arrays_are_refused(shape):
    """Shape (8, 9, 3) may be one color image or eight grayscale images."""
    with pytest.raises(ValueError, match=r"Pass X\[None\] for a single image"):
        check_image_sources(np.zeros(shape, dtype=np.uint8))


def test_tables_of_several_columns_are_refused():
    """The user has to select the column that contains the images."""
    with pytest.raises(ValueError, match="must have one column"):
        check_image_sources(pd.DataFrame({"path": PATHS, "label": PATHS}))


@pytest.mark.parametrize(
    "X", [iter(PATHS), set(PATHS), dict.fromkeys(PATHS), 7, None], ids=type
)
def test_objects_without_order_or_length_are_refused(X):
    """Row i of the output has to be image i."""
    with pytest.raises(TypeError, match="X must be a sequence of images"):
        check_image_sources(X)


@pytest.mark.parametrize(
    "X", [[], np.zeros((0, 8, 8, 3), np.uint8), pd.Series([], dtype=str)]
)
def test_an_empty_collection_is_refused(X):
    """All estimators of scikit-learn refuse it."""
    with pytest.raises(ValueError, match="contains no images"):
        check_image_sources(X)


def test_a_single_image_tensor_is_refused():
    """The channel is the first axis of a torch tensor."""
    torch = pytest.importorskip("torch")

    assert len(check_image_sources(torch.zeros(2, 3, 8, 9))) == 2
    with pytest.raises(ValueError, match=r"Pass X\[None\]"):
        check_image_sources(torch.zeros(3, 8, 9))
