"""Tests of learning to give images back, beside the contract of all embedders."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest
from conftest import make_autoencoder
from numpy.testing import assert_allclose, assert_array_equal
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
)
from imgsim.datasets import load_digit_images
from imgsim.embedding.autoencoder import _fit_autoencoder
from imgsim.embedding.autoencoder._trainer import Training
from imgsim.embedding.autoencoder._training_checkpoint import TrainingCheckpoint
from imgsim.exceptions import ImageReadError, ImageReadWarning
from imgsim.images import ImageStream
from imgsim.metrics import average_precision_at_k


@pytest.fixture(scope="module")
def digits():
    """Return fifty grey pictures of 16 by 16."""
    return load_digit_images(n_per_class=5, size=16).images


@pytest.fixture(scope="module")
def learned(digits):
    """Return an embedder that has learned the digits; not to be changed."""
    return make_autoencoder(color="gray", max_epochs=3).fit(digits)


def _weights(embedder):
    return {
        name: value.numpy()
        for name, value in embedder.autoencoder_.state_dict().items()
    }


def _assert_same_weights(first, second):
    for name, value in _weights(first).items():
        assert_array_equal(value, _weights(second)[name], err_msg=name)


def _stop_after(monkeypatch, n_epochs, error):
    """Let training be hit by an error when so many epochs are done."""
    run, numbers = Training.run_epoch, count()

    def run_or_stop(self, *args):
        if next(numbers) == n_epochs:
            raise error
        run(self, *args)

    monkeypatch.setattr(Training, "run_epoch", run_or_stop)


def test_training_lowers_both_losses(learned):
    """Of images learned, and of those held back; the best epoch is kept."""
    assert learned.n_iter_ == len(learned.loss_curve_) == 3
    assert learned.loss_curve_[-1] < learned.loss_curve_[0]
    assert len(learned.validation_loss_curve_) == 3
    assert learned.best_epoch_ == np.argmin(learned.validation_loss_curve_)


def test_it_begins_as_principal_components(digits):
    """Whose error is known; almost no step is taken from there."""
    pixels = digits.reshape(50, -1) / 255
    pca = PCA(6).fit(pixels)
    back = pca.inverse_transform(pca.transform(pixels)).clip(0, 1)
    expected = np.square(back - pixels).mean(axis=1)

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


def test_rows_of_digits_find_digits_better_than_principal_components():
    """In two epochs, with the defaults; what the guide's table shows in full."""
    digits = load_digit_images()
    pixels = digits.images.reshape(len(digits.images), -1) / 255.0

    embedder = AutoencoderEmbedder(
        32, image_size=32, color="gray", max_epochs=2, random_state=0, device="cpu"
    )
    X = embedder.fit_transform(digits.images)

    def mean_average_precision(rows):
        n_others = len(rows) - 1
        _, nearest = SimilarityIndex(n_neighbors=n_others).fit(rows).kneighbors()
        relevance = digits.target[nearest] == digits.target[:, None]
        return average_precision_at_k(relevance, relevance.sum(axis=1))

    assert embedder.augment_ == "warp"
    linear = mean_average_precision(PCA(32, random_state=0).fit_transform(pixels))
    assert mean_average_precision(X) > linear + 0.05


def test_photographs_held_back_come_back_better_than_from_components(test_data):
    """At the same width, from the same pixels."""
    paths = load_image_folder(test_data / "data/animals").paths[::2]
    learned, others = paths[::2] + paths[1::4], paths[3::4]
    embedder = AutoencoderEmbedder(
        64, image_size=32, max_epochs=4, random_state=0, device="cpu"
    ).fit(learned)

    def pixels(paths):
        stream = ImageStream(paths, transform=embedder._image_transform())
        images = [image for batch in stream for image in batch.images]
        return np.stack(images).reshape(len(images), -1) / 255.0

    pca = PCA(64, random_state=0).fit(pixels(learned))
    back = pca.inverse_transform(pca.transform(pixels(others))).clip(0, 1)
    linear = np.square(back - pixels(others)).mean()

    assert embedder.augment_ == "mirror"
    assert -embedder.score(others) < 0.99 * linear


