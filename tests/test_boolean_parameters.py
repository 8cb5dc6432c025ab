"""Numeric parameters refuse True and False, which Python counts among the integers."""

from functools import partial

import numpy as np
import pytest
from embedders import EMBEDDERS
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

from imgsim import ImageClusterer, SimilarityIndex
from imgsim.cluster import select_k, silhouette_score_many
from imgsim.datasets import load_digit_images, load_sample_photos
from imgsim.duplicates import find_duplicates
from imgsim.metrics import ndcg_at_k, precision_at_k, recall_at_k, retrieval_report

BOOLEANS = [True, np.True_]
X = np.random.default_rng(0).normal(size=(20, 3))
RELEVANCE = np.ones((4, 3))
ESTIMATORS = {
    "index": SimilarityIndex,
    "clusterer": ImageClusterer,
    **EMBEDDERS,
}


def _takes_only_numbers(constraints):
    from imgsim._validation import Interval

    def accepts(value):
        return any(
            constraint in (str, bool, "boolean", "verbose")
            or (isinstance(constraint, type) and isinstance(value, constraint))
            for constraint in constraints
        )

    has_interval = any(isinstance(c, Interval) for c in constraints)
    return has_interval and not accepts(True)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_numeric_parameters_of_estimators_refuse_booleans(name):
    """`n_neighbors=True` is a mistake, such as a misplaced flag."""
    estimator = ESTIMATORS[name]()
    constraints = type(estimator)._parameter_constraints
    numeric = [key for key in constraints if _takes_only_numbers(constraints[key])]
    assert numeric

    for key in numeric:
        for value in BOOLEANS:
            with pytest.raises(InvalidParameterError, match=f"'{key}' parameter"):
                clone(estimator).set_params(**{key: value})._validate_params()


INDEX = SimilarityIndex().fit(X, np.arange(20) % 2)
CALLS = {
    "n_neighbors of search": lambda flag: INDEX.search(X, flag),
    "n_neighbors of kneighbors": lambda flag: INDEX.kneighbors(X, flag),
    "n_neighbors of kneighbors_graph": lambda flag: INDEX.kneighbors_graph(X, flag),
    "max_distance of search": lambda flag: INDEX.search(X, 2, flag),
    "radius": lambda flag: INDEX.radius_neighbors(X, flag),
    "radius of radius_neighbors_graph": lambda flag: INDEX.radius_neighbors_graph(
        X, flag
    ),
    "coverage": lambda flag: INDEX.suggest_threshold(coverage=flag),
    "precision": lambda flag: INDEX.suggest_threshold(precision=flag),
    "max_distance of find_duplicates": lambda flag: find_duplicates(X, flag),
    "k_range": lambda flag: select_k(X, [flag, 3]),
    "n_jobs": lambda flag: select_k(X, [2, 3], n_jobs=flag),
    "random_state": lambda flag: select_k(X, [2, 3], random_state=flag),
    "sample_size": lambda flag: silhouette_score_many(
        X, [np.arange(20) % 2], sample_size=flag
    ),
    "eps": lambda flag: ImageClusterer(
        algorithm="dbscan", algorithm_params={"eps": flag}
    ).fit(X),
    "resolution": lambda flag: ImageClusterer(
        algorithm="leiden", algorithm_params={"resolution": flag}
    ).fit(X),
    "k of precision_at_k": lambda flag: precision_at_k(RELEVANCE, k=flag),
    "k of recall_at_k": lambda flag: recall_at_k(RELEVANCE, [3] * 4, k=flag),
    "k of ndcg_at_k": lambda flag: ndcg_at_k(RELEVANCE, [3] * 4, k=flag),
    "ks": lambda flag: retrieval_report(RELEVANCE, [3] * 4, ks=[flag]),
    "digits": lambda flag: retrieval_report(RELEVANCE, [3] * 4, digits=flag),
    "n_per_class": lambda flag: load_digit_images(n_per_class=flag),
    "size": lambda flag: load_digit_images(size=flag),
    "n_crops": lambda flag: load_sample_photos(n_crops=flag),
    "n_copies": lambda flag: load_sample_photos(n_copies=flag),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("flag", BOOLEANS, ids=["bool", "numpy"])
def test_numeric_parameters_of_functions_refuse_booleans(name, flag):
    """The message names the parameter."""
    with pytest.raises(ValueError, match=name.split()[0].removesuffix("s")):
        CALLS[name](flag)


@pytest.mark.parametrize(
    "call",
    [
        partial(ImageClusterer, 2, n_jobs=np.int64(1), random_state=np.uint32(3)),
        partial(ImageClusterer, np.int8(2), random_state=np.random.RandomState(0)),
    ],
)
def test_numpy_integers_are_accepted(call):
    """They are the results of computations such as `len(X) // np.int64(5)`."""
    assert call().fit(X).n_clusters_ == 2
    assert INDEX.search(X, np.uint8(2)).ids[0].shape == (2,)
    assert len(INDEX.radius_neighbors(X, np.float32(0.5))[0]) == 20
