"""Figures of results in the gallery.

`result.plot()` returns a figure that pyplot does not know, as notebooks want it. An example assigns
it to a variable, and the page shows it below that block.
"""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

SHOWN = "_shown_on_a_page"


def _figures(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the new figures of a block, and return the reStructuredText that shows them."""
    paths = []
    for value in block_vars["example_globals"].values():
        own = isinstance(value, Figure) and value.canvas.manager is None
        if own and not hasattr(value, SHOWN):
            setattr(value, SHOWN, True)
            paths.append(next(block_vars["image_path_iterator"]))
            value.savefig(paths[-1], dpi=100)
    return figure_rst(paths, gallery_conf["src_dir"])


def _get_sg_image_scraper() -> Any:
    """Return the scraper; sphinx-gallery calls this by its name."""
    return _figures
