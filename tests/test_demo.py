"""Tests of the demo on its own images and on a folder of photographs."""

import re
import runpy
import shutil
import socket
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from imgsim.datasets import load_installed_photos

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


def test_installed_photographs_and_digits(tmp_path, run_demo):
    """The demo is the first thing that a new user runs."""
    printed = run_demo("--quick")

    assert _number_after("precision at 4 is", printed) > 0.95
    first, second = re.findall(r"adjusted Rand index is (\d\.\d+)", printed)
    assert float(first) > 0.9
    assert float(second) > 0.6
    assert 0 < _number_after("reconstruction error from 32 numbers is", printed) < 0.1
    for name in (
        "neighbors.png",
        "clusters.png",
        "map.png",
        "digit_clusters.png",
        "digit_reconstructions.png",
    ):
        assert f"{tmp_path / 'figures' / name}" in printed
        with Image.open(tmp_path / "figures" / name) as figure:
            assert min(figure.size) > 400
    assert (tmp_path / "figures/photographs.html").exists()


@pytest.fixture(scope="module")
def photos():
    """Load the photographs once for all tests."""
    return load_installed_photos(n_copies=2)


@pytest.fixture
def folder(tmp_path, photos):
    """Return a folder with two classes of photographs and a broken file."""
    for i, label in enumerate(photos.target[:12]):
        name = "odd" if label % 2 else "even"
        path = tmp_path / "photos" / name / f"{photos.target_names[label]} {i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photos.images[i]).save(path)
    (path.parent / "broken.jpg").write_bytes(b"broken")
    return tmp_path / "photos"


@pytest.fixture
def closed_network(monkeypatch):
    """Make every attempt to connect to another machine fail the test."""

    def connect(*_):
        raise AssertionError("the demo connects to a network")

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.mark.usefixtures("closed_network")
def test_folder_with_classes_and_a_broken_file(tmp_path, run_demo, folder):
    """A real folder contains broken files, and its subfolders often have a meaning."""
    printed = run_demo(folder)

    assert "13 images in" in printed
    assert "1 image cannot be read" in printed
    assert f"{folder / 'odd' / 'broken.jpg'}: not an image" in printed
    assert _number_after("precision at 5 is", printed) > 0.3
    assert "adjusted Rand index" in printed
    for name in ("neighbors.png", "clusters.png", "map.png", "photographs.html"):
        assert (tmp_path / "figures" / name).exists()


@pytest.mark.usefixtures("closed_network")
def test_a_few_photographs_without_classes(tmp_path, run_demo, folder):
    """A first try is often made with a few photographs."""
    printed = run_demo(folder / "even")

    assert "6 images in" in printed
    assert "precision" not in printed
    assert "Near copies: 2 groups, in which 4 images could be removed." in printed
    assert (tmp_path / "figures/photographs.html").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "contains no images"),
        (("notes.txt",), "contains no images"),
        (("even/temple 0.png",), "At least 2 readable images"),
        (("odd/broken.jpg",), "At least 2 readable images"),
    ],
    ids=["empty", "no image", "one image", "unreadable"],
)
def test_folders_with_nothing_to_compare_are_explained(
    tmp_path, run_demo, folder, files, message
):
    """A message is more helpful than a traceback."""
    (folder / "notes.txt").write_text("no image")
    (tmp_path / "few").mkdir()
    for file in files:
        shutil.copy(folder / file, tmp_path / "few")

    with pytest.raises(SystemExit, match=message):
        run_demo(tmp_path / "few")


def test_missing_folder_is_named(tmp_path, run_demo):
    """A typing error in the path is the most likely mistake."""
    with pytest.raises(SystemExit, match="missing' does not exist"):
        run_demo(tmp_path / "missing")
