"""Rendering of HTML templates: the only module that imports Jinja."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["as_text", "render_html"]


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
