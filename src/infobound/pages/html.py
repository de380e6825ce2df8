"""Pages as HTML: the fragment that a notebook shows, and a document that needs nothing else.

All text is escaped by jinja2. A document has no script and loads nothing, and its policy forbids
both.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound.pages import svg
from infobound.pages.references import bibtex
from infobound.plotting.dependence_figures import comparison_figure

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

    from infobound.pages.page import Measure, Page

__all__ = ["document", "fragment"]

TEMPLATES = Path(__file__).parent / "templates"
COMPARED = 40  # values of a comparison
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
            bibtex=bibtex(references, _version(pages)),
            measures=_compared(pages),
            kinds={page.kind for page in pages},
            drawn=_drawn,
            compared=_comparison,
        )
    )


def _compared(pages: Sequence[Page]) -> list[Measure]:
    """Return the values that are compared, with the number of their page, if there are several."""
    if sum(bool(page.measures) for page in pages) < 2:
        return []
    found = [
        replace(each, name=f"{number}. {each.name}")
        for number, page in enumerate(pages, 1)
        for each in page.measures
    ]
    return found[:COMPARED]


def _comparison(measures: Sequence[Measure], units: str) -> Figure:
    return comparison_figure(
        [each.name for each in measures],
        np.array([each.value for each in measures]),
        np.array([(each.low, each.high) for each in measures]),
        title="Comparison",
        unit=units,
    )


def _version(pages: Sequence[Page]) -> str:
    """Return the version of this package that made the results."""
    found = (page.versions.get("infobound", "") for page in pages)
    return next(filter(None, found), "")


def _drawn(figure: Figure, prefix: str, label: str) -> Any:
    """Return a figure as SVG that may stand in a page as it is."""
    from markupsafe import Markup

    return Markup(svg.inline(figure, prefix=prefix, label=label))


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
