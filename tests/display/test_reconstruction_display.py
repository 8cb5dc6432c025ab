"""Tests of drawing what comes back of images."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import make_trained_autoencoder
from numpy.testing import assert_array_equal

from imgsim.display import ReconstructionDisplay
from imgsim.exceptions import ImageReadWarning


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def embedder():
    """Return an embedder that has learned."""
    return make_trained_autoencoder()


def _texts(display):
    return [text.get_text() for text in display.ax_.texts]


def test_pictures_stand_above_what_came_back(embedder, pictures):
    """Stretched as the network sees them, and the error below."""
    display = ReconstructionDisplay.from_estimator(embedder, pictures, n_images=3)

    display.plot()

    assert len(display.ax_.images) == 6
    assert {image.get_array().shape for image in display.ax_.images} == {(16, 16, 3)}
    assert_array_equal(
        display.ax_.images[1].get_array(), embedder.reconstruct(pictures[:1])[0]
    )
    errors = embedder.reconstruction_errors(pictures[:3])
    assert _texts(display)[:3] == [f"{error:.2g}" for error in errors]
    above, below = (display.ax_.images[i].get_extent() for i in (0, 1))
    assert above[0] == below[0]
    assert max(above[2:]) < min(below[2:])


@pytest.mark.parametrize("select", ["best", "worst"])
def test_the_best_or_the_worst_are_kept(embedder, pictures, select):
    """The extreme first."""
    display = ReconstructionDisplay.from_estimator(
        embedder, pictures, n_images=4, select=select
    )

    errors = np.sort(embedder.reconstruction_errors(pictures))
    expected = errors[:4] if select == "best" else errors[:-5:-1]
    assert_array_equal(display.errors, expected)
    assert_array_equal(
        embedder.reconstruction_errors(display.originals), display.errors
    )


def test_pictures_wrap_into_rows(embedder, pictures):
    """No picture covers another."""
    display = ReconstructionDisplay.from_estimator(embedder, pictures, n_images=12)

    display.plot(n_columns=5)

    corners = {(i.get_extent()[0], i.get_extent()[3]) for i in display.ax_.images}
    assert len(corners) == 24


def test_an_unreadable_picture_is_named(embedder, pictures):
    """Where it would stand; it is neither best nor worst."""
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
    """Both losses, named."""
    display = ReconstructionDisplay.from_estimator(embedder, pictures, n_images=1)

    ax = plt.figure().add_subplot()
    display.plot_curves(ax=ax)

    training, held_back = ax.lines
    assert training.get_xdata().tolist() == [1, 2]
    assert training.get_ydata().tolist() == embedder.loss_curve_
    assert held_back.get_ydata().tolist() == embedder.validation_loss_curve_
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "training",
        "held back",
    ]
    assert display.ax_ is ax
    assert display.plot_curves().figure_ is not ax.figure


def test_bad_parameters_name_themselves(embedder, pictures):
    """With the value and the bound."""
    from_estimator = ReconstructionDisplay.from_estimator
    with pytest.raises(ValueError, match="n_images=0 must be at least 1"):
        from_estimator(embedder, pictures, n_images=0)
    with pytest.raises(ValueError, match="select='odd' must be one of"):
        from_estimator(embedder, pictures, select="odd")
    blind = make_trained_autoencoder(on_error="nan")
    with (
        pytest.warns(ImageReadWarning),
        pytest.raises(ValueError, match="none of 1 images could be read"),
    ):
        from_estimator(blind, ["missing.jpg"], select="worst")
    display = from_estimator(embedder, pictures)
    with pytest.raises(ValueError, match="n_columns=0 must be at least 1"):
        display.plot(n_columns=0)
    display.errors = [0.1]
    with pytest.raises(ValueError, match="originals holds 10 images for 1 errors"):
        display.plot()
