"""Tests of the demo on its own images and on a folder of photographs."""

import re
import runpy
from pathlib import Path

import huggingface_hub.constants
import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from imgsim.datasets import load_sample_photos

DEMO = Path(__file__).parents[1] / "docs/demo.py"


@pytest.fixture
def run_demo(tmp_path, monkeypatch, capsys):
    """Return a function that runs the demo as a script and returns what it prints."""

    def run(*arguments):
        command = [DEMO, "--output", tmp_path / "figures", *arguments]
        monkeypatch.setattr("sys.argv", list(map(str, command)))
        runpy.run_path(str(DEMO), run_name="__main__")
        return capsys.readouterr().out

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster for small networks on a busy machine
    yield run
    torch.set_num_threads(n_threads)
    plt.close("all")


def _number_after(words, printed):
    return float(re.search(rf"{words} (\d+\.\d+)", printed)[1])


def test_own_images(tmp_path, run_demo):
    """The demo is the first thing that a new user runs."""
    printed = run_demo("--quick")

    assert "95.0% are its copies" in printed
    assert _number_after("adjusted Rand index of 10 clusters is", printed) > 0.5
    assert 0 < _number_after("reconstruction error from 32 numbers is", printed) < 0.1
    for name in (
        "near_copies.png",
        "digit_clusters.png",
        "digit_map.png",
        "digit_reconstructions.png",
    ):
        assert f"{tmp_path / 'figures' / name}" in printed
        with Image.open(tmp_path / "figures" / name) as figure:
            assert min(figure.size) > 400
    for name in ("near_copies.html", "digits.html"):
        assert (tmp_path / "figures" / name).exists()


@pytest.mark.filterwarnings("ignore::imgsim.exceptions.ImageReadWarning")
def test_folder_without_pretrained_weights(tmp_path, run_demo, monkeypatch):
    """The demo must work offline, and with a broken file in the folder."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    photos = load_sample_photos(n_crops=2, n_copies=2)
    for i, (photo, label) in enumerate(zip(photos.images, photos.target, strict=True)):
        path = tmp_path / "photos" / photos.target_names[label] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(path)
    (path.parent / "broken.jpg").write_bytes(b"broken")

    printed = run_demo(tmp_path / "photos")

    assert "13 images in" in printed
    assert "compared by color" in printed
    assert _number_after("precision at 5 is", printed) > 0.3
    for name in ("neighbors.png", "clusters.png", "map.png", "gallery.html"):
        assert (tmp_path / "figures" / name).exists()
