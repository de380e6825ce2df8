"""Figures of series at their lags: the curve of two, a matrix and a network of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from infobound._system.units import scale
from infobound.plotting.figures import BLUE, FOUND, GREY, INK, MIST, PALE, canvas, finish
from infobound.plotting.transfer_figures import circle, framed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Link", "lag_curve", "lag_matrix", "lag_network"]

DOTS = 250  # lags that are drawn as dots; more are a line
MOST_LINKS = 200  # of a network, the strongest
LABELLED = 40  # links up to which each has its lag


class Link(NamedTuple):
    """Two series that depend on each other at a lag.

    Attributes:
        x: the name of one.
        y: the name of the other.
        lag: the rows from x to y; x leads if positive.
        mi: the mutual information there, in nats.
    """

    x: str
    y: str
    lag: int
    mi: float


def lag_curve(
    lags: np.ndarray,
    values: np.ndarray,
    intervals: np.ndarray,
    *,
    found: np.ndarray,
    band: float,
    names: tuple[str, str],
    title: str,
    unit: str = "nats",
) -> Figure:
    """Draw the MI at each lag with intervals, and the band below which independent series stay.

    Args:
        lags: (w,), in order; x leads at positive ones.
        values: (w,), in nats.
        intervals: (w, 2), their lower and upper ends in nats.
        found: (w,), whether a lag is found dependent; the others are grey.
        band: the upper end of the band, in nats.
        names: the names of x and y.
        title: the title.
        unit: the unit of the figure, "nats" or "bits".

    Returns:
        The figure.

    Raises:
        InputError: If the unit is unknown.

    Example:
        >>> lags, values = np.arange(-2, 3), np.array([0.0, 0.0, 0.1, 0.4, 0.1])
        >>> ends = np.stack([values - 0.05, values + 0.05], axis=1)
        >>> figure = lag_curve(
        ...     lags, values, ends, found=values > 0, band=0.06, names=("a", "b"), title="a and b"
        ... )
        >>> figure.axes[0].get_ylabel()
        'mutual information (nats)'
    """
    values, ends, top = (np.asarray(each) / scale(unit) for each in (values, intervals, band))
    found = np.asarray(found, dtype=bool)
    figure, axes = canvas(8.0, 4.2, title)
    bottom = min(0.0, float(values.min()))
    axes.axhspan(
        bottom, float(top), color=MIST, alpha=0.6, linewidth=0, label="95 % if independent"
    )
    axes.fill_between(
        lags, ends[:, 0], ends[:, 1], color=PALE, alpha=0.45, linewidth=0, label="95 % interval"
    )
    axes.plot(lags, values, color=GREY, linewidth=1.2)
    size = 22 if len(lags) <= DOTS else 8
    if found.any():
        axes.scatter(
            lags[found],
            values[found],
            s=size,
            color=BLUE,
            zorder=3,
            label=f"adjusted p ≤ {FOUND:g}",
        )
    axes.axhline(0, color=INK, linewidth=0.9)
    axes.axvline(0, color=INK, linewidth=0.7, linestyle=":")
    axes.set_xlim(lags[0], lags[-1])
    axes.set_ylim(bottom=bottom)
    axes.locator_params(axis="x", integer=True)
    x, y = (name if len(name) <= 24 else f"{name[:21]}..." for name in names)
    axes.set_xlabel(f"lag in rows   ({y} leads  <  0  <  {x} leads)", color=INK)
    axes.set_ylabel(f"mutual information ({unit})", color=INK)
    axes.grid(axis="y", color=MIST, linewidth=0.5, alpha=0.7)
    finish(figure, axes, ncols=3)
    return figure


def lag_matrix(
    values: np.ndarray,
    lags: np.ndarray,
    found: np.ndarray,
    *,
    names: Sequence[str],
    title: str,
    unit: str = "nats",
) -> Figure:
    """Draw the MI of all pairs at their best lags, with the lags written into the cells.

    Args:
        values: (p, p), in nats; missing values are blank.
        lags: (p, p), from row to column: positive where the row leads.
        found: (p, p), whether a pair is found; these cells have a frame.
        names: the names of the series.
        title: the title.
        unit: the unit of the figure, "nats" or "bits".

    Returns:
        The figure.

    Raises:
        InputError: If the unit is unknown.

    Example:
        >>> values = np.array([[np.nan, 0.3], [0.3, np.nan]])
        >>> lags = np.array([[np.nan, 4], [-4, np.nan]])
        >>> figure = lag_matrix(values, lags, values > 0.1, names=["a", "b"], title="Two")
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['4', '-4']
    """
    values = np.asarray(values, dtype=np.float64) / scale(unit)
    texts = np.char.mod("%.0f", lags)
    bar = f"mutual information ({unit}); framed: q ≤ {FOUND:g}"
    figure, axes = framed(values, found, texts, names=names, title=title, bar=bar)
    axes.set_xlabel("number in a cell: lag in rows, positive if the row leads", color=INK)
    return figure


def lag_network(links: Sequence[Link], *, names: Sequence[str], title: str) -> Figure:
    """Draw series on a circle, and an arrow to each from one that leads it.

    Args:
        links: the pairs; at most 200 are drawn, the strongest. Those at lag 0 are lines.
        names: the names of all series.
        title: the title, to which is added what an arrow means.

    Returns:
        The figure; the width of an arrow grows with the MI, and its number is the lag.

    Example:
        >>> links = [Link("a", "b", 4, 0.3), Link("a", "c", 0, 0.1)]
        >>> figure = lag_network(links, names=["a", "b", "c"], title="Three")
        >>> len(figure.axes[0].patches)
        2
    """
    from matplotlib.patches import FancyArrowPatch

    figure, axes = canvas(7.6, 7.2, f"{title}; arrows from what leads, q ≤ {FOUND:g}")
    places = circle(axes, names)
    shown = sorted(links, key=lambda one: -one.mi)[:MOST_LINKS]
    largest = max((one.mi for one in shown), default=1.0)
    for one in reversed(shown):
        share = max(one.mi, 0.0) / max(largest, 1e-12)
        ends = (one.x, one.y) if one.lag >= 0 else (one.y, one.x)
        first, last = (places[name] for name in ends)
        axes.add_patch(
            FancyArrowPatch(
                tuple(first),
                tuple(last),
                arrowstyle="-|>" if one.lag else "-",
                mutation_scale=9 + 9 * share,
                linewidth=0.7 + 3.3 * share,
                shrinkA=9,
                shrinkB=9,
                color=BLUE,
                alpha=0.35 + 0.6 * share,
            )
        )
        if len(shown) <= LABELLED:
            across, up = 0.6 * first + 0.4 * last
            axes.text(
                *(across, up, f"{abs(one.lag)}"),
                ha="center",
                va="center",
                fontsize=9,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2},
            )
    return figure
