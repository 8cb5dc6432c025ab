"""Tests of embedding by a network."""

import gc
import io
import json
import os
import pickle
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from joblib import Parallel, cpu_count, delayed
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from imgsim import (
    ColorHistogramEmbedder,
    ImageClusterer,
    ImageEmbedder,
    ImageReadError,
    SimilarityIndex,
    load_image_folder,
)
from imgsim._compute.device import resolve_device
from imgsim.embedding import clear_models
from imgsim.exceptions import ImageReadWarning
from imgsim.metrics import average_precision_at_k, precision_at_k

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

# Model, side of its own input, width of the pooled map, width before its classifier.
MODELS = [
    ("vgg16", 224, 512, 4096),
    ("vgg19", 224, 512, 4096),
    ("resnet50", 224, 2048, 2048),
    ("inception_v3", 299, 2048, 2048),
    ("inception_resnet_v2", 299, 1536, 1536),
    ("mobilenetv2_100", 224, 1280, 1280),
    ("mobilenetv3_large_100", 224, 960, 1280),
    ("vit_tiny_patch16_224", 224, 192, 192),
    ("swin_tiny_patch4_window7_224", 224, 768, 768),
    ("convnext_tiny", 224, 768, 768),
]


def _untrained(name="resnet18", **kwargs):
    return ImageEmbedder(name, pretrained=False, device="cpu", **kwargs)


