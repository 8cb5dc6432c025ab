"""Tests of drawing neighbours, by what stands where."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, SimilarityIndex
from imgsim.display import NeighborsDisplay


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def index():
    """Return an index of five rows on a line, at 0, 1, 2, 3 and 9."""
    rows = np.array([[0.0], [1.0], [2.0], [3.0], [9.0]])
    ids = [f"id {i}" for i in range(5)]
    return SimilarityIndex(n_neighbors=3, metric="euclidean").fit(rows, ids=ids)


def _texts(display):
    return [text.get_text() for text in display.ax_.texts]


def test_neighbours_stand_right_of_their_query_by_rank(index, pictures):
    """With rank and distance; the query is on the left."""
    display = NeighborsDisplay.from_index(
        index, [[1.1]], query_images=pictures[5:6], images=pictures[:5]
    ).plot()

    assert _texts(display) == ["query", "#1   0.100", "#2   0.900", "#3   1.100"]
    lefts = [image.get_extent()[0] for image in display.ax_.images]
    assert lefts == sorted(lefts)
    assert len(display.ax_.images) == 4


def test_the_right_pictures_are_drawn(index, pictures):
    """By row of the index, whatever its ids are."""
    display = NeighborsDisplay.from_index(
        index, [[8.0]], query_images=pictures[5:6], images=pictures[:5], n_neighbors=2
    ).plot()

    for image, expected in zip(
        display.ax_.images, [pictures[5], pictures[4], pictures[3]], strict=True
    ):
        np.testing.assert_array_equal(image.get_array(), expected)


def test_an_empty_answer_is_given_in_words(index, pictures):
    """Beside the query, not instead of the row."""
    display = NeighborsDisplay.from_index(
        index,
        [[5.9], [1.0]],
        query_images=pictures[:2],
        images=pictures[:5],
        max_distance=0.5,
    ).plot()

    assert display.neighbor_images[0] == []
    assert [text for text in _texts(display) if ">" not in text] == [
        "query",
        "query",
        "#1   0.000",
        "no similar images",
    ]


def test_what_the_threshold_leaves_out_is_shown_with_the_reason(index, pictures):
    """Faded, right of the neighbours: of the three nearest of 2.2, one is too far."""
    display = NeighborsDisplay.from_index(
        index,
        [[2.2]],
        query_images=pictures[5:6],
        images=pictures[:5],
        max_distance=1.0,
    ).plot()

    assert _texts(display) == ["query", "#1   0.200", "#2   0.800", "1.200 > 1.000"]
    *near, far = display.ax_.images
    assert {image.get_alpha() for image in near} == {1}
    assert far.get_alpha() < 0.5
    np.testing.assert_array_equal(far.get_array(), pictures[1])
    gaps = np.diff([image.get_extent()[0] for image in (*near[1:], far)])
    assert gaps[-1] > gaps[0]


def test_nothing_is_left_out_without_a_threshold(index, pictures):
    """All of the nearest are neighbours."""
    display = NeighborsDisplay.from_index(index, images=pictures[:5])

    assert display.left_out_images == [[]] * 5
    assert [len(found) for found in display.neighbor_images] == [3] * 5


def test_a_distance_just_beyond_the_threshold_is_told_from_it():
    """0.350 > 0.350 would be a riddle."""
    display = NeighborsDisplay(
        query_images=[np.zeros((4, 4), np.uint8)],
        neighbor_images=[[]],
        distances=[[]],
        left_out_images=[[np.zeros((4, 4), np.uint8)] * 2],
        left_out_distances=[[0.35004, 12.0]],
        max_distance=0.35,
    ).plot()

    assert _texts(display)[1:3] == ["just > 0.350", "12.000 > 0.350"]


def test_some_rows_of_the_collection_may_ask(index, pictures):
    """Each without itself, whatever the ids are."""
    display = NeighborsDisplay.from_index(
        index, images=pictures[:5], rows=[4, 0], n_neighbors=2
    )

    assert [id(image) for image in display.query_images] == [
        id(pictures[4]),
        id(pictures[0]),
    ]
    assert [[id(image) for image in found] for found in display.neighbor_images] == [
        [id(pictures[3]), id(pictures[2])],
        [id(pictures[1]), id(pictures[2])],
    ]
    with pytest.raises(IndexError):
        NeighborsDisplay.from_index(index, images=pictures[:5], rows=[5])


def test_some_of_the_queries_may_be_shown(index, pictures):
    """Chosen by the same parameter."""
    display = NeighborsDisplay.from_index(
        index,
        [[0.0], [9.0], [3.0]],
        images=pictures[:5],
        query_images=pictures[5:8],
        rows=[2],
        n_neighbors=1,
    )

    assert display.query_images[0] is pictures[7]
    assert display.neighbor_images[0][0] is pictures[3]


@pytest.mark.parametrize("max_distance", [np.nan, "near", -1], ids=str)
def test_a_threshold_that_is_none_is_refused(max_distance, index, pictures):
    """With the value."""
    with pytest.raises(ValueError, match=r"max_distance=.* must be a number"):
        NeighborsDisplay.from_index(
            index, images=pictures[:5], max_distance=max_distance
        )


def test_an_unreadable_query_was_not_searched(index, pictures):
    """To say that nothing is similar would be false."""
    display = NeighborsDisplay.from_index(
        index, [[np.nan]], query_images=["missing.jpg"], images=pictures[:5]
    ).plot()

    assert "not searched" in _texts(display)
    assert "no similar images" not in _texts(display)


def test_without_queries_each_image_is_one(index, pictures):
    """And none is its own neighbour."""
    display = NeighborsDisplay.from_index(index, images=pictures[:5], n_neighbors=1)

    assert display.query_images is not None
    assert [len(found) for found in display.neighbor_images] == [1] * 5
    assert [distances.tolist() for distances in display.distances] == [
        [1.0],
        [1.0],
        [1.0],
        [1.0],
        [6.0],
    ]


def test_from_estimator_embeds_and_searches(pictures):
    """A pipeline from images to neighbours."""
    finder = make_pipeline(ColorHistogramEmbedder(), SimilarityIndex(n_neighbors=1))
    finder.fit(pictures)

    display = NeighborsDisplay.from_estimator(finder, pictures[2:4], images=pictures)

    assert display.neighbor_images[0][0] is pictures[2]
    assert display.neighbor_images[1][0] is pictures[3]


def test_from_estimator_wants_a_pipeline_with_an_index(pictures):
    """The message names the other constructor."""
    with pytest.raises(TypeError, match="use from_index"):
        NeighborsDisplay.from_estimator(SimilarityIndex(), pictures, images=pictures)


@pytest.mark.parametrize(
    ("images", "queries", "message"),
    [
        (slice(4), slice(1), "images holds 4 images for 5 rows of the index"),
        (slice(5), slice(2), "query_images holds 2 images for 1 rows of X"),
    ],
)
def test_lengths_have_to_agree(images, queries, message, index, pictures):
    """A picture of another row would be a lie."""
    with pytest.raises(ValueError, match=message):
        NeighborsDisplay.from_index(
            index, [[0.0]], images=pictures[images], query_images=pictures[queries]
        )


def test_draws_on_given_axes(index, pictures):
    """A figure of the caller's own, which is neither shown nor changed in size."""
    figure, (left, _) = plt.subplots(1, 2)

    display = NeighborsDisplay.from_index(index, images=pictures[:5]).plot(ax=left)

    assert display.ax_ is left
    assert display.figure_ is figure
    assert len(figure.axes) == 2


