"""Tests of the messages about parameters and arrays that a function cannot take."""

import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from scipy import sparse
from sklearn.utils._param_validation import InvalidParameterError

from imgsim import (
    AutoencoderEmbedder,
    ColorHistogramEmbedder,
    ImageClusterer,
    ImageEmbedder,
    SimilarityIndex,
    find_duplicates,
    select_k,
)
from imgsim.cluster import silhouette_samples_many, silhouette_score_many
from imgsim.display import (
    EmbeddingMapDisplay,
    NeighborsDisplay,
    ReconstructionDisplay,
    SilhouetteDisplay,
    write_gallery,
)
from imgsim.export import copy_to_folders
from imgsim.images import ImageStream

X = np.eye(6)
LABELS = [0, 0, 0, 1, 1, 1]
IMAGES = [np.zeros((8, 8, 3), np.uint8)] * 6
NAMES = [
    (lambda: SimilarityIndex(metric="cosinus").fit(X), "cosine"),
    (lambda: SimilarityIndex(metric="Euclidian").fit(X), "euclidean"),
    (lambda: SimilarityIndex(algorithm="pynn").fit(X), "pynndescent"),
    (lambda: SimilarityIndex(mode="dist").fit(X), "distance"),
    (lambda: ImageClusterer(algorithm="k-means").fit(X), "kmeans"),
    (lambda: ImageClusterer(n_clusters="Auto").fit(X), "auto"),
    (lambda: ImageClusterer(criterion="silhouete").fit(X), "silhouette"),
    (
        lambda: ImageClusterer(
            2, algorithm="agglomerative", algorithm_params={"linkage": "averge"}
        ).fit(X),
        "average",
    ),
    (lambda: select_k(X, metric="eucledean"), "euclidean"),
    (lambda: silhouette_score_many(X, [LABELS], metric="cos"), "cosine"),
    (lambda: find_duplicates(X, keep="frist"), "first"),
    (lambda: find_duplicates(X, metric="cosin"), "cosine"),
    (lambda: ColorHistogramEmbedder(on_error="rise").transform(IMAGES), "raise"),
    (lambda: ColorHistogramEmbedder(normalize="L2").fit(IMAGES), "l2"),
    (lambda: ImageEmbedder(pooling="average").transform(IMAGES), "avg"),
    (lambda: ImageEmbedder(precision="fp16").transform(IMAGES), "float16"),
    (lambda: ImageEmbedder(decoder="PIL").transform(IMAGES), "pillow"),
    (lambda: ImageEmbedder(crop_mode="centre").transform(IMAGES), "center"),
    (lambda: AutoencoderEmbedder(loss="ssim").fit(IMAGES), "ssim+l1"),
    (lambda: AutoencoderEmbedder(augment="mirrored").fit(IMAGES), "mirror"),
    (lambda: copy_to_folders(["a.jpg"], [0], "out", mode="link"), "symlink"),
    (lambda: write_gallery("a.html", IMAGES, thumbnails="linked"), "link"),
]
NAMES_OUTSIDE_SCIKIT_LEARN = [
    (lambda: SimilarityIndex(2).fit(X).kneighbors_graph(mode="dist"), "distance"),
    (lambda: ImageStream(IMAGES, on_error="skipp"), "skip"),
    (lambda: EmbeddingMapDisplay.from_predictions(X, method="t-sne"), "tsne"),
    (lambda: EmbeddingMapDisplay.from_predictions(X, metric="cos"), "cosine"),
    (lambda: SilhouetteDisplay.from_predictions(X, LABELS, metric="cos"), "cosine"),
    (
        lambda: ReconstructionDisplay.from_estimator(None, IMAGES, select="worse"),
        "worst",
    ),
    (lambda: select_k(X, [2, 3]).plot(criteria="silhouete"), "silhouette"),
    (lambda: ImageClusterer(2, algorithm_params={"n_inits": 3}).fit(X), "n_init"),
]


@pytest.mark.filterwarnings("ignore::imgsim.exceptions.WeakClustersWarning")
@pytest.mark.parametrize(
    ("call", "name"),
    NAMES + NAMES_OUTSIDE_SCIKIT_LEARN,
    ids=lambda value: value if isinstance(value, str) else "call",
)
def test_a_wrong_name_is_answered_with_the_nearest(call, name):
    """A typing error is found at once."""
    question = re.escape(f"Did you mean {name!r}?") + "$"

    with pytest.raises(ValueError, match=question):
        call()


@pytest.mark.parametrize(("call", "name"), NAMES[:3], ids=["0", "1", "2"])
def test_the_error_is_that_of_scikit_learn(call, name):
    """Code that catches scikit-learn's error keeps working."""
    with pytest.raises(InvalidParameterError) as caught:
        call()

    assert caught.value.__cause__ is None
    assert str(caught.value).count("Did you mean") == 1


