"""Figure of the mutual information of two series at each lag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from infobound._system.units import scale
from infobound.plotting.figures import BLUE, GREY, INK, MIST, PALE, canvas, finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["lag_curve"]

DOTS = 250  # lags that are drawn as dots; more are a line


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
            lags[found], values[found], s=size, color=BLUE, zorder=3, label="adjusted p ≤ 0.05"
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
