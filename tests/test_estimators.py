"""Tests of the contract of scikit-learn's estimators, and of all embedders."""

import io
import pickle
import re
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pytest
from embedders import EMBEDDERS, assert_embeddings_close
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from imgsim import EmbeddingCache, ImageClusterer, ImageReadError, SimilarityIndex
from imgsim.exceptions import ImageReadWarning

FAST_METRICS = (
    "cosine",
    "euclidean",
    "sqeuclidean",
    "manhattan",
    "chebyshev",
    "correlation",
    "inner_product",
)
# Each algorithm with a metric and with candidates for the number of clusters. With a
# given number of clusters, it is tested with the other metric.
CLUSTERING = {
    "kmeans": ("cosine", None),
    "minibatch_kmeans": ("euclidean", range(2, 4)),
    "bisecting_kmeans": ("cosine", range(2, 4)),
    "spectral": ("euclidean", range(2, 4)),
    "agglomerative": ("cosine", range(2, 4)),
    "gaussian_mixture": ("euclidean", range(2, 4)),
    "dbscan": ("euclidean", None),
    "hdbscan": ("cosine", None),
    "leiden": ("euclidean", None),
}
OTHER_METRIC = {"cosine": "euclidean", "euclidean": "cosine"}
ARRAY_ESTIMATORS = [
    # The fast metrics except hamming and jaccard, which compare booleans.
    *(SimilarityIndex(metric=metric) for metric in FAST_METRICS),
    SimilarityIndex(algorithm="pynndescent", random_state=0),
    SimilarityIndex(query_expansion=2, database_augmentation=2),
    SimilarityIndex(mode="connectivity"),
    *(
        ImageClusterer(3, algorithm=algorithm, metric=OTHER_METRIC[metric])
        for algorithm, (metric, _) in CLUSTERING.items()
    ),
    *(
        ImageClusterer(algorithm=algorithm, metric=metric, k_range=k_range)
        for algorithm, (metric, k_range) in CLUSTERING.items()
    ),
    *(
        ImageClusterer(3, algorithm=algorithm, n_components="auto")
        for algorithm in ("kmeans", "dbscan", "hdbscan", "leiden")
    ),
    ImageClusterer(algorithm="leiden", metric="cosine", n_components="auto"),
]


@pytest.fixture(scope="module")
def one_thread():
    """Compute in one thread, because threads slow down computations on a few rows."""
    with threadpool_limits(1):
        yield


@pytest.mark.usefixtures("one_thread")
@parametrize_with_checks(ARRAY_ESTIMATORS)
def test_array_estimators_pass_every_check_of_scikit_learn(estimator, check):
    """The estimators pass in all configurations, with no check marked as failing."""
    with warnings.catch_warnings():
        # Some checks use data without clusters, for which a warning is correct.
        warnings.simplefilter("ignore")
        check(estimator)


def test_row_i_is_image_i(make_embedder, pictures):
    """Users match embeddings with images by position, also if threads are used."""
    embedder = make_embedder(batch_size=5, n_jobs=3)
    order = np.random.default_rng(0).permutation(12)

    X = embedder.fit_transform(pictures)
    permuted = embedder.transform([pictures[i] for i in order])

    assert X.shape == (12, embedder.n_features_out_)
    assert X.dtype == np.float32
    assert_embeddings_close(permuted, X[order])
    assert len(np.unique(X.round(4), axis=0)) == 12


