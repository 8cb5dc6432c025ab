"""Tests of training and reconstruction; test_estimators.py tests all embedders."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest
from embedders import make_autoencoder
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from imgsim import (
    AutoencoderEmbedder,
    ImageClusterer,
    SimilarityIndex,
    load_image_folder,
    read_image,
)
from imgsim.datasets import load_digit_images
from imgsim.embedding.autoencoder._trainer import Trainer
from imgsim.embedding.autoencoder._training_checkpoint import TrainingCheckpoint
from imgsim.exceptions import ImageReadError, ImageReadWarning
from imgsim.metrics import average_precision_at_k


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Compute in one thread: on a busy machine, small layers wait for the others."""
    torch = pytest.importorskip("torch")
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def digits():
    """Return fifty gray images of 16 x 16 pixels."""
    return load_digit_images(n_per_class=5, size=16).images


@pytest.fixture(scope="module")
def fitted(digits):
    """Return an embedder fitted on the digits; tests must not modify it."""
    return make_autoencoder(color="gray", max_epochs=3).fit(digits)


def _copy(embedder):
    return pickle.loads(pickle.dumps(embedder))


def _weights(embedder):
    return {
        name: value.numpy()
        for name, value in embedder.autoencoder_.state_dict().items()
    }


def _assert_same_weights(first, second):
    for name, value in _weights(first).items():
        assert_array_equal(value, _weights(second)[name], err_msg=name)


def _fail_after(monkeypatch, n_epochs, error):
    """Raise an error in the training after a number of epochs."""
    run, numbers = Trainer.run_epoch, count()

    def run_or_fail(self, *args):
        if next(numbers) == n_epochs:
            raise error
        run(self, *args)

    monkeypatch.setattr(Trainer, "run_epoch", run_or_fail)


def _interrupt(monkeypatch, embedder, images, *, n_epochs=1):
    """Fit until the process is cut off after a number of epochs."""
    with monkeypatch.context() as patch:
        _fail_after(patch, n_epochs, RuntimeError("power failure"))
        with pytest.raises(RuntimeError, match="power failure"):
            embedder.fit(images)


def test_training_lowers_both_losses(fitted):
    """The loss curves have one entry per epoch, and the best epoch is the smallest."""
    assert fitted.n_iter_ == len(fitted.loss_curve_) == 3
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    assert len(fitted.validation_loss_curve_) == 3
    assert fitted.best_epoch_ == np.argmin(fitted.validation_loss_curve_)


def test_an_untrained_network_reconstructs_as_pca_does(digits):
    """With init="pca" and a negligible learning rate, the error is that of a PCA."""
    pixels = digits.reshape(50, -1) / 255
    pca = PCA(6).fit(pixels)
    reconstructions = pca.inverse_transform(pca.transform(pixels)).clip(0, 1)
    expected = np.square(reconstructions - pixels).mean(axis=1)

    embedder = make_autoencoder(
        color="gray",
        init="pca",
        augment=None,
        learning_rate=1e-12,
        early_stopping=False,
        max_epochs=1,
        precision="float32",
    ).fit(digits)

    assert_allclose(embedder.reconstruction_errors(digits), expected, rtol=1e-3)


def test_embeddings_of_digits_retrieve_better_than_pca():
    """Six epochs of a small network suffice; the guide shows the defaults."""
    digits = load_digit_images(n_per_class=100)
    pixels = digits.images.reshape(len(digits.images), -1) / 255.0

    embedder = AutoencoderEmbedder(
        32,
        image_size=16,
        channels=(16, 32, 64),
        color="gray",
        max_epochs=6,
        random_state=0,
        device="cpu",
    )
    X = embedder.fit_transform(digits.images)

    def mean_average_precision(X):
        _, ids = SimilarityIndex(n_neighbors=len(X) - 1).fit(X).kneighbors()
        relevance = digits.target[ids] == digits.target[:, None]
        return average_precision_at_k(relevance, relevance.sum(axis=1))

    assert embedder.augment_ == "warp"
    by_pca = mean_average_precision(PCA(32, random_state=0).fit_transform(pixels))
    assert mean_average_precision(X) > by_pca + 0.05