def test_reconstructing_is_embedding_and_back(learned, digits):
    """`reconstruct` is `inverse_transform` after `transform`."""
    images = learned.reconstruct(digits)

    assert images.shape == (50, 16, 16, 3)
    assert images.dtype == np.uint8
    assert_array_equal(images, learned.inverse_transform(learned.transform(digits)))
    assert (images[..., 0] == images[..., 1]).all()


def test_errors_are_those_of_the_reconstructions(learned, digits):
    """Mean squared, of pixels in [0, 1], but for rounding to 8 bits."""
    images = learned.reconstruct(digits)[..., 0] / 255
    by_hand = np.square(images - digits / 255).mean(axis=(1, 2))

    errors = learned.reconstruction_errors(digits)

    assert_allclose(errors, by_hand, atol=2e-4)
    assert learned.score(digits) == pytest.approx(-errors.mean())


def test_a_stranger_comes_back_worse_than_what_was_learned(learned, digits):
    """So that the error finds outliers."""
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (16, 8))

    errors = learned.reconstruction_errors([*digits, stripes])

    assert errors.argmax() == 50


def test_equal_seeds_give_equal_weights(learned, digits):
    """And others do not; nothing else in the process is touched."""
    torch = pytest.importorskip("torch")
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        again = clone(learned).fit(digits)
    finally:
        torch.set_default_dtype(dtype)
    other = clone(learned).set_params(random_state=1).fit(digits)

    _assert_same_weights(again, learned)
    assert other.loss_curve_ != learned.loss_curve_
    assert torch.equal(torch.get_rng_state(), state)


def test_images_read_anew_teach_the_same(learned, digits, tmp_path):
    """Where they do not fit into memory, files are read in every epoch."""
    with config_context(working_memory=0):
        streamed = clone(learned).set_params(n_jobs=3).fit(list(digits))

    _assert_same_weights(streamed, learned)


@pytest.mark.parametrize("n_images", [1, 2, 3, 25])
@pytest.mark.parametrize("init", ["pca", "random"])
def test_few_images_are_no_problem(digits, n_images, init):
    """One, fewer than a batch, fewer than the row is wide; no warning either."""
    embedder = make_autoencoder(init=init, batch_size=20).fit(digits[:n_images])

    assert np.isfinite(embedder.transform(digits)).all()


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("color", ["rgb", "gray"])
def test_constant_images_are_no_problem(value, color):
    """Nothing varies, so that nothing can be scaled by how it varies."""
    images = np.full((30, 20, 20), value, dtype=np.uint8)

    embedder = make_autoencoder(color=color).fit(images)

    assert np.isfinite(embedder.transform(images)).all()
    assert np.abs(embedder.reconstruct(images).astype(int) - value).max() <= 3


@pytest.mark.parametrize("size", [8, 13, 20, 33, 70])
def test_images_of_any_size(pictures, size):
    """Also where halving leaves half a pixel."""
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
def test_every_way_to_learn_learns(digits, parameters):
    """The loss falls, and rows differ."""
    parameters = {"init": "random", **parameters}
    embedder = make_autoencoder(color="gray", max_epochs=4, **parameters).fit(digits)

    assert embedder.loss_curve_[-1] < embedder.loss_curve_[0]
    assert embedder.transform(digits).std(axis=0).min() > 0
    assert embedder.augment_ == parameters.get("augment", "warp")


def test_rescaling_changes_rows_but_no_reconstruction(learned, digits):
    """It is a change of axes, undone before decoding."""
    plain = clone(learned).set_params(rescale=False).fit(digits)

    difference = plain.reconstruct(digits).astype(int) - learned.reconstruct(digits)
    assert np.abs(difference).max() <= 1
    assert not np.allclose(plain.transform(digits), learned.transform(digits))


def test_training_ends_when_nothing_is_gained(digits):
    """After `patience` epochs; steps are too small to change a weight."""
    embedder = make_autoencoder(learning_rate=1e-30, max_epochs=20, patience=2)

    embedder.fit(digits)

    assert embedder.n_iter_ == 3
    assert embedder.best_epoch_ == 0


def test_without_early_stopping_all_images_are_learned(digits):
    """And the loss of training tells the best epoch."""
    embedder = make_autoencoder(early_stopping=False, max_epochs=3).fit(digits)

    assert embedder.validation_loss_curve_ == []
    assert embedder.best_epoch_ == np.argmin(embedder.loss_curve_)


def test_ctrl_c_keeps_the_best_epoch(monkeypatch, learned, digits):
    """What took hours is not lost, and the caller is told."""
    _stop_after(monkeypatch, 2, KeyboardInterrupt())
    embedder = clone(learned).set_params(max_epochs=3)

    with pytest.warns(UserWarning, match="interrupted after 2 of 3 epochs") as caught:
        embedder.fit(digits)

    assert caught[0].filename == __file__
    assert embedder.n_iter_ == 2
    assert embedder.loss_curve_ == learned.loss_curve_[:2]
    assert np.isfinite(embedder.transform(digits)).all()


def test_ctrl_c_before_the_first_epoch_is_ctrl_c(monkeypatch, digits):
    """There is nothing to keep."""
    _stop_after(monkeypatch, 0, KeyboardInterrupt())
    embedder = make_autoencoder()

    with pytest.raises(KeyboardInterrupt):
        embedder.fit(digits)
    with pytest.raises(NotFittedError):
        embedder.transform(digits)


@pytest.mark.parametrize("seed", [0, None])
def test_an_interrupted_fit_goes_on_to_the_same_result(
    monkeypatch, learned, digits, tmp_path, seed
):
    """With `checkpoint_dir`; the file is gone when it is finished."""
    embedder = clone(learned).set_params(checkpoint_dir=tmp_path, random_state=seed)
    with monkeypatch.context() as patch:
        _stop_after(patch, 2, RuntimeError("power failure"))
        with pytest.raises(RuntimeError, match="power failure"):
            embedder.fit(digits)
    [checkpoint] = tmp_path.iterdir()
    drawn = pytest.importorskip("torch").load(checkpoint, weights_only=True)["seed"]

    resumed = clone(embedder).fit(digits)

    assert not list(tmp_path.iterdir())
    if seed is None:
        monkeypatch.setattr(_fit_autoencoder, "_drawn_seed", lambda embedder: drawn)
        learned = clone(learned).fit(digits)
    _assert_same_weights(resumed, learned)
    assert resumed.loss_curve_ == learned.loss_curve_


def test_ctrl_c_leaves_the_checkpoint(monkeypatch, learned, digits, tmp_path):
    """So that one may go on after having looked."""
    embedder = clone(learned).set_params(checkpoint_dir=tmp_path)
    with monkeypatch.context() as patch:
        _stop_after(patch, 1, KeyboardInterrupt())
        with pytest.warns(UserWarning, match="interrupted"):
            embedder.fit(digits)

    embedder.fit(digits)

    _assert_same_weights(embedder, learned)


def test_other_images_or_parameters_have_other_checkpoints(
    monkeypatch, learned, digits, tmp_path
):
    """A grid search may keep all of them in one folder."""
    embedder = clone(learned).set_params(checkpoint_dir=tmp_path)
    for other, images in (
        (embedder, digits),
        (embedder, digits[::-1]),
        (clone(embedder).set_params(latent_dim=5), digits),
        (clone(embedder).set_params(random_state=7), digits),
        (clone(embedder).set_params(verbose=1, n_jobs=2, rescale=False), digits),
    ):
        with monkeypatch.context() as patch:
            _stop_after(patch, 1, RuntimeError("power failure"))
            with pytest.raises(RuntimeError):
                other.fit(images)

    assert len(list(tmp_path.iterdir())) == 4


