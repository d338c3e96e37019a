"""HTML pages that hold their styles and pictures themselves and ask the network for nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined


def render_page(
    template: str,
    styles: tuple[str, ...],
    filters: Mapping[str, Callable[..., Any]],
    *,
    title: str,
    **values: Any,
) -> str:
    """Fill in a page.

    Args:
        template: The template, a file of `softcam.report`; it may include others, of which
            `head.html` begins every page.
        styles: Style sheets there.
        filters: The template's filters by name.
        title: The page's title.
        **values: What else the template shows; all text is escaped.

    Returns:
        HTML.
    """
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    page = environment.get_template(template)
    return page.render(title=title, style="\n".join(map(_read, styles)), **values)


def _read(name: str) -> str:
    return files("softcam.report").joinpath(name).read_text(encoding="utf-8")
