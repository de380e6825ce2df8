"""Figures of the results of many pairs of columns, as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from infobound._system import files
from infobound.data.columns import ColumnTable
from infobound.plotting import column_figures
from infobound.plotting.figures import render
from infobound.tables.column_pairs import Pairwise, expect_ending
from infobound.tables.pairwise_page import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PICTURES", "save_figure", "save_gallery", "write"]

PICTURES: dict[str, Literal["png", "svg", "pdf"]] = {".png": "png", ".svg": "svg", ".pdf": "pdf"}
GALLERY_PAIRS = 12  # pairs of a gallery


def write(figure: Figure, path: Path) -> None:
    """Write a figure to a file, .png, .svg or .pdf.

    Raises:
        InputError: If the ending is another, or the file cannot be written.
    """
    files.write_atomic(path, render(figure, PICTURES[expect_ending(path, [*PICTURES])]))


def save_figure(result: Pairwise, path: Path, *, title: str, unit: str = "nats") -> None:
    """Draw all pairs as a clustered heat map, or the columns of one target as bars with intervals.

    Args:
        result: the pairs.
        path: the file, .png, .svg or .pdf.
        title: the title, to which is added what was compared.
        unit: "nats" or "bits".

    Raises:
        InputError: If there are several targets, the ending or the unit is another, or the file
            cannot be written.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from infobound import pairwise
        >>> found = pairwise(np.random.default_rng(0).normal(size=(30, 3)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_figure(found, Path(folder) / "map.png", title="Noise")
        ...     (Path(folder) / "map.png").stat().st_size > 1000
        True
    """
    kind = PICTURES[expect_ending(path, [*PICTURES])]
    files.write_atomic(path, render(figure(result, title=title, units=unit), kind))


def save_gallery(
    result: Pairwise, table: ColumnTable, path: Path, *, title: str, unit: str = "nats"
) -> None:
    """Draw the ranks of the strongest pairs.

    Args:
        result: the pairs.
        table: the table that they are from.
        path: the file, .png, .svg or .pdf.
        title: the title.
        unit: "nats" or "bits".

    Raises:
        InputError: If the ending or the unit is another, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from infobound import pairwise
        >>> from infobound.data.columns import as_table
        >>> table = as_table(np.random.default_rng(0).normal(size=(30, 3)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_gallery(pairwise(table), table, Path(folder) / "all.png", title="Noise")
        ...     (Path(folder) / "all.png").stat().st_size > 1000
        True
    """
    kind = PICTURES[expect_ending(path, [*PICTURES])]
    panels = []
    for pair in result.pairs[:GALLERY_PAIRS]:
        x, y = table.column(pair.x), table.column(pair.y)
        codes, names, kinds = (x.codes, y.codes), (x.name, y.name), (x.categorical, y.categorical)
        note = f"{pair.values(unit)['mi']:.3f} {unit}"
        panels.append(column_figures.Points(*codes, *names, *kinds, note))
    title = f"{title}: the {len(panels)} strongest of {len(result.pairs):,} pairs"
    files.write_atomic(path, render(column_figures.gallery(panels, title=title), kind))