def test_a_loss_that_is_not_finite_names_epoch_and_remedy(digits):
    """Not a network of NaN."""
    embedder = make_autoencoder(learning_rate=1e30, precision="bfloat16")

    with pytest.raises(ValueError, match=r"epoch [12]; lower learning_rate=1e\+30 or"):
        embedder.fit(digits)
    with pytest.raises(NotFittedError):
        embedder.transform(digits)


def test_partial_fit_learns_more_with_every_call(digits):
    """And goes on from a pickle as if it had not been away."""
    embedder = make_autoencoder(color="gray")
    for _ in range(3):
        embedder.partial_fit(digits)
    copy = pickle.loads(pickle.dumps(embedder))

    embedder.partial_fit(digits)
    copy.partial_fit(digits)

    assert len(embedder.loss_curve_) == embedder.n_iter_ == 4
    assert embedder.loss_curve_[-1] < embedder.loss_curve_[0]
    _assert_same_weights(copy, embedder)


def test_partial_fit_goes_on_after_fit(learned, digits):
    """With the network that `fit` has learned."""
    embedder = pickle.loads(pickle.dumps(learned))

    embedder.partial_fit(digits)

    assert embedder.loss_curve_[0] < learned.loss_curve_[0]
    assert embedder.augment_ == learned.augment_


def test_a_second_fit_forgets_the_first(learned, digits):
    """Unless told otherwise by `warm_start`."""
    embedder = make_autoencoder(color="gray", max_epochs=3).fit(digits[::-1])
    _assert_same_weights(clone(embedder).fit(digits), learned)
    _assert_same_weights(embedder.partial_fit(digits).fit(digits), learned)

    embedder.set_params(warm_start=True).fit(digits)

    assert embedder.loss_curve_[0] < learned.loss_curve_[0]


def test_warm_start_tells_what_does_not_fit(learned, digits):
    """Another network cannot go on."""
    embedder = pickle.loads(pickle.dumps(learned))
    embedder.set_params(warm_start=True, latent_dim=9)

    with pytest.raises(ValueError, match=r"latent_dim=6.*ask for.*latent_dim=9"):
        embedder.fit(digits)
    assert embedder.transform(digits).shape == (50, 6)


def test_pickles_leave_out_the_copy_on_a_device(learned, digits):
    """A machine without that device could not load it."""
    embedder = pickle.loads(pickle.dumps(learned))
    embedder._copy_on_device = lambda: "cannot be pickled"

    copy = pickle.loads(pickle.dumps(embedder))

    assert_array_equal(copy.transform(digits), learned.transform(digits))


def test_unreadable_images_are_left_out(learned, digits):
    """Of training as of what comes back; each is told once."""
    embedder = clone(learned).set_params(on_error="nan")
    sources = [*digits[:20], "missing.jpg", *digits[20:]]

    with pytest.warns(ImageReadWarning, match="1 of 51 .* were not learned") as caught:
        embedder.fit(sources)
    with pytest.warns(ImageReadWarning, match="1 of 51 .* are black"):
        images = embedder.reconstruct(sources)
    with pytest.warns(ImageReadWarning, match="1 of 51 .* errors are NaN"):
        errors = embedder.reconstruction_errors(sources)

    assert caught[0].filename == __file__
    assert [failure.row for failure in embedder.failures_] == [20]
    _assert_same_weights(embedder, learned)
    assert not images[20].any()
    assert_array_equal(np.flatnonzero(np.isnan(errors)), [20])
    with pytest.warns(ImageReadWarning):
        score = embedder.score(sources)
    assert score == pytest.approx(learned.score(digits))


def test_an_unreadable_image_raises_by_default(learned):
    """From every method that reads."""
    for method in ("fit", "partial_fit", "reconstruct", "score"):
        with pytest.raises(ImageReadError, match=r"missing\.jpg"):
            getattr(clone(learned) if "fit" in method else learned, method)(
                ["missing.jpg"]
            )


def test_nothing_readable_is_an_error():
    """There is nothing to learn from."""
    with pytest.raises(ValueError, match=r"none of 2 images could be read.*a\.jpg"):
        make_autoencoder(on_error="nan").fit(["a.jpg", "b.jpg"])


