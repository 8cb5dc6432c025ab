"""Rendering of HTML templates: the only module that imports Jinja."""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from sklearn.utils import estimator_html_repr

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["as_text", "render_diagram", "render_html"]

_N_FEATURES = re.compile(r"(<div>(?:[\d,]+ of )?[\d,]+) feature(s?</div>)")


def render_html(package: str, template: str, **context: Any) -> str:
    """Render a template of the folder `templates` of a package.

    All values are escaped, whatever the file extension of the template.
    """
    return _environment(package).get_template(template).render(**context)


def as_text(value: Any) -> str:
    """Return a value as a single line of text that can be encoded in UTF-8.

    File names may contain line breaks and bytes that are not valid UTF-8.
    """
    line = " ".join(str(value).splitlines())
    return line.encode("utf-8", "backslashreplace").decode("utf-8")


def render_diagram(estimator: Any, output: str) -> str:
    """Return scikit-learn's diagram of an estimator, which names its output columns.

    scikit-learn calls them features, even if a column is the distance from a row of the
    index or from a cluster. `output` is the right word in the singular, such as "row".
    """
    diagram = str(estimator_html_repr(estimator))
    return _N_FEATURES.sub(rf"\1 {output}\2", diagram)


@cache
def _environment(package: str) -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
