"""What is exported is what is documented, and importing it is cheap."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_top_level_is_what_we_mean_to_support():
    """Adding a name is a promise, and should be a decision."""
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
    """`__all__` names what is there, each once."""
    module = importlib.import_module(f"imgsim{name}")

    assert module.__all__ == sorted(set(module.__all__))
    for exported in module.__all__:
        assert hasattr(module, exported)
    public = {n for n in vars(module) if n[0].isupper()}
    assert public <= set(module.__all__)


def test_every_exported_name_is_in_the_reference():
    """A function nobody can look up is not public."""
    api = REPOSITORY / "docs/api/index.rst"
    if not api.exists():
        pytest.skip("the documentation is not part of this installation")
    documented = set(re.findall(r"^\s+(?:\w+\.)*(\w+)$", api.read_text(), re.MULTILINE))

    for part in SUBPACKAGES:
        module = importlib.import_module(f"imgsim.{part}")
        assert set(module.__all__) <= documented


def test_importing_loads_nothing_heavy():
    """An application that imports imgsim does not pay for torch until it embeds."""
    heavy = ["torch", "timm", "numba", "pynndescent", "matplotlib"]
    code = f"import sys, imgsim; print([m for m in {heavy} if m in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )

    assert done.stdout.strip() == "[]"


def test_the_package_is_typed():
    """Annotations are for users too."""
    assert (Path(imgsim.__file__).parent / "py.typed").exists()


def test_the_version_is_that_of_the_distribution():
    """There is one place to change it."""
    from importlib.metadata import version

    assert version("scikit-imgsim") == imgsim.__version__
