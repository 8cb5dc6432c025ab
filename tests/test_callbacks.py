"""Tests of scikit-learn's callbacks, which exist since scikit-learn 1.9."""

import pickle
import warnings

import pytest
from embedders import make_autoencoder, make_untrained
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, ImageClusterer, SimilarityIndex
from imgsim._callbacks import FitTask


class Recorder:
    """A callback that records the tasks that began and ended."""

    max_propagation_depth = None

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.began, self.ended, self.fitted = [], [], None
        self.n_open = 0

    def setup(self, estimator, context):
        """Count an open fit."""
        self.n_open += 1

    def teardown(self, estimator, context):
        """Count a closed fit."""
        self.n_open -= 1

    def on_fit_task_begin(self, estimator, context):
        """Record the start of a task."""
        self.began.append((context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        """Record the end of a task."""
        self.ended.append((context.task_name, context.task_id))
        self.fitted = fitted_estimator
        return context.task_id == self.stop_after and context.task_name == "epoch"


@pytest.fixture
def callbacks():
    """Skip the test if the installed scikit-learn has no callbacks."""
    return pytest.importorskip("sklearn.callback")


ESTIMATORS = {
    "ImageClusterer": ImageClusterer(3, random_state=0),
    "SimilarityIndex": SimilarityIndex(),
    "ColorHistogramEmbedder": ColorHistogramEmbedder(),
    "ImageEmbedder": make_untrained(image_size=64),
    "AutoencoderEmbedder": make_autoencoder(max_epochs=1),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_notifies_callbacks(callbacks, name, blobs, pictures):
    """A pipeline warns of a step that does not support its callbacks."""
    estimator, recorder = clone(ESTIMATORS[name]), Recorder()

    estimator.set_callbacks(recorder)
    estimator.fit(pictures if name.endswith("Embedder") else blobs[0])

    assert sorted(recorder.began) == sorted(recorder.ended)
    assert recorder.began[0] == recorder.ended[-1] == ("fit", 0)
    assert recorder.n_open == 0
    assert type(recorder.fitted) is type(estimator)
    assert not {"_callback_fit_ctx", "_skl_callbacks_to_teardown"} & {*vars(estimator)}
    pickle.loads(pickle.dumps(estimator))


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_each_number_of_clusters_is_a_task(callbacks, blobs, n_jobs):
    """Their comparison takes longest."""
    recorder = Recorder()
    clusterer = ImageClusterer(k_range=[2, 3, 5], n_jobs=n_jobs, random_state=0)

    clusterer.set_callbacks(recorder).fit(blobs[0])

    assert sorted(recorder.ended) == [
        ("candidate", 2),
        ("candidate", 3),
        ("candidate", 5),
        ("fit", 0),
    ]


def test_each_epoch_is_a_task_after_which_training_may_stop(callbacks, pictures):
    """A callback may find that the network is good enough."""
    recorder = Recorder(stop_after=1)
    embedder = make_autoencoder(max_epochs=5).set_callbacks(recorder)

    X = embedder.fit_transform(pictures)

    assert recorder.ended == [("epoch", 0), ("epoch", 1), ("fit", 0)]
    assert embedder.n_iter_ == 2
    assert len(X) == len(pictures)


def test_callbacks_of_a_pipeline_reach_its_steps(callbacks, pictures):
    """There is no warning about a step without support."""
    recorder = Recorder()
    pipeline = make_pipeline(ColorHistogramEmbedder(), ImageClusterer(2))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline.set_callbacks(recorder).fit(pictures)

    assert len(recorder.ended) == 3
    assert recorder.n_open == 0


def test_a_failed_fit_closes_the_callbacks(callbacks, blobs):
    """A progress bar would otherwise stay on the screen."""
    recorder = Recorder()
    clusterer = ImageClusterer(3, algorithm_params={"n_init": -1})

    with pytest.raises(ValueError, match="n_init"):
        clusterer.set_callbacks(recorder).fit(blobs[0])

    assert recorder.n_open == 0
    assert ("fit", 0) not in recorder.ended


def test_without_callbacks_nothing_happens():
    """As with a version of scikit-learn that has no callbacks."""
    with FitTask(object(), n_subtasks=1) as task, task.subtask("step", 0):
        pass

    assert not task.should_stop