def _as_file(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file


def test_every_kind_of_source_gives_the_same_embedding(
    make_embedder, picture, tmp_path
):
    """A list may mix paths, files, and images in several formats."""
    torch = pytest.importorskip("torch")
    Image.fromarray(picture).save(tmp_path / "a.png")
    sources = [
        str(tmp_path / "a.png"),
        tmp_path / "a.png",
        _as_file(picture).getvalue(),
        _as_file(picture),
        Image.fromarray(picture),
        picture,
        picture.astype(np.uint16) * 257,
        picture / 255,
        torch.from_numpy(picture).permute(2, 0, 1),
    ]

    X = make_embedder().transform(sources)

    assert_embeddings_close(X, np.tile(X[:1], (len(sources), 1)))


COLUMNS = {
    "array": np.asarray,
    "object array": lambda paths: np.array(paths, dtype=object)[:, None],
    "Series": pd.Series,
    "DataFrame": lambda paths: pd.DataFrame({"image": paths}),
    "polars": lambda paths: pl.DataFrame({"image": paths}),
}


@pytest.mark.parametrize("as_column", COLUMNS.values(), ids=COLUMNS)
def test_columns_and_stacks_are_collections(
    make_embedder, as_column, picture, tmp_path
):
    """A ColumnTransformer passes a column of a data frame."""
    paths = [str(tmp_path / f"{i}.png") for i in range(3)]
    for i, path in enumerate(paths):
        Image.fromarray(np.roll(picture, 5 * i, axis=1)).save(path)
    embedder = make_embedder()

    from_list = embedder.transform(paths)

    assert_array_equal(embedder.transform(as_column(paths)), from_list)
    stack = np.stack([np.roll(picture, 5 * i, axis=1) for i in range(3)])
    assert_array_equal(embedder.transform(stack), from_list)


def test_works_in_a_column_transformer(make_embedder, picture, tmp_path):
    """A table may have a column of images and a column of numbers."""
    Image.fromarray(picture).save(tmp_path / "a.png")
    table = pd.DataFrame({"image": [str(tmp_path / "a.png")] * 2, "price": [1.0, 2.0]})

    columns = make_column_transformer(
        (make_embedder(), ["image"]), ("passthrough", ["price"])
    )
    X = columns.fit_transform(table)

    assert_array_equal(X[:, -1], [1.0, 2.0])
    assert len(columns.get_feature_names_out()) == X.shape[1]


def test_the_embedding_does_not_depend_on_the_batch(make_embedder, pictures):
    """The embedding of an image must not depend on the other images in its batch."""
    alone = np.vstack([make_embedder().transform([picture]) for picture in pictures])
    for batch_size in (1, 7, 64):
        X = make_embedder(batch_size=batch_size).transform(pictures)
        assert_embeddings_close(X, alone)


def test_calls_repeat_exactly(make_embedder, pictures):
    """The same images in the same batches give bit-identical embeddings."""
    embedder = make_embedder().fit(pictures)

    assert_array_equal(embedder.transform(pictures), embedder.transform(pictures))


def test_an_unreadable_image_raises(make_embedder, picture):
    """By default, an error names the image and the reason."""
    with pytest.raises(ImageReadError, match=r"cannot read missing\.jpg: no such file"):
        make_embedder().fit_transform([picture, "missing.jpg"])


def test_an_unreadable_image_leaves_a_row_of_nan(make_embedder, pictures, tmp_path):
    """There is one warning, `failures_` lists them, and other embeddings are equal."""
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    sources = [*pictures[:5], "missing.jpg", *pictures[5:], tmp_path / "broken.jpg"]
    embedder = make_embedder(on_error="nan", batch_size=4)

    with pytest.warns(ImageReadWarning, match="2 of 14 images could not be") as caught:
        X = embedder.transform(sources)

    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert [(f.row, f.source) for f in embedder.failures_] == [
        (5, "missing.jpg"),
        (13, str(tmp_path / "broken.jpg")),
    ]
    assert_array_equal(np.isnan(X).all(axis=1), np.isin(range(14), [5, 13]))
    readable = np.delete(X, [5, 13], axis=0)
    assert_embeddings_close(readable, make_embedder().transform(pictures))


def test_failures_are_those_of_the_last_call(make_embedder, picture):
    """A second call of `transform` replaces the failures of the first one."""
    embedder = make_embedder(on_error="nan")
    with pytest.warns(ImageReadWarning):
        embedder.transform(["missing.jpg"])

    embedder.transform([picture])

    assert embedder.failures_ == []


def test_rows_of_nan_pass_through_search_and_clustering(make_embedder, pictures):
    """A broken file does not stop a search or a clustering."""
    sources = ["missing.jpg", *pictures]
    embedder = make_embedder(on_error="nan")

    with pytest.warns(ImageReadWarning):
        index = make_pipeline(embedder, SimilarityIndex(n_neighbors=12)).fit(sources)
    with pytest.warns(ImageReadWarning):
        clusterer = make_pipeline(embedder, ImageClusterer(3)).fit(sources)

    _, ids = index[-1].search(index[:-1].transform(pictures[:1]))
    assert sorted(ids[0]) == list(range(1, 13))
    assert clusterer[-1].labels_[0] == -1


def test_normalize_gives_unit_rows(make_embedder, pictures):
    """Normalized embeddings keep the direction of the original embeddings."""
    X = make_embedder().transform(pictures)

    unit = make_embedder(normalize="l2").transform(pictures)

    assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
    assert_allclose(unit, X / np.linalg.norm(X, axis=1, keepdims=True), atol=1e-6)


def test_normalize_leaves_unreadable_rows_nan(make_embedder, picture):
    """A row of zeros would be mistaken for an embedding."""
    embedder = make_embedder(normalize="l2", on_error="nan")

    with pytest.warns(ImageReadWarning):
        X = embedder.transform([picture, "missing.jpg"])

    assert np.isnan(X).all(axis=1).tolist() == [False, True]


def test_a_single_path_raises_an_error_that_names_list_images(make_embedder):
    """A str is a sequence, too, and would be iterated letter by letter."""
    embedder = make_embedder()

    for call in (embedder.fit, embedder.transform, embedder.fit_transform):
        with pytest.raises(TypeError, match="list_images"):
            call("photos")


def test_an_empty_collection_raises_an_error(make_embedder):
    """All estimators of scikit-learn reject empty input."""
    with pytest.raises(ValueError, match="contains no images"):
        make_embedder().fit_transform([])


@pytest.mark.parametrize(
    "parameters",
    [
        {"normalize": "l3"},
        {"batch_size": 0},
        {"n_jobs": 1.5},
        {"n_jobs": 0},
        {"on_error": "ignore"},
        {"verbose": -1},
    ],
    ids=str,
)
def test_invalid_parameters_raise_an_error(make_embedder, parameters, picture):
    """Both `fit` and `transform` validate; the constructor only stores."""
    embedder = make_embedder(**parameters)
    [name] = parameters

    for call in (embedder.fit, embedder.transform):
        with pytest.raises(ValueError, match=f"The '{name}' parameter"):
            call([picture])


def test_every_parameter_has_a_constraint(make_embedder):
    """The constructor stores all its arguments unchanged, as `clone` requires."""
    embedder = make_embedder()

    assert set(embedder.get_params()) == set(embedder._parameter_constraints)
    marker = object()
    for name in embedder.get_params():
        assert embedder.set_params(**{name: marker}).get_params()[name] is marker


def test_fitting_again_gives_the_same_embeddings(make_embedder, pictures):
    """`fit` and `transform` give the same embeddings as `fit_transform`, repeatedly."""
    rows = make_embedder().fit_transform(pictures)

    assert_array_equal(make_embedder().fit(pictures).transform(pictures), rows)
    assert_array_equal(make_embedder().fit(pictures).fit_transform(pictures), rows)


def test_fit_transform_warns_once_of_an_unreadable_image(make_embedder, pictures):
    """Even an embedder that is trained and reads each image twice warns once."""
    embedder = make_embedder(on_error="nan")

    with pytest.warns(ImageReadWarning, match="1 of 13 .* are NaN") as caught:
        X = embedder.fit_transform([*pictures, "missing.jpg"])

    of_images = [each for each in caught if each.category is ImageReadWarning]
    assert len(of_images) == 1
    assert np.isnan(X[12]).all()
    assert not np.isnan(X[:12]).any()


@pytest.fixture(params=["ColorHistogramEmbedder", "ImageEmbedder"])
def make_stateless(request):
    """Return a function that makes an embedder that does not need training."""
    return EMBEDDERS[request.param]


def test_transform_needs_no_fit(make_stateless, pictures):
    """An embedder that is not trained is a stateless transformer."""
    rows = make_stateless().fit_transform(pictures)

    assert_array_equal(make_stateless().transform(pictures), rows)
    assert_array_equal(make_stateless().fit().transform(pictures), rows)
    assert not get_tags(make_stateless()).requires_fit


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ColorHistogramEmbedder", {"grid": (3, 3)}),
        ("ImageEmbedder", {"image_size": 96}),
    ],
)
def test_parameters_set_later_take_effect(name, parameters, pictures):
    """A stateless transformer uses its current parameters, even after `fit`."""
    embedder = EMBEDDERS[name]().fit(pictures)
    embedder.transform(pictures)

    X = embedder.set_params(**parameters).transform(pictures)

    assert_array_equal(X, clone(embedder).fit_transform(pictures))


