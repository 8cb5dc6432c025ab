"""The package is a DAG of floors: a module imports only from lower floors."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "imgsim"
FLOORS = [
    {"exceptions", "_html", "_validation", "_optional", "_warning"},
    {"_table"},
    {"images", "datasets", "metrics"},
    {"embedding"},
    {"index"},
    {"cluster"},
    {"display"},
]
FLOOR_OF = {part: n for n, floor in enumerate(FLOORS) for part in floor}
HEAVY = {
    "jinja2",
    "matplotlib",
    "numba",
    "pandas",
    "pynndescent",
    "sknetwork",
    "timm",
    "torch",
    "torchvision",
}
# Where networks and compiled loops are defined; only functions import them, so that
# nothing is loaded early.
LOADED_LATE = {
    "_bounded_leiden.py",
    "_conv_autoencoder.py",
    "_graph_kernels.py",
    "_kernels.py",
}
ONLY_IMPORTERS = {
    "jinja2": "_html.py",
    "numba": "_kernels.py",
    "pynndescent": "_approximate.py",
    "sklearn._": "_validation.py",
    "sknetwork": "_bounded_leiden.py",
    "timm": "_backbone.py",
}

modules = pytest.mark.parametrize(
    "path",
    sorted(ROOT.rglob("*.py")),
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)


def _imports(tree):
    """Yield the dotted names that import statements name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@modules
def test_imports_point_down(path):
    """An upward or sideways import is a design error, whatever it computes."""
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    targets = [n.split(".")[1] for n in _imports(tree) if n.startswith("imgsim.")]
    if part != "__init__":
        for target in targets:
            assert target == part or FLOOR_OF[target] < FLOOR_OF[part]


@modules
def test_imports_are_absolute(path):
    """A module can be read without knowing where it stands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))

    assert not [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]


@modules
def test_heavy_packages_are_imported_inside_functions(path):
    """`import imgsim` stays quick."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    at_import = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]

    names = {name for node in at_import for name in _imports(node)}
    heavy = {name for name in names if name.split(".")[0] in HEAVY}
    late = {f"{part}.py" for name in names for part in name.split(".")} & LOADED_LATE
    assert path.name in LOADED_LATE or not heavy | late


@modules
def test_fragile_dependencies_have_one_importer(path):
    """timm, and scikit-learn's private names, change; one file changes with them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))

    for name in _imports(tree):
        parts = name.split(".")
        private = parts[0] == "sklearn" and any(p.startswith("_") for p in parts)
        key = "sklearn._" if private else parts[0]
        assert path.name == ONLY_IMPORTERS.get(key, path.name)


@modules
def test_files_and_functions_are_short(path):
    """At most 400 lines a file and 40 a body; most are far shorter."""
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            n_lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert n_lines <= 40, node.name


def test_tests_mirror_the_package():
    """A stranger finds the tests of a module by its path."""
    tests = Path(__file__).parent
    mirrored = {
        path.relative_to(tests).with_name(path.name.removeprefix("test"))
        for path in tests.rglob("test_*.py")
        if path.parent not in (tests, tests / "browser")
    }

    missing = [path for path in mirrored if not (ROOT / path).exists()]
    assert missing == []
