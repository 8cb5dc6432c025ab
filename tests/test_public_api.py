"""Tests of the public names of imgsim, and of the cost of importing it."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import imgsim

REPOSITORY = Path(__file__).parents[1]
SUBPACKAGES = [
    "cluster",
    "datasets",
    "display",
    "duplicates",
    "embedding",
    "exceptions",
    "export",
    "images",
    "index",
    "metrics",
]


def test_the_top_level_names_are_unchanged():
    """Adding or removing a name has to be a deliberate decision."""
    assert imgsim.__all__ == [
        "AutoencoderEmbedder",
        "ColorHistogramEmbedder",
        "EmbeddingCache",
        "ImageClusterer",
        "ImageEmbedder",
        "ImageReadError",
        "SimilarityIndex",
        "copy_to_folders",
        "find_duplicates",
        "label_table",
        "list_images",
        "load_image_folder",
        "read_image",
        "select_k",
    ]


@pytest.mark.parametrize("name", ["", *(f".{part}" for part in SUBPACKAGES)])
def test_all_is_sorted_and_complete(name):
    """Every public class is in `__all__`, and every name in `__all__` exists."""
    module = importlib.import_module(f"imgsim{name}")

    assert module.__all__ == sorted(set(module.__all__))
    for exported in module.__all__:
        assert hasattr(module, exported)
    public = {n for n in vars(module) if n[0].isupper()}
    assert public <= set(module.__all__)


def test_every_public_name_is_in_the_api_reference():
    """Users have to be able to look up every public name."""
    api = REPOSITORY / "docs/api/index.rst"
    if not api.exists():
        pytest.skip("the documentation is not part of this installation")
    documented = set(re.findall(r"^\s+(?:\w+\.)*(\w+)$", api.read_text(), re.MULTILINE))

    for part in SUBPACKAGES:
        module = importlib.import_module(f"imgsim.{part}")
        assert set(module.__all__) <= documented


def test_importing_and_reading_load_no_heavy_package(picture, tmp_path):
    """An application pays for importing torch only when it computes embeddings."""
    Image.fromarray(picture).save(tmp_path / "a.png")
    heavy = ["torch", "timm", "numba", "pynndescent", "matplotlib"]
    code = (
        "import sys, imgsim; imgsim.read_image(sys.argv[1]); "
        f"print([m for m in {heavy} if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.png"],
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == "[]"


def test_the_package_is_typed():
    """Type checkers ignore the annotations without this file."""
    assert (Path(imgsim.__file__).parent / "py.typed").exists()


def test_the_version_is_that_of_the_distribution():
    """The version is defined in one place only."""
    from importlib.metadata import version

    assert version("scikit-imgsim") == imgsim.__version__
