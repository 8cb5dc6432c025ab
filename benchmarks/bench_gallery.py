"""Time and size of a page of 5,000 photographs with thumbnails of 128 pixels.

The page has neighbors and clusters of random embeddings of width 512. The baseline
creates the same thumbnails with Pillow in a loop, but no page. If Chromium and
selenium are installed, the time until the browser shows the visible images is measured,
too.
"""

import base64
import io
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from imgsim.display import write_gallery

N_IMAGES = 5000
N_PIXELS = 128
IS_READY = (
    "return document.readyState === 'complete' && document.images.length > 20 && "
    "[...document.images].every((i) => i.complete && i.naturalWidth)"
)


@pytest.fixture(scope="module")
def paths(photographs):
    """Return 5,000 paths, most of them repeated."""
    return [photographs[i % len(photographs)] for i in range(N_IMAGES)]


def _pillow_loop(paths):
    addresses = []
    for path in paths:
        image, file = Image.open(path).convert("RGB"), io.BytesIO()
        image.thumbnail((N_PIXELS, N_PIXELS))
        image.save(file, "webp", quality=70)
        addresses.append(base64.b64encode(file.getvalue()))
    return addresses


@pytest.mark.benchmark(group="5,000 thumbnails of 128 pixels, seconds")
def bench_pillow(benchmark, paths):
    """Create thumbnails in a loop, as a user would in a notebook."""
    addresses = benchmark.pedantic(_pillow_loop, args=(paths,), rounds=1)

    assert len(addresses) == N_IMAGES


@pytest.mark.benchmark(group="5,000 thumbnails of 128 pixels, seconds")
def bench_gallery(benchmark, paths, tmp_path):
    """Write the page, and print its size and the time to open it."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_IMAGES, 512)).astype(np.float32)
    labels = rng.integers(0, 40, size=N_IMAGES)

    page = benchmark.pedantic(
        write_gallery,
        args=(tmp_path / "page.html", paths, X),
        kwargs={"labels": labels, "thumbnail_size": N_PIXELS},
        rounds=1,
    )
    megabytes = page.stat().st_size / 1e6
    benchmark.extra_info["megabytes"] = megabytes
    print(f"\n{N_IMAGES} images: {megabytes:.1f} MB")
    assert megabytes < 60
    seconds = _seconds_to_open(page)
    if seconds is not None:
        benchmark.extra_info["seconds_to_open"] = seconds
        print(f"shown by Chromium after {seconds:.2f} s")


def _seconds_to_open(page):
    """Return the seconds until the visible images are shown, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    binary = next(filter(None, map(shutil.which, names)), None)
    try:
        from selenium import webdriver
    except ModuleNotFoundError:
        return None
    if binary is None or not shutil.which("chromedriver"):
        return None
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(option)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        start = time.perf_counter()
        driver.get(page.as_uri())
        while not driver.execute_script(IS_READY):
            time.sleep(0.01)
        return time.perf_counter() - start