def test_new_photographs_are_reconstructed_better_than_by_pca(test_data):
    """The comparison uses the same number of features and the same resized pixels."""
    paths = load_image_folder(test_data / "data/animals").paths[::4]
    training, others = paths[::2] + paths[1::4], paths[3::4]

    embedder = AutoencoderEmbedder(
        64,
        image_size=32,
        channels=(16, 32, 64),
        max_epochs=4,
        random_state=0,
        device="cpu",
    ).fit(training)

    def pixels(paths):
        images = [Image.fromarray(read_image(path)) for path in paths]
        small = [i.resize((32, 32), Image.Resampling.BILINEAR) for i in images]
        return np.stack(small).reshape(len(small), -1) / 255.0

    pca = PCA(64, random_state=0).fit(pixels(training))
    X = pca.transform(pixels(others))
    difference = pca.inverse_transform(X).clip(0, 1) - pixels(others)
    assert embedder.augment_ == "mirror"
    assert -embedder.score(others) < 0.99 * np.square(difference).mean()


def test_unfamiliar_images_have_the_largest_error(fitted, digits):
    """The reconstruction error is useful as an outlier score."""
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (16, 8))

    errors = fitted.reconstruction_errors([*digits, stripes])

    assert errors.argmax() == 50


def test_reconstruct_decodes_the_embeddings(fitted, digits):
    """`reconstruct` equals `inverse_transform` after `transform`."""
    images = fitted.reconstruct(digits)

    assert images.shape == (50, 16, 16, 3)
    assert images.dtype == np.uint8
    assert (images[..., 0] == images[..., 1]).all()
    decoded = fitted.inverse_transform(fitted.transform(digits))
    assert_allclose(images.astype(int), decoded, atol=1)


def test_errors_are_mean_squared_differences(fitted, digits):
    """The errors follow from the reconstructions, which are rounded to 8 bits."""
    images = fitted.reconstruct(digits)[..., 0] / 255
    expected = np.square(images - digits / 255).mean(axis=(1, 2))

    errors = fitted.reconstruction_errors(digits)

    assert_allclose(errors, expected, atol=2e-4)
    assert fitted.score(digits) == pytest.approx(-errors.mean())


def test_embeddings_of_nan_are_decoded_to_black_images(fitted, digits):
    """The embedding of an unreadable image is NaN."""
    X = fitted.transform(digits[:3])
    X[1] = np.nan

    images = fitted.inverse_transform(X)

    assert not images[1].any()
    expected = fitted.reconstruct(digits[:3])
    assert_allclose(images[[0, 2]].astype(int), expected[[0, 2]], atol=1)


def test_extreme_embeddings_are_decoded_without_a_warning(fitted):
    """Users decode arbitrary points of the embedding space."""
    images = fitted.inverse_transform(np.full((1, 6), 1e30))

    assert images.shape == (1, 16, 16, 3)


def test_inverse_transform_refuses_what_it_cannot_decode(fitted, digits):
    """The messages say what to do instead."""
    with pytest.raises(ValueError, match=r"X has 5 features.* expecting 6"):
        fitted.inverse_transform(np.zeros((2, 5)))
    unit = _copy(fitted).set_params(normalize="l2")
    with pytest.raises(ValueError, match="Set normalize=None, or use reconstruct"):
        unit.inverse_transform(unit.transform(digits))
    assert_array_equal(unit.reconstruct(digits), fitted.reconstruct(digits))


def test_equal_seeds_give_equal_weights(fitted, digits):
    """Fitting neither depends on the global state of torch nor changes it."""
    torch = pytest.importorskip("torch")
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        again = clone(fitted).fit(digits)
    finally:
        torch.set_default_dtype(dtype)
    other = clone(fitted).set_params(random_state=1).fit(digits)

    _assert_same_weights(again, fitted)
    assert other.loss_curve_ != fitted.loss_curve_
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "parameters",
    [{"augment": "mirror+warp"}, {"mask_ratio": 0.2, "noise_std": 0.2}],
    ids=str,
)
def test_the_default_dtype_does_not_change_the_augmentation(digits, parameters):
    """Random numbers are drawn in the dtype of the images."""
    torch = pytest.importorskip("torch")
    embedder = make_autoencoder(color="gray", max_epochs=1, **parameters)
    expected = clone(embedder).fit(digits)

    torch.set_default_dtype(torch.float64)
    try:
        found = clone(embedder).fit(digits)
    finally:
        torch.set_default_dtype(torch.float32)

    _assert_same_weights(found, expected)


def test_images_that_do_not_fit_into_memory_give_the_same_weights(fitted, digits):
    """They are read again in every epoch."""
    with config_context(working_memory=0):
        streamed = clone(fitted).set_params(n_jobs=3).fit(list(digits))

    _assert_same_weights(streamed, fitted)


def test_simultaneous_fits_do_not_share_random_numbers(digits):
    """Initial weights are drawn from one generator for the whole process.

    A single step of AdamW turns a rounding error of a gradient near 0 into at most
    twice the learning rate; other random numbers change weights by much more.
    """
    embedder = make_autoencoder(color="gray", max_epochs=1, channels=(16, 32))
    expected = _weights(clone(embedder).fit(digits))

    with ThreadPoolExecutor(4) as pool:
        fitted = list(pool.map(lambda _: clone(embedder).fit(digits), range(8)))

    for each in fitted:
        for name, value in _weights(each).items():
            if "axes" not in name:  # whose signs are arbitrary
                assert_allclose(value, expected[name], atol=2e-3, err_msg=name)


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_training_works_where_gradients_are_disabled(fitted, digits, mode):
    """The calling program may disable them because it only embeds otherwise."""
    torch = pytest.importorskip("torch")

    with getattr(torch, mode)():
        embedder = clone(fitted).fit(digits)
        partial = make_autoencoder(color="gray").partial_fit(digits)
        partial.partial_fit(digits)

    _assert_same_weights(embedder, fitted)
    assert partial.loss_curve_[1] < partial.loss_curve_[0]


@pytest.mark.parametrize("n_images", [1, 2, 3, 25])
@pytest.mark.parametrize("init", ["pca", "random"])
def test_a_few_images_suffice(digits, n_images, init):
    """There may be fewer images than features, or a last batch with few images."""
    embedder = make_autoencoder(init=init, batch_size=20).fit(digits[:n_images])

    assert np.isfinite(embedder.transform(digits)).all()


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("color", ["rgb", "gray"])
def test_constant_images_are_reconstructed(value, color):
    """Their standard deviation is 0, which must not be a divisor."""
    images = np.full((30, 20, 20), value, dtype=np.uint8)

    embedder = make_autoencoder(color=color).fit(images)

    assert np.isfinite(embedder.transform(images)).all()
    assert np.abs(embedder.reconstruct(images).astype(int) - value).max() <= 3


@pytest.mark.parametrize("size", [8, 13, 20, 33, 70])
def test_any_image_size_works(pictures, size):
    """The halved resolutions need not be whole numbers."""
    embedder = make_autoencoder(image_size=size, channels=(4, 8, 8), max_epochs=1)

    embedder.fit(pictures)

    assert embedder.reconstruct(pictures[:2]).shape == (2, size, size, 3)