@pytest.mark.parametrize(("name", "side", "pooled", "hidden"), MODELS)
def test_models_work_by_name(name, side, pooled, hidden, picture):
    """Each with its own input size and true width, and never 1,000 logits."""
    embedder = _untrained(name).fit()
    own_head = _untrained(name, pooling=None).fit()

    X = embedder.transform([picture])

    assert embedder.preprocessing_["input_size"] == (3, side, side)
    assert X.shape == (1, pooled)
    assert embedder.n_features_out_ == pooled
    assert own_head.n_features_out_ == hidden
    assert np.isfinite(X).all()
    assert X.any()


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_tiny_patch16_224", "convnext_atto", "vgg11"]
)
def test_own_head_is_what_plain_timm_returns(name, pictures):
    """`pooling=None` is `create_model(num_classes=0)`, by timm's own transform."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(name, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    pixels = torch.stack([transform(Image.fromarray(rgb)) for rgb in pictures[:3]])
    with torch.inference_mode():
        expected = model(pixels).numpy()

    embedder = _untrained(name, pooling=None, decoder="pillow")
    X = embedder.fit_transform(pictures[:3])

    assert_allclose(X, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "inception_v3"])
def test_average_pooling_is_the_own_head_of_most_networks(name, picture):
    """Where nothing but a norm stands between the map and the classifier."""
    own_head = _untrained(name, pooling=None).fit_transform([picture])

    averaged = _untrained(name, pooling="avg").fit_transform([picture])

    assert_allclose(averaged, own_head, atol=1e-5 * np.abs(own_head).max())


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_tokens_are_pooled_without_the_class_token(pooling, picture):
    """The patches are the places of a transformer."""
    embedder = _untrained("vit_tiny_patch16_224", pooling=pooling).fit()
    transform = timm.data.create_transform(**embedder.preprocessing_)
    pixels = transform(Image.fromarray(picture))[None]
    with torch.inference_mode():
        patches = embedder._backbone().module.forward_features(pixels)[0, 1:]
    expected = patches.mean(0) if pooling == "avg" else patches.amax(0)

    assert_allclose(embedder.transform([picture])[0], expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("image_size", [96, (64, 96)])
@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_image_size_is_taken_by_every_network(name, image_size, picture):
    """Also by one that is built for a single size."""
    embedder = _untrained(name, image_size=image_size).fit()

    sides = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    assert embedder.preprocessing_["input_size"] == (3, *sides)
    assert embedder.transform([picture]).shape == (1, embedder.n_features_out_)


def test_parameters_override_the_preprocessing_of_the_model():
    """And the attribute shows what is in effect."""
    embedder = _untrained(
        image_size=64,
        mean=0.5,
        std=(0.1, 0.2, 0.3),
        interpolation="bilinear",
        crop_mode="squash",
        crop_pct=1.0,
    ).fit()

    assert embedder.preprocessing_ == {
        "input_size": (3, 64, 64),
        "interpolation": "bilinear",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.1, 0.2, 0.3),
        "crop_pct": 1.0,
        "crop_mode": "squash",
    }


def test_mean_and_std_scale_the_pixels(picture):
    """By hand: (pixels / 255 - mean) / std, channel by channel."""
    small = picture[:8, :8]
    embedder = ImageEmbedder(
        torch.nn.Identity(),
        image_size=8,
        crop_pct=1.0,
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.6, 0.7),
        pooling="flatten",
        device="cpu",
    )

    scaled = embedder.fit_transform([small])[0].reshape(3, 8, 8)

    mean, std = np.array([[0.1, 0.2, 0.3], [0.5, 0.6, 0.7]])[:, :, None, None]
    expected = (np.moveaxis(small, 2, 0) / 255 - mean) / std
    assert_allclose(scaled, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model": "resnet5"}, "did you mean 'resnet50'|did you mean"),
        ({"mean": (0.5, 0.5)}, r"mean=\(0\.5, 0\.5\) must be one number, or three"),
        ({"image_size": (64,)}, r"image_size=\(64,\) must be one integer, or two"),
        ({"image_size": (64, 0)}, r"image_size=\(64, 0\)"),
        ({"std": (0.5, 0, 0.5)}, r"std=\(0\.5, 0, 0\.5\).* larger than 0"),
        ({"mean": float("nan")}, "mean=nan must be"),
        ({"mean": ("a", "b", "c")}, "mean=.*must be one number, or three"),
        ({"model_kwargs": {"num_classes": 10}}, "must not hold 'num_classes'"),
        ({"model_kwargs": {"img_size": 96}}, "set image_size"),
        ({"model_kwargs": {"padd": 1}}, "model_kwargs=.*does not suit"),
        ({"model_kwargs": {"global_pool": ""}, "pooling": None}, "no rows"),
        (
            {"model": "inception_v3", "image_size": 32},
            "input_size=\\(3, 32, 32\\)",
        ),
        ({"model": "coat_tiny"}, "set pooling=None"),
        ({"device": "abacus"}, "device='abacus' must be 'auto' or a device of torch"),
    ],
)
def test_bad_parameters_are_refused(parameters, message, picture):
    """The message has the value and the way out."""
    embedder = _untrained().set_params(**parameters)

    with pytest.raises(ValueError, match=message):
        embedder.fit([picture])


def test_weights_that_give_no_numbers_are_refused(tmp_path):
    """Rows of NaN would pass for unreadable images."""
    weights = timm.create_model("resnet18").state_dict()
    weights["conv1.weight"][:] = np.nan
    torch.save(weights, tmp_path / "a.pth")

    with pytest.raises(ValueError, match="its rows are not finite"):
        _untrained(checkpoint_path=tmp_path / "a.pth").fit()


def test_torch_keeps_its_settings(pictures):
    """They belong to the program; also where several threads embed."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic

    _untrained(image_size=64).fit_transform(pictures)

    assert (
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.deterministic,
    ) == before


