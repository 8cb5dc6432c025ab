"""Tests of how batches go through a network."""

import threading
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imgsim import ImageEmbedder
from imgsim.embedding.pretrained._forward_passes import (
    CpuPasses,
    DevicePasses,
    n_images_in_pass,
)

torch = pytest.importorskip("torch")


class FakeNetwork:
    """Return the mean of each image, and remember what it was called with."""

    device = "cpu"

    def __init__(self, *, compile=False, n_images_in_memory=None):
        self.compile = compile
        self.n_images_in_memory = n_images_in_memory
        self.sizes = []
        self.threads = []

    def __call__(self, pixels):
        """Embed as many as fit."""
        self.sizes.append(len(pixels))
        self.threads.append((threading.get_ident(), torch.get_num_threads()))
        if self.n_images_in_memory and len(pixels) > self.n_images_in_memory:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return pixels.float().mean((1, 2, 3))[:, None]


def _images(n_images):
    return [np.full((4, 5, 3), i, dtype=np.uint8) for i in range(n_images)]


@pytest.mark.parametrize("kind", [CpuPasses, DevicePasses])
@pytest.mark.parametrize("n_images", [1, 3, 8, 21])
@pytest.mark.parametrize("compile", [False, True])
def test_rows_come_in_the_order_of_images(kind, n_images, compile):
    """However they are shared out among passes."""
    with kind(FakeNetwork(compile=compile), 4) as passes:
        waits = [passes(_images(n_images)), passes(_images(2))]
        rows = [wait() for wait in waits]

    assert_array_equal(rows[0], np.arange(n_images, dtype=np.float32)[:, None])
    assert_array_equal(rows[1], [[0], [1]])


@pytest.mark.parametrize("kind", [CpuPasses, DevicePasses])
def test_a_compiled_network_sees_one_shape(kind):
    """Another would be compiled anew; the last short batch is filled up."""
    network = FakeNetwork(compile=True)

    with kind(network, 4) as passes:
        for n_images in (8, 8, 3):
            assert len(passes(_images(n_images))()) == n_images

    assert set(network.sizes) == {4}


def test_a_cpu_runs_small_passes_on_single_cores():
    """And a single image on all of them."""
    n_cores = torch.get_num_threads()
    network, alone = FakeNetwork(), FakeNetwork()

    with CpuPasses(network, 4) as passes:
        passes(_images(8 * n_cores))()
    with CpuPasses(alone, 4) as passes:
        passes(_images(1))()

    assert set(network.sizes) == {4}
    assert {n_threads for _, n_threads in network.threads} == {1}
    assert [n_threads for _, n_threads in alone.threads] == [n_cores]
    assert torch.get_num_threads() == n_cores


def test_too_little_memory_halves_the_batch_with_one_warning():
    """And the rows are the same."""
    network = FakeNetwork(n_images_in_memory=3)

    with DevicePasses(network, 16) as passes:
        with pytest.warns(RuntimeWarning, match="16 images at once") as caught:
            rows = passes(_images(16))()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = passes(_images(16))()

    assert len(caught) == 1
    assert_array_equal(rows, np.arange(16, dtype=np.float32)[:, None])
    assert_array_equal(again, rows)
    assert max(network.sizes[-8:]) == 2


def test_a_short_batch_is_halved_from_its_own_size():
    """Not from the batch_size, which says nothing about it."""
    network = FakeNetwork(n_images_in_memory=3)

    with (
        DevicePasses(network, 512) as passes,
        pytest.warns(RuntimeWarning, match="^5 images at once"),
    ):
        passes(_images(5))()

    assert network.sizes == [5, 3, 2]


def test_an_image_too_large_for_the_memory_raises():
    """There is nothing left to halve."""
    network = FakeNetwork(n_images_in_memory=0.5)

    with (
        DevicePasses(network, 2) as passes,
        pytest.warns(RuntimeWarning, match="halved"),
        pytest.raises(torch.cuda.OutOfMemoryError),
    ):
        passes(_images(2))


@pytest.mark.parametrize(
    ("n_bytes", "batch_size", "expected"),
    [(1, 32, 32), (10**9, 32, 1), (4_816_896, 32, 5), (4_816_896, 4, 4)],
)
def test_passes_are_bounded_and_of_equal_size(n_bytes, batch_size, expected):
    """7 passes of 5 hold a batch of 32; 5, 5, 5, 5, 5, 5 and 2 would not compile."""
    assert n_images_in_pass(n_bytes, batch_size) == expected


def test_both_ways_through_a_real_network_agree(pictures):
    """The way of a GPU runs on a CPU, too, but for pinned memory and streams."""
    embedder = ImageEmbedder("resnet18", pretrained=False, image_size=64, device="cpu")
    network = embedder.fit()._network()
    images = [embedder._preparation()(picture) for picture in pictures]

    with CpuPasses(network, 5) as on_cpu, DevicePasses(network, 5) as on_device:
        rows = [passes(images)() for passes in (on_cpu, on_device)]

    assert_allclose(rows[0], rows[1], atol=1e-5)
