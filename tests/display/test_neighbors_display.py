"""Tests of drawing neighbors, by the positions of images and texts."""

from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
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
    path = tmp_path / "a$b$_{\ue123}.png"  # no font has this character
    Image.fromarray(pictures[0]).save(path)
    display = NeighborsDisplay(
        query_images=[path], neighbor_images=[[str(path)]], distances=[[0.25]]
    ).plot()

    display.figure_.canvas.draw()

    assert _texts(display)[1] == r"#1   0.250" + "\n" + r"a$b$_{\ue123}.png"


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


@pytest.fixture
def files(pictures, tmp_path):
    """Return paths of five pictures in two folders."""
    names = ["bear/a.png", "bear/b.png", "cat/c.png", "cat/old/d.png", "cat/e.png"]
    paths = [tmp_path / "photos" / name for name in names]
    for path, picture in zip(paths, pictures, strict=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return paths


@pytest.fixture
def by_path(files):
    """Return an index of five embeddings on a line, whose ids are paths."""
    rows = np.array([[0.0], [1.0], [2.0], [3.0], [9.0]])
    labels = ["bear", "bear", "cat", "bear", "cat"]
    index = SimilarityIndex(n_neighbors=3, metric="euclidean")
    return index.fit(rows, labels, ids=files)


@pytest.mark.parametrize("kind", [str, Path], ids=["str", "Path"])
def test_ids_that_are_paths_replace_images(kind, by_path, files, pictures):
    """The files are drawn, and their names are captions."""
    index = SimilarityIndex(2, metric="euclidean").fit(
        by_path.embeddings_, ids=[*map(kind, files)]
    )

    display = NeighborsDisplay.from_index(index, rows=[2]).plot()

    for image, row in zip(display.ax_.images, [2, 1, 3], strict=True):
        np.testing.assert_array_equal(image.get_array(), pictures[row])
    assert _texts(display)[0] == "query\nc.png"


def test_from_estimator_draws_the_files_of_ids(files):
    """The pipeline passes the ids to the index."""
    pipeline = make_pipeline(ColorHistogramEmbedder(), SimilarityIndex(n_neighbors=1))
    pipeline.fit(files, similarityindex__ids=files)

    display = NeighborsDisplay.from_estimator(pipeline, files[2:4])

    assert display.neighbor_images == [[files[2]], [files[3]]]


@pytest.mark.parametrize(
    ("ids", "first"),
    [(None, "0"), (list("abcde"), "'a'"), ([f"{i}.jpg" for i in range(5)], "'0.jpg'")],
    ids=["rows", "names", "missing files"],
)
def test_ids_that_are_not_paths_of_files_are_refused(ids, first):
    """The message names the id and the parameter to pass."""
    index = SimilarityIndex(1).fit(np.eye(5), ids=ids)

    with pytest.raises(ValueError, match=rf"ids\[0\]=.*{first}.* Pass images with one"):
        NeighborsDisplay.from_index(index)


def test_some_files_of_ids_may_be_missing(by_path, files):
    """A file that was deleted is a placeholder."""
    files[1].unlink()

    display = NeighborsDisplay.from_index(by_path, rows=[0]).plot()

    assert any("no such" in text.replace("\n", " ") for text in _texts(display))


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        ("name", ["a.png", "b.png", "c.png", "d.png"]),
        ("label", ["bear", "bear", "cat", "bear"]),
        ("folder", ["bear", "bear", "cat", "cat/old"]),
        ("id", ["bear/a.png", "bear/b.png", "cat/c.png", "cat/old/d.png"]),
    ],
)
def test_captions_are_chosen(captions, expected, by_path):
    """Folders and ids are shortened to what differs between the drawn images."""
    display = NeighborsDisplay.from_index(by_path, rows=[0], captions=captions)

    found = [*display.query_captions, *display.neighbor_captions[0]]
    assert found == expected
    drawn = [text.split("\n")[1] for text in _texts(display.plot())]
    assert drawn == expected


def test_captions_of_ids_are_whole_if_they_are_not_paths(index, pictures):
    """Images in memory have no folder and no name."""
    display = NeighborsDisplay.from_index(
        index, images=pictures[:5], rows=[0], captions="id", n_neighbors=1
    )
    nothing = NeighborsDisplay.from_index(
        index, images=pictures[:5], rows=[0], captions="folder", n_neighbors=1
    )

    assert display.query_captions == ["id 0"]
    assert display.neighbor_captions == [["id 1"]]
    assert nothing.neighbor_captions == [[""]]


def test_ids_and_folders_of_files_are_not_mixed(files):
    """An id that is not a path has no folder."""
    index = SimilarityIndex(1).fit(np.eye(5), ids=[*"abcde"])

    by_id, by_folder = (
        NeighborsDisplay.from_index(index, images=files, captions=captions)
        for captions in ("id", "folder")
    )

    assert by_id.query_captions == [*"abcde"]
    assert by_folder.query_captions == ["bear", "bear", "cat", "cat/old", "cat"]


def test_files_of_one_folder_have_its_name_as_caption(files):
    """The common folder is then the only one."""
    index = SimilarityIndex(1).fit(np.eye(2), ids=files[:2])

    display = NeighborsDisplay.from_index(index, captions="folder")

    assert display.query_captions == ["bear", "bear"]


