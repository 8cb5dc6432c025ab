"""Tests of the layout of a page of clusters, by the coordinates of its pictures."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from imgsim.display._sheets import lay_out_page

GAP = 0.05


def _aspects(sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.choice([0.67, 1, 1.33, 1.5, 1.78], size).tolist() for size in sizes]


def _boxes(page):
    return [box for sheet in page.pictures for box in sheet]


def _rows(sheet):
    tops = sorted({round(box.top, 6) for box in sheet})
    return [[box for box in sheet if round(box.top, 6) == top] for top in tops]


def _overlap(a, b):
    return (
        min(a.left + a.width, b.left + b.width) - max(a.left, b.left) > 1e-6
        and min(a.top + a.height, b.top + b.height) - max(a.top, b.top) > 1e-6
    )


@pytest.mark.parametrize("sizes", [[10] * 25, [1] * 25, [3], [40, 2, 7] * 4], ids=str)
@pytest.mark.parametrize("n_columns", [None, 4])
def test_pictures_keep_their_proportions_and_do_not_overlap(sizes, n_columns):
    """All are on the page."""
    aspects = _aspects(sizes)

    page = lay_out_page(aspects, 11, 15.5, 1.1, n_columns)

    assert [len(sheet) for sheet in page.pictures] == sizes
    for sheet, expected in zip(page.pictures, aspects, strict=True):
        np.testing.assert_allclose([b.width / b.height for b in sheet], expected)
    boxes = _boxes(page)
    assert not any(_overlap(a, b) for a, b in combinations(boxes, 2))
    assert all(b.left >= 0 and b.left + b.width <= 11 + 1e-9 for b in boxes)
    assert all(b.top + b.height <= page.height for b in boxes)


@pytest.mark.parametrize("seed", range(5))
def test_25_clusters_of_ten_fit_on_a_page(seed):
    """The pictures stay large enough to be recognized."""
    page = lay_out_page(_aspects([10] * 25, seed), 11, 15.5, 1.1)

    heights = [box.height for box in _boxes(page)]
    assert page.height <= 15.5
    assert len({left for left, _ in page.titles}) > 1
    assert min(heights) > 0.35
    assert np.mean(heights) > 0.5


def test_rows_have_no_gaps():
    """Pictures of a row have the same height, fill it, and are near each other."""
    page = lay_out_page(_aspects([10] * 25), 11, 15.5, 1.1)

    for sheet, (left, _) in zip(page.pictures, page.titles, strict=True):
        rows = _rows(sheet)
        for row in rows:
            assert np.ptp([box.height for box in row]) < 1e-9
            between = [b.left - a.left - a.width for a, b in pairwise(row)]
            np.testing.assert_allclose(between, GAP)
        right = [row[-1].left + row[-1].width for row in rows[:-1]]
        np.testing.assert_allclose(right, left + page.column_width)


def test_sheets_are_in_reading_order():
    """Titles are above their pictures, and columns are read from top to bottom."""
    page = lay_out_page(_aspects([6] * 30), 11, 15.5, 1.1)

    assert page.titles == sorted(page.titles)
    for (left, top), sheet in zip(page.titles, page.pictures, strict=True):
        assert min(box.left for box in sheet) == left
        assert min(box.top for box in sheet) == pytest.approx(top + page.title_height)


def test_the_number_of_pictures_in_a_row_can_be_given():
    """A last row with fewer pictures is not enlarged."""
    page = lay_out_page([[1.0] * 10, [1.0] * 3], 11, 15.5, 1.1, n_columns=4)

    rows = [_rows(sheet) for sheet in page.pictures]
    assert [[len(row) for row in sheet] for sheet in rows] == [[4, 4, 2], [3]]
    assert rows[0][2][0].height == rows[0][0][0].height


def test_more_clusters_than_fit_make_the_page_longer():
    """Pictures would otherwise become too small to see."""
    page = lay_out_page(_aspects([10] * 300), 3, 3, 1.1)

    assert page.height > 3
    assert min(box.height for box in _boxes(page)) > 0.05


@pytest.mark.parametrize("aspect", [0.02, 50])
def test_extreme_pictures_are_drawn(aspect):
    """Panoramas and screenshots of long pages are among photographs."""
    page = lay_out_page([[1, aspect, 1.5], [aspect]], 11, 15.5, 1.1)

    assert all(b.left + b.width <= 11 + 1e-9 for b in _boxes(page))
    assert min(min(b.width, b.height) for b in _boxes(page)) > 0.01
