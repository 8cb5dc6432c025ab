"""Tests of the README: its code and its links."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

import imgsim

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def _run(code, known):
    exec(compile(code, "README.md", "exec"), known)


def test_code_runs(tmp_path, monkeypatch, capsys):
    """Readers copy the code blocks one after the other and expect them to work."""
    monkeypatch.chdir(tmp_path)
    plt.close("all")  # figures that other tests left open
    known = {}

    # The first block needs no files. The other ones read a folder of photographs.
    _run(BLOCKS[0], known)
    Path("photos").mkdir()
    for i, photo in enumerate(known["images"][::3]):
        Image.fromarray(photo).save(f"photos/{i:02}.png")
    known["new_paths"] = imgsim.list_images("photos")[:2]
    for code in BLOCKS[1:]:
        _run(code, known)

    assert Path("neighbors.png").stat().st_size > 100_000
    assert len(plt.get_fignums()) == 4
    plt.close("all")
    assert "silhouette" in capsys.readouterr().out
    assert set(known["labels"]) <= {-1, *range(known["clusterer"].n_clusters_)}
    assert Path("clusters.csv").read_text().count("\n") == 39
    assert "<title>" in Path("photos.html").read_text(encoding="utf-8")


def test_examples_are_short():
    """A reader of the README wants to understand each block at a glance."""
    for code in BLOCKS:
        assert len([line for line in code.splitlines() if line]) <= 10


def test_links_to_files_of_the_repository_exist():
    """A broken link or image is the first thing that a visitor would see."""
    targets = re.findall(r"\]\((?!https?:)([^)\s]+)\)", README)

    assert targets[0] == "docs/images/neighbors.png"
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []
