"""Figures as SVG inside a page: colours that follow the page, names of parts that are unique."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from infobound.plotting import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["inline"]

SVG, LINK = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"
COLOURS = {  # of `plotting.figures`, by the variable of the page's style sheet
    figures.INK: "ink",
    "#000000": "ink",
    figures.GREY: "grey",
    figures.MIST: "mist",
    "#FFFFFF": "paper",
    figures.BLUE: "blue",
    figures.PALE: "pale",
    figures.ORANGE: "orange",
    figures.GREEN: "green",
    figures.RED: "red",
}
VARIABLES = {colour.lower(): f"var(--{name}, {colour})" for colour, name in COLOURS.items()}


def inline(figure: Figure, *, prefix: str, label: str) -> str:
    """Return a figure as an `<svg>` element for an HTML page.

    Colours become variables of the page's style, so that the figure is dark on a dark page; it has
    no background; text stays text; the width is that of the page.

    Args:
        figure: the figure.
        prefix: what makes the names of its parts unique on the page.
        label: a description for readers who cannot see it.

    Example:
        >>> from infobound.plotting.figures import canvas
        >>> text = inline(canvas(3, 2, "<b>")[0], prefix="a", label="An <i>example</i>")
        >>> text[:4], "<b>" in text, "&lt;b&gt;" in text
        ('<svg', False, True)
    """
    figure.patch.set_visible(False)
    root = ET.fromstring(figures.render(figure, "svg"))
    width, height = (root.attrib.pop(name) for name in ("width", "height"))
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("style", f"max-width: {_pixels(width):.0f}px")
    root.set("viewBox", root.get("viewBox", f"0 0 {width} {height}"))
    for child in [each for each in root if each.tag.endswith("metadata")]:
        root.remove(child)
    for element in root.iter():
        for name, value in element.attrib.items():
            element.attrib[name] = _adapted(name, value, prefix)
        if element.tag == f"{{{SVG}}}style":
            element.text = None  # rules of a figure would hold for the whole page
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", LINK[1:].partition("}")[0])
    return ET.tostring(root, encoding="unicode")


def _pixels(points: str) -> float:
    return float(points.removesuffix("pt")) * 4 / 3


def _adapted(name: str, value: str, prefix: str) -> str:
    """Return the value of an attribute of a figure on a page."""
    if name == "id":
        return f"{prefix}-{value}"
    if name == LINK and value.startswith("#"):
        return f"#{prefix}-{value[1:]}"
    if name in ("style", "fill", "stroke"):
        value = re.sub(
            r"#[0-9a-fA-F]{6}\b",
            lambda found: VARIABLES.get(found[0].lower(), found[0]),
            value,
        )
    return value.replace("url(#", f"url(#{prefix}-")
