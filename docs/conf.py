"""How Sphinx builds this documentation; `nox -s docs` runs it."""

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
# sphinx-gallery turns the examples into auto_examples.
exclude_patterns = ["_build", "_templates", "examples"]
templates_path = ["_templates"]
# Docstrings write names in single backticks.
default_role = "literal"

autosummary_generate = True
# The docstrings hold the types, and the templates list the members.
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
}

html_theme = "pydata_sphinx_theme"
html_title = "imgsim"
html_show_sourcelink = False
html_theme_options = {
    "github_url": "https://github.com/scikit-imgsim/scikit-imgsim",
    "navigation_with_keys": False,
}


def link_short_name(app, env, node, contnode):
    """Link a name of the top level, imgsim.ImageEmbedder, to its page."""
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


def skip_fields(app, what, name, obj, skip, options):
    """Leave out the fields of named tuples, which their docstrings describe."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app):
    """Connect the two functions above."""
    app.connect("missing-reference", link_short_name)
    app.connect("autodoc-skip-member", skip_fields)