@pytest.mark.parametrize(
    "parameters",
    [
        {"loss": "l1"},
        {"loss": "ssim+l1"},
        {"penalty": "variational"},
        {"penalty": "contractive"},
        {"noise_std": 0.5},
        {"mask_ratio": 0.3},
        {"augment": "mirror"},
        {"augment": "warp"},
        {"augment": "mirror+warp"},
        {"augment": None},
        {"n_blocks": 0},
        {"n_blocks": 2},
        {"channels": [6]},
        {"channels": (1, 2)},
        {"precision": "bfloat16"},
        {"penalty": "variational", "init": "pca", "precision": "bfloat16"},
    ],
    ids=str,
)
def test_every_option_of_training_lowers_the_loss(digits, parameters):
    """Embeddings must differ between images, too."""
    parameters = {"init": "random", **parameters}
    embedder = make_autoencoder(color="gray", max_epochs=4, **parameters).fit(digits)

    assert embedder.loss_curve_[-1] < embedder.loss_curve_[0]
    assert embedder.transform(digits).std(axis=0).min() > 0
    assert embedder.augment_ == parameters.get("augment", "warp")


@pytest.mark.parametrize("batch_size", [44, 45])
def test_a_last_batch_of_one_image_is_harmless(digits, batch_size):
    """The contractive penalty divides by the variance within the batch."""
    embedder = make_autoencoder(
        color="gray", penalty="contractive", batch_size=batch_size, init="random"
    )

    embedder.fit(digits)

    assert max(embedder.loss_curve_) < 5


def test_a_training_of_one_step_has_a_learning_rate(digits):
    """The schedule starts at 0, but a step uses the middle of its batch."""
    slow, fast = (
        make_autoencoder(max_epochs=1, learning_rate=rate, early_stopping=False)
        for rate in (1e-9, 1e-2)
    )

    slow.fit(digits[:20])
    fast.fit(digits[:20])

    before, after = (_weights(e)["to_latent.weight"] for e in (slow, fast))
    assert np.abs(after - before).max() > 1e-3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"channels": ()}, r"channels=\(\) must be one or more positive integers"),
        ({"channels": (8, 0)}, r"channels=\(8, 0\) must be"),
        ({"channels": (8, 2.5)}, r"channels=\(8, 2\.5\) must be"),
        ({"channels": (4,) * 5}, "must have at most 4 entries for image_size=16"),
        ({"latent_dim": 0}, "The 'latent_dim' parameter"),
        ({"image_size": 4}, "The 'image_size' parameter"),
        ({"mask_ratio": 1.0}, "The 'mask_ratio' parameter"),
        ({"precision": "float16"}, "The 'precision' parameter"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"augment": "spin"}, "The 'augment' parameter"),
    ],
    ids=str,
)
def test_invalid_parameters_are_named(parameters, message):
    """They are checked before any image is read, which may take long."""
    embedder = make_autoencoder().set_params(**parameters)

    with pytest.raises(ValueError, match=message):
        embedder.fit(["missing.jpg"])


def test_parameters_changed_after_fit_wait_for_the_next_fit(fitted, digits):
    """The trained network keeps its own settings."""
    embedder = _copy(fitted)
    embedder.set_params(latent_dim=9, image_size=32, channels=(4,), color="rgb")

    assert_array_equal(embedder.transform(digits), fitted.transform(digits))
    assert embedder.reconstruct(digits[:2]).shape == (2, 16, 16, 3)


def test_rescaling_changes_embeddings_but_not_reconstructions(fitted, digits):
    """The axes are only another basis of the latent space."""
    plain = clone(fitted).set_params(rescale=False).fit(digits)

    difference = plain.reconstruct(digits).astype(int) - fitted.reconstruct(digits)
    assert np.abs(difference).max() <= 1
    assert not np.allclose(plain.transform(digits), fitted.transform(digits))


def test_a_warm_start_follows_changed_parameters(fitted, digits):
    """The axes and the augmentation of the previous fit are replaced."""
    embedder = _copy(fitted).set_params(warm_start=True, rescale=False)

    embedder.set_params(augment="mirror").fit(digits)

    assert_array_equal(_weights(embedder)["axes"], np.eye(6))
    assert embedder.augment_ == "mirror"


