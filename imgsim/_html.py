"""Pages and parts of pages from templates; the only importer of Jinja."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["as_text", "render_html"]


def render_html(package: str, template: str, **context: Any) -> str:
    """Render a template from the folder `templates` of a package.

    Every value is escaped, whatever the extension of the template.
    """
    return _environment(package).get_template(template).render(**context)


def as_text(value: Any) -> str:
    """Return a line of text that can be written in UTF-8, whatever a file is called."""
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