def test_names_are_shown_as_they_are(pictures, tmp_path):
    """Dollar signs are no formula, and a missing glyph is no warning."""
    from PIL import Image

    path = tmp_path / "a$b$_{\N{HIRAGANA LETTER A}}.png"
    Image.fromarray(pictures[0]).save(path)
    display = NeighborsDisplay(
        query_images=[path], neighbor_images=[[str(path)]], distances=[[0.25]]
    ).plot()

    display.figure_.canvas.draw()

    assert _texts(display)[1] == "#1   0.250\na$b$_{\N{WHITE SQUARE}}.png"


@pytest.mark.parametrize("inches", [0.3, 2, 5])
def test_numbers_are_never_cut(inches, index, pictures):
    """However small the axes are; names may be, numbers would turn false."""
    figure = plt.figure(figsize=(inches, inches))
    display = NeighborsDisplay(
        query_images=pictures[:9],
        neighbor_images=[[pictures[0], "missing.jpg"]] * 9,
        distances=[[0.25, 0.5]] * 9,
    ).plot(ax=figure.add_subplot())

    captions = [text.split("\n")[0] for text in _texts(display)]
    assert captions.count("#1   0.250") == 9
    assert captions.count("#2   0.500") == 9
    figure.canvas.draw()


def test_missing_pictures_of_queries_are_asked_for(index, pictures):
    """By the name of the parameter."""
    with pytest.raises(ValueError, match="query_images must be given"):
        NeighborsDisplay.from_index(index, [[0.0]], images=pictures[:5])


def test_an_unreadable_image_is_a_placeholder(index, pictures):
    """With the reason, and the others where they belong."""
    images = [*pictures[:4], "missing.jpg"]

    display = NeighborsDisplay.from_index(
        index, [[9.0]], query_images=pictures[5:6], images=images, n_neighbors=2
    ).plot()

    assert len(display.ax_.images) == 2
    assert any("no such" in text.replace("\n", " ") for text in _texts(display))


def test_large_photographs_are_drawn_as_thumbnails(index, pictures):
    """A wall of photographs must fit into memory."""
    large = np.zeros((1200, 1600, 3), dtype=np.uint8)

    display = NeighborsDisplay.from_index(
        index, [[0.0]], query_images=[large], images=pictures[:5]
    ).plot()

    assert max(display.ax_.images[0].get_array().shape) < 256
    assert display.ax_.images[0].get_array().shape[:2] == (144, 192)
