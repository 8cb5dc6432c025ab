"""Tests of forward passes of batches through a network."""

import threading
import warnings

import numpy as np
import pytest
from embedders import assert_embeddings_close, make_untrained
from numpy.testing import assert_array_equal

from imgsim.embedding.pretrained._forward_passes import (
    CpuPasses,
    DevicePasses,
    choose_pass_size,
)

torch = pytest.importorskip("torch")


class FakeNetwork:
    """Return the mean of each image, and record the size and thread of each call."""

    device = "cpu"

    def __init__(self, *, compile=False, n_images_in_memory=None):
        self.compile = compile
        self.n_images_in_memory = n_images_in_memory
        self.sizes = []
        self.threads = []

    def __call__(self, pixels):
        """Embed images, as many as fit in memory."""
        self.sizes.append(len(pixels))
        self.threads.append((threading.get_ident(), torch.get_num_threads()))
        if self.n_images_in_memory and len(pixels) > self.n_images_in_memory:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return pixels.float().mean((1, 2, 3))[:, None]


def _images(n_images):
    return [np.full((4, 5, 3), i, dtype=np.uint8) for i in range(n_images)]


def _collect(futures):
    return np.concatenate([future.result() for future in futures])


@pytest.mark.parametrize("kind", [CpuPasses, DevicePasses])
@pytest.mark.parametrize("n_images", [1, 3, 8, 21])
@pytest.mark.parametrize("compile", [False, True])
def test_embeddings_are_in_the_order_of_images(kind, n_images, compile):
    """For every division of a batch into passes."""
    with kind(FakeNetwork(compile=compile), 4) as passes:
        batches = [passes.submit(_images(n)) for n in (n_images, 2)]
        first, second = (_collect(futures) for futures in batches)

    assert_array_equal(first, np.arange(n_images, dtype=np.float32)[:, None])
    assert_array_equal(second, [[0], [1]])


@pytest.mark.parametrize("kind", [CpuPasses, DevicePasses])
def test_a_compiled_network_sees_one_shape(kind):
    """It would be compiled again for another shape, so a small batch is padded."""
    network = FakeNetwork(compile=True)

    with kind(network, 4) as passes:
        for n_images in (8, 8, 3):
            assert len(_collect(passes.submit(_images(n_images)))) == n_images

    assert set(network.sizes) == {4}


def test_a_cpu_runs_small_passes_on_single_cores():
    """A single image uses all cores."""
    n_cores = torch.get_num_threads()
    network, alone = FakeNetwork(), FakeNetwork()

    with CpuPasses(network, 4) as passes:
        _collect(passes.submit(_images(8 * n_cores)))
    with CpuPasses(alone, 4) as passes:
        _collect(passes.submit(_images(1)))

    assert set(network.sizes) == {4}
    assert {n_threads for _, n_threads in network.threads} == {1}
    assert [n_threads for _, n_threads in alone.threads] == [n_cores]
    assert torch.get_num_threads() == n_cores


def test_insufficient_memory_halves_the_passes_with_one_warning():
    """The embeddings are the same."""
    network = FakeNetwork(n_images_in_memory=3)

    with DevicePasses(network, 16) as passes:
        with pytest.warns(RuntimeWarning, match="16 images do not fit") as caught:
            embeddings = _collect(passes.submit(_images(16)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = _collect(passes.submit(_images(16)))

    assert len(caught) == 1
    assert_array_equal(embeddings, np.arange(16, dtype=np.float32)[:, None])
    assert_array_equal(again, embeddings)
    assert max(network.sizes[-8:]) == 2


def test_a_small_batch_is_halved_from_its_own_size():
    """It may be much smaller than `batch_size`."""
    network = FakeNetwork(n_images_in_memory=3)

    with (
        DevicePasses(network, 512) as passes,
        pytest.warns(RuntimeWarning, match="^5 images do not fit"),
    ):
        passes.submit(_images(5))

    assert network.sizes == [5, 3, 2]


def test_an_image_that_does_not_fit_in_memory_raises():
    """A pass of one image cannot be halved."""
    network = FakeNetwork(n_images_in_memory=0.5)

    with (
        DevicePasses(network, 2) as passes,
        pytest.warns(RuntimeWarning, match="halved"),
        pytest.raises(torch.cuda.OutOfMemoryError),
    ):
        passes.submit(_images(2))


@pytest.mark.parametrize(
    ("n_bytes", "batch_size", "expected"),
    [(1, 32, 32), (10**9, 32, 1), (4_816_896, 32, 5), (4_816_896, 4, 4)],
)
def test_passes_are_bounded_and_of_equal_size(n_bytes, batch_size, expected):
    """A compiled network requires equal sizes, so that a batch of 32 has 7 of 5."""
    assert choose_pass_size(n_bytes, batch_size) == expected


def test_the_passes_of_a_cpu_and_of_a_device_agree(pictures):
    """The device is a CPU here, without pinned memory and streams."""
    embedder = make_untrained(image_size=64).fit()
    network, transform = embedder._network(), embedder._image_transform()
    images = [transform(picture) for picture in pictures]

    with CpuPasses(network, 5) as on_cpu, DevicePasses(network, 5) as on_device:
        futures = [passes.submit(images) for passes in (on_cpu, on_device)]
        assert_embeddings_close(*map(_collect, futures))
