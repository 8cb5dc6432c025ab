"""Tests of drawing clusters, by the positions of images and texts."""

import shutil
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, ImageClusterer
from imgsim.display import ClusterDisplay

TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def _texts(display):
    return [text.get_text() for text in display.ax_.texts]


def test_clusters_are_in_the_order_of_their_labels(pictures):
    """Noise comes last, and titles count images that are not drawn."""
    labels = [1, 0, 0, 0, -1, 1, 0, 2, 0, 0, 0, -1]

    display = ClusterDisplay.from_predictions(pictures, labels, n_images=3).plot()

    assert _texts(display) == [
        "cluster 0: 7 images, 3 shown",
        "cluster 1: 2 images",
        "cluster 2: 1 image",
        "noise: 2 images",
    ]
    assert len(display.ax_.images) == 3 + 2 + 1 + 2


def test_all_negative_labels_mean_noise(pictures):
    """Maps and galleries treat them in the same way."""
    display = ClusterDisplay.from_predictions(pictures[:4], [0, -1, -2, -9])

    assert display.sizes == {0: 1, -1: 3}


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64])
def test_labels_may_have_any_integer_dtype(dtype, pictures):
    """Replacing negative labels must not overflow."""
    labels = np.array([2, 0, 0, 2], dtype=dtype)

    display = ClusterDisplay.from_predictions(pictures[:4], labels)

    assert display.sizes == {0: 2, 2: 2}


def test_the_most_typical_come_first(pictures):
    """Images are sorted by their distance to the center of their cluster."""
    distances = np.arange(12)[::-1]

    display = ClusterDisplay.from_predictions(
        pictures, np.zeros(12, int), distances=distances, n_images=4
    )

    assert [id(image) for image in display.clusters[0]] == [
        id(pictures[i]) for i in (11, 10, 9, 8)
    ]


def test_from_estimator_shows_the_most_typical_first(pictures):
    """The first image is the nearest to the mean of its cluster."""
    X = ColorHistogramEmbedder().fit_transform(pictures)
    clusterer = ImageClusterer(3, metric="euclidean", random_state=0).fit(X)

    display = ClusterDisplay.from_estimator(clusterer, X, images=pictures)

    for label, images in display.clusters.items():
        members = np.flatnonzero(clusterer.labels_ == label)
        to_center = np.linalg.norm(X[members] - X[members].mean(axis=0), axis=1)
        assert images[0] is pictures[members[to_center.argmin()]]
    assert [*display.sizes.values()] == clusterer.cluster_sizes_.tolist()


def test_from_estimator_takes_a_pipeline_and_images(pictures):
    """Images are embedded, clustered and selected in one call."""
    pipeline = make_pipeline(
        ColorHistogramEmbedder(), ImageClusterer(2, random_state=0)
    )

    display = ClusterDisplay.from_estimator(pipeline.fit(pictures), pictures)

    assert sum(display.sizes.values()) == 12


class _Clusterer:
    """Two clusters at 0 and 10 on a line. Rows farther than 2 from both are noise."""

    centers = np.array([[0.0, 10.0]])

    def transform(self, X):
        return np.abs(np.asarray(X) - self.centers)

    def predict(self, X):
        distances = self.transform(X)
        near = distances.min(axis=1, initial=np.inf) < 2
        return np.where(near, distances.argmin(axis=1) if near.any() else 0, -1)


def test_noise_is_sorted_by_distance_to_the_nearest_cluster(pictures):
    """Images that look like members are first, unreadable images are last."""
    X = [[0.1], [10.0], [np.nan], [90.0], [4.0], [0.0], [12.5]]

    display = ClusterDisplay.from_estimator(_Clusterer(), X, images=pictures[:7])

    selected = {n: [id(image) for image in c] for n, c in display.clusters.items()}
    rows = {0: [5, 0], 1: [1], -1: [6, 4, 3, 2]}
    assert selected == {n: [id(pictures[i]) for i in row] for n, row in rows.items()}
    assert _texts(display.plot())[-1] == "noise: 4 images"


