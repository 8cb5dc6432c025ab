"""Tests of streams of images: order, memory, threads and failures."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from PIL import Image

from imgsim import ImageReadError
from imgsim.images import ImageFailure, ImageStream


def _numbered(n):
    return [np.full((2, 2, 3), i, dtype=np.uint8) for i in range(n)]


def _decoding_threads():
    return [t for t in threading.enumerate() if t.name.startswith("imgsim-decode")]


@pytest.mark.parametrize("n_jobs", [1, 3, None, -1])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_batches_come_in_input_order(n_jobs, batch_size):
    """Later images may be decoded before earlier ones."""

    def transform(rgb):
        time.sleep(0.002 * (rgb[0, 0, 0] % 3))
        return rgb

    stream = ImageStream(
        _numbered(10), transform=transform, batch_size=batch_size, n_jobs=n_jobs
    )
    batches = list(stream)

    assert len(batches) == len(stream)
    rows = np.concatenate([batch.rows for batch in batches])
    values = [image[0, 0, 0] for batch in batches for image in batch.images]
    np.testing.assert_array_equal(rows, range(10))
    assert values == list(range(10))


def test_failures_are_listed_with_their_row():
    """The rows of the other images do not change."""
    sources = _numbered(6)
    sources[1] = sources[4] = "missing.jpg"

    batches = list(ImageStream(sources, batch_size=4))

    assert [batch.rows.tolist() for batch in batches] == [[0, 2, 3], [5]]
    assert [failure for batch in batches for failure in batch.failures] == [
        ImageFailure(1, "missing.jpg", "no such file."),
        ImageFailure(4, "missing.jpg", "no such file."),
    ]


def test_the_first_failure_is_raised_on_request():
    """The error has the original exception as its cause."""
    sources = [*_numbered(3), "first.jpg", "second.jpg"]

    with pytest.raises(ImageReadError, match=r"first\.jpg") as caught:
        list(ImageStream(sources, on_error="raise"))

    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert not _decoding_threads()


def test_a_failing_transform_is_a_failure_of_that_image():
    """One image must not stop a run over a million images."""

    def transform(rgb):
        if rgb[0, 0, 0] == 1:
            raise MemoryError("too large")
        return rgb

    [batch] = ImageStream(_numbered(3), transform=transform)

    assert batch.rows.tolist() == [0, 2]
    assert batch.failures[0].reason.endswith("could not be transformed: too large")


def test_at_most_three_batches_are_in_memory():
    """Memory does not depend on the size of the collection."""
    alive, most = 0, 0
    lock = threading.Lock()

    class Transformed(np.ndarray):
        def __del__(self):
            nonlocal alive
            if self.base is not None:
                with lock:
                    alive -= 1

    def transform(rgb):
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return rgb.view(Transformed)

    stream = ImageStream(_numbered(60), transform=transform, batch_size=4, n_jobs=2)
    for batch in stream:
        time.sleep(0.002)
        del batch

    # Two batches ahead, the current one, and the one being assembled.
    assert 8 <= most <= 16


def test_stopping_early_stops_the_threads():
    """No thread keeps files open or uses the processor."""
    for batch in ImageStream(_numbered(50), batch_size=2):
        assert len(batch.images) == 2
        break

    assert not _decoding_threads()


def test_an_exception_in_the_loop_stops_the_threads():
    """Interrupts are raised as exceptions, too."""

    def consume():
        for _ in ImageStream(_numbered(50), batch_size=2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()

    assert not _decoding_threads()


def test_iterating_again_starts_again():
    """A stream is an iterable, not an iterator that is exhausted."""
    stream = ImageStream(_numbered(5), batch_size=2)

    assert [b.rows.tolist() for b in stream] == [b.rows.tolist() for b in stream]


def test_items_of_a_lazy_sequence_are_accessed_one_by_one():
    """X may be a lazy sequence that does not fit in memory."""
    taken = []

    class Lazy:
        def __len__(self):
            return 1000

        def __getitem__(self, i):
            taken.append(i)
            return np.zeros((2, 2, 3), dtype=np.uint8)

    for _ in ImageStream(Lazy(), batch_size=2):
        break

    assert taken == list(range(len(taken)))
    assert len(taken) < 20


def test_unusual_files_are_read_if_warnings_are_errors(picture, tmp_path):
    """Warnings of Pillow must not make a readable file unreadable."""
    path = tmp_path / "a.png"
    image = Image.fromarray(picture)
    image.quantize(8).save(path, transparency=bytes(range(8)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches = list(ImageStream([path] * 40, batch_size=4, n_jobs=4))

    assert sum(len(batch.images) for batch in batches) == 40


def test_unusual_files_are_read_while_warning_filters_change(picture, tmp_path):
    """All threads share the warning filters, and any thread may replace them."""
    path = tmp_path / "a.png"
    Image.fromarray(picture).quantize(8).save(path, transparency=bytes(range(8)))
    failures = []

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream = iter(ImageStream([path] * 64, batch_size=4, n_jobs=4))
        for batch in stream:
            failures += batch.failures
            with warnings.catch_warnings():
                failures += next(stream).failures

    assert failures == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"batch_size": 0}, "batch_size=0"), ({"on_error": "nan"}, "on_error='nan'")],
)
def test_invalid_parameters_are_named(parameters, message):
    """The message contains the value."""
    with pytest.raises(ValueError, match=message):
        ImageStream(_numbered(1), **parameters)


SLOW_STREAM = """
import sys, time
import numpy as np
from imgsim.images import ImageStream

def transform(rgb):
    time.sleep(0.02)
    return rgb

for batch in ImageStream(np.zeros((5000, 2, 2, 3), np.uint8), transform=transform):
    print(len(batch.images), flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send SIGINT to one process")
def test_an_interrupted_program_ends_at_once():
    """No decoding thread keeps the program alive after Ctrl-C."""
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW_STREAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    child.stdout.readline()
    child.send_signal(signal.SIGINT)

    _, errors = child.communicate(timeout=10)

    assert child.returncode != 0
    assert "KeyboardInterrupt" in errors


@pytest.mark.parametrize("value", [2.5, True, "4", np.bool_(True)], ids=repr)
@pytest.mark.parametrize("name", ["batch_size", "n_jobs"])
def test_numbers_that_are_not_integers_are_refused(name, value):
    """The error would otherwise appear in the middle of a collection."""
    with pytest.raises(TypeError, match=rf"{name}=.* must be an integer"):
        ImageStream(_numbered(3), **{name: value})


def test_integers_of_numpy_are_accepted():
    """Sizes are often computed with numpy."""
    batches = ImageStream(_numbered(3), batch_size=np.int64(2), n_jobs=np.int32(1))

    assert [len(batch.images) for batch in batches] == [2, 1]


def test_images_with_too_many_pixels_are_failures():
    """One of them must not stop a run over a million images."""
    images = [Image.fromarray(image) for image in _numbered(2)]
    images.insert(1, Image.new("RGB", (3, 3)))

    [batch] = ImageStream(images, max_pixels=4)

    assert batch.rows.tolist() == [0, 2]
    assert "9 pixels, more than max_pixels=4" in batch.failures[0].reason


def test_a_loader_has_its_own_limit():
    """A limit that is given but not applied would be dangerous."""
    with pytest.raises(ValueError, match="max_pixels=9 must be None if a loader"):
        ImageStream(_numbered(3), loader=np.asarray, max_pixels=9)