def test_device_auto_takes_cuda_where_there_is_one(monkeypatch):
    """And the CPU elsewhere; an explicit device is kept."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == "cuda"
    assert resolve_device("cuda:1") == "cuda:1"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(ValueError, match="no CUDA device here"):
        resolve_device("cuda:1")


def test_a_pickle_holds_no_weights(pictures):
    """It travels between processes and machines; equal weights load on the other."""
    embedder = _untrained(image_size=64).fit(pictures)

    content = pickle.dumps(embedder)

    assert len(content) < 5_000
    assert_array_equal(
        pickle.loads(content).transform(pictures), embedder.transform(pictures)
    )


def test_a_pickle_made_on_a_gpu_loads_on_a_cpu(pictures):
    """The device is chosen when it is used."""
    embedder = _untrained(image_size=64).fit(pictures).set_params(device="cuda:0")
    if torch.cuda.is_available():
        pytest.skip("this machine has the device that the test wants missing")

    loaded = pickle.loads(pickle.dumps(embedder))

    with pytest.raises(ValueError, match="set device='auto' or 'cpu'"):
        loaded.transform(pictures)
    assert loaded.set_params(device="auto").transform(pictures).shape == (12, 512)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
def test_a_gpu_agrees_with_the_cpu(pictures):
    """The same network on another device."""
    on_cpu = _untrained(image_size=64).fit_transform(pictures)
    on_gpu = _untrained(image_size=64).set_params(device="cuda").fit_transform(pictures)

    assert_allclose(on_gpu, on_cpu, atol=1e-5 * np.abs(on_cpu).max())


def test_clones_share_the_network(pictures):
    """A search over other parameters loads no weights again."""
    embedder = _untrained(image_size=64).fit(pictures)

    assert clone(embedder).fit(pictures)._backbone().module is (
        embedder._backbone().module
    )


def test_clearing_frees_the_networks(pictures):
    """They would stay in memory until the process ends."""
    embedder = _untrained(image_size=64).fit(pictures)
    before = embedder.transform(pictures)
    module = weakref.ref(embedder._backbone().module)

    clear_models()
    gc.collect()

    assert module() is None
    assert_array_equal(embedder.transform(pictures), before)


def test_a_compiled_network_gives_the_same_rows(pictures):
    """The last short batch among them."""
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("torch.compile wants a C++ compiler, and there is none")
    expected = _untrained(image_size=32).fit_transform(pictures)

    compiled = _untrained(image_size=32, compile=True, batch_size=8)

    assert_allclose(compiled.fit_transform(pictures), expected, atol=1e-4)


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "auto"])
def test_every_precision_gives_rows_of_float32(precision, pictures):
    """Near those of float32, and finite."""
    exact = _untrained(image_size=64).fit_transform(pictures)

    X = _untrained(image_size=64, precision=precision).fit_transform(pictures)

    assert X.dtype == np.float32
    cosine = (X * exact).sum(1) / np.linalg.norm(X, axis=1)
    assert (cosine / np.linalg.norm(exact, axis=1)).min() > 0.999


def test_a_folder_in_the_way_of_timm_is_a_model(tmp_path, pictures):
    """The name of a model that was saved beside its configuration."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = timm.create_model("resnet18")
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    config = {
        "architecture": "resnet18",
        "num_classes": 1000,
        "pretrained_cfg": {
            "classifier": "fc",
            "input_size": [3, 64, 64],
            "mean": [0.5, 0.5, 0.5],
            "num_classes": 1000,
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))

    embedder = ImageEmbedder(f"local-dir:{tmp_path}", device="cpu", decoder="pillow")
    X = embedder.fit_transform(pictures)

    assert embedder.preprocessing_["input_size"] == (3, 64, 64)
    transform = timm.data.create_transform(**embedder.preprocessing_)
    pixels = torch.stack([transform(Image.fromarray(rgb)) for rgb in pictures])
    with torch.inference_mode():
        expected = model.eval().forward_features(pixels).mean((2, 3)).numpy()
    assert_allclose(X, expected, atol=1e-4 * np.abs(expected).max())


