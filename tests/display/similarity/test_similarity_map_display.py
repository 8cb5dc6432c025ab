"""Tests of drawing the places that make two images alike."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
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


def _embedder(name="resnet18", **kwargs):
    small = {} if "vit" in str(name) else {"image_size": 96}
    return ImageEmbedder(name, pretrained=False, device="cpu", **{**small, **kwargs})


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
        ("resnet18", {}),
        ("resnet18", {"pooling": "max"}),
        ("resnet18", {"layer": "layer2", "normalize": "l2"}),
        ("mobilenetv2_100", {}),
        ("vgg16", {}),
        ("vit_tiny_patch16_224", {"pooling": "token_avg"}),
        ("convnext_atto", {"layer": -1}),
    ],
    ids=str,
)
def test_contributions_sum_to_the_cosine_of_the_rows(name, parameters, pictures):
    """Of either picture, for every pair."""
    embedder = _embedder(name, **parameters)

    display = SimilarityMapDisplay.from_estimator(embedder, pictures[:2], pictures[2:4])

    _assert_sum_to(display, _cosines(embedder, pictures[:2], pictures[2:4]))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("resnet18", {"pooling": "gem"}, "pooling='gem'.*set pooling to one of"),
        ("resnet18", {"pooling": None}, "pooling=None.*'avg'"),
        ("resnet18", {"pooling": "flatten"}, "pooling='flatten'.*'max'"),
        ("vit_tiny_patch16_224", {"pooling": "cls"}, "pooling='cls'.*'token_avg'"),
        ("resnet18", {"flip": True}, "flip=True.*set flip=False"),
        ("resnet18", {"layer": [1, 2]}, r"layer=\[1, 2\] names 2 stages.*name one"),
        ("convnext_atto", {}, "model='convnext_atto' does more.*layer=-1"),
        (
            "vit_tiny_patch16_224",
            {"model_kwargs": {"global_pool": "avg"}},
            "'vit_tiny_patch16_224' does more.*layer=-1",
        ),
    ],
    ids=str,
)
def test_what_is_no_sum_over_places_is_refused(name, parameters, message, picture):
    """With the parameter, its value and what to choose instead."""
    embedder = _embedder(name, **parameters)

    with pytest.raises(ValueError, match=message):
        SimilarityMapDisplay.from_estimator(embedder, [picture], [picture])


@pytest.mark.parametrize(
    "embedder",
    [ColorHistogramEmbedder(), make_pipeline(ColorHistogramEmbedder()), "resnet18"],
    ids=lambda embedder: type(embedder).__name__,
)
def test_other_embedders_are_refused(embedder, picture):
    """They have no maps; a pipeline may hold one that has."""
    with pytest.raises(
        TypeError, match=r"must be an ImageEmbedder; got.*pipeline\[0\]"
    ):
        SimilarityMapDisplay.from_estimator(embedder, [picture], [picture])


def test_pairs_are_told_apart_across_batches(pictures):
    """Each is what it is alone, whatever the size of a batch."""
    X, Y = pictures[:5], pictures[5:10]
    alone = [
        SimilarityMapDisplay.from_estimator(_embedder(), [one], [other])
        for one, other in zip(X, Y, strict=True)
    ]

    display = SimilarityMapDisplay.from_estimator(_embedder(batch_size=2), X, Y)

    assert len(display.images) == 5
    for i, single in enumerate(alone):
        assert_array_equal(display.images[i], single.images[0])
        assert_allclose(display.contributions[i], single.contributions[0], atol=1e-6)


def test_a_picture_is_fully_like_itself(picture):
    """And by the same places on both sides."""
    display = SimilarityMapDisplay.from_estimator(_embedder(), [picture], [picture])

    first, second = display.contributions[0]
    assert_allclose(display.similarities, 1)
    assert_allclose(first, second, atol=1e-12)


def test_the_place_that_is_alike_is_found():
    """A red square, in other corners of two pictures that are grey elsewhere."""

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


def test_low_precision_sums_up_too(pictures):
    """Sums are exact in float64; the rows themselves are near."""
    embedder = _embedder(precision="bfloat16")

    display = SimilarityMapDisplay.from_estimator(embedder, pictures[:2], pictures[2:4])

    _assert_sum_to(display, _cosines(embedder, pictures[:2], pictures[2:4]))


def test_an_unreadable_image_leaves_a_pair_without_similarity(pictures):
    """Its place holds the reason, the other picture is shown as it is."""
    embedder = _embedder(on_error="nan", batch_size=2)
    X = [pictures[0], "missing.jpg", pictures[1]]
    Y = [pictures[2], pictures[3], "gone.jpg"]

    with pytest.warns(ImageReadWarning, match="2 of 6") as caught:
        display = SimilarityMapDisplay.from_estimator(embedder, X, Y)
    display.plot()

    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert [failure.row for failure in embedder.failures_] == [1, 2]
    assert_array_equal(np.isnan(display.similarities), [False, True, True])
    assert display.contributions[1:] == [None, None]
    assert _texts(display).count("no similarity") == 2
    unreadable = [text for text in _texts(display) if "unreadable" in text]
    assert ["missing.jpg" in unreadable[0], "gone.jpg" in unreadable[1]] == [True, True]


def test_an_unreadable_image_raises_by_default(picture):
    """And says which."""
    with pytest.raises(ImageReadError, match=r"gone\.jpg"):
        SimilarityMapDisplay.from_estimator(_embedder(), [picture], ["gone.jpg"])


def _display(n_pairs=1, least=0.0):
    rng = np.random.default_rng(0)
    return SimilarityMapDisplay(
        images=list(rng.integers(0, 256, (n_pairs, 2, 40, 40, 3), dtype=np.uint8)),
        contributions=list(rng.uniform(least, 0.02, (n_pairs, 2, 5, 5))),
        similarities=np.full(n_pairs, 0.5),
    )


def test_a_pair_stands_side_by_side_below_its_cosine():
    """Two pictures and a bar of colours that says how much."""
    display = _display().plot()

    first, second, bar = (image.get_extent() for image in display.ax_.images)
    assert first[1] < second[0]
    assert first[2:] == second[2:]
    assert max(bar[2:]) < min(first[2:])
    assert _texts(display)[1] == "cosine 0.500"
    largest = np.max(display.contributions)
    assert _texts(display)[2] == f"0 to {largest:#.2g}"


def test_colours_for_less_are_there_if_something_takes_away():
    """And said to be."""
    display = _display(least=-0.02).plot()

    assert _texts(display)[2] == f"±{np.abs(display.contributions).max():#.2g}"


@pytest.mark.parametrize(("n_pairs", "n_columns"), [(1, 1), (5, 1), (5, 2), (2, 7)])
def test_nothing_overlaps_and_nothing_is_cut(n_pairs, n_columns):
    """Whatever the number of pairs."""
    display = _display(n_pairs)
    display.names = [("a long name of a photograph.jpg", "short.jpg")] * n_pairs

    display.plot(n_columns=n_columns)

    display.figure_.canvas.draw()
    artists = [*display.ax_.texts, *display.ax_.images]
    boxes = [artist.get_window_extent() for artist in artists]
    whole = display.figure_.bbox
    for i, box in enumerate(boxes):
        assert box.x0 >= whole.x0
        assert box.x1 <= whole.x1
        assert box.y0 >= whole.y0
        assert box.y1 <= whole.y1
        assert not any(box.shrunk(0.98, 0.98).overlaps(b) for b in boxes[i + 1 :])


def test_given_axes_are_drawn_on():
    """As by every display."""
    figure, axes = plt.subplots(1, 2)

    display = _display(2).plot(ax=axes[1])

    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert not axes[0].images


def test_bad_parameters_name_themselves(picture):
    """With the value and the bound."""
    with pytest.raises(ValueError, match="Y holds 2 images for 1 images in X"):
        SimilarityMapDisplay.from_estimator(_embedder(), [picture], [picture] * 2)
    with pytest.raises(TypeError, match="X must be a sequence of images"):
        SimilarityMapDisplay.from_estimator(_embedder(), "one.jpg", "other.jpg")
    with pytest.raises(ValueError, match="n_columns=0 must be at least 1"):
        _display().plot(n_columns=0)
    display = _display(2)
    display.similarities = [0.5]
    with pytest.raises(ValueError, match="images holds 2 images for 1 similarities"):
        display.plot()


@pytest.mark.parametrize("parameters", [{}, {"pooling": "max"}, {"precision": "auto"}])
def test_real_photographs_sum_up(make_mobilenet, test_data, parameters):
    """By trained weights: animals of a kind, of two kinds, and near copies."""
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
