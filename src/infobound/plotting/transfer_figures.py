"""Figures of transfer between series: two directions, a network, and a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from infobound._system.units import scale
from infobound.plotting.figures import BLUE, GREY, INK, ORANGE, canvas, finish, quiet, shaded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FOUND", "Arrow", "directions", "matrix", "network"]

FOUND = 0.05  # largest p-value or q-value of what is drawn in colour
LONGEST = 24  # letters of a name
MOST_ARROWS = 200  # of a network, the strongest
LEAST_TOP = 0.02  # nats at the end of a scale of colours, if all values are smaller
WRITTEN = 14  # series up to which the cells of a matrix have numbers

Row = tuple[str, float, tuple[float, float], float]
Scan = Sequence[tuple[int, float, bool]]


class Arrow(NamedTuple):
    """One ordered pair of series.

    Attributes:
        source: the name of the source.
        target: the name of the target.
        mi: the transfer entropy, in nats.
        found: whether it is found.
    """

    source: str
    target: str
    mi: float
    found: bool


def directions(
    rows: Sequence[Row], scans: Mapping[str, Scan], *, n: int, unit: str = "nats"
) -> Figure:
    """Draw values with intervals, and the statistics of scanned lags.

    Args:
        rows: name, value and interval in nats, and p-value, from top to bottom.
        scans: by name, the lag, the statistic and whether it is found, of each candidate lag.
        n: the number of rows, for the title.
        unit: the unit of the figure, "nats" or "bits".

    Returns:
        The figure.

    Raises:
        InputError: If the unit is unknown.

    Example:
        >>> figure = directions([("x → y", 0.2, (0.1, 0.3), 0.001)], {}, n=100)
        >>> figure.axes[0].get_xlabel()
        'transfer entropy (nats per row)'
    """
    each = scale(unit)
    figure, first = canvas(8.0, 2.4 + 2.3 * bool(scans), "")
    first.remove()
    figure.suptitle(
        f"Transfer entropy, {n:,} rows",
        x=0.02,
        ha="left",
        fontsize=13,
        fontweight="bold",
        color=INK,
    )
    grid = figure.add_gridspec(2 if scans else 1, 1)
    axes = figure.add_subplot(grid[0, 0])
    for place, (_, value, ends, p_value) in enumerate(rows):
        colour = BLUE if p_value <= FOUND else GREY
        axes.hlines(place, ends[0] / each, ends[1] / each, color=colour, linewidth=2.4)
        axes.plot([value / each], [place], "o", color=colour, markersize=8)
        axes.annotate(
            f"p = {p_value:.2g}",
            (ends[1] / each, place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=INK,
        )
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set_yticks(range(len(rows)), [_short(row[0], 2 * LONGEST) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.16)
    quiet(axes)
    axes.set_xlabel(f"transfer entropy ({unit} per row)", color=INK)
    if scans:
        below = figure.add_subplot(grid[1, 0])
        styles = ((BLUE, "o", "-"), (ORANGE, "s", "--"))
        for (name, scan), (colour, mark, line) in zip(scans.items(), styles, strict=False):
            lags, values, found = (np.array(part) for part in zip(*scan, strict=True))
            below.plot(lags, values, line, color=colour, linewidth=1.4, label=_short(name, 40))
            below.plot(lags[found], values[found], mark, color=colour, markersize=7)
            below.plot(lags[~found], values[~found], mark, color=colour, fillstyle="none")
        below.axhline(1, color=GREY, linewidth=0.9)
        below.set_xlabel("lag (rows); filled: found after adjustment for all lags", color=INK)
        below.set_ylabel("association\n(1: none)", color=INK)
        below.set_xticks(sorted({lag for scan in scans.values() for lag, *_ in scan}))
        quiet(below)
        finish(figure, below, ncols=2)
    return figure


def network(arrows: Sequence[Arrow], *, names: Sequence[str], title: str) -> Figure:
    """Draw series on a circle and an arrow for each transfer that is found.

    Args:
        arrows: the ordered pairs; at most 200 of those found are drawn, the strongest.
        names: the names of all series.
        title: the title, to which is added what an arrow means.

    Returns:
        The figure; the width of an arrow grows with its value.

    Example:
        >>> figure = network([Arrow("a", "b", 0.3, True)], names=["a", "b"], title="Two")
        >>> len(figure.axes[0].patches)
        1
    """
    from matplotlib.patches import FancyArrowPatch

    figure, axes = canvas(7.6, 7.2, f"{title}; arrows: q ≤ {FOUND:g}")
    angles = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / max(len(names), 1)
    places = dict(zip(names, np.stack([np.cos(angles), np.sin(angles)], axis=1), strict=True))
    shown = sorted((one for one in arrows if one.found), key=lambda one: -one.mi)[:MOST_ARROWS]
    largest = max((one.mi for one in shown), default=1.0)
    for one in reversed(shown):
        share = max(one.mi, 0.0) / max(largest, 1e-12)
        axes.add_patch(
            FancyArrowPatch(
                tuple(places[one.source]),
                tuple(places[one.target]),
                connectionstyle="arc3,rad=0.14",
                arrowstyle="-|>",
                mutation_scale=9 + 9 * share,
                linewidth=0.7 + 3.3 * share,
                shrinkA=9,
                shrinkB=9,
                color=BLUE,
                alpha=0.35 + 0.6 * share,
            )
        )
    for name, (across, up) in places.items():
        axes.plot([across], [up], "o", color=INK, markersize=7)
        side = "center" if abs(across) < 0.3 else "left" if across > 0 else "right"
        level = "center" if abs(across) >= 0.3 else "bottom" if up > 0 else "top"
        axes.text(
            *(1.09 * across, 1.09 * up), _short(name), ha=side, va=level, fontsize=9.5, color=INK
        )
    axes.set(xlim=(-1.5, 1.5), ylim=(-1.3, 1.3), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def matrix(
    values: np.ndarray, found: np.ndarray, *, names: Sequence[str], title: str, unit: str = "nats"
) -> Figure:
    """Draw the transfer entropies of all ordered pairs as a table: sources in rows.

    Args:
        values: (p, p) in nats, of row to column; missing values are blank.
        found: (p, p), whether a transfer is found; these cells have a frame.
        names: the names of the series.
        title: the title.
        unit: the unit of the figure, "nats" or "bits".

    Returns:
        The figure.

    Raises:
        InputError: If the unit is unknown.

    Example:
        >>> values = np.array([[np.nan, 0.3], [0.0, np.nan]])
        >>> figure = matrix(values, values > 0.1, names=["a", "b"], title="Two")
        >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
        ('target', 'source')
    """
    from matplotlib.patches import Rectangle

    values = np.asarray(values, dtype=np.float64) / scale(unit)
    size = float(np.clip(3.2 + 0.34 * len(names), 5.0, 12.0))
    figure, axes = canvas(size + 2.2, size, "")
    figure.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold", color=INK)
    top = max(float(np.nanmax(values, initial=0.0)), LEAST_TOP / scale(unit))
    shaded(axes, values, top=top, label=f"{unit} per row; framed: q ≤ {FOUND:g}")
    labels = [_short(name) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=90, fontsize=9)
    axes.set_yticks(range(len(names)), labels, fontsize=9)
    for row, column in np.argwhere(np.isfinite(values)):
        if found[row, column]:
            axes.add_patch(
                Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, ec=ORANGE, lw=2)
            )
        if len(names) <= WRITTEN:
            ink = "white" if values[row, column] > 0.6 * top else INK
            text = f"{values[row, column] + 0.0:.2f}".replace("-0.00", "0.00")
            axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=ink)
    axes.set_xlabel("target", color=INK)
    axes.set_ylabel("source", color=INK)
    return figure


def _short(name: str, most: int = LONGEST) -> str:
    return name if len(name) <= most else f"{name[: most - 3]}..."
