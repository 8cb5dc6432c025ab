"""Tests of search results as a pair and as a table in a notebook."""

import base64
import io
import json
import pickle
import re
from copy import copy, deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from imgsim import SimilarityIndex
from imgsim.index import SearchResult

EVIL = "<img src=x onerror=alert(1)>.png"


@pytest.fixture
def rows():
    """Return rows of width 2 in five directions."""
    angles = np.array([0.0, 0.1, 0.3, 1.0, 1.1])
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _images_of(page):
    """Return the decoded images of a page."""
    addresses = re.findall(r'src="data:image/webp;base64,([^"]*)"', page)
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(some))).convert("RGB"))
        for some in addresses
    ]


def test_a_result_is_a_pair(rows):
    """It is unpacked like the result of `kneighbors`, and has named fields."""
    result = SimilarityIndex(2).fit(rows, ids=list("abcde")).search(rows[:3])

    distances, ids = result
    assert isinstance(result, SearchResult)
    assert len(result) == 2
    assert result.ids is ids
    assert result.distances is distances
    assert [found.tolist() for found in ids] == [["a", "b"], ["b", "a"], ["c", "b"]]
    assert [found.tolist() for found in result.rows] == [[0, 1], [1, 0], [2, 1]]


@pytest.mark.parametrize(
    "duplicate", [copy, deepcopy, lambda result: pickle.loads(pickle.dumps(result))]
)
def test_a_copy_is_the_same_result(duplicate, rows, pictures):
    """Results are passed between processes, with their images."""
    result = SimilarityIndex(2).fit(rows).search(rows[:3]).with_images(pictures[:5])

    again = duplicate(result)

    for part, expected in zip(
        (*again, again.rows), (*result, result.rows), strict=True
    ):
        for some, other in zip(part, expected, strict=True):
            assert_array_equal(some, other)
    assert again._repr_html_() == result._repr_html_()


def test_a_notebook_displays_the_assigned_images(rows, pictures):
    """Each query is followed by its neighbors and their distances."""
    index = SimilarityIndex(2).fit(rows, ids=list("abcde"))
    result = index.search(rows[[4]]).with_images(pictures[:5], pictures[7:8])

    page = result._repr_html_()

    shown = _images_of(page)
    for image, i in zip(shown, [7, 4, 3], strict=True):
        height, width = image.shape[:2]
        expected = Image.fromarray(pictures[i]).resize((width, height))
        assert np.abs(image.astype(int) - np.asarray(expected)).mean() < 30
    assert re.findall(r"\d\.\d{3}", page) == ["0.000", "0.005"]


def test_images_are_displayed_if_ids_are_paths(rows, tmp_path):
    """The user does not have to pass the images again."""
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((9, 9, 3), 40 * i, np.uint8)).save(path)
    index = SimilarityIndex(2).fit(rows, ids=[str(path) for path in paths])

    page = index.search([[0.5, 0.9]])._repr_html_()

    assert [round(image.mean() / 40) for image in _images_of(page)] == [4, 3]
    assert "4.png" in page
    assert str(tmp_path) not in page


@pytest.mark.parametrize(
    ("queries", "expected"),
    [(None, [1, 2, 2, 1, 3, 4, 4, 3]), (slice(2, 4), [2, 2, 3, 3])],
    ids=["all", "some"],
)
def test_queries_that_are_rows_of_the_index_are_displayed(
    queries, expected, rows, tmp_path
):
    """The first image of a line is the query, also after rows were removed."""
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((9, 9, 3), 40 * i, np.uint8)).save(path)
    index = SimilarityIndex(1).fit(rows, ids=paths).remove([paths[0]])

    result = index.search(None if queries is None else rows[queries])

    shown = [round(image.mean() / 40) for image in _images_of(result._repr_html_())]
    assert shown == expected


