"""Tests of the README: its code and its links."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

import imgsim
from imgsim import ImageEmbedder
from imgsim.datasets import load_sample_photos

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def _untrained(model, **kwargs):
    """Replace the network of the README, which would have to be downloaded."""
    assert model == "resnet50"
    return ImageEmbedder("resnet18", pretrained=False, image_size=64, **kwargs)


def test_code_runs(tmp_path, monkeypatch, capsys):
    """Readers copy the code blocks one after the other and expect them to work."""
    (tmp_path / "photos").mkdir()
    for i, photo in enumerate(load_sample_photos(n_crops=3, n_copies=3).images):
        Image.fromarray(photo).save(tmp_path / f"photos/{i:02}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(imgsim, "ImageEmbedder", _untrained)
    known = {"new_paths": imgsim.list_images("photos")[:2]}
    plt.close("all")  # figures that other tests left open

    for code in BLOCKS:
        exec(compile(code, "README.md", "exec"), known)

    assert len(plt.get_fignums()) == 4
    plt.close("all")
    assert "silhouette" in capsys.readouterr().out
    assert set(known["labels"]) <= {-1, *range(known["clusterer"].n_clusters_)}
    assert (tmp_path / "clusters.csv").read_text().count("\n") == 25
    assert "<title>" in (tmp_path / "photos.html").read_text(encoding="utf-8")


def test_examples_are_short():
    """A reader of the README wants to understand each block at a glance."""
    for code in BLOCKS:
        assert len([line for line in code.splitlines() if line]) <= 10


def test_links_to_files_of_the_repository_exist():
    """A broken link or image is the first thing that a visitor would see."""
    targets = re.findall(r"\]\((?!https?:)([^)\s]+)\)", README)

    assert "docs/images/near_copies.png" in targets
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []
