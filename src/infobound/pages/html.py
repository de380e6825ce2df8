"""Pages as HTML: the fragment that a notebook shows, and a document that needs nothing else.

All text is escaped by jinja2. A document has no script and loads nothing, and its policy forbids
both.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infobound.pages import svg
from infobound.pages.references import bibtex

if TYPE_CHECKING:
    from jinja2 import Environment

    from infobound.pages.page import Page, Picture

__all__ = ["document", "fragment"]

TEMPLATES = Path(__file__).parent / "templates"
MOST = 12  # rows of a table in a notebook


def fragment(page: Page) -> str:
    """Return a page as the HTML that a notebook shows: numbers, tables, findings, verdict.

    Example:
        >>> from infobound.pages.page import Page
        >>> "<b>" in fragment(Page("example", "<b>", "", "nats"))
        False
    """
    return _environment().get_template("fragment.html").render(page=page, most=MOST)


def document(pages: Sequence[Page]) -> str:
    """Return pages as one HTML document, with a comparison first if there are several.

    Example:
        >>> from infobound.pages.page import Page
        >>> "<script>" in document([Page("example", "<script>", "", "nats")])
        False
    """
    references = dict.fromkeys(key for page in pages for key in page.references)
    return (
        _environment()
        .get_template("document.html")
        .render(
            pages=pages,
            title=pages[0].title if len(pages) == 1 else f"{len(pages)} results",
            bibtex=bibtex(references),
            drawn=_drawn,
        )
    )


def _drawn(picture: Picture, prefix: str) -> Any:
    """Return a picture as SVG that may stand in a page as it is."""
    from markupsafe import Markup

    return Markup(svg.inline(picture.draw(), prefix=prefix, label=picture.caption))


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
