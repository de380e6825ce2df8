"""Figures of the data: the dependence of two columns, directions and profiles of the score.

Points are coloured by the pointwise information of their rows, if it is known, or else by the
density of their ranks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound._system.units import scale
from infobound.plotting.figures import BLUE, GREY, INK, MIST, ORANGE, canvas, finish, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Axis", "comparison_figure", "directions_figure", "profile_figure", "rank_figure"]

DOTS = 3_000  # most points of a panel
CELLS = 16  # of the density of ranks, each way
LEVELS = 20  # values up to which a column is drawn as categories
WINDOWS = 25  # means of a profile
LONGEST = 32  # letters of a name


@dataclass(frozen=True)
class Axis:
    """One column of a figure.

    Attributes:
        values: (n,), its values.
        name: its name.
        labels: the names of the values 0, 1, ... of a category.
    """

    values: np.ndarray
    name: str
    labels: tuple[str, ...] = ()


def rank_figure(
    x: Axis,
    y: Axis,
    *,
    pointwise: np.ndarray | None = None,
    title: str,
    unit: str = "nats",
) -> Figure:
    """Draw the ranks of two columns, coloured by the information of each row.

    Where x and y are independent, points are spread evenly. Ticks are at quarters of the rows, with
    the values there.

    Args:
        x: a column.
        y: another.
        pointwise: (n,), the contribution of each row to the MI, in nats; None for the logarithm of
            the density of ranks.
        title: the title.
        unit: the unit of the colours, "nats" or "bits".

    Returns:
        The figure.

    Raises:
        InputError: If the unit is unknown.

    Example:
        >>> values = np.random.default_rng(0).normal(size=200)
        >>> figure = rank_figure(Axis(values, "a"), Axis(values**3, "b"), title="A cube")
        >>> figure.axes[0].get_xlabel()
        'a (rows in order, ticks are values)'
    """
    figure, axes = canvas(6.6, 5.6, title)
    rng = np.random.default_rng(0)
    sides = [_spread_ranks(each.values, rng) for each in (x, y)]
    colour = np.asarray(_log_density(*sides) if pointwise is None else pointwise) / scale(unit)
    rows = _some(len(colour), rng)
    dots = _dots(axes, sides[0][rows], sides[1][rows], colour[rows], colour)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    for each, place in ((x, axes.xaxis), (y, axes.yaxis)):
        where, labels = _ticks(each)
        place.set_ticks(where, labels)
        for text in place.get_ticklabels():
            text.set_parse_math(False)
        few = len(np.unique(each.values)) <= LEVELS
        how = "values, spread" if few else "rows in order, ticks are values"
        place.set_label_text(f"{_short(each.name)} ({how})", color=INK, parse_math=False)
    what = "log density of ranks" if pointwise is None else "pointwise information"
    _colour_bar(figure, [axes], dots, f"{what} ({unit})")
    finish(figure, axes)
    return figure


def directions_figure(
    pairs: Sequence[tuple[Axis, Axis]],
    *,
    pointwise: np.ndarray | None = None,
    title: str,
    unit: str = "nats",
) -> Figure:
    """Draw pairs of directions of x and y against each other, a panel for each.

    Args:
        pairs: the pairs, at least one; values are in standard deviations.
        pointwise: (n,), the contribution of each row to the MI, in nats.
        title: the title.
        unit: the unit of the colours, "nats" or "bits".

    Returns:
        The figure.

    Raises:
        InputError: If the unit is unknown.

    Example:
        >>> values = np.random.default_rng(0).normal(size=200)
        >>> pair = Axis(values, "direction 1 of x"), Axis(values, "direction 1 of y")
        >>> len(directions_figure([pair, pair], title="Two pairs").axes)
        2
    """
    figure, panels = _panels(len(pairs), 3.9, 3.9, title)
    rng = np.random.default_rng(0)
    rows = _some(len(pairs[0][0].values), rng)
    values = None if pointwise is None else np.asarray(pointwise) / scale(unit)
    for axes, (x, y) in zip(panels, pairs, strict=True):
        if values is None:
            scale(unit)
            alpha = float(np.clip(300 / len(rows), 0.15, 0.8))
            axes.scatter(x.values[rows], y.values[rows], s=9, color=BLUE, alpha=alpha, lw=0)
        else:
            dots = _dots(axes, x.values[rows], y.values[rows], values[rows], values)
        axes.set_xlabel(x.name, color=INK, parse_math=False)
        axes.set_ylabel(y.name, color=INK, parse_math=False)
    if values is not None:
        _colour_bar(figure, panels, dots, f"pointwise information ({unit})")
    _settle(figure)
    return figure


def profile_figure(
    columns: Sequence[Axis], pointwise: np.ndarray, *, title: str, unit: str = "nats"
) -> Figure:
    """Draw the mean pointwise information along columns: where the dependence is.

    Args:
        columns: the columns, a panel for each.
        pointwise: (n,), the contribution of each row to the MI, in nats.
        title: the title.
        unit: "nats" or "bits".

    Returns:
        The figure; each panel has means of consecutive rows, or of each value of a column that
        takes few, with two standard errors to each side. The line is the mean of all rows.

    Raises:
        InputError: If the unit is unknown.

    Example:
        >>> values = np.random.default_rng(0).normal(size=200)
        >>> figure = profile_figure([Axis(values, "a")], values**2, title="The tails matter")
        >>> figure.axes[0].get_ylabel()
        'pointwise information (nats)'
    """
    values = np.asarray(pointwise) / scale(unit)
    figure, panels = _panels(len(columns), 3.4, 2.9, title)
    for place, (axes, column) in enumerate(zip(panels, columns, strict=True)):
        where, means, errors, labels = _means(column, values)
        low, high = means - 2 * errors, means + 2 * errors
        if labels:
            axes.errorbar(where, means, 2 * errors, fmt="o", color=BLUE, lw=1.4, capsize=3)
            axes.set_xticks(where, labels, rotation=45 if len("".join(labels)) > 30 else 0)
        else:
            axes.fill_between(where, low, high, color=BLUE, alpha=0.25, linewidth=0)
            axes.plot(where, means, color=BLUE, lw=1.8)
        for text in axes.get_xticklabels():
            text.set_parse_math(False)
        axes.axhline(float(values.mean()), color=ORANGE, lw=1.2, ls="--")
        axes.axhline(0, color=GREY, lw=0.8)
        axes.set_xlabel(_short(column.name), color=INK, parse_math=False)
        if place == 0:
            axes.set_ylabel(f"pointwise information ({unit})", color=INK)
        axes.grid(axis="y", color=MIST, linewidth=0.5, alpha=0.7)
    _settle(figure)
    return figure


def comparison_figure(
    names: Sequence[str],
    values: np.ndarray,
    intervals: np.ndarray,
    *,
    title: str,
    label: str = "mutual information",
    unit: str = "nats",
) -> Figure:
    """Draw values with their intervals below each other.

    Args:
        names: what each value is of, from top to bottom.
        values: (k,), in nats.
        intervals: (k, 2), their ends in nats; nan for none.
        title: the title.
        label: what the values are.
        unit: the unit of the figure, "nats" or "bits".

    Returns:
        The figure.

    Raises:
        InputError: If the unit is unknown.

    Example:
        >>> ends = np.array([[0.2, 0.4], [-0.1, 0.1]])
        >>> figure = comparison_figure(["a", "b"], ends.mean(axis=1), ends, title="Two")
        >>> figure.axes[0].get_xlabel()
        'mutual information (nats)'
    """
    factor = scale(unit)
    middles, ends = np.asarray(values) / factor, np.asarray(intervals) / factor
    figure, axes = canvas(8.0, float(np.clip(1.5 + 0.36 * len(names), 2.2, 14.0)), title)
    rows = np.arange(len(names))
    axes.axvline(0, color=GREY, linewidth=0.9, zorder=0.5)
    axes.hlines(rows, ends[:, 0], ends[:, 1], color=BLUE, linewidth=2.6)
    axes.plot(middles, rows, "o", color=BLUE, markersize=8)
    axes.set_yticks(rows, [_short(name) for name in names])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=MIST, linewidth=0.5, alpha=0.7)
    axes.set_xlabel(f"{label} ({unit})", color=INK)
    finish(figure, axes)
    return figure


def _panels(count: int, width: float, height: float, title: str) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels, at most three in a row."""
    across = min(3, count)
    down = math.ceil(count / across)
    figure, first = canvas(max(width * across + 0.6, 6.0), height * down + 0.5, "")
    first.remove()
    figure.suptitle(
        title, x=0.02, ha="left", fontsize=13, fontweight="bold", color=INK, parse_math=False
    )
    panels = [figure.add_subplot(down, across, number) for number in range(1, count + 1)]
    for axes in panels:
        quiet(axes)
    return figure, panels