def test_noise_alone_is_drawn(pictures):
    """A clusterer that finds no clusters returns distances without columns."""
    clusterer = _Clusterer()
    clusterer.centers = np.empty((1, 0))

    display = ClusterDisplay.from_estimator(
        clusterer, np.ones((3, 1)), images=pictures[:3]
    ).plot()

    assert _texts(display) == ["noise: 3 images"]
    assert len(display.ax_.images) == 3


def test_from_estimator_takes_a_clusterer_that_leaves_images_out(pictures):
    """The label -1 must not index the last cluster."""
    X = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [8.0], [30.0], [np.nan]])
    clusterer = ImageClusterer(
        algorithm="dbscan",
        metric="euclidean",
        algorithm_params={"eps": 1.0, "min_samples": 2},
    ).fit(X)

    display = ClusterDisplay.from_estimator(clusterer, X, images=pictures[:9])

    assert display.sizes == {0: 3, 1: 3, -1: 3}
    assert [id(image) for image in display.clusters[-1]] == [
        id(pictures[i]) for i in (6, 7, 8)
    ]


def test_takes_clusterers_of_scikit_learn(pictures):
    """The output of `transform` may be a DataFrame."""
    X = ColorHistogramEmbedder().fit_transform(pictures)
    kmeans = KMeans(2, n_init=1, random_state=0).set_output(transform="pandas").fit(X)

    display = ClusterDisplay.from_estimator(kmeans, X, images=pictures, n_images=1)

    nearest = kmeans.transform(X).to_numpy().argmin(axis=0)
    assert [id(display.clusters[n][0]) for n in (0, 1)] == [
        id(pictures[i]) for i in nearest
    ]


def _extents(display):
    """Return left, right, top and bottom of each image. The y axis points down."""
    extents = [image.get_extent() for image in display.ax_.images]
    return [(left, right, top, bottom) for left, right, bottom, top in extents]


def test_images_wrap_into_rows_below_their_title(pictures):
    """Each row has the given number of images."""
    labels = np.repeat([0, 1], 6)

    display = ClusterDisplay.from_predictions(pictures, labels).plot(n_columns=4)

    boxes = _extents(display)
    tops = [round(top, 3) for _, _, top, _ in boxes]
    assert [tops.count(top) for top in dict.fromkeys(tops)] == [4, 2, 4, 2]
    for (x, y), members in zip(
        (text.get_position() for text in display.ax_.texts),
        (boxes[:6], boxes[6:]),
        strict=True,
    ):
        assert y < min(top for _, _, top, _ in members)
        assert x == min(left for left, *_ in members)


def test_25_clusters_fit_on_a_page(pictures):
    """All titles and images are inside, titles cover nothing, and rows have no gaps."""
    images = [image[:24, :36] for image in pictures * 25]
    for i, image in enumerate(images):
        images[i] = image.copy()
        images[i][0, 0] = i // 100, i % 100, 0
    labels = np.repeat(np.arange(25), 12)

    display = ClusterDisplay.from_predictions(images, labels).plot()

    display.figure_.canvas.draw()
    width, height = display.figure_.get_size_inches()
    assert width < 11.01
    assert height <= 15.5
    page = display.figure_.bbox
    boxes = [artist.get_window_extent() for artist in display.ax_.images]
    titles = [text.get_window_extent() for text in display.ax_.texts]
    assert len(boxes) == 250
    assert len(titles) == 25
    for box in (*boxes, *titles):
        assert page.x0 - 1 <= box.x0
        assert box.x1 <= page.x1 + 1
        assert page.y0 - 1 <= box.y0
        assert box.y1 <= page.y1 + 1
    assert not any(a.overlaps(b) for a, b in combinations(titles, 2))
    assert not any(a.shrunk(0.98, 0.9).overlaps(b) for a in titles for b in boxes)
    assert min(box.height for box in boxes) > 35


