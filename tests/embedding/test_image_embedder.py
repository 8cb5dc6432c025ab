"""Tests of embedding with a network."""

import gc
import io
import json
import pickle
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from embedders import assert_embeddings_close, make_untrained, untrained_timm_model
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

# The fully connected layers of a VGG have 100 million weights; a 64th suffices here.
SMALL_VGG = {"mlp_ratio": 1 / 64}
# Model, keyword arguments, side of its input, and length of an embedding when pooled
# and before the classifier.
MODELS = [
    ("vgg16", SMALL_VGG, 224, 512, 4096),
    ("vgg19", SMALL_VGG, 224, 512, 4096),
    ("resnet50", {}, 224, 2048, 2048),
    ("inception_v3", {}, 299, 2048, 2048),
    ("inception_resnet_v2", {}, 299, 1536, 1536),
    ("mobilenetv2_100", {}, 224, 1280, 1280),
    ("mobilenetv3_large_100", {}, 224, 960, 1280),
    ("vit_tiny_patch16_224", {}, 224, 192, 192),
    ("swin_tiny_patch4_window7_224", {}, 224, 768, 768),
    ("convnext_tiny", {}, 224, 768, 768),
]


@pytest.mark.parametrize(("name", "kwargs", "side", "pooled", "hidden"), MODELS)
def test_models_are_available_by_name(name, kwargs, side, pooled, hidden, picture):
    """Each has its own input size and length, and never returns 1000 logits."""
    embedder = make_untrained(name, model_kwargs=kwargs).fit()
    own_head = make_untrained(name, model_kwargs=kwargs, pooling=None).fit()

    X = embedder.transform([picture])

    assert embedder.preprocessing_["input_size"] == (3, side, side)
    assert X.shape == (1, pooled)
    assert embedder.n_features_out_ == pooled
    assert own_head.n_features_out_ == hidden
    assert np.isfinite(X).all()
    assert X.any()


def _timm_pixels(name, images):
    config = timm.data.resolve_model_data_config(untrained_timm_model(name))
    transform = timm.data.create_transform(**config)
    return torch.stack([transform(Image.fromarray(rgb)) for rgb in images])


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("test_resnet", {}),
        ("test_vit", {}),
        ("test_convnext", {}),
        ("test_mambaout", {}),
        ("vgg11", SMALL_VGG),
    ],
)
def test_pooling_none_is_the_output_of_timm(name, kwargs, pictures):
    """Without a classifier, and with timm's own transform."""
    model = untrained_timm_model(name, **kwargs)
    expected = model(_timm_pixels(name, pictures[:3])).numpy()

    embedder = make_untrained(name, model_kwargs=kwargs, pooling=None, decoder="pillow")
    X = embedder.fit_transform(pictures[:3])

    assert_allclose(X, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_average_pooling_equals_the_own_head_of_most_networks(name, picture):
    """These have only a norm between the feature map and the classifier."""
    own_head = make_untrained(name, pooling=None).fit_transform([picture])

    averaged = make_untrained(name, pooling="avg").fit_transform([picture])

    assert_embeddings_close(averaged, own_head)


@pytest.mark.parametrize("image_size", [96, (64, 96)])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_every_network_accepts_an_image_size(name, image_size, picture):
    """A transformer is created for one image size, which has to be passed to timm."""
    embedder = make_untrained(name, image_size=image_size).fit()

    sides = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    assert embedder.preprocessing_["input_size"] == (3, *sides)
    assert embedder.transform([picture]).shape == (1, embedder.n_features_out_)


def test_parameters_override_the_preprocessing_of_the_model():
    """The attribute shows the preprocessing in effect."""
    embedder = make_untrained(
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
    """The expected values are (pixels / 255 - mean) / std for each channel."""
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
        ({"mean": (0.5, 0.5)}, r"mean=\(0\.5, 0\.5\) must be one number or three"),
        ({"image_size": (64,)}, r"image_size=\(64,\) must be one integer or two"),
        ({"image_size": (64, 0)}, r"image_size=\(64, 0\).* at least 1"),
        ({"std": (0.5, 0, 0.5)}, r"std=\(0\.5, 0, 0\.5\).* greater than 0"),
        ({"mean": float("nan")}, "'mean' parameter .* Got nan instead"),
        ({"mean": ("a", "b", "c")}, "mean=.*must be one number or three"),
        ({"model_kwargs": {"num_classes": 10}}, "must not contain 'num_classes'"),
        ({"model_kwargs": {"img_size": 96}}, "set image_size"),
        ({"model_kwargs": {"padd": 1}}, "model_kwargs=.*does not fit"),
        (
            {"model_kwargs": {"global_pool": ""}, "pooling": None},
            r"its output of shape \(1, 96, 5, 5\) is not an embedding",
        ),
        (
            {"model": torch.nn.Conv2d(3, 4, 64), "image_size": 32},
            r"cannot embed images of input_size=\(3, 32, 32\)",
        ),
        ({"model": "coat_tiny"}, "not return a single feature map; set pooling=None"),
        ({"device": "abacus"}, "device='abacus' must be 'auto' or a"),
    ],
)
def test_invalid_parameters_are_rejected(parameters, message, picture):
    """The message contains the value and a remedy."""
    embedder = make_untrained().set_params(**parameters)

    with pytest.raises(ValueError, match=message):
        embedder.fit([picture])


