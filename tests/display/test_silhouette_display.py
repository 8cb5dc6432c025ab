"""Tests of silhouette plots, by the positions of areas and texts."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.cluster import DBSCAN, KMeans
from sklearn.exceptions import NotFittedError
from sklearn.metrics import silhouette_samples
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, ImageClusterer
from imgsim.display import SilhouetteDisplay


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def _outlines(display):
    """Return left, right, top and bottom of each cluster, from top to bottom."""
    vertices = [area.get_paths()[0].vertices for area in display.ax_.collections]
    return [
        (*np.sort(v[:, 0])[[0, -1]], v[:, 1].min(), v[:, 1].max()) for v in vertices
    ]


def _labels(display):
    return [text.get_text() for text in display.ax_.get_yticklabels()]


def _random(sizes, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return {"silhouettes": rng.uniform(-0.4, 1, len(labels)), "labels": labels}


def test_the_height_of_a_cluster_is_its_size():
    """Its width is the range of its silhouettes, and the first cluster is on top."""
    display = SilhouetteDisplay(
        silhouettes=[0.2, 0.5, 0.9, -0.3, 0.4], labels=[1, 0, 0, 1, 0]
    ).plot()

    first, second = _outlines(display)
    assert_allclose(first[:2], [0, 0.9])
    assert_allclose(second[:2], [-0.3, 0.2])
    assert_allclose([first[3] - first[2], second[3] - second[2]], [3, 2])
    assert first[3] < second[2]
    assert display.ax_.yaxis_inverted()
    assert _labels(display) == ["0 (3)", "1 (2)"]


def test_the_largest_silhouette_is_on_top_of_its_cluster():
    """Each image takes one row, whose width is its silhouette."""
    display = SilhouetteDisplay(silhouettes=[0.1, 0.8, 0.4], labels=[0, 0, 0]).plot()

    vertices = display.ax_.collections[0].get_paths()[0].vertices
    top = vertices[:, 1].min()
    for row, silhouette in enumerate([0.8, 0.4, 0.1]):
        at_row = np.isclose(vertices[:, 0], silhouette)
        ends = vertices[at_row, 1]
        assert_allclose([ends.min() - top, ends.max() - top], [row, row + 1])


def test_the_mean_is_a_dashed_line():
    """It is the mean over all images that are drawn."""
    display = SilhouetteDisplay(
        silhouettes=[0.5, 0.7, 0.9, -0.1, np.nan], labels=[0, 0, 0, 1, -1]
    ).plot()

    (mean,) = (line for line in display.ax_.lines if line.get_linestyle() == "--")
    assert_allclose(mean.get_xdata(), 0.5)
    assert (
        display.ax_.get_title() == "mean silhouette 0.50 (dashed)\nleft out: 1 as noise"
    )


def test_images_that_are_left_out_are_counted():
    """Noise has no silhouette, even if it comes with a number."""
    display = SilhouetteDisplay(
        silhouettes=[0.5, np.nan, 0.9, 0.1, np.nan, np.nan],
        labels=[0, 0, 1, -1, -1, 1],
    ).plot()

    assert display.ax_.get_title() == (
        "mean silhouette 0.70 (dashed)\nleft out: 2 as noise, 2 without a silhouette"
    )
    assert _labels(display) == ["0 (1)", "1 (1)"]


def test_noise_alone_is_drawn():
    """A clustering may consist of noise only."""
    display = SilhouetteDisplay(silhouettes=[np.nan] * 3, labels=[-1] * 3).plot()

    display.figure_.canvas.draw()

    assert display.ax_.get_title() == "mean silhouette unknown\nleft out: 3 as noise"
    assert not display.ax_.collections


@pytest.mark.parametrize("low", [-1.0, -0.02, 0.6])
def test_nothing_is_cut_off(low):
    """The x axis includes 0, the smallest silhouette and the largest."""
    display = SilhouetteDisplay(silhouettes=[low, 0.7, 1.0], labels=[0, 0, 1]).plot()

    left, right = display.ax_.get_xlim()
    bottom, top = display.ax_.get_ylim()
    assert left < min(low, 0)
    assert right > 1
    assert top <= _outlines(display)[0][2]
    assert bottom >= _outlines(display)[-1][3]


@pytest.mark.parametrize(
    "sizes",
    [[5, 5], [90, 60, 30], range(130, 10, -10), range(440, 40, -10), [9000, *[3] * 99]],
    ids=["2", "3", "12", "40", "100 uneven"],
)
@pytest.mark.parametrize("own", [True, False], ids=["own axes", "given axes"])
def test_labels_of_clusters_do_not_overlap(sizes, own):
    """Labels without room are left out."""
    ax = None if own else plt.figure(figsize=(4, 3)).add_subplot()

    display = SilhouetteDisplay(**_random(list(sizes))).plot(ax=ax)

    display.figure_.canvas.draw()
    texts = [text for text in display.ax_.get_yticklabels() if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    assert texts[0].get_text() == f"0 ({sizes[0]:,})"
    assert all(a.y0 > b.y1 - 1 for a, b in pairwise(boxes))
    assert len(display.ax_.collections) == len(sizes)


def test_the_figure_grows_with_the_number_of_clusters():
    """Up to the height of a page, all clusters have labels."""
    displays = [SilhouetteDisplay(**_random([10] * n)).plot() for n in (2, 12, 40, 100)]

    heights = [display.figure_.get_figheight() for display in displays]
    assert [len(_labels(display)) for display in displays[:3]] == [2, 12, 40]
    assert heights[0] < heights[1] < heights[2] <= heights[3] <= 12


def test_large_clusters_are_drawn_with_few_points():
    """An outline needs no more steps than a figure has rows of pixels."""
    values = _random([50_000])

    display = SilhouetteDisplay(**values).plot()

    (outline,) = _outlines(display)
    assert len(display.ax_.collections[0].get_paths()[0].vertices) < 10_000
    assert_allclose(
        outline[:2], [values["silhouettes"].min(), values["silhouettes"].max()]
    )
    assert_allclose(outline[3] - outline[2], 50_000)


def test_from_predictions_computes_silhouettes(blobs):
    """The reference is scikit-learn, for the images that are in a cluster."""
    X, y = blobs
    labels = np.where(np.arange(60) % 7 == 0, -1, y)

    display = SilhouetteDisplay.from_predictions(X, labels, metric="cosine")

    clustered = labels >= 0
    expected = silhouette_samples(X[clustered], labels[clustered], metric="cosine")
    assert_allclose(display.silhouettes[clustered], expected, atol=1e-4)
    assert np.isnan(display.silhouettes[~clustered]).all()


def test_from_estimator_shows_the_images_it_was_fitted_on(blobs):
    """The silhouettes of the clusterer are used, and not computed again."""
    X, y = blobs
    X = np.vstack([X, np.full((1, 8), np.nan, dtype=np.float32)])
    clusterer = ImageClusterer(3, metric="euclidean", random_state=0).fit(X)

    display = SilhouetteDisplay.from_estimator(clusterer)

    assert display.silhouettes is clusterer.silhouette_samples_
    assert display.labels is clusterer.labels_
    assert_allclose(display.silhouettes[:-1], silhouette_samples(X[:-1], y), rtol=1e-3)
    assert "left out: 1 as noise" in display.plot().ax_.get_title()


def test_from_estimator_predicts_other_images(blobs):
    """Silhouettes are computed with the metric of the clusterer."""
    X, _ = blobs
    clusterer = ImageClusterer(3, metric="cosine", random_state=0).fit(X[::2])

    display = SilhouetteDisplay.from_estimator(clusterer, X[1::2])

    labels = clusterer.predict(X[1::2])
    expected = silhouette_samples(X[1::2], labels, metric="cosine")
    assert display.labels.tolist() == labels.tolist()
    assert_allclose(display.silhouettes, expected, atol=1e-4)


def test_from_estimator_takes_a_pipeline_and_images(pictures):
    """The results with and without embedding the images again are equal."""
    pipeline = make_pipeline(
        ColorHistogramEmbedder(), ImageClusterer(2, random_state=0)
    )
    pipeline.fit(pictures)

    fitted = SilhouetteDisplay.from_estimator(pipeline)
    predicted = SilhouetteDisplay.from_estimator(pipeline, pictures)

    assert fitted.labels.tolist() == predicted.labels.tolist()
    assert_allclose(fitted.silhouettes, predicted.silhouettes, atol=1e-4)


def test_from_estimator_takes_clusterers_of_scikit_learn(blobs):
    """They have no silhouettes of their own, so that X is needed."""
    X, y = blobs
    kmeans = KMeans(3, n_init=1, random_state=0).fit(X)

    display = SilhouetteDisplay.from_estimator(kmeans, X)

    assert_allclose(display.silhouettes, silhouette_samples(X, y), rtol=1e-3)
    with pytest.raises(TypeError, match="KMeans has no silhouette_samples_"):
        SilhouetteDisplay.from_estimator(kmeans)
    with pytest.raises(TypeError, match=r"DBSCAN has no predict; use from_predictions"):
        SilhouetteDisplay.from_estimator(DBSCAN().fit(X), X)


def test_draws_on_given_axes():
    """The caller may place the display in an existing figure."""
    figure, (left, _) = plt.subplots(1, 2)

    display = SilhouetteDisplay(**_random([3, 2])).plot(ax=left)

    assert display.ax_ is left
    assert display.figure_ is figure
    assert len(figure.axes) == 2


def test_invalid_parameters_raise_an_error(blobs):
    """The message names the parameter."""
    X, y = blobs

    with pytest.raises(ValueError, match="labels must be integers"):
        SilhouetteDisplay.from_predictions(X, y.astype(str))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        SilhouetteDisplay.from_predictions(X, y[:-1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        SilhouetteDisplay(silhouettes=[0.5], labels=[0, 1]).plot()
    with pytest.raises(NotFittedError):
        SilhouetteDisplay.from_estimator(ImageClusterer())