def test_rows_of_nan_turn_black(learned, digits):
    """They stand for unreadable images."""
    rows = learned.transform(digits[:3])
    rows[1] = np.nan

    images = learned.inverse_transform(rows)

    assert not images[1].any()
    assert_array_equal(images[[0, 2]], learned.reconstruct(digits[[0, 2]]))


def test_rows_that_cannot_be_turned_back_are_refused(learned, digits):
    """With the reason, and the way out."""
    with pytest.raises(ValueError, match=r"X has 5 columns; rows .* have 6"):
        learned.inverse_transform(np.zeros((2, 5)))
    unit = pickle.loads(pickle.dumps(learned)).set_params(normalize="l2")
    with pytest.raises(ValueError, match="set normalize=None, or use"):
        unit.inverse_transform(unit.transform(digits))
    assert_array_equal(unit.reconstruct(digits), learned.reconstruct(digits))


@pytest.mark.parametrize(
    "method", ["transform", "reconstruct", "reconstruction_errors", "score"]
)
def test_nothing_works_before_fit(digits, method):
    """As of any estimator that learns."""
    with pytest.raises(NotFittedError):
        getattr(make_autoencoder(), method)(digits)
    with pytest.raises(NotFittedError):
        make_autoencoder().inverse_transform(np.zeros((1, 6)))
    assert get_tags(make_autoencoder()).requires_fit


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"channels": ()}, r"channels=\(\) must be one or more positive integers"),
        ({"channels": (8, 0)}, r"channels=\(8, 0\) must be"),
        ({"channels": (8, 2.5)}, r"channels=\(8, 2\.5\) must be"),
        ({"channels": (4,) * 5}, "image_size=16 allows at most 4"),
        ({"latent_dim": 0}, "The 'latent_dim' parameter"),
        ({"image_size": 4}, "The 'image_size' parameter"),
        ({"mask_ratio": 1.0}, "The 'mask_ratio' parameter"),
        ({"precision": "float16"}, "The 'precision' parameter"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"augment": "spin"}, "The 'augment' parameter"),
    ],
    ids=str,
)
def test_bad_parameters_name_themselves(digits, parameters, message):
    """With the value, and what may stand there."""
    embedder = make_autoencoder().set_params(**parameters)

    with pytest.raises(ValueError, match=message):
        embedder.fit(digits)


def test_parameters_changed_after_fit_wait_for_the_next(learned, digits):
    """What was learned stays as it is."""
    embedder = pickle.loads(pickle.dumps(learned))
    embedder.set_params(latent_dim=9, image_size=32, channels=(4,), color="rgb")

    assert_array_equal(embedder.transform(digits), learned.transform(digits))
    assert embedder.reconstruct(digits[:2]).shape == (2, 16, 16, 3)


def test_a_cache_tells_networks_apart(learned, digits, tmp_path):
    """Rows of another training must not be taken for these."""
    cache = tmp_path / "rows.sqlite"
    first = pickle.loads(pickle.dumps(learned)).set_params(cache=cache)
    second = clone(first).set_params(random_state=3).fit(digits)

    for embedder in (first, second, first):
        expected = pickle.loads(pickle.dumps(embedder)).set_params(cache=None)
        assert_array_equal(embedder.transform(digits), expected.transform(digits))


def test_it_is_searched_by_its_score(digits):
    """More numbers a row give more of the image back."""
    search = GridSearchCV(
        make_autoencoder(color="gray", init="pca", augment=None),
        {"latent_dim": [1, 12]},
        cv=2,
    )

    search.fit(digits)

    assert search.best_params_ == {"latent_dim": 12}


def test_it_stands_before_an_index_and_a_clusterer(digits):
    """As every embedder does."""
    embedder = make_autoencoder(color="gray")
    index = make_pipeline(embedder, SimilarityIndex(n_neighbors=3)).fit(digits)
    groups = make_pipeline(clone(embedder), ImageClusterer(4, random_state=0))

    _, ids = index[-1].search(index[:-1].transform(digits[7:8]), n_neighbors=1)

    assert list(ids[0]) == [7]
    assert len(set(groups.fit_predict(digits))) == 4