def test_weights_that_overflow_are_rejected(tmp_path):
    """Otherwise, every image would count as unreadable."""
    weights = timm.create_model("test_resnet").state_dict()
    weights["conv1.1.bias"][:] = 3e38
    torch.save(weights, tmp_path / "a.pth")

    with pytest.raises(ValueError, match="its embeddings are not finite"):
        make_untrained(checkpoint_path=tmp_path / "a.pth").fit()


def test_settings_of_torch_are_not_changed(pictures):
    """They belong to the program that uses the embedder."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic

    make_untrained(image_size=64).fit_transform(pictures)

    assert (
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.deterministic,
    ) == before


def test_device_auto_is_cuda_if_available(monkeypatch):
    """Otherwise it is the CPU. An explicit device is used as it is."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == "cuda"
    assert resolve_device("cuda:1") == "cuda:1"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(ValueError, match="requires a CUDA device"):
        resolve_device("cuda:1")


def test_a_pickle_contains_no_weights(pictures):
    """The machine that loads it loads the weights of the same network."""
    embedder = make_untrained(image_size=64).fit(pictures)

    content = pickle.dumps(embedder)

    assert len(content) < 5_000
    assert_array_equal(
        pickle.loads(content).transform(pictures), embedder.transform(pictures)
    )


def test_a_pickle_made_on_a_gpu_loads_on_a_cpu(pictures):
    """The device is chosen when the embedder is used."""
    embedder = make_untrained(image_size=64).fit(pictures).set_params(device="cuda:0")
    if torch.cuda.is_available():
        pytest.skip("the test requires a machine without a CUDA device")

    loaded = pickle.loads(pickle.dumps(embedder))

    with pytest.raises(ValueError, match="pass device='auto' or 'cpu'"):
        loaded.transform(pictures)
    assert loaded.set_params(device="auto").transform(pictures).shape == (12, 96)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
def test_a_gpu_agrees_with_the_cpu(pictures):
    """The embeddings are equal within the documented tolerance."""
    on_cpu = make_untrained(image_size=64)
    on_gpu = clone(on_cpu).set_params(device="cuda")

    assert_embeddings_close(
        on_gpu.fit_transform(pictures), on_cpu.fit_transform(pictures)
    )


def test_clones_share_the_network(pictures):
    """A search over other parameters does not load the weights again."""
    embedder = make_untrained(image_size=64).fit(pictures)

    assert clone(embedder).fit(pictures)._backbone().module is (
        embedder._backbone().module
    )


def test_clear_models_frees_the_networks(pictures):
    """Otherwise they would stay in memory until the process ends."""
    embedder = make_untrained(image_size=64).fit(pictures)
    before = embedder.transform(pictures)
    module = weakref.ref(embedder._backbone().module)

    clear_models()
    gc.collect()

    assert module() is None
    assert_array_equal(embedder.transform(pictures), before)


def test_a_compiled_network_gives_the_same_embeddings(pictures):
    """Also for the last batch, which is smaller."""
    if shutil.which("g++") is None:
        pytest.skip("torch.compile requires a C++ compiler")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    plain = ImageEmbedder(module, image_size=16, device="cpu")

    compiled = clone(plain).set_params(compile=True, batch_size=8)

    assert_embeddings_close(
        compiled.fit_transform(pictures), plain.fit_transform(pictures)
    )


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "auto"])
def test_every_precision_gives_float32_embeddings(precision, pictures):
    """They are finite and similar to the embeddings of float32."""
    exact = make_untrained(image_size=64).fit_transform(pictures)

    X = make_untrained(image_size=64, precision=precision).fit_transform(pictures)

    assert X.dtype == np.float32
    assert _min_cosine(X, exact) > 0.999


