"""Tests of drawing neighbors, by the positions of images and texts."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, SimilarityIndex
from imgsim.display import NeighborsDisplay


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def index():
    """Return an index of five embeddings on a line, at 0, 1, 2, 3 and 9."""
    rows = np.array([[0.0], [1.0], [2.0], [3.0], [9.0]])
    ids = [f"id {i}" for i in range(5)]
    return SimilarityIndex(n_neighbors=3, metric="euclidean").fit(rows, ids=ids)


def _texts(display):
    return [text.get_text() for text in display.ax_.texts]


def test_neighbors_are_right_of_their_query_by_rank(index, pictures):
    """Each has a caption with its rank and distance."""
    display = NeighborsDisplay.from_index(
        index, [[1.1]], query_images=pictures[5:6], images=pictures[:5]
    ).plot()

    assert _texts(display) == ["query", "#1   0.100", "#2   0.900", "#3   1.100"]
    lefts = [image.get_extent()[0] for image in display.ax_.images]
    assert lefts == sorted(lefts)
    assert len(display.ax_.images) == 4


def test_the_right_pictures_are_drawn(index, pictures):
    """Images belong to rows of the index, whatever its ids are."""
    display = NeighborsDisplay.from_index(
        index, [[8.0]], query_images=pictures[5:6], images=pictures[:5], n_neighbors=2
    ).plot()

    for image, expected in zip(
        display.ax_.images, [pictures[5], pictures[4], pictures[3]], strict=True
    ):
        np.testing.assert_array_equal(image.get_array(), expected)


def test_an_empty_result_is_stated_beside_the_query(index, pictures):
    """The query is drawn even if it has no neighbors."""
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


def test_images_beyond_the_threshold_are_faded(index, pictures):
    """One of the three nearest images of 2.2 is too far, and follows after a gap."""
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
    """All of the nearest images are neighbors."""
    display = NeighborsDisplay.from_index(index, images=pictures[:5])

    assert display.left_out_images == [[]] * 5
    assert [len(images) for images in display.neighbor_images] == [3] * 5


def test_a_distance_just_beyond_the_threshold_has_a_special_caption():
    """Rounded numbers would give the false statement 0.350 > 0.350."""
    display = NeighborsDisplay(
        query_images=[np.zeros((4, 4), np.uint8)],
        neighbor_images=[[]],
        distances=[[]],
        left_out_images=[[np.zeros((4, 4), np.uint8)] * 2],
        left_out_distances=[[0.35004, 12.0]],
        max_distance=0.35,
    ).plot()

    assert _texts(display)[1:3] == ["just > 0.350", "12.000 > 0.350"]


def test_some_rows_of_the_index_can_be_queries(index, pictures):
    """Each is excluded from its own result, whatever the ids are."""
    display = NeighborsDisplay.from_index(
        index, images=pictures[:5], rows=[4, 0], n_neighbors=2
    )

    assert [id(image) for image in display.query_images] == [
        id(pictures[4]),
        id(pictures[0]),
    ]
    assert [[id(image) for image in images] for images in display.neighbor_images] == [
        [id(pictures[3]), id(pictures[2])],
        [id(pictures[1]), id(pictures[2])],
    ]
    with pytest.raises(IndexError):
        NeighborsDisplay.from_index(index, images=pictures[:5], rows=[5])


def test_some_rows_of_X_can_be_queries(index, pictures):
    """The parameter `rows` selects them, too."""
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
def test_an_invalid_threshold_is_refused(max_distance, index, pictures):
    """The message contains the value."""
    with pytest.raises(ValueError, match=r"max_distance=.* must be a number"):
        NeighborsDisplay.from_index(
            index, images=pictures[:5], max_distance=max_distance
        )


def test_an_unreadable_query_was_not_searched(index, pictures):
    """The statement that nothing is similar to it would be wrong."""
    display = NeighborsDisplay.from_index(
        index, [[np.nan]], query_images=["missing.jpg"], images=pictures[:5]
    ).plot()

    assert "not searched" in _texts(display)
    assert "no similar images" not in _texts(display)


def test_without_queries_each_image_is_a_query(index, pictures):
    """No image is its own neighbor."""
    display = NeighborsDisplay.from_index(index, images=pictures[:5], n_neighbors=1)

    assert display.query_images is not None
    assert [len(images) for images in display.neighbor_images] == [1] * 5
    assert [distances.tolist() for distances in display.distances] == [
        [1.0],
        [1.0],
        [1.0],
        [1.0],
        [6.0],
    ]


def test_from_estimator_embeds_and_searches(pictures):
    """The estimator is a pipeline of an embedder and an index."""
    pipeline = make_pipeline(ColorHistogramEmbedder(), SimilarityIndex(n_neighbors=1))
    pipeline.fit(pictures)

    display = NeighborsDisplay.from_estimator(pipeline, pictures[2:4], images=pictures)

    assert display.neighbor_images[0][0] is pictures[2]
    assert display.neighbor_images[1][0] is pictures[3]


def test_from_estimator_needs_a_pipeline_with_an_index(pictures):
    """The message names the alternative."""
    with pytest.raises(TypeError, match="use from_index"):
        NeighborsDisplay.from_estimator(SimilarityIndex(), pictures, images=pictures)


@pytest.mark.parametrize(
    ("images", "queries", "message"),
    [
        (
            slice(4),
            slice(1),
            "images has length 4, but the number of rows of the index is 5",
        ),
        (
            slice(5),
            slice(2),
            "query_images has length 2, but the number of rows of X is 1",
        ),
    ],
)
def test_lengths_must_agree(images, queries, message, index, pictures):
    """Otherwise, images would be drawn for the wrong rows."""
    with pytest.raises(ValueError, match=message):
        NeighborsDisplay.from_index(
            index, [[0.0]], images=pictures[images], query_images=pictures[queries]
        )


def test_draws_on_given_axes(index, pictures):
    """The caller may place the display in an existing figure."""
    figure, (left, _) = plt.subplots(1, 2)

    display = NeighborsDisplay.from_index(index, images=pictures[:5]).plot(ax=left)

    assert display.ax_ is left
    assert display.figure_ is figure
    assert len(figure.axes) == 2


def test_names_are_drawn_literally(pictures, tmp_path):
    """Dollar signs do not start a formula, and a missing glyph does not warn."""
    path = tmp_path / "a$b$_{\N{HIRAGANA LETTER A}}.png"
    Image.fromarray(pictures[0]).save(path)
    display = NeighborsDisplay(
        query_images=[path], neighbor_images=[[str(path)]], distances=[[0.25]]
    ).plot()

    display.figure_.canvas.draw()

    assert _texts(display)[1] == "#1   0.250\na$b$_{\N{WHITE SQUARE}}.png"


@pytest.mark.parametrize("inches", [0.3, 2, 5])
def test_numbers_are_never_shortened(inches, index, pictures):
    """Names are shortened on small axes, but a shortened number would be wrong."""
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


def test_missing_images_of_queries_are_refused(index, pictures):
    """The message names the parameter."""
    with pytest.raises(ValueError, match="query_images=None is only allowed if X=None"):
        NeighborsDisplay.from_index(index, [[0.0]], images=pictures[:5])


def test_an_unreadable_image_is_a_placeholder(index, pictures):
    """It contains the reason, and the other images are drawn normally."""
    images = [*pictures[:4], "missing.jpg"]

    display = NeighborsDisplay.from_index(
        index, [[9.0]], query_images=pictures[5:6], images=images, n_neighbors=2
    ).plot()

    assert len(display.ax_.images) == 2
    assert any("no such" in text.replace("\n", " ") for text in _texts(display))


def test_large_photographs_are_drawn_as_thumbnails(index, pictures):
    """A figure with many photographs must fit into memory."""
    large = np.zeros((1200, 1600, 3), dtype=np.uint8)

    display = NeighborsDisplay.from_index(
        index, [[0.0]], query_images=[large], images=pictures[:5]
    ).plot()

    assert max(display.ax_.images[0].get_array().shape) < 256
    assert display.ax_.images[0].get_array().shape[:2] == (144, 192)
