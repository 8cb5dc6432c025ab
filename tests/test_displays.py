"""Tests of the behavior that all displays have in common."""

import io
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from embedders import make_trained_autoencoder
from PIL import Image

from imgsim import ImageClusterer, ImageEmbedder, select_k
from imgsim.display import (
    ClusterDisplay,
    EmbeddingMapDisplay,
    NeighborsDisplay,
    ReconstructionDisplay,
    SelectionDisplay,
    SilhouetteDisplay,
    SimilarityMapDisplay,
)

ROWS = np.repeat([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], 6, axis=0) + np.linspace(
    0, 0.1, 36
).reshape(18, 2)


def _neighbors(images):
    return NeighborsDisplay(
        query_images=images[:1],
        neighbor_images=[images],
        distances=[np.arange(len(images))],
    )


def _clusters(images):
    return ClusterDisplay.from_predictions(images, np.arange(len(images)) % 2)


def _map(images):
    positions = np.column_stack([np.arange(len(images)), np.arange(len(images))])
    return EmbeddingMapDisplay.from_predictions(
        positions, np.arange(len(images)) % 2, images=images, method=positions
    )


def _reconstructions(images):
    embedder = make_trained_autoencoder(on_error="nan")
    return ReconstructionDisplay.from_estimator(embedder, images, n_images=len(images))


def _similarity_maps(images):
    embedder = ImageEmbedder(
        "test_resnet", pretrained=False, image_size=64, device="cpu", on_error="nan"
    )
    return SimilarityMapDisplay.from_estimator(embedder, images, images[::-1])


def _silhouettes(images):
    clusterer = ImageClusterer(3, random_state=0).fit(ROWS)
    return SilhouetteDisplay.from_estimator(clusterer)


def _selection(images):
    selection = select_k(ROWS, [2, 3, 4], random_state=0)
    return SelectionDisplay.from_selection(selection)


OF_IMAGES = {
    "ClusterDisplay": _clusters,
    "EmbeddingMapDisplay": _map,
    "NeighborsDisplay": _neighbors,
    "ReconstructionDisplay": _reconstructions,
    "SimilarityMapDisplay": _similarity_maps,
}
DISPLAYS = {
    **OF_IMAGES,
    "SelectionDisplay": _selection,
    "SilhouetteDisplay": _silhouettes,
}

every_display = pytest.mark.parametrize("make", DISPLAYS.values(), ids=DISPLAYS)
of_images = pytest.mark.parametrize("make", OF_IMAGES.values(), ids=OF_IMAGES)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def _texts(figure):
    artists = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " ".join(artist.get_text() for artist in artists).replace("\n", " ")


def _thumbnails(display):
    figure = display.figure_
    return [np.asarray(image.get_array()) for ax in figure.axes for image in ax.images]


@every_display
def test_plot_draws_but_does_not_show(make, pictures, monkeypatch):
    """The caller decides what to do with a figure."""
    monkeypatch.setattr(plt, "show", lambda *args: pytest.fail("plt.show was called"))
    display = make(pictures[:4])

    assert display.plot() is display
    assert display.ax_ in display.figure_.axes
    display.figure_.savefig(io.BytesIO())


@every_display
def test_a_notebook_shows_one_figure_and_a_short_text(make, pictures):
    """The display is often the last expression of a cell."""
    display = make(pictures[:4])
    before = repr(display)

    display.plot()

    assert len(plt.get_fignums()) == 1
    assert repr(display) == before
    assert len(before) < 60
    assert before.startswith(f"<{type(display).__name__}: ")
    rich = ("_repr_html_", "_repr_png_", "_repr_mimebundle_", "_ipython_display_")
    assert not any(hasattr(display, name) for name in rich)  # a second figure


@every_display
def test_draws_on_given_axes(make, pictures):
    """The figure of the caller keeps its size and gets no other axes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 5))

    display = make(pictures[:4]).plot(ax=left)

    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert figure.get_size_inches().tolist() == [9, 5]
    assert not right.has_data()
    figure.savefig(io.BytesIO())


@every_display
def test_plot_can_be_called_twice(make, pictures):
    """Drawing does not change the display."""
    display = make(pictures[:4])

    texts = [_texts(display.plot().figure_) for _ in range(2)]

    assert texts[0] == texts[1]


@every_display
def test_only_plot_needs_matplotlib(make, pictures, monkeypatch):
    """The message of the error names the extra to install."""
    display = make(pictures[:4])
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(
        ModuleNotFoundError, match=r"needs matplotlib: .*'scikit-imgsim\[plot\]'"
    ):
        display.plot()


@of_images
def test_accepts_every_kind_of_image(make, pictures, tmp_path):
    """Displays accept the same image sources as embedders."""
    path = tmp_path / "a.png"
    Image.fromarray(pictures[0]).save(path)
    images = [
        path,
        str(path),
        path.read_bytes(),
        Image.fromarray(pictures[1]),
        pictures[2][..., 0],
        pictures[3] / 255,
    ]

    display = make(images).plot()

    assert "unreadable" not in _texts(display.figure_)
    assert len(_thumbnails(display)) >= len(images)


@of_images
@pytest.mark.filterwarnings("ignore::imgsim.exceptions.ImageReadWarning")
def test_an_unreadable_image_is_a_placeholder(make, pictures):
    """The placeholder contains the reason, and other images are drawn normally."""
    images = [*pictures[:3], "missing.jpg"]

    display = make(images).plot()

    assert "no such file" in _texts(display.figure_)
    assert len(_thumbnails(display)) >= 3


@of_images
def test_a_single_image_is_enough(make, pictures):
    """A display must work if there are fewer images than columns."""
    display = make(pictures[:1]).plot()

    assert _thumbnails(display)
    display.figure_.savefig(io.BytesIO())


@of_images
def test_draws_thumbnails(make):
    """A figure with many photographs must fit into memory."""
    photo = np.zeros((1500, 2000, 3), dtype=np.uint8)
    photo[::50] = 255

    display = make([photo] * 3).plot()

    assert max(max(image.shape[:2]) for image in _thumbnails(display)) <= 256


@of_images
@pytest.mark.filterwarnings("ignore::imgsim.exceptions.ImageReadWarning")
def test_images_and_reasons_do_not_depend_on_the_style(make, pictures):
    """Images are upright and placeholders legible, also on a dark background."""
    upright = np.zeros((60, 60), dtype=np.uint8)
    upright[:30] = 255

    with (
        plt.style.context("dark_background"),
        plt.rc_context({"image.origin": "lower"}),
    ):
        display = make([upright, *pictures[:2], "missing.jpg"]).plot()

    figure = display.figure_
    images = [image for ax in figure.axes for image in ax.images]
    assert {image.origin for image in images} == {"upper"}
    reasons = figure.findobj(
        lambda artist: "unreadable" in getattr(artist, "get_text", str)()
    )
    assert {text.get_color() for text in reasons} == {"black"}


@of_images
def test_names_are_text(make, pictures, tmp_path):
    """Dollar signs do not start a formula, and a missing glyph does not warn."""
    letters = "\N{HIRAGANA LETTER A}\N{ARABIC LETTER ALEF}\N{BUTTERFLY}\ue123"
    paths = [tmp_path / f"$a_{i}$ {letters}.png" for i in range(3)]
    for path, picture in zip(paths, pictures, strict=False):
        Image.fromarray(picture).save(path)

    make(paths).plot().figure_.savefig(io.BytesIO())