def test_training_shows_its_progress_if_asked(digits, capsys):
    """Epochs and losses; a library is silent by default."""
    make_autoencoder().fit(digits)
    assert capsys.readouterr() == ("", "")

    make_autoencoder(verbose=1).fit(digits)

    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert "held_back=" in shown


def test_fits_in_threads_give_equal_weights(digits):
    """Though torch draws weights from one generator for the whole process."""
    embedder = make_autoencoder(color="gray", max_epochs=1, channels=(16, 32))
    expected = clone(embedder).fit(digits)

    with ThreadPoolExecutor(4) as pool:
        fitted = list(pool.map(lambda _: clone(embedder).fit(digits), range(8)))

    for each in fitted:
        _assert_same_weights(each, expected)


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_it_learns_where_gradients_are_switched_off(learned, digits, mode):
    """As in a program that only predicts otherwise."""
    torch = pytest.importorskip("torch")

    with getattr(torch, mode)():
        embedder = clone(learned).fit(digits)
        partial = make_autoencoder(color="gray").partial_fit(digits)
        partial.partial_fit(digits)

    _assert_same_weights(embedder, learned)
    assert partial.loss_curve_[1] < partial.loss_curve_[0]


@pytest.mark.parametrize(
    "parameters",
    [{"augment": "mirror+warp"}, {"mask_ratio": 0.2, "noise_std": 0.2}],
    ids=str,
)
def test_the_default_dtype_changes_nothing(digits, parameters):
    """Nor does any change that is drawn at random."""
    torch = pytest.importorskip("torch")
    embedder = make_autoencoder(color="gray", **parameters)
    expected = clone(embedder).fit(digits)

    torch.set_default_dtype(torch.float64)
    try:
        found = clone(embedder).fit(digits)
    finally:
        torch.set_default_dtype(torch.float32)

    _assert_same_weights(found, expected)


def test_one_step_is_a_step(digits):
    """Even the only one of a training has a learning rate."""
    slow, fast = (
        make_autoencoder(max_epochs=1, learning_rate=rate, early_stopping=False)
        for rate in (1e-9, 1e-2)
    )

    slow.fit(digits[:20])
    fast.fit(digits[:20])

    before, after = (_weights(e)["to_code.weight"] for e in (slow, fast))
    assert np.abs(after - before).max() > 1e-3


@pytest.mark.parametrize("batch_size", [44, 45])
def test_a_last_batch_of_one_image_does_no_harm(digits, batch_size):
    """It has no variance that a contractive penalty could be measured by."""
    embedder = make_autoencoder(
        color="gray", penalty="contractive", batch_size=batch_size, init="random"
    )

    embedder.fit(digits)

    assert max(embedder.loss_curve_) < 5


def test_partial_fit_checks_parameters_every_time(digits):
    """Also those set after the first call."""
    embedder = make_autoencoder().partial_fit(digits)

    with pytest.raises(ValueError, match="The 'loss' parameter"):
        embedder.set_params(loss="huber").partial_fit(digits)


def test_partial_fit_keeps_the_last_weights_and_its_own_curve(digits):
    """What a caller does with the curve changes no training."""
    embedder = make_autoencoder(color="gray").partial_fit(digits).partial_fit(digits)
    copy = pickle.loads(pickle.dumps(embedder))

    embedder.loss_curve_.clear()
    embedder.partial_fit(digits)

    assert embedder.best_epoch_ == 2
    _assert_same_weights(embedder, copy.partial_fit(digits))


def test_a_few_more_images_leave_the_axes_of_rows(learned, digits):
    """They would be found by too little."""
    embedder = pickle.loads(pickle.dumps(learned)).partial_fit(digits[:3])

    assert_array_equal(_weights(embedder)["axes"], _weights(learned)["axes"])
    embedder.partial_fit(digits)
    assert (_weights(embedder)["axes"] != _weights(learned)["axes"]).any()