def test_a_local_folder_is_a_model(tmp_path, pictures):
    """It contains the weights of a model and its configuration, as timm saves them."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = timm.create_model("test_resnet")
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    config = {
        "architecture": "test_resnet",
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


def test_a_local_folder_that_has_changed_is_loaded_again(tmp_path, pictures):
    """Also for a transformer with another image size, and with a cache."""
    model = timm.create_model("test_vit", num_classes=0)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    embeddings = []
    for activation in ("gelu", "relu"):
        config = {
            "architecture": "test_vit",
            "num_classes": 0,
            "pretrained_cfg": {"num_classes": 0},
            "model_args": {"act_layer": activation},
        }
        text = json.dumps(config) + " " * len(embeddings)  # of another size
        (tmp_path / "config.json").write_text(text)
        embedder = ImageEmbedder(
            f"local-dir:{tmp_path}",
            image_size=64,
            device="cpu",
            cache=tmp_path / "rows.sqlite",
        )
        embeddings.append(embedder.fit_transform(pictures[:2]))

    assert np.abs(embeddings[0] - embeddings[1]).max() > 0.01


def test_threads_that_load_networks_at_once_get_their_own(pictures):
    """Untrained weights are drawn from a random generator that threads share."""
    embedders = [
        make_untrained(name, image_size=32)
        for name in ("test_resnet", "test_efficientnet")
    ]
    expected = [embedder.transform(pictures) for embedder in embedders]
    clear_models()

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda e: clone(e).transform(pictures), embedders))

    assert_embeddings_close(results[0], expected[0])
    assert_embeddings_close(results[1], expected[1])


class _OverflowsIfBright(torch.nn.Module):
    def forward(self, x):
        return x / (x.amax((1, 2, 3), keepdim=True) < 200).float()


@pytest.mark.parametrize("method", ["transform", "feature_maps"])
def test_an_output_that_is_not_finite_is_a_failure_of_that_image(method):
    """An overflow for one image must not end a run with a million images."""
    white = np.full((8, 8, 3), 255, dtype=np.uint8)
    gray = white // 2
    embedder = ImageEmbedder(
        _OverflowsIfBright(), image_size=8, mean=0.0, std=1 / 255, device="cpu"
    )

    with pytest.raises(ImageReadError, match=r"cannot read <uint8 array.*not finite"):
        getattr(embedder, method)([gray, white])
    embedder.set_params(on_error="nan")
    with pytest.warns(ImageReadWarning, match="1 of 2"):
        outputs = getattr(embedder, method)([gray, white])

    assert np.isfinite(outputs[0]).all()
    assert np.isnan(outputs[1]).all()
    assert [failure.row for failure in embedder.failures_] == [1]


@pytest.mark.parametrize(
    ("name", "pooling"),
    [
        ("test_resnet", "avg"),
        ("test_resnet", "max"),
        ("test_efficientnet", "avg"),
        ("test_vit", "token_avg"),
    ],
)
def test_pooled_feature_maps_are_the_embeddings(name, pooling, pictures):
    """For networks without a norm after pooling."""
    embedder = make_untrained(name, pooling=pooling)
    embeddings = embedder.fit_transform(pictures[:2])

    maps = embedder.feature_maps(pictures[:2])

    pooled = maps.max(axis=(1, 2)) if pooling == "max" else maps.mean(axis=(1, 2))
    assert_embeddings_close(pooled, embeddings)


@pytest.mark.parametrize(
    "parameters",
    [{"pooling": "gem"}, {"pooling": None}, {"flip": True}, {"normalize": "l2"}],
    ids=str,
)
def test_parameters_of_pooling_do_not_change_feature_maps(parameters, pictures):
    """A feature map is the output before it is pooled."""
    maps = make_untrained(image_size=64, **parameters).feature_maps(pictures[:2])

    expected = make_untrained(image_size=64).feature_maps(pictures[:2])
    assert_array_equal(maps, expected)


def test_a_feature_map_does_not_depend_on_the_batch(pictures):
    """The tolerance is the same as for embeddings."""
    together = make_untrained(image_size=64).feature_maps(pictures)

    for batch_size in (1, 5):
        embedder = make_untrained(image_size=64, batch_size=batch_size)
        assert_embeddings_close(embedder.feature_maps(pictures), together)


def test_the_feature_map_of_an_unreadable_image_is_nan(pictures):
    """There is one warning for all, and `failures_` contains the reasons."""
    embedder = make_untrained(image_size=64, on_error="nan", batch_size=2)
    sources = [pictures[0], "missing.jpg", pictures[1], "gone.jpg"]

    with pytest.warns(ImageReadWarning, match="2 of 4.*their maps are NaN") as caught:
        maps = embedder.feature_maps(sources)

    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert [failure.row for failure in embedder.failures_] == [1, 3]
    assert np.isnan(maps[[1, 3]]).all()
    assert_embeddings_close(maps[[0, 2]], embedder.feature_maps(pictures[:2]))
    with pytest.warns(ImageReadWarning):
        assert np.isnan(embedder.feature_maps(["missing.jpg"])).all()
    with pytest.raises(ImageReadError, match=r"missing\.jpg"):
        embedder.set_params(on_error="raise").feature_maps(sources)


def test_feature_maps_are_not_cached(tmp_path, picture):
    """The cache contains only the embeddings of `transform`."""
    embedder = make_untrained(image_size=64, cache=tmp_path / "rows.sqlite")
    embeddings = embedder.fit_transform([picture])

    maps = embedder.feature_maps([picture])

    assert_embeddings_close(maps.mean(axis=(1, 2)), embeddings)
    assert_array_equal(embedder.transform([picture]), embeddings)


def test_copies_compute_the_same_feature_maps(picture):
    """They require nothing that only a fitted embedder has."""
    embedder = make_untrained(image_size=64)
    maps = embedder.feature_maps([picture])

    for copy in (clone(embedder), pickle.loads(pickle.dumps(embedder))):
        assert_array_equal(copy.feature_maps([picture]), maps)


def test_feature_maps_of_low_precision_are_similar(picture):
    """Their dtype is float32 in every precision."""
    exact = make_untrained(image_size=64).feature_maps([picture])

    embedder = make_untrained(image_size=64, precision="bfloat16")
    maps = embedder.feature_maps([picture])

    assert maps.dtype == np.float32
    assert_allclose(maps, exact, atol=0.1 * exact.max())


def test_a_worker_of_joblib_uses_its_share_of_the_cores():
    """Both for decoding and for the network."""

    def n_threads():
        from imgsim.images import ImageStream

        return ImageStream(["a.jpg"])._n_threads, torch.get_num_threads()

    shares = Parallel(n_jobs=2)(delayed(n_threads)() for _ in range(2))

    share = max(1, cpu_count() // 2)
    assert shares == [(share, share)] * 2


def test_grid_search_selects_the_metric_of_an_index():
    """With labels, by precision, in two processes."""
    images, y = _colored_images()
    pipeline = make_pipeline(make_untrained(image_size=32), SimilarityIndex(3))
    grid = {"similarityindex__metric": ["cosine", "euclidean", "manhattan"]}

    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(images, y)

    scores = search.cv_results_["mean_test_score"]
    assert search.best_score_ == scores.max()
    assert ((scores > 0.5) & (scores <= 1)).all()
    assert search.best_estimator_.score(images, y) > 0.9


def test_grid_search_selects_the_number_of_clusters():
    """Without labels, by the silhouette."""
    images, _ = _colored_images()
    pipeline = make_pipeline(ColorHistogramEmbedder(), ImageClusterer(random_state=0))
    grid = {"imageclusterer__n_clusters": [2, 3, 4, 5]}

    search = GridSearchCV(pipeline, grid, cv=2).fit(images)

    assert search.best_params_ == {"imageclusterer__n_clusters": 3}


def _colored_images():
    """Return 24 images, each mostly in one of three colors, in random order."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 1, 2], 8))
    colors = np.array([(220, 40, 40), (40, 220, 40), (40, 40, 220)])
    noise = rng.integers(-20, 21, size=(24, 24, 24, 3))
    return [*(colors[y][:, None, None] + noise).astype(np.uint8)], y