def test_long_captions_do_not_overlap(pictures):
    """They are shortened in the middle, to their drawn width."""
    names = [f"IMG_2023{'W' * i}{'i' * 30}_0815.jpg" for i in range(8)]
    display = NeighborsDisplay(
        query_images=pictures[:1],
        query_captions=["query name that is too long to be drawn.jpg"],
        neighbor_images=[pictures[:8]],
        neighbor_captions=[names],
        distances=[np.arange(8)],
    ).plot()

    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.ax_.texts]
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
    for text in _texts(display)[1:]:
        assert text.split("\n")[1].startswith("IMG_20")
        assert text.endswith("0815.jpg")


def _frames(display):
    """Return the color and the line style of the frame at each image, or None."""
    frames = {}
    for patch in display.ax_.patches:
        (left, top), *_ = patch.get_xy()
        if patch.get_linewidth() > 1 and to_hex(patch.get_edgecolor()) != "#ffffff":
            style = to_hex(patch.get_edgecolor()), patch.get_linestyle()
            frames[round(left, 3), round(top, 3)] = style
    corners = [
        (round(image.get_extent()[0], 3), round(image.get_extent()[3], 3))
        for image in display.ax_.images
    ]
    return [frames.get(corner) for corner in corners]


def test_frames_show_which_neighbors_have_the_label_of_the_query(by_path):
    """They differ in color, line style and mark, and a legend explains them."""
    display = NeighborsDisplay.from_index(
        by_path, rows=[0, 4], frame="label", max_distance=2.5
    ).plot()

    assert display.neighbor_matches == [[True, False], []]
    assert display.left_out_matches == [[True], [False, True, False]]
    first, right, wrong, *_ = _frames(display)
    assert first is None
    assert right[0] != wrong[0]
    assert right[1] == "-" != wrong[1]
    assert {"same label as the query", "another label"} < set(_texts(display))
    markers = [line.get_marker() for line in display.ax_.lines]
    assert markers.count("o") == 6 + 2  # and two in the legend
    shapes = {len(m.vertices) for m in markers if not isinstance(m, str)}
    assert len(shapes) == 2


def test_marks_and_the_legend_are_inside_the_figure(by_path):
    """The mark of the last image is at the right edge."""
    display = NeighborsDisplay.from_index(by_path, frame="label").plot()

    display.figure_.canvas.draw()
    frame = display.figure_.bbox
    for artist in (*display.ax_.lines, *display.ax_.texts):
        box = artist.get_window_extent()
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1


def test_labels_of_queries_are_compared(by_path, pictures):
    """An unknown label on either side has no frame."""
    y = np.array(["bear", None, "cat", np.nan, "cat"], dtype=object)
    index = SimilarityIndex(3, metric="euclidean").fit(
        by_path.embeddings_, y, ids=by_path.ids_
    )

    display = NeighborsDisplay.from_index(
        index,
        [[0.0], [2.0]],
        query_images=pictures[:2],
        query_labels=["cat", None],
        frame="label",
    ).plot()

    assert display.neighbor_matches == [[False, None, True], [None, None, None]]
    assert [frame is not None for frame in _frames(display)] == [
        *[False, True, False, True],
        *[False] * 4,
    ]


def test_without_known_labels_there_are_no_frames(by_path, pictures):
    """The message says how to pass labels."""
    unlabeled = SimilarityIndex(1).fit(by_path.embeddings_, ids=by_path.ids_)

    with pytest.raises(ValueError, match="labels of the indexed images; pass them to"):
        NeighborsDisplay.from_index(unlabeled, frame="label")
    with pytest.raises(ValueError, match="pass query_labels with one label for each"):
        NeighborsDisplay.from_index(
            by_path, [[0.0]], query_images=pictures[:1], frame="label"
        )
    with pytest.raises(ValueError, match="query_labels has length 2"):
        NeighborsDisplay.from_index(
            by_path, [[0.0]], query_images=pictures[:1], query_labels=["a", "b"]
        )


@pytest.mark.parametrize("name", ["captions", "frame"])
def test_invalid_choices_are_refused(name, by_path):
    """The message contains the value and the choices."""
    with pytest.raises(ValueError, match=rf"{name}='cat' must be .*label"):
        NeighborsDisplay.from_index(by_path, **{name: "cat"})


def test_images_beyond_the_threshold_can_be_hidden(index, pictures):
    """The figure is then not wider than the neighbors need."""
    display = NeighborsDisplay.from_index(
        index, images=pictures[:5], rows=[0, 4], max_distance=1.5
    )

    shown = len(display.plot().ax_.images)
    width = display.figure_.get_figwidth()
    hidden = display.plot(show_left_out=False)

    assert (shown, len(hidden.ax_.images)) == (8, 3)
    assert hidden.figure_.get_figwidth() < width
    assert not any(">" in text for text in _texts(hidden))


def test_no_rows_are_an_empty_figure(index, pictures):
    """A selection of queries may be empty."""
    display = NeighborsDisplay.from_index(index, images=pictures[:5], rows=[]).plot()

    display.figure_.canvas.draw()
    assert not _texts(display)
    assert repr(display) == "<NeighborsDisplay: n_queries=0>"