def test_training_stops_without_improvement(digits):
    """The learning rate is too small to change a weight."""
    embedder = make_autoencoder(learning_rate=1e-30, max_epochs=20, patience=2)

    embedder.fit(digits)

    assert embedder.n_iter_ == 3
    assert embedder.best_epoch_ == 0


def test_without_early_stopping_there_is_no_validation(digits):
    """The training loss determines the best epoch."""
    embedder = make_autoencoder(early_stopping=False, max_epochs=3).fit(digits)

    assert embedder.validation_loss_curve_ == []
    assert embedder.best_epoch_ == np.argmin(embedder.loss_curve_)


def test_ctrl_c_keeps_the_best_epoch(monkeypatch, fitted, digits):
    """The training of hours is not lost."""
    _fail_after(monkeypatch, 2, KeyboardInterrupt())
    embedder = clone(fitted).set_params(max_epochs=3)

    with pytest.warns(UserWarning, match="interrupted after 2 of 3 epochs") as caught:
        embedder.fit(digits)

    assert [each.filename for each in caught] == [__file__] * 2  # and few images
    assert embedder.n_iter_ == 2
    assert embedder.loss_curve_ == fitted.loss_curve_[:2]
    assert np.isfinite(embedder.transform(digits)).all()


def test_ctrl_c_in_the_first_epoch_is_raised(monkeypatch, digits):
    """There are no weights to keep."""
    _fail_after(monkeypatch, 0, KeyboardInterrupt())
    embedder = make_autoencoder()

    with pytest.raises(KeyboardInterrupt):
        embedder.fit(digits)
    with pytest.raises(NotFittedError):
        embedder.transform(digits)


def test_an_interrupted_fit_resumes_to_the_same_result(
    monkeypatch, fitted, digits, tmp_path
):
    """The checkpoint is deleted when training ends."""
    embedder = clone(fitted).set_params(checkpoint_dir=tmp_path)
    _interrupt(monkeypatch, embedder, digits, n_epochs=2)
    assert len(list(tmp_path.iterdir())) == 1

    resumed = clone(embedder).fit(digits)

    assert not list(tmp_path.iterdir())
    _assert_same_weights(resumed, fitted)
    assert resumed.loss_curve_ == fitted.loss_curve_


def test_an_interrupted_fit_without_a_seed_resumes_with_the_seed_it_drew(
    monkeypatch, digits, tmp_path
):
    """The seed is part of the checkpoint."""
    embedder = make_autoencoder(color="gray", random_state=None)
    # scikit-learn draws the seed from this generator if random_state is None.
    state = np.random.get_state()  # noqa: NPY002  # no other generator is used
    expected = clone(embedder).fit(digits)
    embedder.set_params(checkpoint_dir=tmp_path)
    np.random.set_state(state)  # noqa: NPY002  # no other generator is used
    _interrupt(monkeypatch, embedder, digits)

    embedder.fit(digits)

    _assert_same_weights(embedder, expected)


def test_ctrl_c_leaves_the_checkpoint(monkeypatch, fitted, digits, tmp_path):
    """The user may look at intermediate results and resume."""
    embedder = clone(fitted).set_params(checkpoint_dir=tmp_path)
    with monkeypatch.context() as patch:
        _fail_after(patch, 1, KeyboardInterrupt())
        with pytest.warns(UserWarning, match="interrupted"):
            embedder.fit(digits)

    embedder.fit(digits)

    _assert_same_weights(embedder, fitted)


def test_other_images_or_parameters_have_other_checkpoints(
    monkeypatch, fitted, digits, tmp_path
):
    """A grid search may save all of them in one folder."""
    embedder = clone(fitted).set_params(checkpoint_dir=tmp_path)
    irrelevant = {"verbose": 1, "n_jobs": 2, "rescale": False, "normalize": "l2"}
    for other, images in (
        (embedder, digits),
        (embedder, digits[::-1]),
        (clone(embedder).set_params(latent_dim=5), digits),
        (clone(embedder).set_params(random_state=7), digits),
        (clone(embedder).set_params(**irrelevant), digits),
    ):
        _interrupt(monkeypatch, other, images)

    assert len(list(tmp_path.iterdir())) == 4