def test_a_folder_that_was_changed_is_loaded_anew(tmp_path, pictures):
    """And takes another image size, a transformer's too."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    rows = []
    for activation in ("gelu", "relu"):
        config = {
            "architecture": "vit_tiny_patch16_224",
            "num_classes": 0,
            "pretrained_cfg": {"num_classes": 0},
            "model_args": {"act_layer": activation},
        }
        (tmp_path / "config.json").write_text(json.dumps(config) + " " * len(rows))
        embedder = ImageEmbedder(
            f"local-dir:{tmp_path}",
            image_size=64,
            device="cpu",
            cache=tmp_path / "rows.sqlite",
        )
        rows.append(embedder.fit_transform(pictures[:2]))

    assert np.abs(rows[0] - rows[1]).max() > 0.01


def test_threads_that_load_at_once_get_the_networks_asked_for(pictures):
    """Untrained weights are drawn from one stream of random numbers."""
    embedders = [
        ImageEmbedder(name, pretrained=False, image_size=32, device="cpu")
        for name in ("resnet18", "resnet10t")
    ]
    expected = [embedder.transform(pictures) for embedder in embedders]
    clear_models()

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda e: clone(e).transform(pictures), embedders))

    assert_array_equal(found[0], expected[0])
    assert_array_equal(found[1], expected[1])


def test_a_row_that_is_not_finite_is_a_failure_of_that_image(pictures):
    """One overflow must not end a run of a million."""

    class Overflowing(torch.nn.Module):
        def forward(self, x):
            return x / (x.amax((1, 2, 3), keepdim=True) < 200).float()

    module = Overflowing()
    white = np.full((8, 8, 3), 255, dtype=np.uint8)
    grey = white // 2
    parameters = {"image_size": 8, "mean": 0.0, "std": 1 / 255, "device": "cpu"}

    with pytest.raises(ImageReadError, match=r"cannot read <uint8 array.*not finite"):
        ImageEmbedder(module, **parameters).fit_transform([grey, white])
    tolerant = ImageEmbedder(module, on_error="nan", **parameters)
    with pytest.warns(ImageReadWarning, match="1 of 2"):
        X = tolerant.fit_transform([grey, white])

    assert np.isfinite(X).all(axis=1).tolist() == [True, False]
    assert [f.row for f in tolerant.failures_] == [1]


def test_a_worker_of_a_search_takes_its_share_of_the_cores():
    """As many threads as joblib grants it, for decoding and for the network."""

    def n_threads():
        from imgsim.images import ImageStream

        return ImageStream(["a.jpg"])._n_threads, torch.get_num_threads()

    shares = Parallel(n_jobs=2)(delayed(n_threads)() for _ in range(2))

    share = max(1, cpu_count() // 2)
    assert shares == [(share, share)] * 2


def test_grid_search_chooses_the_metric_of_an_index():
    """With labels, by precision; two processes."""
    images, y = _coloured_shapes()
    pipeline = make_pipeline(_untrained(image_size=32), SimilarityIndex(n_neighbors=3))
    grid = {"similarityindex__metric": ["cosine", "euclidean", "manhattan"]}

    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(images, y)

    scores = search.cv_results_["mean_test_score"]
    assert search.best_score_ == scores.max()
    assert ((scores > 0.5) & (scores <= 1)).all()
    assert search.best_estimator_.score(images, y) > 0.9


def test_grid_search_chooses_the_number_of_groups():
    """Without labels, by silhouette."""
    images, _ = _coloured_shapes()
    pipeline = make_pipeline(ColorHistogramEmbedder(), ImageClusterer(random_state=0))
    grid = {"imageclusterer__n_clusters": [2, 3, 4, 5]}

    search = GridSearchCV(pipeline, grid, cv=2).fit(images)

    assert search.best_params_ == {"imageclusterer__n_clusters": 3}


def _coloured_shapes():
    """Return 24 pictures, each mostly of one of three colours, shuffled."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 1, 2], 8))
    colors = np.array([(220, 40, 40), (40, 220, 40), (40, 40, 220)])
    noise = rng.integers(-20, 21, size=(24, 24, 24, 3))
    return [*(colors[y][:, None, None] + noise).astype(np.uint8)], y


@pytest.mark.parametrize(
    ("decoder", "lowest"), [("pillow", 0.999999), ("auto", 0.9999)]
)
def test_real_weights_agree_with_plain_timm(test_data, make_mobilenet, decoder, lowest):
    """The independent answer: timm and Pillow, one image at a time."""
    reference = np.load(test_data / "reference/animals_mobilenetv2_fp32.npz")
    paths = [test_data / "data/animals" / name for name in reference["files"]]

    X = make_mobilenet(normalize="l2", decoder=decoder).fit_transform(paths)

    expected = reference["embeddings"]
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    assert (X * expected).sum(axis=1).min() >= lowest


