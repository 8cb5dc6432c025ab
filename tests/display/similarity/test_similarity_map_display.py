"""Tests of drawing the locations that make two images similar."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.pipeline import make_pipeline

from imgsim import ColorHistogramEmbedder, ImageEmbedder, ImageReadError
from imgsim.display import SimilarityMapDisplay
from imgsim.exceptions import ImageReadWarning

torch = pytest.importorskip("torch")
pytest.importorskip("timm")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def _embedder(name="test_resnet", **kwargs):
    small = {"image_size": 96, **kwargs} if name != "test_vit" else kwargs
    return ImageEmbedder(name, pretrained=False, device="cpu", **small)


def _texts(display):
    return [text.get_text() for text in display.ax_.texts]


def _cosines(embedder, X, Y):
    return 1 - paired_cosine_distances(embedder.transform(X), embedder.transform(Y))


def _assert_sum_to(display, similarities, atol=1e-5):
    assert_allclose(display.similarities, similarities, atol=atol)
    for pair, similarity in zip(
        display.contributions, display.similarities, strict=True
    ):
        sums = [contributions.sum() for contributions in pair]
        assert_allclose(sums, similarity, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("test_resnet", {}),
        ("test_resnet", {"pooling": "max"}),
        ("test_resnet", {"layer": -2, "normalize": "l2"}),
        ("test_efficientnet", {}),
        ("vgg11", {"image_size": 64, "model_kwargs": {"mlp_ratio": 0.01}}),
        ("test_vit", {"pooling": "token_avg"}),
        ("test_convnext", {"layer": -1}),
    ],
    ids=str,
)
def test_contributions_sum_to_the_cosine_of_the_embeddings(name, parameters, pictures):
    """The sums over both images are exact for every architecture and pooling."""
    embedder = _embedder(name, **parameters)

    display = SimilarityMapDisplay.from_estimator(embedder, pictures[:2], pictures[2:4])

    _assert_sum_to(display, _cosines(embedder, pictures[:2], pictures[2:4]))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("test_resnet", {"pooling": "gem"}, "pooling='gem'.*set pooling to one of"),
        ("test_resnet", {"pooling": None}, "pooling=None.*'avg'"),
        ("test_resnet", {"pooling": "flatten"}, "pooling='flatten'.*'max'"),
        ("test_vit", {"pooling": "cls"}, "pooling='cls'.*'token_avg'"),
        ("test_resnet", {"flip": True}, "flip=True.*set flip=False"),
        ("test_resnet", {"layer": [1, 2]}, r"layer=\[1, 2\] names 2"),
        ("test_convnext", {}, "model='test_convnext' computes more.*layer=-1"),
        (
            "test_vit",
            {"model_kwargs": {"global_pool": "avg"}},
            "'test_vit' computes more.*layer=-1",
        ),
    ],
    ids=str,
)
def test_a_similarity_that_is_not_such_a_sum_is_refused(
    name, parameters, message, picture
):
    """The message names the parameter, its value and the alternatives."""
    embedder = _embedder(name, **parameters)

    with pytest.raises(ValueError, match=message):
        SimilarityMapDisplay.from_estimator(embedder, [picture], [picture])


@pytest.mark.parametrize(
    "embedder",
    [ColorHistogramEmbedder(), make_pipeline(ColorHistogramEmbedder()), "resnet18"],
    ids=lambda embedder: type(embedder).__name__,
)
def test_other_embedders_are_refused(embedder, picture):
    """They have no feature maps, but the first step of a pipeline may have them."""
    with pytest.raises(
        TypeError, match=r"must be an ImageEmbedder; got.*pipeline\[0\]"
    ):
        SimilarityMapDisplay.from_estimator(embedder, [picture], [picture])


def test_the_embedder_keeps_its_parameters(pictures):
    """The check of the embeddings uses other parameters, which must not be set."""
    embedder = _embedder(normalize="l2", verbose=1)
    before = embedder.get_params()

    SimilarityMapDisplay.from_estimator(embedder, pictures[:1], pictures[1:2])

    assert embedder.get_params() == before


def test_pairs_do_not_depend_on_the_batch_size(pictures):
    """Each pair is compared as if it were alone, up to the order of summation."""
    X, Y = pictures[:3], pictures[5:8]
    alone = [
        SimilarityMapDisplay.from_estimator(_embedder(), [one], [other])
        for one, other in zip(X, Y, strict=True)
    ]

    display = SimilarityMapDisplay.from_estimator(_embedder(batch_size=2), X, Y)

    assert len(display.images) == 3
    for i, single in enumerate(alone):
        assert_array_equal(display.images[i], single.images[0])
        assert_allclose(display.contributions[i], single.contributions[0], atol=1e-6)


def test_an_image_is_fully_similar_to_itself(picture):
    """The contributions of both sides are equal."""
    display = SimilarityMapDisplay.from_estimator(_embedder(), [picture], [picture])

    first, second = display.contributions[0]
    assert_allclose(display.similarities, 1)
    assert_allclose(first, second, atol=1e-12)


def test_the_locations_that_are_similar_have_the_contributions():
    """Two gray images have a red square each, in different corners."""

    class Redness(torch.nn.Module):
        def forward(self, x):
            red = (x[:, :1] - x[:, 1:2]).clamp(min=0)
            return torch.nn.functional.avg_pool2d(torch.cat([red, 0 * red], 1), 8)

    one, other = np.full((2, 32, 32, 3), 90, dtype=np.uint8)
    one[:8, :8] = other[24:, 16:24] = (255, 0, 0)
    embedder = ImageEmbedder(
        Redness(), device="cpu", image_size=32, crop_pct=1.0, mean=0.0, std=1.0
    )

    display = SimilarityMapDisplay.from_estimator(embedder, [one], [other])

    first, second = display.contributions[0]
    expected = np.zeros((2, 4, 4))
    expected[0, 0, 0] = expected[1, 3, 2] = 1
    assert_allclose([first, second], expected, atol=1e-6)
    assert_array_equal(display.images[0][0], one)


def test_contributions_sum_to_the_cosine_in_low_precision(pictures):
    """Sums are exact in float64, and the embeddings are approximately equal."""
    embedder = _embedder(precision="bfloat16")

    display = SimilarityMapDisplay.from_estimator(embedder, pictures[:2], pictures[2:4])

    _assert_sum_to(display, _cosines(embedder, pictures[:2], pictures[2:4]))


def test_an_unreadable_image_leaves_a_pair_without_similarity(pictures):
    """The reason is drawn instead of the image; the other image is drawn normally."""
    embedder = _embedder(on_error="nan", batch_size=2)
    X = [pictures[0], "missing.jpg", pictures[1]]
    Y = [pictures[2], pictures[3], "gone.jpg"]

    with pytest.warns(ImageReadWarning, match="2 of 6") as caught:
        display = SimilarityMapDisplay.from_estimator(embedder, X, Y)
    display.plot()

    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert [failure.row for failure in embedder.failures_] == [1, 5]
    assert_array_equal(np.isnan(display.similarities), [False, True, True])
    assert display.contributions[1:] == [None, None]
    assert _texts(display).count("no similarity") == 2
    unreadable = [text for text in _texts(display) if "unreadable" in text]
    assert ["missing.jpg" in unreadable[0], "gone.jpg" in unreadable[1]] == [True, True]


def test_an_image_is_read_once(picture):
    """A stream that cannot go back to its start can be read only once."""

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise io.UnsupportedOperation("seek")

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")

    display = SimilarityMapDisplay.from_estimator(
        _embedder(), [Pipe(file.getvalue())], [picture]
    )

    assert_allclose(display.similarities, 1)


def test_an_unreadable_image_raises_by_default(picture):
    """The message names the image."""
    with pytest.raises(ImageReadError, match=r"gone\.jpg"):
        SimilarityMapDisplay.from_estimator(_embedder(), [picture], ["gone.jpg"])


def _display(n_pairs=1, least=0.0):
    rng = np.random.default_rng(0)
    return SimilarityMapDisplay(
        images=list(rng.integers(0, 256, (n_pairs, 2, 40, 40, 3), dtype=np.uint8)),
        contributions=list(rng.uniform(least, 0.02, (n_pairs, 2, 5, 5))),
        similarities=np.full(n_pairs, 0.5),
    )


def test_a_pair_is_drawn_side_by_side_below_its_cosine():
    """A color bar beside the cosine shows the scale of the contributions."""
    display = _display().plot()

    first, second, bar = (image.get_extent() for image in display.ax_.images)
    assert first[1] < second[0]
    assert first[2:] == second[2:]
    assert max(bar[2:]) < min(first[2:])
    assert _texts(display)[1] == "cosine 0.500"
    largest = np.max(display.contributions)
    assert _texts(display)[2] == f"0 to {largest:#.2g}"


def test_the_scale_is_symmetric_if_there_are_negative_contributions():
    """The text beside the color bar gives both limits."""
    display = _display(least=-0.02).plot()

    assert _texts(display)[2] == f"±{np.abs(display.contributions).max():#.2g}"


@pytest.mark.parametrize(("n_pairs", "n_columns"), [(1, 1), (5, 1), (5, 2), (2, 7)])
def test_nothing_overlaps_and_nothing_is_cut_off(n_pairs, n_columns):
    """The figure is large enough for any number of pairs and columns."""
    display = _display(n_pairs)
    display.names = [("a long name of a photograph.jpg", "short.jpg")] * n_pairs

    display.plot(n_columns=n_columns)

    display.figure_.canvas.draw()
    artists = [*display.ax_.texts, *display.ax_.images]
    boxes = [artist.get_window_extent() for artist in artists]
    figure = display.figure_.bbox
    for i, box in enumerate(boxes):
        assert box.x0 >= figure.x0
        assert box.x1 <= figure.x1
        assert box.y0 >= figure.y0
        assert box.y1 <= figure.y1
        assert not any(box.shrunk(0.98, 0.98).overlaps(b) for b in boxes[i + 1 :])


def test_draws_on_given_axes():
    """A figure of the caller may contain other axes."""
    figure, axes = plt.subplots(1, 2)

    display = _display(2).plot(ax=axes[1])

    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert not axes[0].images


def test_invalid_parameters_raise_an_error(picture):
    """The message names the parameter, its value and the allowed values."""
    with pytest.raises(
        ValueError, match="Y has length 2, but the number of images in X is 1"
    ):
        SimilarityMapDisplay.from_estimator(_embedder(), [picture], [picture] * 2)
    with pytest.raises(TypeError, match="X must be a sequence of images"):
        SimilarityMapDisplay.from_estimator(_embedder(), "one.jpg", "other.jpg")
    with pytest.raises(ValueError, match="n_columns=0 must be an integer, at least 1"):
        _display().plot(n_columns=0)
    display = _display(2)
    display.similarities = [0.5]
    with pytest.raises(
        ValueError, match="images has length 2, but the number of similarities is 1"
    ):
        display.plot()


@pytest.mark.parametrize("parameters", [{}, {"pooling": "max"}, {"precision": "auto"}])
def test_similarities_of_real_photographs(make_mobilenet, test_data, parameters):
    """Copies are more similar than animals of one kind, and these than of two kinds."""
    embedder = make_mobilenet(**parameters)
    folder = test_data / "data"
    lions, zebras = (
        sorted((folder / "animals" / kind).iterdir()) for kind in ("lion", "zebra")
    )
    copies = folder / "neardup/leopard_tiger_002"
    X = [lions[0], lions[0], copies / "orig.jpg", copies / "orig.jpg"]
    Y = [lions[3], zebras[2], copies / "crop10.jpg", copies / "orig.jpg"]

    display = SimilarityMapDisplay.from_estimator(embedder, X, Y)

    _assert_sum_to(display, _cosines(embedder, X, Y))
    kind, other_kind, copy, same = display.similarities
    assert other_kind < kind < copy < same