def test_parameters_set_later_are_checked(make_embedder, pictures):
    """`set_params` does not validate, so `transform` has to."""
    embedder = make_embedder().fit(pictures).set_params(normalize="l1")

    with pytest.raises(ValueError, match="The 'normalize' parameter"):
        embedder.transform(pictures)


def test_feature_names_and_pandas_output(make_embedder, pictures):
    """Each column has a name, and the index of the input is kept."""
    embedder = make_embedder().set_output(transform="pandas")
    images = pd.DataFrame({"image": pictures[:3]}, index=["a", "b", "c"])

    table = embedder.fit_transform(images)

    prefix = type(embedder).__name__.lower()
    assert list(table.index) == ["a", "b", "c"]
    assert list(table.columns) == list(embedder.get_feature_names_out())
    assert table.columns[-1] == f"{prefix}{embedder.n_features_out_ - 1}"


def test_clones_are_unfitted_and_equal(make_embedder, pictures):
    """Cross-validation requires that clones are not fitted."""
    embedder = make_embedder(batch_size=3).fit(pictures)

    copy = clone(embedder)

    assert copy.get_params() == embedder.get_params()
    assert not hasattr(copy, "n_features_out_")
    assert_array_equal(copy.fit_transform(pictures), embedder.transform(pictures))


