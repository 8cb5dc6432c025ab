"""Tests of drawing maps, by the positions of points, images and texts."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from numpy.testing import assert_allclose
from sklearn.cluster import AgglomerativeClustering
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, ImageClusterer
from imgsim.display import EmbeddingMapDisplay


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def positions():
    """Return 300 positions: three dense clusters, and others scattered around."""
    rng = np.random.default_rng(0)
    clusters = rng.normal(size=(3, 80, 2)) + rng.uniform(-40, 40, size=(3, 1, 2))
    return np.vstack([*clusters, rng.uniform(-60, 60, size=(60, 2))])


@pytest.fixture
def many(pictures):
    """Return 300 images."""
    return (pictures * 25)[:300]


def _legend(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def _styles(display):
    handles = display.ax_.get_legend().legend_handles
    return [(to_hex(h.get_color()), h.get_marker()) for h in handles]


def _thumbnail_boxes(display):
    """Return left, right, bottom and top of each thumbnail or placeholder."""
    patches = display.ax_.patches
    return [
        (p.get_x(), p.get_x() + p.get_width(), p.get_y(), p.get_y() + p.get_height())
        for p in patches
    ]


def _overlap(a, b):
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def _queries(display):
    """Return the positions of stars."""
    stars = [c for c in display.ax_.collections if c.get_zorder() == 5]
    offsets = np.vstack([np.ma.filled(s.get_offsets(), np.nan) for s in stars])
    return offsets[~np.isnan(offsets).any(axis=1)]


def test_each_image_is_a_point_at_its_position(positions):
    """Points have the color of their cluster, which the legend names and counts."""
    labels = np.repeat([4, 0, -1], 100)

    display = EmbeddingMapDisplay(positions=positions, labels=labels).plot()

    drawn = {to_hex(c.get_facecolor()[0]): c for c in display.ax_.collections}
    styles = dict(zip(_legend(display), _styles(display), strict=True))
    assert [*styles] == ["cluster 0 (100)", "cluster 4 (100)", "noise (100)"]
    for name, label in (("cluster 0", 0), ("cluster 4", 4), ("noise", -1)):
        points = drawn[styles[f"{name} (100)"][0]]
        assert_allclose(points.get_offsets(), positions[labels == label])
    assert display.ax_.get_title() == "300 images"
    assert display.ax_.get_aspect() == 1


def test_clusters_have_names(positions):
    """Labels may be names, or numbers with names. Dollar signs are not formulas."""
    numbers = np.repeat([0, 1, 2], 100)
    names = ["_hidden", "$x_1$ and $", "two\nlines"]

    by_number = EmbeddingMapDisplay(
        positions=positions, labels=numbers, label_names=names
    ).plot()
    by_name = EmbeddingMapDisplay(
        positions=positions, labels=np.array(names)[numbers]
    ).plot()
    by_name.figure_.canvas.draw()

    expected = {"_hidden (100)", "$x_1$ and $ (100)", "two lines (100)"}
    assert set(_legend(by_number)) == set(_legend(by_name)) == expected
    assert not any(t.get_parse_math() for t in by_name.ax_.get_legend().get_texts())
    assert not any(text.get_parse_math() for text in by_name.ax_.texts)


def test_without_labels_there_is_no_legend(positions):
    """All points have the same style."""
    display = EmbeddingMapDisplay(positions=positions).plot()

    assert display.ax_.get_legend() is None
    assert len(display.ax_.collections[0].get_offsets()) == 300


@pytest.mark.parametrize("own", [True, False], ids=["own axes", "given axes"])
@pytest.mark.parametrize("n_labels", [1, 12, 120])
def test_the_legend_is_within_the_axes_beside_the_map(n_labels, own, positions):
    """All names are legible, and the legend does not cover a point."""
    labels = [f"a name that is long, {i % n_labels}" for i in range(300)]
    ax = None if own else plt.subplots(2, 2, figsize=(10, 8), layout="constrained")[1]
    ax = ax if ax is None else ax[0, 0]

    display = EmbeddingMapDisplay(positions=positions, labels=labels).plot(ax=ax)

    display.figure_.canvas.draw()
    legend = display.ax_.get_legend()
    box, axes = legend.get_window_extent(), display.ax_.get_window_extent()
    texts = [text.get_window_extent() for text in legend.get_texts()]
    right = display.ax_.transData.transform(positions)[:, 0].max()
    assert axes.x0 <= right < box.x0
    assert box.x1 <= axes.x1 + 1
    assert axes.y0 - 1 <= box.y0
    assert box.y1 <= axes.y1 + 1
    assert not any(a.overlaps(b) for a, b in combinations(texts, 2))
    assert all(text.get_size() >= 5 for text in legend.get_texts())
    assert len(set(_styles(display))) == len(texts) == min(n_labels, 50)


def test_forty_clusters_have_different_styles(positions):
    """No two have both color and marker in common, and names on the map are numbers."""
    labels = np.arange(300) % 41 - 1
    positions = positions + 20 * np.eye(41)[np.arange(300) % 41][:, :2]

    display = EmbeddingMapDisplay(positions=positions, labels=labels).plot()

    assert len(_legend(display)) == len(set(_styles(display))) == 41
    assert _legend(display)[-1] == "noise (8)"
    assert {text.get_text() for text in display.ax_.texts} <= {*map(str, range(40))}


@pytest.mark.parametrize("figsize", [(1.2, 1.2), (2, 1), (1, 3)])
def test_a_legend_without_room_counts_the_clusters_that_it_leaves_out(
    figsize, positions
):
    """Small axes have entries for the largest clusters only, or no legend."""
    ax = plt.figure(figsize=figsize).add_axes((0, 0, 1, 0.9))
    labels = np.minimum(np.arange(300) // 5, 39)

    display = EmbeddingMapDisplay(positions=positions, labels=labels).plot(ax=ax)

    legend = display.ax_.get_legend()
    if legend is not None:
        counts = [int(text.split("(")[1][:-1]) for text in _legend(display)]
        assert sum(counts) == 300
        assert legend.get_window_extent().width < 0.45 * ax.get_window_extent().width
        assert legend.get_window_extent().height <= ax.get_window_extent().height


def test_names_on_the_map_do_not_overlap(positions):
    """They are within the axes, and can be switched off."""
    labels = [f"name {i % 25}" for i in range(300)]

    display = EmbeddingMapDisplay(positions=positions, labels=labels).plot()

    boxes = [text.get_window_extent() for text in display.ax_.texts]
    axes = display.ax_.get_window_extent()
    assert len(boxes) > 5
    assert not any(a.shrunk(0.98, 0.98).overlaps(b) for a, b in combinations(boxes, 2))
    assert all(axes.x0 <= b.x0 and b.x1 <= axes.x1 for b in boxes)
    unnamed = EmbeddingMapDisplay(positions=positions, labels=labels)
    assert not unnamed.plot(show_names=False).ax_.texts


@pytest.mark.parametrize("n_thumbnails", [1, 20, 250])
@pytest.mark.parametrize("own", [True, False], ids=["own axes", "given axes"])
@pytest.mark.parametrize("scattered", [True, False])
def test_thumbnails_do_not_overlap(n_thumbnails, own, scattered, positions, many):
    """Each has a cell of its own, within the axes."""
    ax = None if own else plt.figure(figsize=(4, 3)).add_subplot()
    if scattered:
        positions = np.random.default_rng(1).uniform(size=(300, 2))

    display = EmbeddingMapDisplay(positions=positions, images=many)
    display.plot(ax=ax, n_thumbnails=n_thumbnails)

    boxes = _thumbnail_boxes(display)
    (left, right), (bottom, top) = display.ax_.get_xlim(), display.ax_.get_ylim()
    assert 1 <= len(boxes) == len(display.ax_.images) <= n_thumbnails
    assert not any(_overlap(a, b) for a, b in combinations(boxes, 2))
    assert all(left <= b[0] and b[1] <= right for b in boxes)
    assert all(bottom <= b[2] and b[3] <= top for b in boxes)


def test_a_thumbnail_is_upright_at_the_position_of_its_image(picture):
    """It is moved by at most half a cell."""
    positions = [[0, 0], [10, 0], [0, 10]]
    images = [picture, np.zeros_like(picture), np.full_like(picture, 255)]

    display = EmbeddingMapDisplay(positions=positions, images=images).plot()

    display.figure_.canvas.draw()
    pixels = np.asarray(display.figure_.canvas.buffer_rgba())
    for (x, y), image, box in zip(
        positions, images, _sorted_boxes(display), strict=True
    ):
        assert box[0] - 2 < x < box[1] + 2
        assert box[2] - 2 < y < box[3] + 2
        corners = [(box[0], box[3]), (box[1], box[2])]
        for (column, row), expected in zip(
            corners, (image[0, 0], image[-1, -1]), strict=True
        ):
            inside = 0.85 * np.array([column, row]) + 0.15 * np.mean(corners, axis=0)
            at, up = display.ax_.transData.transform(inside).astype(int)
            drawn = pixels[len(pixels) - up, at, :3].astype(int)
            assert np.abs(drawn - expected).max() < 50


def _sorted_boxes(display):
    """Return the boxes of three thumbnails: lower left, lower right and upper."""
    return sorted(_thumbnail_boxes(display), key=lambda box: (box[2] > 5, box[0]))


def test_images_without_a_thumbnail_are_points(positions, many):
    """Each image is drawn either as a thumbnail or as a point."""
    labels = np.arange(300) % 3

    display = EmbeddingMapDisplay(
        positions=positions, images=many, labels=labels
    ).plot()

    points = np.vstack(
        [np.ma.filled(c.get_offsets(), np.nan) for c in _points(display)]
    )
    n_points = (~np.isnan(points).any(axis=1)).sum()
    assert n_points + len(display.ax_.images) == 300
    frames = {to_hex(patch.get_edgecolor()) for patch in display.ax_.patches}
    assert frames <= {color for color, _ in _styles(display)}
    assert not display.ax_.texts


def _points(display):
    return [c for c in display.ax_.collections if c.get_zorder() <= 2]


@pytest.mark.parametrize("n_images", [1, 2, 3, 12])
def test_few_images_are_a_map(n_images, pictures):
    """There may be fewer images than t-SNE has neighbors by default."""
    X = ColorHistogramEmbedder().fit_transform(pictures[:n_images])

    display = EmbeddingMapDisplay.from_predictions(
        X, np.arange(n_images), images=pictures[:n_images], random_state=0
    ).plot()

    assert np.isfinite(display.positions).all()
    assert len(display.ax_.images) >= 0.8 * n_images
    assert len(_legend(display)) == n_images


def test_equal_embeddings_have_the_same_position(pictures):
    """They cannot be projected, as they have no variance."""
    X = np.tile([[1.0, 2.0, 3.0]], (12, 1))

    display = EmbeddingMapDisplay.from_predictions(X, images=pictures).plot()

    assert_allclose(display.positions, 0)
    assert len(display.ax_.images) == 1


def test_queries_are_stars(positions):
    """The legend contains them even if there are no labels."""
    display = EmbeddingMapDisplay(
        positions=positions, query_positions=[[0, 5], [np.nan, np.nan], [7, 1]]
    ).plot()

    assert_allclose(_queries(display), [[0, 5], [7, 1]])
    assert _legend(display) == ["images (300)", "queries (2)"]
    assert _styles(display)[1][1] == "*"
    assert display.ax_.get_title() == "300 images\nwithout a position: 1 query"


def test_thumbnails_of_queries_have_priority(positions, many, picture):
    """The cell of a query contains its image, in a black frame with a star."""
    display = EmbeddingMapDisplay(
        positions=positions,
        images=many,
        query_positions=positions[:1],
        query_images=[picture],
    ).plot(n_thumbnails=5)

    framed = [p for p in display.ax_.patches if to_hex(p.get_edgecolor()) == "#000000"]
    shapes = [image.get_array().shape for image in display.ax_.images]
    assert len(framed) == 1
    assert picture.shape in shapes
    (x, y) = framed[0].get_xy()
    assert_allclose(_queries(display), [[x, y + framed[0].get_height()]])


def test_images_without_a_position_are_left_out_and_counted(pictures):
    """An unreadable image does not prevent the map."""
    X = ColorHistogramEmbedder().fit_transform(pictures)
    X[[1, 5]] = np.nan

    display = EmbeddingMapDisplay.from_predictions(
        X, [*"aaaabbbbbbbb"], images=pictures, random_state=0
    ).plot(n_thumbnails=0)

    assert np.isnan(display.positions).any(axis=1).nonzero()[0].tolist() == [1, 5]
    assert display.ax_.get_title() == "10 images\nwithout a position: 2 images"
    assert _legend(display) == ["a (3)", "b (7)"]


def test_an_unreadable_image_is_a_box_with_the_reason(positions, tmp_path):
    """The text fits into the box."""
    images = [tmp_path / f"holiday $photo_{i}$.jpg" for i in range(300)]

    display = EmbeddingMapDisplay(positions=positions, images=images).plot()

    display.figure_.canvas.draw()
    texts = display.ax_.texts
    boxes = [patch.get_window_extent() for patch in display.ax_.patches]
    assert not display.ax_.images
    assert len(boxes) == len(texts) > 20
    assert "unreadable" in texts[0].get_text().replace("\n", " ")
    for text, box in zip(texts, boxes, strict=True):
        written = text.get_window_extent()
        assert box.x0 <= written.x0
        assert written.x1 <= box.x1
        assert box.y0 <= written.y0
        assert written.y1 <= box.y1


def test_given_positions_are_used(blobs, positions):
    """The positions of unreadable images are not drawn."""
    X, y = blobs
    X[3] = np.nan

    display = EmbeddingMapDisplay.from_predictions(
        X, y, method=positions[:60], queries=[[1, 2]]
    )

    assert_allclose(np.delete(display.positions, 3, 0), np.delete(positions[:60], 3, 0))
    assert np.isnan(display.positions[3]).all()
    assert_allclose(display.query_positions, [[1, 2]])


def test_equal_seeds_give_equal_maps(blobs):
    """Well separated clusters are separated on the map, too."""
    X, y = blobs

    first, second = (
        EmbeddingMapDisplay.from_predictions(X, y, random_state=3).positions
        for _ in range(2)
    )

    assert (first == second).all()
    nearest = KNeighborsClassifier(5).fit(first, y)
    assert nearest.score(first, y) == 1


def test_from_estimator_takes_a_clusterer_and_embeddings(blobs):
    """Clusters are predicted, and the metric is the metric of the clusterer."""
    X, _ = blobs
    clusterer = ImageClusterer(3, metric="euclidean", random_state=0).fit(X)

    display = EmbeddingMapDisplay.from_estimator(clusterer, X, method="pca")

    expected = EmbeddingMapDisplay.from_predictions(X, method="pca", metric="euclidean")
    assert display.labels.tolist() == clusterer.labels_.tolist()
    assert display.images is None
    assert_allclose(display.positions, expected.positions)


def test_from_estimator_takes_a_pipeline_and_images(pictures):
    """Images and queries are embedded and projected in one call."""
    pipeline = make_pipeline(
        ColorHistogramEmbedder(), ImageClusterer(2, random_state=0)
    )
    pipeline.fit(pictures)

    display = EmbeddingMapDisplay.from_estimator(
        pipeline, pictures, queries=pictures[3:5], method="pca"
    )

    assert display.images is pictures
    assert display.labels.tolist() == pipeline[-1].labels_.tolist()
    assert_allclose(display.query_positions, display.positions[3:5], atol=1e-6)
    assert len(display.query_images) == 2


def test_from_estimator_takes_classifiers_of_scikit_learn(blobs):
    """Their classes are labels."""
    X, y = blobs
    names = np.array(["ape", "bee", "cat"])
    classifier = KNeighborsClassifier().fit(X, names[y])

    display = EmbeddingMapDisplay.from_estimator(classifier, X, method="pca").plot()

    assert _legend(display) == ["ape (30)", "bee (20)", "cat (10)"]


def test_draws_on_given_axes(positions, many):
    """The figure of the caller keeps its size."""
    figure, ax = plt.subplots(figsize=(5, 4))

    display = EmbeddingMapDisplay(positions=positions, images=many).plot(ax=ax)

    assert display.ax_ is ax
    assert display.figure_ is figure
    assert figure.get_size_inches().tolist() == [5, 4]


def test_invalid_parameters_raise_an_error(blobs, pictures):
    """The message names the parameter."""
    X, y = blobs
    make = EmbeddingMapDisplay.from_predictions

    with pytest.raises(ValueError, match="method='som' must be one of"):
        make(X, method="som")
    with pytest.raises(ValueError, match="metric='manhattan' must be one of"):
        make(X, metric="manhattan")
    with pytest.raises(
        ValueError, match=r"perplexity=0.5 must be a number, at least 1"
    ):
        make(X, perplexity=0.5)
    with pytest.raises(
        ValueError, match="labels has length 3, but the number of rows of X is 60"
    ):
        make(X, y[:3])
    with pytest.raises(
        ValueError, match="images has length 12, but the number of rows of X is 60"
    ):
        make(X, y, images=pictures)
    with pytest.raises(
        ValueError, match="query_images has length 12, but the number of queries is 0"
    ):
        make(X, method="pca", query_images=pictures)
    with pytest.raises(ValueError, match=r"method must have 2 columns.*\(60, 8\)"):
        make(X, method=X)
    with pytest.raises(ValueError, match=r"queries must have 2 columns.*\(60, 8\)"):
        make(X, method=X[:, :2], queries=X)
    with pytest.raises(
        ValueError, match="method has 5 positions, but the number of rows of X is 60"
    ):
        make(X, method=X[:5, :2])
    with pytest.raises(ValueError, match="none of the 60 images could be read"):
        make(np.full_like(X, np.nan))
    with pytest.raises(ValueError, match="none of the 2 images has a position"):
        EmbeddingMapDisplay(positions=np.full((2, 2), np.nan)).plot()
    with pytest.raises(ValueError, match="n_thumbnails=-1"):
        make(X, method="pca").plot(n_thumbnails=-1)
    with pytest.raises(TypeError, match="use from_predictions"):
        EmbeddingMapDisplay.from_estimator(AgglomerativeClustering(2), X)


def test_only_thumbnails_are_kept(positions):
    """The figure must not contain the pixels of large photographs."""
    large = [np.zeros((1500, 2000, 3), np.uint8)] * 30

    display = EmbeddingMapDisplay(positions=positions[:30], images=large).plot()

    n_bytes = sum(image.get_array().nbytes for image in display.ax_.images)
    assert n_bytes <= len(display.ax_.images) * 192 * 192 * 3


def test_a_map_of_1450_photographs_is_filled(picture):
    """About 250 thumbnails are drawn, and cover more than a third of the map."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(-60, 60, size=(25, 2))
    labels = np.arange(1450) % 25
    positions = centers[labels] + rng.normal(scale=4, size=(1450, 2))

    display = EmbeddingMapDisplay(
        positions=positions, images=[picture] * 1450, labels=labels
    ).plot()

    assert 225 <= len(display.ax_.images) <= 250
    boxes = np.array(_thumbnail_boxes(display))
    area = ((boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])).sum()
    assert area > np.prod(np.ptp(positions, axis=0)) / 3
    points = display.ax_.transData.transform(boxes[:, [0, 2]])
    assert np.ptp(points, axis=0).min() > 0.85 * 72 * 5