def _settle(figure: Figure) -> None:
    """Fix the layout, so that a second rendering has the same bytes."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def _dots(axes: Axes, x: np.ndarray, y: np.ndarray, colour: np.ndarray, every: np.ndarray) -> Any:
    """Draw points with colours that are grey at zero, the strong ones on top."""
    from matplotlib.colors import CenteredNorm, LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("information", [BLUE, "#B8B8B8", ORANGE])
    reach = float(np.quantile(np.abs(every), 0.98)) or 1.0
    order = np.argsort(np.abs(colour))
    return axes.scatter(
        x[order],
        y[order],
        c=colour[order],
        s=float(np.clip(9000 / len(x), 6, 22)),
        cmap=colours,
        norm=CenteredNorm(0, reach),
        linewidths=0,
        rasterized=True,
    )


def _colour_bar(figure: Figure, panels: list[Axes], dots: Any, label: str) -> None:
    bar = figure.colorbar(dots, ax=panels, shrink=0.7, pad=0.03, extend="both")
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.set_label(label, color=INK, fontsize=10.5)
    bar.ax.tick_params(labelsize=9.5, color=GREY, labelcolor=INK)


def _some(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(n)[:DOTS]


def _spread_ranks(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return ranks in 0 to 1; equal values are spread over most of their room."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    shares = counts / len(values)
    middle = np.cumsum(shares) - shares / 2
    room = 0.8 * shares[codes] * (counts[codes] > 1)
    return np.asarray(middle[codes] + room * (rng.random(len(values)) - 0.5))


def _log_density(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the logarithm (n,) of a smoothed density of ranks at each point, in nats."""
    from scipy.ndimage import gaussian_filter

    cells = int(np.clip(math.sqrt(len(u) / 12), 4, CELLS))
    places = [np.minimum((side * cells).astype(int), cells - 1) for side in (u, v)]
    counts = np.zeros((cells, cells))
    np.add.at(counts, tuple(places), 1.0)
    smooth = gaussian_filter(counts + 0.5, 0.8, mode="nearest")
    density = smooth / smooth.mean()
    return np.asarray(np.log(density[tuple(places)]))