def test_pickling_keeps_the_embeddings(make_embedder, pictures):
    """An embedder that was pickled gives the same embeddings."""
    embedder = make_embedder().fit(pictures)

    copy = pickle.loads(pickle.dumps(embedder))

    assert_array_equal(copy.transform(pictures), embedder.transform(pictures))


def test_pickles_hold_no_pretrained_network(make_stateless, pictures):
    """A network is large, and can be loaded again by its name."""
    assert len(pickle.dumps(make_stateless().fit(pictures))) < 10_000


def test_progress_is_shown_only_if_asked(make_embedder, pictures, capsys):
    """A library is silent by default."""
    make_embedder().fit_transform(pictures)
    assert capsys.readouterr() == ("", "")

    make_embedder(verbose=1).transform(pictures)
    shown = capsys.readouterr().err
    assert "12/12" in shown
    assert "images/s" in shown


def test_progress_counts_failures_and_cached_images(
    make_embedder, pictures, capsys, tmp_path
):
    """Users watch the progress of a long run."""
    cache = tmp_path / "rows.sqlite"
    make_embedder(cache=cache).transform(pictures)
    embedder = make_embedder(cache=cache, on_error="nan", verbose=1, batch_size=4)

    with pytest.warns(ImageReadWarning):
        embedder.transform([*pictures, "missing.jpg"])

    assert "cached=12, failed=1" in capsys.readouterr().err


def test_transform_iter_yields_all_embeddings_in_batches(make_embedder, pictures):
    """The embeddings of a large collection may not fit into memory."""
    embedder = make_embedder(batch_size=5)

    batches = list(embedder.transform_iter(pictures))

    assert [batch.shape for batch in batches] == [
        (n, embedder.n_features_out_) for n in (5, 5, 2)
    ]
    assert_array_equal(np.vstack(batches), embedder.transform(pictures))


def test_transform_iter_validates_when_it_is_called(make_embedder):
    """An error at the first batch would be raised far from the call."""
    with pytest.raises(TypeError, match="list_images"):
        make_embedder().transform_iter("photos")
    with pytest.raises(ValueError, match="The 'batch_size' parameter"):
        make_embedder(batch_size=0).transform_iter(["a.jpg"])


