"""Configuration of Sphinx. `nox -s docs` builds the documentation."""

import re
from importlib.metadata import version as installed_version

import matplotlib as mpl

import imgsim

mpl.use("agg")

project = "imgsim"
author = "The imgsim developers"
copyright = author
version = release = installed_version("scikit-imgsim")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
# sphinx-gallery reads the examples and writes auto_examples.
exclude_patterns = ["_build", "_templates", "examples"]
templates_path = ["_templates"]
# Docstrings put names in single backticks.
default_role = "literal"
# Quotation marks in docstrings, as in "auto", are code and must stay straight.
smartquotes = False

autosummary_generate = True
# The docstrings state the types, and the templates list the members.
autodoc_typehints = "none"
numpydoc_show_class_members = False

myst_heading_anchors = 2

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "plot_",
    "doc_module": ("imgsim",),
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "imgsim"
html_show_sourcelink = False
html_theme_options = {
    "github_url": "https://github.com/scikit-imgsim/scikit-imgsim",
    "navigation_with_keys": False,
}


def link_short_name(app, env, node, contnode):
    """Link a top-level name, such as imgsim.ImageEmbedder, to its page."""
    parent, _, name = node.get("reftarget", "").rpartition(".")
    if node.get("refdomain") != "py" or parent != "imgsim":
        return None
    if name not in imgsim.__all__:
        return None
    module = getattr(imgsim, name).__module__.partition("._")[0]
    return env.get_domain("py").resolve_xref(
        env,
        node["refdoc"],
        app.builder,
        node["reftype"],
        f"{module}.{name}",
        node,
        contnode,
    )


def skip_foreign_members(app, what, name, obj, skip, options):
    """Skip members that a class inherits from outside of imgsim."""
    own = (getattr(obj, "__module__", None) or "").partition(".")[0] == "imgsim"
    return True if what in ("class", "exception") and not own else None


def escape_shapes(app, what, name, obj, options, lines):
    """Escape the trailing underscore of a name in a shape, which would be a link."""
    for i, line in enumerate(lines):
        if " of shape (" in line:
            lines[i] = re.sub(r"(?<=\w)_(?=[,)])", r"\_", line)


def setup(app):
    """Connect the functions above to the events of Sphinx."""
    app.connect("missing-reference", link_short_name)
    app.connect("autodoc-skip-member", skip_foreign_members)
    # This runs after numpydoc, which writes the field lists.
    app.connect("autodoc-process-docstring", escape_shapes, priority=900)
