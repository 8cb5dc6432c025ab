"""Tests of drawing reconstructions, by the positions of images and texts."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from embedders import make_trained_autoencoder
from numpy.testing import assert_allclose

from imgsim.display import ReconstructionDisplay
from imgsim.exceptions import ImageReadWarning


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def embedder():
    """Return a trained autoencoder."""
    return make_trained_autoencoder()


def _texts(display):
    return [text.get_text() for text in display.ax_.texts]


def test_images_are_above_their_reconstructions(embedder, pictures):
    """Both have the size of the input of the network, with the error below."""
    display = ReconstructionDisplay.from_estimator(embedder, pictures, n_images=3)

    display.plot()

    assert len(display.ax_.images) == 6
    assert {image.get_array().shape for image in display.ax_.images} == {(16, 16, 3)}
    drawn = display.ax_.images[1].get_array().astype(int)
    assert_allclose(drawn, embedder.reconstruct(pictures[:1])[0], atol=1)
    expected = embedder.reconstruction_errors(pictures[:3])
    assert_allclose(display.errors, expected, rtol=1e-5)
    assert _texts(display)[:3] == [f"{error:.2g}" for error in display.errors]
    above, below = (display.ax_.images[i].get_extent() for i in (0, 1))
    assert above[0] == below[0]
    assert max(above[2:]) < min(below[2:])


@pytest.mark.parametrize("select", ["best", "worst"])
def test_the_best_or_the_worst_are_selected(embedder, pictures, select):
    """They are sorted, with the most extreme error first."""
    display = ReconstructionDisplay.from_estimator(
        embedder, pictures, n_images=4, select=select
    )

    errors = np.sort(embedder.reconstruction_errors(pictures))
    expected = errors[:4] if select == "best" else errors[:-5:-1]
    assert_allclose(display.errors, expected, rtol=1e-5)
    errors_of_originals = embedder.reconstruction_errors(display.originals)
    assert_allclose(errors_of_originals, display.errors, rtol=1e-5)


def test_images_wrap_into_rows(embedder, pictures):
    """No two images have the same position."""
    display = ReconstructionDisplay.from_estimator(embedder, pictures, n_images=12)

    display.plot(n_columns=5)

    corners = {(i.get_extent()[0], i.get_extent()[3]) for i in display.ax_.images}
    assert len(corners) == 24


def test_an_unreadable_image_is_a_placeholder(pictures):
    """It contains the file name, and such an image is neither best nor worst."""
    embedder = make_trained_autoencoder(on_error="nan")
    sources = [pictures[0], "missing.jpg", pictures[1]]

    with pytest.warns(ImageReadWarning) as caught:
        display = ReconstructionDisplay.from_estimator(embedder, sources).plot()
    assert len(caught) == 1
    with pytest.warns(ImageReadWarning):
        worst = ReconstructionDisplay.from_estimator(embedder, sources, select="worst")

    assert any("missing.jpg" in text for text in _texts(display))
    assert "nan" in _texts(display)
    assert len(worst.errors) == 2


def test_curves_count_epochs_from_one(embedder, pictures):
    """The legend names the training loss and the validation loss."""
    display = ReconstructionDisplay.from_estimator(embedder, pictures, n_images=1)

    ax = plt.figure().add_subplot()
    display.plot_curves(ax=ax)

    training, validation = ax.lines
    assert training.get_xdata().tolist() == [1, 2]
    assert training.get_ydata().tolist() == embedder.loss_curve_
    assert validation.get_ydata().tolist() == embedder.validation_loss_curve_
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "training",
        "validation",
    ]
    assert display.ax_ is ax
    assert display.plot_curves().figure_ is not ax.figure


def test_invalid_parameters_raise_an_error(embedder, pictures):
    """The message names the parameter, its value and the allowed values."""
    from_estimator = ReconstructionDisplay.from_estimator
    with pytest.raises(ValueError, match="n_images=0 must be at least 1"):
        from_estimator(embedder, pictures, n_images=0)
    with pytest.raises(ValueError, match="select='odd' must be one of"):
        from_estimator(embedder, pictures, select="odd")
    tolerant = make_trained_autoencoder(on_error="nan")
    with (
        pytest.warns(ImageReadWarning),
        pytest.raises(ValueError, match="none of the 1 images could be read"),
    ):
        from_estimator(tolerant, ["missing.jpg"], select="worst")
    display = from_estimator(embedder, pictures)
    with pytest.raises(ValueError, match="n_columns=0 must be an integer, at least 1"):
        display.plot(n_columns=0)
    display.errors = [0.1]
    with pytest.raises(
        ValueError, match="originals has length 10, but the number of errors is 1"
    ):
        display.plot()