@pytest.mark.parametrize("metric", ["zzz", "", 3, None])
def test_nothing_is_suggested_for_a_value_unlike_all_names(metric):
    """A wrong suggestion would be worse than none."""
    with pytest.raises(InvalidParameterError) as caught:
        SimilarityIndex(metric=metric).fit(X)

    assert "Did you mean" not in str(caught.value)


def _encoded():
    stream = io.BytesIO()
    Image.fromarray(IMAGES[0]).save(stream, "png")
    return stream.getvalue()


NOT_EMBEDDINGS = {
    "paths": [f"zoo/{i}.jpg" for i in range(6)],
    "array_of_paths": np.array([f"zoo/{i}.jpg" for i in range(6)]),
    "column_of_paths": np.array([[f"zoo/{i}.jpg"] for i in range(6)], dtype=object),
    "images": IMAGES,
    "stack": np.stack(IMAGES),
    "sizes": [np.zeros((8 + i, 8, 3), np.uint8) for i in range(6)],
    "pillow": [Image.fromarray(image) for image in IMAGES],
    "bytes": [_encoded()] * 6,
}
INDEX = SimilarityIndex(2).fit(X)
FUNCTIONS = {
    "find_duplicates": find_duplicates,
    "select_k": select_k,
    "silhouette_samples_many": lambda X: silhouette_samples_many(X, [LABELS]),
    "silhouette_score_many": lambda X: silhouette_score_many(X, [LABELS]),
    "write_gallery": lambda X: write_gallery("gallery.html", IMAGES, X),
    "EmbeddingMapDisplay.from_predictions": EmbeddingMapDisplay.from_predictions,
    "SilhouetteDisplay.from_predictions": lambda X: SilhouetteDisplay.from_predictions(
        X, LABELS
    ),
    "NeighborsDisplay.from_index": lambda X: NeighborsDisplay.from_index(
        INDEX, X, images=IMAGES, query_images=IMAGES
    ),
}


@pytest.mark.parametrize("kind", NOT_EMBEDDINGS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_images_in_place_of_embeddings_are_refused_by_name(name, kind):
    """The error names the function that was called, not one that it calls."""
    with pytest.raises(TypeError, match=rf"X must be an array of numbers; .* {name} "):
        FUNCTIONS[name](NOT_EMBEDDINGS[kind])


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("invalid", [np.full((6, 3), np.inf), np.zeros((0, 3))])
def test_other_errors_do_not_name_an_estimator(name, invalid):
    """The user did not create it."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        FUNCTIONS[name](invalid)

    assert "SimilarityIndex" not in str(caught.value)
    assert "required by" not in str(caught.value) or name in str(caught.value)


@pytest.mark.parametrize("kind", NOT_EMBEDDINGS)
@pytest.mark.parametrize("estimator", [SimilarityIndex(), ImageClusterer()], ids=str)
def test_estimators_suggest_a_pipeline(estimator, kind):
    """An embedder in front of the estimator is all that is missing."""
    name = type(estimator).__name__
    with pytest.raises(TypeError, match=rf"make_pipeline\(ImageEmbedder\(\), {name}\("):
        estimator.fit(NOT_EMBEDDINGS[kind])


def test_numbers_as_text_are_still_numbers():
    """scikit-learn converts them, and so does a table that was read from a file."""
    X = np.array([["1", "2"], ["2", "1.5"], ["0", "1e3"]])

    assert SimilarityIndex(1).fit(X).n_features_in_ == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: write_gallery("gallery.html", "folder", X),
        lambda: find_duplicates(X, images="folder"),
        lambda: INDEX.search().with_images("folder"),
        lambda: NeighborsDisplay.from_index(INDEX, images="folder"),
        lambda: EmbeddingMapDisplay.from_predictions(X, images="folder"),
    ],
)
def test_errors_about_images_name_the_parameter(call):
    """`X` is another parameter of these functions."""
    with pytest.raises(TypeError, match="images must be a sequence of images; got"):
        call()

    plt.close("all")


@pytest.mark.parametrize(
    "invalid",
    [5, np.float64(1), np.array(5), iter([1]), {"a": 1}, {1}, [], sparse.bsr_array(X)],
    ids=lambda value: type(value).__name__,
)
def test_scikit_learn_explains_what_is_not_an_array(invalid):
    """A message about images would mislead."""
    with pytest.raises((TypeError, ValueError)) as caught:
        SimilarityIndex().fit(invalid)

    assert "must be an array of numbers; got" not in str(caught.value)