def test_images_of_queries_can_be_assigned_alone(rows, pictures, tmp_path):
    """The neighbors are displayed by their paths."""
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, picture in zip(paths, pictures, strict=False):
        Image.fromarray(picture).save(path)
    index = SimilarityIndex(2).fit(rows, ids=paths)

    result = index.search([[0.5, 0.9]]).with_images(query_images=[tmp_path / "0.png"])

    page = result._repr_html_()
    assert len(_images_of(page)) == 3
    assert "0.png" in page


def test_a_query_that_is_not_a_row_has_no_image(rows, pictures):
    """A similar image must not be displayed as the query."""
    index = SimilarityIndex(1).fit(rows)

    page = index.search(rows[:1] + 1e-6).with_images(pictures[:5])._repr_html_()

    assert len(_images_of(page)) == 1


def test_other_ids_are_displayed_as_text(rows):
    """A number is not the path of an image."""
    page = SimilarityIndex(2).fit(rows).search(rows[[4]])._repr_html_()

    assert "<img" not in page
    assert re.search(r"\b4\b", page)
    assert "0.005" in page


def test_names_are_escaped_and_failures_are_explained(rows, tmp_path):
    """A file name may contain HTML."""
    ids = [str(tmp_path / EVIL), *"bcde"]

    page = SimilarityIndex(1).fit(rows, ids=ids).search(rows[[0]])._repr_html_()

    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page
    assert "unreadable: no such file." in page


def test_an_empty_result_is_explained(rows):
    """The line of a query without neighbors would otherwise be blank."""
    index = SimilarityIndex(1, metric="euclidean").fit(rows)

    page = index.search([[9.0, 9.0], [1.0, 0.0]], max_distance=0.5)._repr_html_()

    assert page.count("no similar images") == 1


@pytest.mark.parametrize("collection", [np.stack, list, pd.Series])
def test_images_may_be_any_sequence(collection, rows):
    """The truth value of an array is not defined."""
    images = collection([np.full((8, 8), 50 * i, np.uint8) for i in range(5)])
    result = SimilarityIndex(1).fit(rows).search(rows[:2])

    page = result.with_images(images, images[:2])._repr_html_()

    assert [round(image.mean() / 50) for image in _images_of(page)] == [0, 0, 1, 1]


def test_the_text_is_short_and_can_be_encoded(rows):
    """Notebooks save the text and the page in UTF-8."""
    index = SimilarityIndex(2).fit(rows, ids=["bad\udcff.jpg", *"bcde"])

    result = index.search(rows)

    assert repr(result) == "<SearchResult: 5 queries, 10 neighbors>"
    assert b"bad\\udcff.jpg" in result._repr_html_().encode("utf-8")


def test_long_results_are_truncated():
    """A notebook should not hold thousands of images."""
    rows = np.random.default_rng(0).normal(size=(70, 3))

    page = SimilarityIndex(30).fit(rows).search()._repr_html_()

    assert page.count("<figure") == 20 * 11
    assert "and 50 more queries" in page
    assert page.count("and 20 more<") == 20


@pytest.mark.parametrize(
    ("images", "queries", "message"),
    [
        (slice(4), None, "images has 4 entries, but the index has at least 5 rows"),
        (slice(5), slice(2), "query_images has 2 entries, but there are 1"),
    ],
)
def test_a_wrong_number_of_images_is_refused(images, queries, message, rows, pictures):
    """A neighbor must not be displayed as another image."""
    result = SimilarityIndex(1).fit(rows).search(rows[[4]])

    with pytest.raises(ValueError, match=message):
        result.with_images(
            pictures[images], None if queries is None else pictures[queries]
        )


def test_to_dict_can_be_written_as_json(rows):
    """Web services answer in JSON."""
    ids = [Path("zoo") / f"{name}.jpg" for name in "abcde"]
    index = SimilarityIndex(2).fit(rows, ids=ids)
    queries = np.array([[1.0, 0.0], [np.nan, 0.0]])

    result = index.search(queries).to_dict()

    assert json.loads(json.dumps(result, allow_nan=False)) == {
        "distances": [[0.0, pytest.approx(1 - np.cos(0.1))], []],
        "ids": [["zoo/a.jpg", "zoo/b.jpg"], []],
        "rows": [[0, 1], []],
    }