def test_frames_beyond_seven_labels_have_other_lines(positions, many):
    """The legend shows the lines, so that it can be read without color."""
    labels = np.arange(300) % 12

    display = EmbeddingMapDisplay(
        positions=positions, images=many, labels=labels
    ).plot()

    handles = display.ax_.get_legend().legend_handles
    styles = {(to_hex(h.get_color()), str(h._unscaled_dash_pattern)) for h in handles}
    frames = {
        (to_hex(patch.get_edgecolor()), str(patch._unscaled_dash_pattern))
        for patch in display.ax_.patches
    }
    assert len(styles) == 12
    assert frames <= styles
    assert len(frames) > 7


def test_queries_and_their_neighbors_are_never_hidden(positions, many, picture):
    """They are all at one place, where only one thumbnail has room."""
    X = np.random.default_rng(0).normal(size=(300, 4))
    X[:8] = X[0] + np.arange(8)[:, np.newaxis] / 1e4
    positions[:8] = positions[0]

    display = EmbeddingMapDisplay.from_predictions(
        X, images=many, queries=X[:3], query_images=[picture] * 3, method="pca"
    )
    display.positions[:8] = positions[0]

    assert [set(rows.tolist()) <= set(range(8)) for rows in display.query_neighbors]
    for n_thumbnails in (60, 9):
        drawn = display.plot(n_thumbnails=n_thumbnails).ax_
        thick = [patch for patch in drawn.patches if patch.get_linewidth() > 2]
        n_neighbors = len({row for rows in display.query_neighbors for row in rows})
        assert len(thick) == min(3 + n_neighbors, n_thumbnails)
    few = display.plot(n_thumbnails=4)
    on_top = [c for c in few.ax_.collections if c.get_zorder() == 4]
    n_points = sum(
        (~np.isnan(np.ma.filled(c.get_offsets(), np.nan)).any(axis=1)).sum()
        for c in on_top
    )
    assert n_points >= n_neighbors - 1


def test_neighbors_of_queries_are_drawn_on_top_of_other_points():
    """The five nearest on the map have a dark edge."""
    positions = np.column_stack([np.arange(40.0), np.zeros(40)])

    display = EmbeddingMapDisplay(
        positions=positions, query_positions=[[7.1, 0.0]]
    ).plot()

    (top,) = [c for c in display.ax_.collections if c.get_zorder() == 4]
    offsets = np.ma.filled(top.get_offsets(), np.nan)[:, 0]
    assert offsets[~np.isnan(offsets)].tolist() == [5, 6, 7, 8, 9]
    assert to_hex(top.get_edgecolor()[0]) == "#000000"