def test_exact_copies_are_shown_once(pictures, tmp_path):
    """Their number is written at the corner, and all are counted as shown."""
    path = tmp_path / "a.png"
    Image.fromarray(pictures[0]).save(path)
    shutil.copy(path, tmp_path / "b.png")
    images = [path, pictures[1], tmp_path / "b.png", pictures[1].copy(), path]

    display = ClusterDisplay.from_predictions(images, [0] * 5, n_images=2).plot()

    assert display.clusters == {0: [path, images[1]]}
    assert display.n_copies == {0: [3, 2]}
    assert _texts(display) == ["cluster 0: 5 images", f"{TIMES}3", f"{TIMES}2"]
    assert len(display.ax_.images) == 2


def test_copies_in_different_clusters_are_both_shown(pictures):
    """Each cluster shows its own images."""
    display = ClusterDisplay.from_predictions([pictures[0]] * 2, [0, 1])

    assert display.n_copies == {0: [1], 1: [1]}


def test_a_display_may_be_created_without_numbers_of_copies(pictures):
    """Titles then count the images that are drawn."""
    display = ClusterDisplay(clusters={3: pictures[:2]}, sizes={3: 9}).plot()

    assert _texts(display) == ["cluster 3: 9 images, 2 shown"]


@pytest.mark.parametrize("figsize", [(1, 1), (4, 2), (12, 3)])
def test_a_display_fits_into_given_axes(figsize, pictures):
    """The titles are not wider than their columns."""
    figure = plt.figure(figsize=figsize, layout="constrained")
    ax = figure.add_subplot()

    ClusterDisplay.from_predictions(pictures, np.arange(12) % 4).plot(ax=ax)

    figure.canvas.draw()
    for artist in (*ax.images, *ax.texts):
        box = artist.get_window_extent()
        assert ax.bbox.x0 - 1 <= box.x0
        assert box.x1 <= ax.bbox.x1 + 1
        assert ax.bbox.y0 - 1 <= box.y0
        assert box.y1 <= ax.bbox.y1 + 1


@pytest.mark.parametrize("n_images", [1, 12])
def test_one_image_is_a_cluster(n_images, pictures):
    """A cluster may have fewer images than the grid has columns."""
    display = ClusterDisplay.from_predictions(
        pictures[:1], [0], n_images=n_images
    ).plot()

    assert len(display.ax_.images) == 1


def test_draws_on_given_axes(pictures):
    """The caller may place the display in an existing figure."""
    figure, ax = plt.subplots()

    display = ClusterDisplay.from_predictions(pictures, np.zeros(12, int)).plot(ax=ax)

    assert display.ax_ is ax
    assert display.figure_ is figure


def test_invalid_parameters_raise_an_error(pictures):
    """The message names the parameter."""
    labels = np.zeros(12, int)

    with pytest.raises(ValueError, match="n_images=0"):
        ClusterDisplay.from_predictions(pictures, labels, n_images=0)
    with pytest.raises(
        ValueError, match="images has length 12, but the number of labels is 3"
    ):
        ClusterDisplay.from_predictions(pictures, labels[:3])
    with pytest.raises(ValueError, match="labels must be integers"):
        ClusterDisplay.from_predictions(pictures, ["zebra"] * 12)
    with pytest.raises(
        ValueError, match="images=None is only allowed if the estimator is a"
    ):
        ClusterDisplay.from_estimator(KMeans(2), np.eye(12))
    with pytest.raises(TypeError, match="use from_predictions"):
        ClusterDisplay.from_estimator(
            AgglomerativeClustering(2), np.eye(12), images=pictures
        )
    with pytest.raises(ValueError, match="n_columns=0"):
        ClusterDisplay.from_predictions(pictures, labels).plot(n_columns=0)