def _ticks(axis: Axis) -> tuple[list[float], list[str]]:
    """Return places of ranks and the values there."""
    distinct, counts = np.unique(axis.values, return_counts=True)
    if axis.labels or len(distinct) <= 8:
        shares = counts / counts.sum()
        return (np.cumsum(shares) - shares / 2).tolist(), _named(axis, distinct)
    quarters = [0.0, 0.25, 0.5, 0.75, 1.0]
    return quarters, [f"{each:.3g}" for each in np.quantile(axis.values, quarters)]


def _named(axis: Axis, values: np.ndarray) -> list[str]:
    """Return the labels of some values."""
    if axis.labels:
        return [_short(axis.labels[int(value)], 14) for value in values]
    return [f"{value:.4g}" for value in values]


def _means(axis: Axis, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Return places, means and standard errors along a column, with labels of few values."""
    distinct, codes = np.unique(axis.values, return_inverse=True)
    if len(distinct) <= LEVELS:
        groups = [np.flatnonzero(codes == k) for k in range(len(distinct))]
        where, labels = np.arange(len(distinct), dtype=float), _named(axis, distinct)
    else:
        order = np.argsort(axis.values, kind="stable")
        groups = np.array_split(order, int(np.clip(len(order) // 20, 3, WINDOWS)))
        where, labels = np.array([np.median(axis.values[group]) for group in groups]), []
    means = np.array([values[group].mean() for group in groups])
    errors = np.array([values[group].std() / math.sqrt(len(group)) for group in groups])
    return where, means, errors, labels


def _short(name: str, longest: int = LONGEST) -> str:
    return name if len(name) <= longest else f"{name[: longest - 3]}..."
