"""The README's code runs, and its pictures are there."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from PIL import Image

import imgsim
from imgsim import ImageEmbedder
from imgsim.datasets import load_sample_photos

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"## ([^\n]+)\n\n```python\n(.*?)```", README, re.DOTALL)


def _untrained(model_name, **kwargs):
    """Stand in for the network of the README, which would have to be downloaded."""
    assert model_name == "resnet50"
    return ImageEmbedder("resnet18", pretrained=False, image_size=64, **kwargs)


@pytest.mark.parametrize(
    "code", [code for _, code in BLOCKS], ids=[t for t, _ in BLOCKS]
)
def test_code_runs(code, tmp_path, monkeypatch, capsys):
    """On a folder of photographs, as a newcomer would."""
    (tmp_path / "photos").mkdir()
    for i, photo in enumerate(load_sample_photos(n_crops=3, n_copies=3).images):
        Image.fromarray(photo).save(tmp_path / f"photos/{i:02}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(imgsim, "ImageEmbedder", _untrained)

    exec(compile(code, "README.md", "exec"), {})

    assert capsys.readouterr().out.strip()
    assert plt.get_fignums()
    plt.close("all")


def test_there_are_two_examples_of_ten_lines():
    """Retrieval and clustering, each short enough to read at a glance."""
    assert len(BLOCKS) == 2
    for _, code in BLOCKS:
        assert len([line for line in code.splitlines() if line]) <= 10


def test_links_lead_somewhere():
    """Files of the repository that the README points at."""
    targets = re.findall(r"\]\((?!https?:)([^)\s]+)\)", README)

    assert "docs/images/near_copies.png" in targets
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []
