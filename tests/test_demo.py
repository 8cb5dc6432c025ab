"""The demo runs, on its own pictures and on a folder."""

import subprocess
import sys
from pathlib import Path

from PIL import Image

from imgsim.datasets import load_sample_photos

DEMO = Path(__file__).parents[1] / "docs/demo.py"


def _run(folder, *arguments):
    return subprocess.run(
        [sys.executable, DEMO, "--output", folder / "figures", *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_draws_known_pictures(tmp_path):
    """And prints how well it did."""
    printed = _run(tmp_path)

    assert "95.0% are its copies" in printed
    assert "adjusted Rand index is 0.6" in printed
    assert "come back with an error of 0.0" in printed
    for name in ("near_copies.png", "digit_clusters.png", "digit_reconstructions.png"):
        assert f"{tmp_path / 'figures' / name}" in printed
        with Image.open(tmp_path / "figures" / name) as figure:
            assert min(figure.size) > 500


def test_explores_a_folder(tmp_path, monkeypatch):
    """Without a network, by colour; a broken file is no obstacle."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    photos = load_sample_photos(n_crops=2, n_copies=2)
    for i, (photo, label) in enumerate(zip(photos.images, photos.target, strict=True)):
        path = tmp_path / "photos" / photos.target_names[label] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(path)
    (path.parent / "broken.jpg").write_bytes(b"broken")

    printed = _run(tmp_path, tmp_path / "photos")

    assert "13 images in" in printed
    assert "compared by colour alone" in printed
    assert "Precision at 5 by subfolder" in printed
    assert (tmp_path / "figures/neighbors.png").exists()
    assert (tmp_path / "figures/groups.png").exists()
