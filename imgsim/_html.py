"""Pages and parts of pages from templates; the only importer of Jinja."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render_html"]


def render_html(template: str, **context: Any) -> str:
    """Fill in a template of `imgsim/templates`.

    Every value is escaped, whatever the file is called that it names.
    """
    return _environment().get_template(template).render(**context)


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
