"""Tests of saving estimators with skops, which loads only types that are trusted."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from embedders import assert_embeddings_close, make_autoencoder, make_untrained
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from imgsim import (
    ColorHistogramEmbedder,
    EmbeddingCache,
    ImageClusterer,
    SimilarityIndex,
)
from imgsim.cluster.algorithms._registry import ALGORITHMS

GUIDE = Path(__file__).parents[1] / "docs/guide/programs.md"
OF_PARAMETERS = ["builtins.range", f"{type(Path()).__module__}.{type(Path()).__name__}"]
INDEXES = {
    "exact": SimilarityIndex(metric="seuclidean"),
    "graph": SimilarityIndex(algorithm="pynndescent", random_state=0),
    "augmented": SimilarityIndex(database_augmentation=2, query_expansion=2),
}
CLUSTERERS = {
    **{name: ImageClusterer(algorithm=name, random_state=0) for name in ALGORITHMS},
    "components": ImageClusterer(3, n_components="auto", random_state=0),
    "k_range": ImageClusterer(k_range=range(2, 5), criterion="gap", random_state=0),
}


@pytest.fixture(scope="module")
def trusted():
    """Return the types that the guide says to trust."""
    text = re.search(r"TRUSTED = (\[.*?\n\])", GUIDE.read_text("utf-8"), re.DOTALL)[1]
    types = ast.literal_eval(text)
    assert types == sorted(types)
    return types


@pytest.fixture
def copy(trusted):
    """Return a function that saves and loads an estimator."""
    skops = pytest.importorskip("skops.io", reason="needs skops: pip install skops")

    def save_and_load(estimator, extra=()):
        data = skops.dumps(estimator)
        needed = {*skops.get_untrusted_types(data=data)} - {*trusted}
        assert needed == {*extra}
        return skops.loads(data, trusted=[*trusted, *extra])

    return save_and_load


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_is_saved(copy, blobs, name):
    """Neighbors, ids and labels are the same, and rows can be added."""
    X, y = blobs
    index = clone(INDEXES[name]).fit(X, y=y, ids=[f"{i}.jpg" for i in range(60)])

    loaded = copy(index.remove(["3.jpg"]))

    for actual, expected in zip(loaded.search(X), index.search(X), strict=True):
        assert_array_equal(np.concatenate(actual), np.concatenate(expected))
    assert_array_equal(loaded.y_, index.y_)
    assert loaded.add(X[:1], ["new.jpg"], y=[0]).n_samples_fit_ == 60


@pytest.mark.filterwarnings("ignore::imgsim.exceptions.WeakClustersWarning")
@pytest.mark.parametrize("name", CLUSTERERS)
def test_a_clusterer_is_saved(copy, blobs, name):
    """It predicts the same clusters, and reports the same numbers."""
    X, _ = blobs
    clusterer = clone(CLUSTERERS[name]).fit(X)

    loaded = copy(clusterer, ["builtins.range"] if name == "k_range" else [])

    assert_array_equal(loaded.predict(X), clusterer.predict(X))
    assert_array_equal(loaded.labels_, clusterer.labels_)
    assert str(loaded.report()) == str(clusterer.report())
    assert repr(loaded.selection_) == repr(clusterer.selection_)


@pytest.mark.parametrize(
    "make",
    [
        ColorHistogramEmbedder,
        lambda **kwargs: make_untrained(image_size=64, **kwargs),
        make_autoencoder,
        lambda **kwargs: make_autoencoder(
            penalty="variational", init="random", augment="warp", **kwargs
        ),
    ],
    ids=["ColorHistogramEmbedder", "ImageEmbedder", "autoencoder", "variational"],
)
@pytest.mark.filterwarnings("ignore::imgsim.exceptions.ImageReadWarning")
def test_an_embedder_is_saved(copy, pictures, make, tmp_path):
    """Its embeddings and its fingerprint are the same."""
    cache = EmbeddingCache(tmp_path / "cache.sqlite")
    embedder = make(on_error="nan", cache=cache)
    X = embedder.fit_transform([*pictures, "missing.jpg"])

    loaded = copy(embedder, OF_PARAMETERS[1:])

    assert loaded.failures_ == embedder.failures_
    assert loaded.fingerprint() == embedder.fingerprint()
    assert_embeddings_close(loaded.set_params(cache=None).transform(pictures), X[:-1])


def test_training_continues_after_it_was_saved(copy, pictures):
    """The state of the optimizer is saved as well."""
    embedder = make_autoencoder().partial_fit(pictures)

    loaded = copy(embedder)

    expected = embedder.partial_fit(pictures).transform(pictures)
    assert_embeddings_close(loaded.partial_fit(pictures).transform(pictures), expected)
    assert loaded.loss_curve_ == pytest.approx(embedder.loss_curve_)


def test_a_pipeline_is_saved(copy, pictures):
    """A program loads it and passes it paths."""
    pipeline = make_pipeline(make_autoencoder(), ImageClusterer(2, random_state=0))
    labels = pipeline.fit_predict(pictures)

    assert_array_equal(copy(pipeline).predict(pictures), labels)