def test_a_checkpoint_is_found_by_equal_values_of_other_types(
    monkeypatch, fitted, digits, tmp_path
):
    """Lists equal tuples and numpy numbers equal Python numbers; other seeds differ."""
    embedder = clone(fitted).set_params(checkpoint_dir=tmp_path)
    _interrupt(monkeypatch, embedder, digits)

    other = clone(embedder).set_params(
        channels=[8, np.int64(16)],
        batch_size=np.int64(64),
        random_state=np.random.RandomState(0),
    )
    another = clone(other).set_params(random_state=np.random.RandomState(1))

    another.fit(digits)
    assert len(list(tmp_path.iterdir())) == 1
    _assert_same_weights(other.fit(digits), fitted)
    assert not list(tmp_path.iterdir())


def test_a_resumed_run_does_not_exceed_early_stopping(monkeypatch, digits, tmp_path):
    """The process may die after the last epoch, before the checkpoint is deleted."""
    embedder = make_autoencoder(
        learning_rate=1e-30, max_epochs=20, patience=2, checkpoint_dir=tmp_path
    )
    with monkeypatch.context() as patch:
        patch.setattr(TrainingCheckpoint, "remove", lambda self: None)
        embedder.fit(digits)

    assert embedder.fit(digits).n_iter_ == 3


def test_a_checkpoint_dir_that_is_a_file_is_refused(digits, tmp_path):
    """The error is raised before the first epoch."""
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(ValueError, match=r"checkpoint_dir=.* is not a folder"):
        make_autoencoder(checkpoint_dir=tmp_path / "file").fit(digits)


def test_a_loss_that_is_not_finite_is_an_error(digits):
    """The message names the epoch and the remedy."""
    embedder = make_autoencoder(learning_rate=1e30, precision="bfloat16")

    message = r"epoch [12] .* Lower learning_rate=1e\+30 or set precision='float32'"
    with pytest.raises(ValueError, match=message):
        embedder.fit(digits)
    with pytest.raises(NotFittedError):
        embedder.transform(digits)


def test_partial_fit_continues_after_pickling(digits):
    """The pickle contains the state of the optimizer."""
    embedder = make_autoencoder(color="gray")
    for _ in range(2):
        embedder.partial_fit(digits)
    copy = _copy(embedder)

    embedder.partial_fit(digits)
    copy.partial_fit(digits)

    assert len(embedder.loss_curve_) == embedder.n_iter_ == 3
    assert embedder.loss_curve_[-1] < embedder.loss_curve_[0]
    _assert_same_weights(copy, embedder)


def test_partial_fit_continues_after_fit(fitted, digits):
    """It trains the network that `fit` has trained."""
    embedder = _copy(fitted)

    embedder.partial_fit(digits)

    assert embedder.loss_curve_[0] < fitted.loss_curve_[0]
    assert embedder.augment_ == fitted.augment_


def test_partial_fit_keeps_the_last_weights_and_its_own_curve(digits):
    """A caller may modify `loss_curve_` without an effect on training."""
    embedder = make_autoencoder(color="gray").partial_fit(digits)
    copy = _copy(embedder)

    embedder.loss_curve_.clear()
    embedder.partial_fit(digits)

    assert embedder.best_epoch_ == 1
    _assert_same_weights(embedder, copy.partial_fit(digits))


def test_partial_fit_validates_parameters_in_every_call(digits):
    """scikit-learn itself validates them in the first call only."""
    embedder = make_autoencoder().partial_fit(digits)

    with pytest.raises(ValueError, match="The 'loss' parameter"):
        embedder.set_params(loss="huber").partial_fit(digits)


