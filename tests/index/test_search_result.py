"""Tests of answers as a pair, and as a notebook shows them."""

import base64
import io
import pickle
import re
from copy import copy, deepcopy

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


def _pictures_of(page):
    """Return the pictures a page carries, decoded."""
    addresses = re.findall(r'src="data:image/webp;base64,([^"]*)"', page)
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(some))).convert("RGB"))
        for some in addresses
    ]


def test_an_answer_is_a_pair(rows):
    """As it is taken apart everywhere; with names for those who keep it whole."""
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
def test_a_copy_is_the_same_answer(duplicate, rows, pictures):
    """Between processes, too; pictures come with it."""
    result = SimilarityIndex(2).fit(rows).search(rows[:3]).with_images(pictures[:5])

    again = duplicate(result)

    for part, expected in zip(
        (*again, again.rows), (*result, result.rows), strict=True
    ):
        for some, other in zip(part, expected, strict=True):
            assert_array_equal(some, other)
    assert again._repr_html_() == result._repr_html_()


def test_a_notebook_shows_the_pictures_told(rows, pictures):
    """Each query, then its neighbours, with their distances."""
    index = SimilarityIndex(2).fit(rows, ids=list("abcde"))
    result = index.search(rows[[4]]).with_images(pictures[:5], pictures[7:8])

    page = result._repr_html_()

    shown = _pictures_of(page)
    for image, i in zip(shown, [7, 4, 3], strict=True):
        height, width = image.shape[:2]
        expected = Image.fromarray(pictures[i]).resize((width, height))
        assert np.abs(image.astype(int) - np.asarray(expected)).mean() < 30
    assert re.findall(r"\d\.\d{3}", page) == ["0.000", "0.005"]


def test_ids_that_are_paths_are_shown_without_more(rows, tmp_path):
    """Nobody has to say again where the images are."""
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((9, 9, 3), 40 * i, np.uint8)).save(path)
    index = SimilarityIndex(2).fit(rows, ids=[str(path) for path in paths])

    page = index.search(rows[[4]])._repr_html_()

    assert [round(image.mean() / 40) for image in _pictures_of(page)] == [4, 3]
    assert "4.png" in page
    assert str(tmp_path) not in page


def test_other_ids_are_shown_as_text(rows):
    """A number is no picture."""
    page = SimilarityIndex(2).fit(rows).search(rows[[4]])._repr_html_()

    assert "<img" not in page
    assert re.search(r"\b4\b", page)
    assert "0.005" in page


def test_names_are_text_and_a_broken_file_says_why(rows, tmp_path):
    """Whatever a file is called."""
    ids = [str(tmp_path / EVIL), *"bcde"]

    page = SimilarityIndex(1).fit(rows, ids=ids).search(rows[[0]])._repr_html_()

    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page
    assert "unreadable: no such file." in page


def test_an_empty_answer_is_given_in_words(rows):
    """Beside the one that is not empty."""
    index = SimilarityIndex(1, metric="euclidean").fit(rows)

    page = index.search([[9.0, 9.0], [1.0, 0.0]], max_distance=0.5)._repr_html_()

    assert page.count("no similar images") == 1


@pytest.mark.parametrize("collection", [np.stack, list, pd.Series], ids=str)
def test_takes_every_collection_of_pictures(collection, rows):
    """An array has no truth value."""
    images = collection([np.full((8, 8), 50 * i, np.uint8) for i in range(5)])
    result = SimilarityIndex(1).fit(rows).search(rows[:2])

    page = result.with_images(images, images[:2])._repr_html_()

    assert [round(image.mean() / 50) for image in _pictures_of(page)] == [0, 0, 1, 1]


def test_text_is_short_and_can_be_saved(rows):
    """Notebooks keep both, in UTF-8."""
    index = SimilarityIndex(2).fit(rows, ids=["bad\udcff.jpg", *"bcde"])

    result = index.search(rows)

    assert repr(result) == "<SearchResult: 5 queries, 10 neighbours>"
    assert b"bad\\udcff.jpg" in result._repr_html_().encode("utf-8")


def test_many_answers_are_cut_short():
    """A notebook is no gallery."""
    rows = np.random.default_rng(0).normal(size=(70, 3))

    page = SimilarityIndex(30).fit(rows).search()._repr_html_()

    assert page.count("<figure") == 20 * 11
    assert "and 50 more queries" in page
    assert page.count("and 20 more<") == 20


@pytest.mark.parametrize(
    ("images", "queries", "message"),
    [
        (slice(4), None, "images holds 4 images; the index has 5 rows or more"),
        (slice(5), slice(2), "query_images holds 2 images for 1 queries"),
    ],
)
def test_pictures_have_to_fit(images, queries, message, rows, pictures):
    """A picture of another row would be a lie."""
    result = SimilarityIndex(1).fit(rows).search(rows[[4]])

    with pytest.raises(ValueError, match=message):
        result.with_images(
            pictures[images], None if queries is None else pictures[queries]
        )