def test_rescaling_can_be_given_up(learned, digits):
    """By a fit that goes on from a rescaled network."""
    embedder = pickle.loads(pickle.dumps(learned))
    embedder.set_params(warm_start=True, rescale=False).fit(digits)

    assert_array_equal(_weights(embedder)["axes"], np.eye(6))


def test_a_checkpoint_is_found_however_parameters_are_spelled(
    monkeypatch, learned, digits, tmp_path
):
    """Lists or tuples, numbers of numpy or of Python; but not of another seed."""
    with monkeypatch.context() as patch:
        _stop_after(patch, 1, RuntimeError("power failure"))
        with pytest.raises(RuntimeError):
            clone(learned).set_params(checkpoint_dir=tmp_path).fit(digits)

    other = clone(learned).set_params(
        checkpoint_dir=tmp_path,
        channels=[8, np.int64(16)],
        batch_size=np.int64(64),
        random_state=np.random.RandomState(0),
    )
    another = clone(other).set_params(random_state=np.random.RandomState(1))

    another.fit(digits)
    assert len(list(tmp_path.iterdir())) == 1
    _assert_same_weights(other.fit(digits), learned)
    assert not list(tmp_path.iterdir())


def test_an_early_end_is_not_trained_beyond(monkeypatch, digits, tmp_path):
    """If the process dies after the last epoch, and before the file is removed."""
    embedder = make_autoencoder(
        learning_rate=1e-30, max_epochs=20, patience=2, checkpoint_dir=tmp_path
    )
    with monkeypatch.context() as patch:
        patch.setattr(TrainingCheckpoint, "remove", lambda self: None)
        embedder.fit(digits)

    assert embedder.fit(digits).n_iter_ == 3


def test_a_checkpoint_dir_that_is_a_file_is_told_first(digits, tmp_path):
    """Not after the first epoch."""
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(ValueError, match=r"checkpoint_dir=.* is no folder"):
        make_autoencoder(checkpoint_dir=tmp_path / "file").fit(digits)


def test_bad_parameters_are_told_before_images_are_read():
    """Which may take long."""
    with pytest.raises(ValueError, match="channels="):
        make_autoencoder(channels=(8,) * 9).fit(["missing.jpg"])
    with pytest.raises(ValueError, match="device="):
        make_autoencoder().set_params(device="abacus").fit(["missing.jpg"])


def test_a_failing_fit_leaves_what_was_learned(learned, digits):
    """All of it."""
    embedder = pickle.loads(pickle.dumps(learned))

    with pytest.raises(ImageReadError):
        embedder.fit(["missing.jpg"])

    assert embedder.failures_ == []
    _assert_same_weights(embedder, learned)


def test_every_warning_names_the_line_of_the_caller(monkeypatch, learned, digits):
    """And comes once."""
    embedder = clone(learned).set_params(on_error="nan")
    sources = [*digits, "missing.jpg"]
    for method in ("fit", "partial_fit", "fit_transform", "transform", "score"):
        with pytest.warns(ImageReadWarning) as caught:
            getattr(embedder, method)(sources)
        assert [each.filename for each in caught] == [__file__]
    _stop_after(monkeypatch, 1, KeyboardInterrupt())
    with pytest.warns(UserWarning, match="interrupted") as caught:
        embedder.fit_transform(digits)
    assert [each.filename for each in caught] == [__file__]


def test_the_score_of_nothing_readable_is_nan(learned):
    """With one warning, of the images."""
    embedder = pickle.loads(pickle.dumps(learned)).set_params(on_error="nan")

    with pytest.warns(ImageReadWarning) as caught:
        score = embedder.score(["missing.jpg"])

    assert np.isnan(score)
    assert len(caught) == 1


def test_rows_out_of_all_bounds_turn_into_some_image(learned):
    """Without a warning."""
    images = learned.inverse_transform(np.full((1, 6), 1e30))

    assert images.shape == (1, 16, 16, 3)