def test_partial_fit_with_few_images_keeps_the_axes(fitted, digits):
    """The statistics of three images are not reliable."""
    embedder = _copy(fitted).partial_fit(digits[:3])

    assert_array_equal(_weights(embedder)["axes"], _weights(fitted)["axes"])
    embedder.partial_fit(digits)
    assert (_weights(embedder)["axes"] != _weights(fitted)["axes"]).any()


def test_a_second_fit_forgets_the_first_unless_warm_start(fitted, digits):
    """Neither `fit` nor `partial_fit` before it has an effect on a new `fit`."""
    embedder = clone(fitted).partial_fit(digits[::-1])
    _assert_same_weights(embedder.fit(digits), fitted)

    embedder.set_params(warm_start=True).fit(digits)

    assert embedder.loss_curve_[0] < fitted.loss_curve_[0]


def test_warm_start_with_another_architecture_is_an_error(fitted, digits):
    """The message shows both architectures, and the fitted network is kept."""
    embedder = _copy(fitted).set_params(warm_start=True, latent_dim=9)

    with pytest.raises(ValueError, match=r"require .*latent_dim=9.* is .*latent_dim=6"):
        embedder.fit(digits)
    assert embedder.transform(digits).shape == (50, 6)


def test_a_failed_fit_leaves_the_fitted_state(fitted):
    """All attributes are set together at the end."""
    embedder = _copy(fitted)

    with pytest.raises(ImageReadError):
        embedder.fit(["missing.jpg"])

    assert embedder.failures_ == []
    _assert_same_weights(embedder, fitted)


def test_unreadable_images_are_left_out(fitted, digits):
    """Every method warns once, and `failures_` lists the images."""
    embedder = clone(fitted).set_params(on_error="nan")
    sources = [*digits[:20], "missing.jpg", *digits[20:]]

    with pytest.warns(ImageReadWarning, match="1 of 51 .* not used for training"):
        embedder.fit(sources)
    with pytest.warns(ImageReadWarning, match="1 of 51 .* are black"):
        images = embedder.reconstruct(sources)
    with pytest.warns(ImageReadWarning, match="1 of 51 .* errors are NaN"):
        errors = embedder.reconstruction_errors(sources)

    assert [failure.row for failure in embedder.failures_] == [20]
    _assert_same_weights(embedder, fitted)
    assert not images[20].any()
    assert_array_equal(np.flatnonzero(np.isnan(errors)), [20])
    with pytest.warns(ImageReadWarning, match="1 of 51 .* left out of the score"):
        score = embedder.score(sources)
    assert score == pytest.approx(fitted.score(digits))


def test_an_unreadable_image_raises_by_default(fitted):
    """Every method that reads images names the file."""
    for method in ("fit", "partial_fit", "reconstruct", "score"):
        with pytest.raises(ImageReadError, match=r"missing\.jpg"):
            getattr(clone(fitted) if "fit" in method else fitted, method)(
                ["missing.jpg"]
            )


def test_a_collection_without_readable_images_is_an_error():
    """A network cannot be trained without images."""
    with pytest.raises(ValueError, match=r"none of the 2 images could be .*a\.jpg"):
        make_autoencoder(on_error="nan").fit(["a.jpg", "b.jpg"])


def test_the_score_without_readable_images_is_nan(fitted):
    """The warning of numpy about an empty mean does not appear."""
    embedder = _copy(fitted).set_params(on_error="nan")

    with pytest.warns(ImageReadWarning) as caught:
        score = embedder.score(["missing.jpg"])

    assert np.isnan(score)
    assert len(caught) == 1


