"""Tests of the logger, which says what a run did."""

import logging
import subprocess
import sys

import numpy as np
import pytest
from embedders import make_autoencoder, make_untrained
from sklearn.pipeline import make_pipeline

from imgsim import (
    ColorHistogramEmbedder,
    ImageClusterer,
    SimilarityIndex,
    find_duplicates,
    select_k,
)


@pytest.fixture
def messages(caplog):
    """Return a function that returns the messages at INFO since its last call."""
    caplog.set_level(logging.INFO, logger="imgsim")

    def since_last_call():
        texts = [record.getMessage() for record in caplog.records]
        assert {(r.name, r.levelname) for r in caplog.records} <= {("imgsim", "INFO")}
        caplog.clear()
        return texts

    return since_last_call


def test_embedding_is_logged(messages, pictures, tmp_path):
    """A log file then says how fast a run was, and what went wrong in it."""
    embedder = ColorHistogramEmbedder(cache=tmp_path / "c.sqlite", on_error="nan")
    embedder.fit_transform(pictures)
    with pytest.warns(UserWarning, match="1 of 13 images"):
        embedder.transform([*pictures, b"not an image"])

    first, second = messages()
    assert first.startswith("ColorHistogramEmbedder: 12 images in ")
    assert " images/s, 0 failed, 0 from the cache" in first
    assert " images/s, 1 failed, 12 from the cache" in second


def test_the_model_and_the_device_are_logged(messages, pictures):
    """They determine the speed."""
    list(make_untrained(image_size=64).fit().transform_iter(pictures))

    (message,) = messages()
    assert message.startswith("ImageEmbedder: 12 images in ")
    assert message.endswith("model='test_resnet', device='cpu'")


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_is_logged(messages, pictures, method):
    """The best loss is the first thing to compare between runs."""
    embedder = getattr(make_autoencoder(early_stopping=False), method)(pictures)

    (message,) = messages()
    n_epochs, loss = embedder.n_iter_, min(embedder.loss_curve_)
    assert f"trained {n_epochs} epochs on 12 images in " in message
    assert f"best training loss {loss:.4f}" in message


def test_the_index_is_logged(messages, blobs, tmp_path):
    """Each change, and each file."""
    index = SimilarityIndex().fit(blobs[0]).add(blobs[0][:2])
    index.save(tmp_path / "index.bin")
    SimilarityIndex.load(tmp_path / "index.bin").search(blobs[0])

    assert [message.split(", metric=")[0] for message in messages()] == [
        "SimilarityIndex.fit: n_samples_fit_=60, n_features_in_=8",
        "SimilarityIndex.add: n_samples_fit_=62, n_features_in_=8",
        "SimilarityIndex.save: n_samples_fit_=62, n_features_in_=8",
        "SimilarityIndex.load: n_samples_fit_=62, n_features_in_=8",
    ]


def test_clustering_is_logged_without_its_steps(messages, blobs):
    """The searches within clustering are details, at the level DEBUG."""
    make_pipeline(ImageClusterer(algorithm="leiden", random_state=0)).fit(blobs[0])
    select_k(blobs[0], range(2, 5), random_state=0)
    find_duplicates(blobs[0])

    clustering, selection = messages()
    start = "ImageClusterer.fit: algorithm='leiden', n_clusters_=3, n_noise_=0, "
    assert clustering.startswith(start)
    assert clustering.endswith(" s")
    assert selection.startswith("select_k: best_k=3, criterion='silhouette', ")


def test_a_failed_call_is_not_logged(messages):
    """The error says what happened."""
    with pytest.raises(ValueError, match="infinity"):
        SimilarityIndex().fit(np.full((3, 2), np.inf))

    assert messages() == []


def test_nothing_is_printed_unless_the_user_asks_for_it():
    """A library must not write to the user's terminal."""
    code = (
        "import numpy as np, imgsim, logging\n"
        "imgsim.SimilarityIndex().fit(np.eye(3))\n"
        "assert not logging.getLogger().handlers\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "imgsim.SimilarityIndex().fit(np.eye(3))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert run.stdout == ""
    assert run.stderr.startswith("INFO:imgsim:SimilarityIndex.fit: n_samples_fit_=3")
    assert run.stderr.count("\n") == 1
