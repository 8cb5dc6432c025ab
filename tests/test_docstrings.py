"""Public docstrings are valid numpydoc, agree with the code, and run."""

import doctest
import importlib
import inspect

import numpy as np
import pytest
from numpydoc.validate import validate
from test_public_api import SUBPACKAGES

# Checks of numpydoc that our style decides otherwise.
IGNORED = {
    "ES01",  # an extended summary is welcome, not required
    "EX01",  # the class carries the example for its methods
    "GL01",  # the summary stands on the line of the quotes
    "RT02",  # a single returned value has a name too, as in scikit-learn
    "SA01",  # "See Also" only where there is something to see
    "SA04",  # numpydoc does not see our one-line descriptions after a line break
    "YD01",  # a generator's docstring says "Yields" where it is public
}


def _public_objects():
    for part in SUBPACKAGES:
        module = importlib.import_module(f"imgsim.{part}")
        for name in module.__all__:
            thing = getattr(module, name)
            yield f"imgsim.{part}.{name}"
            if inspect.isclass(thing):
                yield from _public_methods(f"imgsim.{part}.{name}", thing)


def _public_methods(dotted, cls):
    for name, member in inspect.getmembers(cls):
        ours = (getattr(member, "__module__", None) or "").startswith("imgsim.")
        if ours and not name.startswith("_") and callable(member):
            yield f"{dotted}.{name}"


@pytest.mark.parametrize("dotted", sorted(_public_objects()))
def test_is_valid_numpydoc(dotted):
    """Shapes, dtypes, units and errors are where a reader looks for them."""
    errors = validate(dotted)["errors"]

    assert [error for error in errors if error[0] not in IGNORED] == []


def _documented_modules():
    for part in SUBPACKAGES:
        module = importlib.import_module(f"imgsim.{part}")
        yield from {getattr(module, name).__module__ for name in module.__all__}


@pytest.mark.parametrize("name", sorted(set(_documented_modules())))
def test_examples_run(name):
    """An example that prints something else than it says is worse than none."""
    module = importlib.import_module(name)
    flags = doctest.NORMALIZE_WHITESPACE

    with np.printoptions(legacy=False):
        results = doctest.testmod(module, optionflags=flags)

    assert results.attempted > 0
    assert results.failed == 0


ESTIMATORS = [
    "AutoencoderEmbedder",
    "ColorHistogramEmbedder",
    "ImageClusterer",
    "ImageEmbedder",
]


@pytest.mark.parametrize("name", [*ESTIMATORS, "SimilarityIndex"])
def test_documented_defaults_are_those_of_the_signature(name):
    """They drift apart unnoticed."""
    import imgsim

    cls = getattr(imgsim, name)
    documented = inspect.getdoc(cls).split("Attributes\n")[0]

    for parameter in inspect.signature(cls).parameters.values():
        default = repr(parameter.default).replace("'", '"')
        names = "mean, std" if parameter.name in ("mean", "std") else parameter.name
        entry = documented.split(f"\n{names} : ")[1].split("\n\n")[0]
        assert f"default={default}" in entry, parameter.name