def test_transform_iter_warns_of_failures_at_the_end(make_embedder, pictures):
    """There is one warning, which points at the loop over the batches."""
    embedder = make_embedder(on_error="nan", batch_size=2)

    with pytest.warns(ImageReadWarning, match="1 of 13") as caught:
        batches = list(embedder.transform_iter([*pictures[:3], "x.jpg", *pictures[3:]]))

    assert caught[0].filename == __file__
    assert [f.row for f in embedder.failures_] == [3]
    assert np.isnan(batches[1][1]).all()
    assert not np.isnan(batches[1][0]).any()


def test_closing_transform_iter_early_stops_its_threads(
    make_embedder, pictures, tmp_path
):
    """The embeddings that were computed before are in the cache."""
    cache = EmbeddingCache(tmp_path / "rows.sqlite")
    batches = make_embedder(batch_size=2, cache=cache).transform_iter(pictures)

    next(batches)
    batches.close()

    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("imgsim")]
    assert 2 <= len(cache) < 12


def test_broken_files_do_not_change_other_embeddings(make_embedder, tmp_path):
    """Tested without a cache, with an empty cache and with a filled cache."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i:03}.png" for i in range(100)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).save(path)
    broken = [7, 8, 31, 64, 99]
    for i in broken:
        paths[i].write_bytes(paths[i].read_bytes()[:50])
    good = [path for i, path in enumerate(paths) if i not in broken]
    expected = make_embedder().transform(good)

    for cache in (None, tmp_path / "rows.sqlite", tmp_path / "rows.sqlite"):
        embedder = make_embedder(on_error="nan", batch_size=16, cache=cache)
        with pytest.warns(ImageReadWarning, match="5 of 100") as caught:
            X = embedder.transform(paths)

        assert len(caught) == 1
        assert [f.row for f in embedder.failures_] == broken
        assert_array_equal(np.flatnonzero(np.isnan(X).any(axis=1)), broken)
        assert_embeddings_close(np.delete(X, broken, axis=0), expected)


def test_one_embedder_serves_two_threads(make_embedder, pictures):
    """A server may call the same embedder from several threads."""
    embedder = make_embedder(batch_size=3).fit(pictures)
    expected = embedder.transform(pictures)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(embedder.transform, [pictures] * 6))

    for X in found:
        assert_embeddings_close(X, expected)


def test_no_thread_is_left_behind(make_embedder, pictures):
    """Threads end when `fit_transform` succeeds and when it fails."""
    make_embedder().fit_transform(pictures)
    with pytest.raises(ImageReadError):
        make_embedder().fit_transform([*pictures, "missing.jpg"])

    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("imgsim")]


def test_the_given_images_are_not_changed(make_embedder, pictures):
    """Images belong to the caller, and may be read-only."""
    before = [picture.copy() for picture in pictures]
    for picture in pictures:
        picture.flags.writeable = False

    make_embedder().fit_transform(pictures)

    for picture, original in zip(pictures, before, strict=True):
        assert_array_equal(picture, original)


def test_notebooks_show_the_diagram_of_scikit_learn(make_embedder):
    """Pipelines and their steps have the diagram, whether they are fitted or not."""
    embedder = make_embedder()
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    for last in (SimilarityIndex(2), ImageClusterer(2, random_state=0)):
        pipeline = make_pipeline(embedder, last)
        for _ in range(2):
            for shown in (pipeline, embedder, last):
                page = shown._repr_html_()

                assert "sk-container" in page
                assert type(shown).__name__ in page
            pipeline.fit(images)


@pytest.mark.parametrize("n_rows", [1, 60, 1450])
def test_diagrams_say_what_the_output_columns_are(n_rows):
    """The index has no features; a column of its output is a row of the collection."""
    X = np.random.default_rng(0).normal(size=(n_rows, 4))

    index = SimilarityIndex().fit(X)._repr_html_()
    shown = {1: "1 row", 60: "60 rows", 1450: "100 of 1,450 rows"}[n_rows]
    if "similarityindex0" in index:  # not before scikit-learn 1.9
        assert f"<div>{shown}</div>" in index
        assert not re.search(r"\d features?<", index)

    clusterer = ImageClusterer(1, random_state=0).fit(X)._repr_html_()
    if "imageclusterer0" in clusterer:
        assert "<div>1 cluster</div>" in clusterer