def _top_ten(X):
    return SimilarityIndex().fit(X).kneighbors(n_neighbors=10)[1]


def _overlap(X, Y):
    pairs = zip(_top_ten(X), _top_ten(Y), strict=True)
    return np.mean([len(set(a) & set(b)) / 10 for a, b in pairs])


def _lowest_cosine(X, Y):
    X, Y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (X, Y))
    return (X * Y).sum(axis=1).min()


def test_real_photographs_are_the_same_by_either_decoder(animals, make_mobilenet):
    """The bounds that the documentation states."""
    X = make_mobilenet(decoder="pillow").fit_transform(animals.paths)

    assert _lowest_cosine(X, animals.X) >= 0.9999
    assert _overlap(X, animals.X) >= 0.99


def _as_jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, **options)
    return file.getvalue()


JPEGS = {
    "12 megapixels": (lambda image: image.resize((4000, 3000)), {}, 0.998),
    "odd megapixels": (lambda image: image.resize((4003, 3001)), {}, 0.9999),
    "grey": (lambda image: image.convert("L"), {}, 0.9999),
    "CMYK": (lambda image: image.convert("CMYK"), {}, 0.9999),
    "progressive": (lambda image: image, {"progressive": True}, 0.9999),
    "turned": (lambda image: image, {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0"
               b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"}, 0.9999),
}  # fmt: skip


@pytest.mark.parametrize(("change", "options", "lowest"), JPEGS.values(), ids=JPEGS)
def test_every_kind_of_jpeg_is_the_same_by_either_decoder(
    animals, make_mobilenet, change, options, lowest
):
    """Reduced while it is decoded, or not."""
    files = [
        _as_jpeg(change(Image.open(path).convert("RGB")), **options)
        for path in animals.paths[::60]
    ]

    fast = make_mobilenet().fit_transform(files)
    exact = make_mobilenet(decoder="pillow").fit_transform(files)

    assert _lowest_cosine(fast, exact) >= lowest


def test_bfloat16_keeps_the_quality_of_answers(animals, make_mobilenet):
    """The order of near ties changes, not what is found."""
    X = make_mobilenet(precision="bfloat16").fit_transform(animals.paths)

    assert _lowest_cosine(X, animals.X) >= 0.99
    assert _overlap(X, animals.X) >= 0.95
    for k, bound in ((5, 0.01), (None, 0.005)):
        exact, rounded = (
            _precision(rows, animals.target, k) for rows in (animals.X, X)
        )
        assert abs(exact - rounded) <= bound


def _precision(X, y, k):
    indices = SimilarityIndex().fit(X).kneighbors(n_neighbors=len(X) - 1)[1]
    relevance = y[indices] == y[:, None]
    if k is not None:
        return precision_at_k(relevance, k=k)
    return average_precision_at_k(relevance, relevance.sum(axis=1))


def test_real_rows_do_not_depend_on_the_batch(test_data, make_mobilenet):
    """The tolerance that the documentation states."""
    paths = load_image_folder(test_data / "data/animals").paths[::23][:64]

    rows = [make_mobilenet(batch_size=n).fit_transform(paths) for n in (1, 7, 64)]

    assert_allclose(rows[1], rows[0], atol=1e-5)
    assert_allclose(rows[2], rows[0], atol=1e-5)


def test_real_photographs_find_their_class(animals):
    """A third of the animals; plain timm gives 0.90 and 0.76 on all of them."""
    X, y = animals.X, animals.target

    _, indices = SimilarityIndex().fit(X).kneighbors(n_neighbors=len(X) - 1)
    relevance = y[indices] == y[:, None]

    assert precision_at_k(relevance, k=5) > 0.8
    assert average_precision_at_k(relevance, np.bincount(y)[y] - 1) > 0.7
