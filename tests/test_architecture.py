"""Tests of the structure of the package: imports, and sizes of files and functions.

The package is divided into floors. A module imports only from lower floors.
"""

import ast
from collections import Counter, defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "imgsim"
FLOORS = [
    {
        "_arguments",
        "_atomic_file",
        "_callbacks",
        "_estimator_base",
        "_html",
        "_logging",
        "_optional",
        "_short_repr",
        "_typing",
        "_validation",
        "_warnings",
        "exceptions",
    },
    {"_compute"},
    {"_distance"},
    {"datasets", "export", "images", "metrics"},
    {"embedding", "index"},
    {"duplicates"},
    {"cluster"},
    {"display"},
    {"__main__"},
]
FLOOR_OF = {part: n for n, floor in enumerate(FLOORS) for part in floor}
HEAVY = {
    "graspologic_native",
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
# Networks and compiled loops are defined at import, so only functions import these.
LOADED_LATE = {
    "_distance/kernels.py",
    "cluster/algorithms/_leiden_refinement.py",
    "embedding/autoencoder/_conv_autoencoder.py",
    "index/graph/_graph_kernels.py",
}
ONLY_IMPORTERS = {
    "jinja2": "_html.py",
    "numba": "_distance/kernels.py",
    "pynndescent": "index/graph/_neighbor_graph.py",
    "sklearn._": "_validation.py",
    "sknetwork": "cluster/algorithms/_leiden_refinement.py",
    "timm": "embedding/pretrained/_timm_backbone.py",
}
MOST_LINES = 400  # of code in a file
MOST_LINES_OF_BODY = 40


def _name(path):
    return path.relative_to(ROOT).as_posix()


MODULES = {
    path: ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
}
modules = pytest.mark.parametrize("path", MODULES, ids=_name)


def _imports(tree):
    """Yield the dotted names that are imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _file_of(dotted):
    """Return the module that defines a dotted name of imgsim, or None."""
    parts = dotted.split(".")
    while parts and parts[0] == "imgsim":
        base = ROOT.joinpath(*parts[1:])
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path in MODULES:
                return path
        parts.pop()
    return None


@modules
def test_imports_point_down(path):
    """An upward or sideways import is a design error, whatever it computes."""
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    targets = [
        name.split(".")[1] for name in _imports(MODULES[path]) if name[:7] == "imgsim."
    ]
    if part != "__init__":
        for target in targets:
            assert target == part or FLOOR_OF[target] < FLOOR_OF[part]


def test_no_modules_import_each_other():
    """Modules that import each other cannot be understood or tested separately."""
    graph = {
        path: {_file_of(name) for name in _imports(tree)} - {None, path}
        for path, tree in MODULES.items()
        if path.name != "__init__.py"
    }

    TopologicalSorter(graph).prepare()  # raises CycleError


@modules
def test_imports_are_absolute(path):
    """A module can be read without knowing its path."""
    relative = [
        node
        for node in ast.walk(MODULES[path])
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert relative == []


@modules
def test_heavy_packages_are_imported_inside_functions(path):
    """`import imgsim` must be fast."""
    at_import = [
        node
        for node in MODULES[path].body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = {name for node in at_import for name in _imports(node)}

    heavy = {name for name in names if name.split(".")[0] in HEAVY}
    files = {_name(file) for file in map(_file_of, names) if file}
    assert _name(path) in LOADED_LATE or not heavy | files & LOADED_LATE


@modules
def test_fragile_dependencies_have_one_importer(path):
    """A change in such a dependency, such as timm, then affects one file only."""
    for name in _imports(MODULES[path]):
        parts = name.split(".")
        private = parts[0] == "sklearn" and any(p.startswith("_") for p in parts)
        key = "sklearn._" if private else parts[0]
        assert _name(path) == ONLY_IMPORTERS.get(key, _name(path))


def _is_docstring(node):
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _lines_of_code(node, lines):
    """Return the numbers of the lines of code: no docstrings, comments or blanks."""
    docstrings = {
        number
        for part in ast.walk(node)
        if _is_docstring(part)
        for number in range(part.lineno, part.end_lineno + 1)
    }
    return {
        number
        for part in ast.walk(node)
        if isinstance(part, ast.stmt) and not _is_docstring(part)
        for number in range(part.lineno, part.end_lineno + 1)
        if number not in docstrings
        and lines[number - 1].strip()
        and not lines[number - 1].lstrip().startswith("#")
    }


@modules
def test_files_and_functions_are_short(path):
    """Lines of code are counted, so that no docstring is shortened to fit."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(_lines_of_code(MODULES[path], lines)) <= MOST_LINES
    for node in ast.walk(MODULES[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = ast.Module(body=node.body, type_ignores=[])
            assert len(_lines_of_code(body, lines)) <= MOST_LINES_OF_BODY, node.name


def _classes():
    """Yield the classes of the package, except those that only declare types."""
    for tree in MODULES.values():
        declared = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for part in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and id(node) not in declared:
                yield node


def _bases():
    """Return the base classes of each class of the package, by name."""
    return {
        node.name: [ast.unparse(base).split("[")[0] for base in node.bases]
        for node in _classes()
    }


def _leaves(name, children):
    """Return the classes derived from a class that have no derived classes."""
    if not children[name]:
        return {name}
    return set().union(*(_leaves(child, children) for child in children[name]))


def test_a_base_class_has_two_leaves():
    """A class is not divided into a chain of base classes to keep files short."""
    bases = _bases()
    children = defaultdict(list)
    for name, above in bases.items():
        for base in above:
            children[base].append(name)

    lonely = [
        name for name in bases if children[name] and len(_leaves(name, children)) < 2
    ]
    assert lonely == []


def test_a_class_name_means_one_thing():
    """A reader assumes that the same name denotes the same class."""
    names = Counter(node.name for node in _classes())

    assert [name for name, count in names.items() if count > 1] == []


def test_tests_mirror_the_package():
    """The path of a module tells a new contributor where its tests are."""
    tests = Path(__file__).parent
    mirrored = [
        path.relative_to(tests)
        for path in tests.rglob("test_*.py")
        if path.parent not in (tests, tests / "browser", tests / "fuzz")
    ]

    missing = [
        path
        for path in mirrored
        if not any(
            (ROOT / path).with_name(path.name.removeprefix(prefix)).exists()
            for prefix in ("test", "test_")
        )
    ]
    assert missing == []