@pytest.mark.parametrize(
    ("decoder", "min_cosine"), [("pillow", 0.999999), ("auto", 0.9999)]
)
def test_pretrained_weights_agree_with_timm(
    test_data, make_mobilenet, decoder, min_cosine
):
    """The expected embeddings were computed with timm and Pillow, one by one."""
    reference = np.load(test_data / "reference/animals_mobilenetv2_fp32.npz")
    paths = [test_data / "data/animals" / name for name in reference["files"][::3]]

    X = make_mobilenet(decoder=decoder).fit_transform(paths)

    assert _min_cosine(X, reference["embeddings"][::3]) >= min_cosine


def _top_ten(X):
    return SimilarityIndex().fit(X).kneighbors(n_neighbors=10)[1]


def _overlap(X, Y):
    pairs = zip(_top_ten(X), _top_ten(Y), strict=True)
    return np.mean([len(set(a) & set(b)) / 10 for a, b in pairs])


def _min_cosine(X, Y):
    norms = np.linalg.norm(X, axis=1) * np.linalg.norm(Y, axis=1)
    return ((X * Y).sum(axis=1) / norms).min()


def test_both_decoders_give_similar_embeddings(animals, make_mobilenet):
    """The documentation states these bounds."""
    X = make_mobilenet(decoder="pillow").fit_transform(animals.paths[::4])

    assert _min_cosine(X, animals.X[::4]) >= 0.9999
    assert _overlap(X, animals.X[::4]) >= 0.99


