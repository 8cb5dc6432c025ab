"""Pages and parts of pages from templates; the only importer of Jinja."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["as_text", "render_html"]


def render_html(template: str, **context: Any) -> str:
    """Fill in a template of `imgsim/templates`.

    Every value is escaped, whatever the file is called that it names.
    """
    return _environment().get_template(template).render(**context)


def as_text(value: Any) -> str:
    """Return a line of text that can be written in UTF-8, whatever a file is called."""
    line = " ".join(str(value).splitlines())
    return line.encode("utf-8", "backslashreplace").decode("utf-8")


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("imgsim"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
