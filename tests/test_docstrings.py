"""Tests of public docstrings: format, defaults and examples."""

import doctest
import importlib
import inspect

import numpy as np
import pytest
from numpydoc.validate import validate
from test_public_api import SUBPACKAGES

# Checks of numpydoc that do not apply to our style.
IGNORED = {
    "ES01",  # an extended summary is optional
    "EX01",  # the class has an example for its methods
    "GL01",  # the summary is on the same line as the quotes
    "RT02",  # a single returned value is named as well, as in scikit-learn
    "SA01",  # the section "See Also" is optional
    "SA04",  # numpydoc does not find descriptions after a line break
    "YD01",  # only public generators have the section "Yields"
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
def test_docstring_is_valid_numpydoc(dotted):
    """Readers find parameters, results and errors in the usual sections."""
    errors = validate(dotted)["errors"]

    assert [error for error in errors if error[0] not in IGNORED] == []


def _documented_modules():
    for part in SUBPACKAGES:
        module = importlib.import_module(f"imgsim.{part}")
        yield from {getattr(module, name).__module__ for name in module.__all__}


@pytest.mark.parametrize("name", sorted(set(_documented_modules())))
def test_examples_run(name):
    """An example with wrong output is misleading."""
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
    """A changed default is easily forgotten in the docstring."""
    import imgsim

    cls = getattr(imgsim, name)
    documented = inspect.getdoc(cls).split("Attributes\n")[0]

    for parameter in inspect.signature(cls).parameters.values():
        default = repr(parameter.default).replace("'", '"')
        names = "mean, std" if parameter.name in ("mean", "std") else parameter.name
        entry = documented.split(f"\n{names} : ")[1].split("\n\n")[0]
        assert f"default={default}" in entry, parameter.name
