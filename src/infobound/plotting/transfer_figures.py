"""Figures of transfer between series: two directions, a network, and a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from infobound._system.units import scale
from infobound.plotting.figures import BLUE, FOUND, GREY, INK, ORANGE, canvas, finish, quiet, shaded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Arrow", "circle", "directions", "framed", "matrix", "network"]

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
    places = circle(axes, names)
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
    return figure


def circle(axes: Axes, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Draw series as dots on a circle, and return the place (2,) of each name.

    Example:
        >>> circle(canvas(5.0, 5.0, "")[1], ["a", "b"])["a"].round(9).tolist()
        [0.0, 1.0]
    """
    angles = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / max(len(names), 1)
    places = dict(zip(names, np.stack([np.cos(angles), np.sin(angles)], axis=1), strict=True))
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
    return places


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
    values = np.asarray(values, dtype=np.float64) / scale(unit)
    texts = np.char.replace(np.char.mod("%.2f", values + 0.0), "-0.00", "0.00")
    bar = f"{unit} per row; framed: q ≤ {FOUND:g}"
    figure, axes = framed(values, found, texts, names=names, title=title, bar=bar)
    axes.set_xlabel("target", color=INK)
    axes.set_ylabel("source", color=INK)
    return figure


def framed(
    values: np.ndarray,
    found: np.ndarray,
    texts: np.ndarray,
    *,
    names: Sequence[str],
    title: str,
    bar: str,
) -> tuple[Figure, Axes]:
    """Draw a value for each ordered pair of series in colour, with frames and a text.

    Args:
        values: (p, p); missing values are blank.
        found: (p, p), which cells have a frame.
        texts: (p, p), what is written in the cells of up to 14 series.
        names: the names of the series.
        title: the title.
        bar: the label of the bar of colours.

    Returns:
        The figure and its axes.

    Example:
        >>> values = np.array([[np.nan, 0.3], [0.3, np.nan]])
        >>> texts = np.array([["", "4"], ["-4", ""]])
        >>> axes = framed(values, values > 0, texts, names=["a", "b"], title="Two", bar="nats")[1]
        >>> [text.get_text() for text in axes.texts]
        ['4', '-4']
    """
    from matplotlib.patches import Rectangle

    size = float(np.clip(3.2 + 0.34 * len(names), 5.0, 12.0))
    figure, axes = canvas(size + 2.2, size, "")
    figure.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold", color=INK)
    top = max(float(np.nanmax(values, initial=0.0)), LEAST_TOP)
    shaded(axes, values, top=top, label=bar)
    labels = [_short(name) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=90, fontsize=9)
    axes.set_yticks(range(len(names)), labels, fontsize=9)
    for row, column in np.argwhere(np.isfinite(values)):
        if found[row, column]:
            axes.add_patch(
                Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, ec=ORANGE, lw=2)
            )
        if len(names) <= WRITTEN:
            ink, text = "white" if values[row, column] > 0.6 * top else INK, texts[row, column]
            axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=ink)
    return figure, axes


def _short(name: str, most: int = LONGEST) -> str:
    return name if len(name) <= most else f"{name[: most - 3]}..."