def test_warnings_point_at_the_line_of_the_caller(monkeypatch, fitted, digits):
    """Each call warns once."""
    embedder = clone(fitted).set_params(on_error="nan", max_epochs=2)
    sources = [*digits, "missing.jpg"]
    for method in ("fit", "partial_fit", "fit_transform", "transform", "score"):
        with pytest.warns(ImageReadWarning) as caught:
            getattr(embedder, method)(sources)
        kinds = [UserWarning] * method.startswith("fit") + [ImageReadWarning]
        assert [each.category for each in caught] == kinds
        assert {each.filename for each in caught} == {__file__}
    _fail_after(monkeypatch, 1, KeyboardInterrupt())
    with pytest.warns(UserWarning, match="interrupted") as caught:
        embedder.fit_transform(digits)
    assert [each.filename for each in caught] == [__file__] * 2


@pytest.mark.parametrize(
    "method", ["transform", "reconstruct", "reconstruction_errors", "score"]
)
def test_methods_require_a_fitted_embedder(digits, method):
    """Unlike a pretrained embedder, this one must be fitted."""
    with pytest.raises(NotFittedError):
        getattr(make_autoencoder(), method)(digits)
    with pytest.raises(NotFittedError):
        make_autoencoder().inverse_transform(np.zeros((1, 6)))
    assert get_tags(make_autoencoder()).requires_fit


def test_a_copy_of_the_network_on_a_device_is_kept_up_to_date(fitted, digits):
    """The device "cpu:0" stands for any device other than "cpu"."""
    embedder = _copy(fitted).set_params(device="cpu:0")
    for _ in range(2):
        assert_allclose(embedder.transform(digits), fitted.transform(digits), atol=1e-5)

    embedder.partial_fit(digits)

    expected = _copy(embedder).set_params(device="cpu").transform(digits)
    assert_allclose(embedder.transform(digits), expected, atol=1e-5)
    assert not np.allclose(expected, fitted.transform(digits), atol=1e-2)


def test_pickles_leave_out_the_copy_on_a_device(fitted, digits):
    """A machine without that device could not load it."""
    embedder = _copy(fitted).set_params(device="cpu:0")
    n_bytes = len(pickle.dumps(embedder))

    embedder.transform(digits)

    assert len(pickle.dumps(embedder)) < 1.01 * n_bytes
    expected = fitted.transform(digits)
    assert_allclose(_copy(embedder).transform(digits), expected, atol=1e-5)


def test_a_cache_distinguishes_networks(fitted, digits, tmp_path):
    """Embeddings of another training must not be returned."""
    cache = tmp_path / "rows.sqlite"
    first = _copy(fitted).set_params(cache=cache)
    second = clone(first).set_params(random_state=3).fit(digits)

    for embedder in (first, second, first):
        expected = _copy(embedder).set_params(cache=None)
        assert_array_equal(embedder.transform(digits), expected.transform(digits))


def test_grid_search_selects_by_the_reconstruction_error(digits):
    """More latent dimensions give a smaller error."""
    search = GridSearchCV(
        make_autoencoder(color="gray", init="pca", augment=None, max_epochs=1),
        {"latent_dim": [1, 12]},
        cv=2,
    )

    search.fit(digits)

    assert search.best_params_ == {"latent_dim": 12}


def test_pipelines_with_an_index_and_a_clusterer(digits):
    """The embedder is a transformer like any other."""
    embedder = make_autoencoder(color="gray", max_epochs=1)
    index = make_pipeline(embedder, SimilarityIndex(n_neighbors=3)).fit(digits)
    clusterer = make_pipeline(clone(embedder), ImageClusterer(4, random_state=0))

    _, ids = index[-1].search(index[:-1].transform(digits[7:8]), n_neighbors=1)

    assert list(ids[0]) == [7]
    assert len(set(clusterer.fit_predict(digits))) == 4


def test_progress_is_shown_on_request(digits, capsys):
    """A library is silent by default."""
    make_autoencoder().fit(digits)
    assert capsys.readouterr() == ("", "")

    make_autoencoder(verbose=1).fit(digits)

    output = capsys.readouterr().err
    assert "2/2" in output
    assert "validation_loss=" in output