def _as_jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, **options)
    return file.getvalue()


JPEGS = {
    "12 megapixels": (lambda image: image.resize((4000, 3000)), {}, 0.998),
    "12 megapixels, odd sides": (lambda image: image.resize((4003, 3001)), {}, 0.9999),
    "gray": (lambda image: image.convert("L"), {}, 0.9999),
    "CMYK": (lambda image: image.convert("CMYK"), {}, 0.9999),
    "progressive": (lambda image: image, {"progressive": True}, 0.9999),
    "rotated": (lambda image: image, {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0"
               b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"}, 0.9999),
}  # fmt: skip


@pytest.mark.parametrize(("change", "options", "min_cosine"), JPEGS.values(), ids=JPEGS)
def test_both_decoders_give_similar_embeddings_for_every_kind_of_jpeg(
    animals, make_mobilenet, change, options, min_cosine
):
    """Large files are downscaled while they are decoded."""
    files = [
        _as_jpeg(change(Image.open(path).convert("RGB")), **options)
        for path in animals.paths[::120]
    ]

    fast = make_mobilenet().fit_transform(files)
    exact = make_mobilenet(decoder="pillow").fit_transform(files)

    assert _min_cosine(fast, exact) >= min_cosine


def test_bfloat16_preserves_the_quality_of_search_results(animals, make_mobilenet):
    """It changes only the order of neighbors at nearly equal distances."""
    exact, y = animals.X[::2], animals.target[::2]

    X = make_mobilenet(precision="bfloat16").fit_transform(animals.paths[::2])

    assert _min_cosine(X, exact) >= 0.99
    assert _overlap(X, exact) >= 0.95
    for k, bound in ((5, 0.01), (None, 0.005)):
        assert abs(_precision(X, y, k) - _precision(exact, y, k)) <= bound


def _precision(X, y, k):
    indices = SimilarityIndex().fit(X).kneighbors(n_neighbors=len(X) - 1)[1]
    relevance = y[indices] == y[:, None]
    if k is not None:
        return precision_at_k(relevance, k=k)
    return average_precision_at_k(relevance, relevance.sum(axis=1))


def test_pretrained_embeddings_do_not_depend_on_the_batch(test_data, make_mobilenet):
    """The documentation states the tolerance."""
    paths = load_image_folder(test_data / "data/animals").paths[::46]

    one_by_one = make_mobilenet(batch_size=1).fit_transform(paths)

    for batch_size in (7, 32):
        X = make_mobilenet(batch_size=batch_size).fit_transform(paths)
        assert_embeddings_close(X, one_by_one)


def test_the_nearest_photographs_show_the_same_class(animals):
    """On all animals, the embeddings of timm reach 0.90 and 0.76."""
    X, y = animals.X, animals.target

    _, indices = SimilarityIndex().fit(X).kneighbors(n_neighbors=len(X) - 1)
    relevance = y[indices] == y[:, None]

    assert precision_at_k(relevance, k=5) > 0.8
    assert average_precision_at_k(relevance, np.bincount(y)[y] - 1) > 0.7
