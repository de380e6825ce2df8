"""Figures of many pairs of columns: a clustered heat map, bars for a target, a gallery of ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from infobound._system.units import scale
from infobound.errors import InputError
from infobound.plotting.figures import BLUE, GREY, INK, MIST, canvas, finish, quiet, shaded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Points", "bar_chart", "gallery", "heat_map"]

NAMED_COLUMNS = 40  # columns whose names are written beside a heat map
NAME_LETTERS = 28  # letters of a name
DOTS = 2_000  # points of one panel of a gallery
JITTER = 0.35  # of the room of a category, to each side


class Points(NamedTuple):
    """Two columns for a gallery: codes (n,) of each, and whether they are categories.

    Attributes:
        x: the codes of a column, -1 where missing.
        y: those of another.
        x_name: the name of the first.
        y_name: the name of the other.
        x_is_category: whether the codes of x have no order.
        y_is_category: whether those of y have none.
        note: a line below the names.
    """

    x: np.ndarray
    y: np.ndarray
    x_name: str
    y_name: str
    x_is_category: bool
    y_is_category: bool
    note: str


def heat_map(table: np.ndarray, *, names: Sequence[str], title: str) -> Figure:
    """Draw values in 0 to 1 of all pairs of columns, with similar columns beside each other.

    Args:
        table: (p, p), symmetric; missing values and the diagonal are blank.
        names: the names of the columns.
        title: the title.

    Returns:
        The figure; columns are ordered by average linkage.

    Raises:
        InputError: If the table is not square.

    Example:
        >>> table = np.array([[np.nan, 0.1, 0.9], [0.1, np.nan, 0.2], [0.9, 0.2, np.nan]])
        >>> figure = heat_map(table, names=["a", "b", "c"], title="Three columns")
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['b', 'c', 'a']
    """
    table = np.asarray(table, dtype=np.float64)
    if table.ndim != 2 or table.shape != (len(names), len(names)):
        raise InputError(
            f"Expected a value for each pair of {len(names)} columns; got shape {table.shape}."
        )
    order = _clustered(table)
    written = len(names) <= NAMED_COLUMNS
    size = float(np.clip(2.8 + 0.24 * len(names), 5.0, 12.0))
    figure, axes = canvas(size + 1.6, size + 0.8, title)
    label = "normalised MI: 0 independent, 1 a function"
    shaded(axes, table[np.ix_(order, order)], top=1.0, label=label)
    places = range(len(names)) if written else []
    labels = [_short(names[k]) for k in order] if written else []
    axes.set_xticks(places, labels, rotation=90, fontsize=8.5)
    axes.set_yticks(places, labels, fontsize=8.5)
    finish(figure, axes)
    return figure


def _clustered(table: np.ndarray) -> np.ndarray:
    """Order columns so that similar ones are beside each other."""
    if len(table) < 3:
        return np.arange(len(table))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - np.nan_to_num(table)
    distance = (distance + distance.T) / 2
    np.fill_diagonal(distance, 0)
    packed = squareform(distance, checks=False)
    return np.asarray(leaves_list(linkage(packed, "average", optimal_ordering=len(table) <= 300)))


def bar_chart(
    values: np.ndarray,
    intervals: np.ndarray,
    *,
    names: Sequence[str],
    found: np.ndarray,
    title: str,
    unit: str = "nats",
) -> Figure:
    """Draw the MI of columns with a target as bars with intervals.

    Args:
        values: (p,), in nats.
        intervals: (p, 2), their lower and upper ends in nats.
        names: the names of the columns, from top to bottom.
        found: (p,), whether a column is found dependent; the others are grey.
        title: the title.
        unit: the unit of the figure, "nats" or "bits".

    Returns:
        The figure.

    Raises:
        InputError: If the unit is unknown.

    Example:
        >>> ends = np.array([[0.2, 0.4], [-0.1, 0.1]])
        >>> found = np.array([True, False])
        >>> figure = bar_chart(ends.mean(axis=1), ends, names=["a", "b"], found=found, title="y")
        >>> figure.axes[0].get_xlabel()
        'mutual information (nats)'
    """
    values, ends = np.asarray(values) / scale(unit), np.asarray(intervals) / scale(unit)
    found = np.asarray(found, dtype=bool)
    figure, axes = canvas(8.0, float(np.clip(1.6 + 0.27 * len(names), 2.6, 14.0)), title)
    rows = np.arange(len(names))
    for chosen, colour, label in ((found, BLUE, "q ≤ 0.05"), (~found, GREY, "not found")):
        if chosen.any():
            axes.barh(rows[chosen], np.maximum(values[chosen], 0), 0.62, color=colour, label=label)
    axes.hlines(rows, ends[:, 0], ends[:, 1], color=INK, linewidth=1.4, label="95 % interval")
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set_yticks(rows, [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=9.5)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=MIST, linewidth=0.5, alpha=0.7)
    axes.set_xlabel(f"mutual information ({unit})", color=INK)
    finish(figure, axes, ncols=3)
    return figure


def gallery(pairs: Sequence[Points], *, title: str) -> Figure:
    """Draw the ranks of pairs of columns, a panel for each.

    Of more than 2,000 rows, 2,000 are drawn. Values within a category, and equal values, are spread
    at random over their room.

    Args:
        pairs: the pairs, at least one.
        title: the title.

    Returns:
        The figure.

    Raises:
        InputError: If there are no pairs.

    Example:
        >>> x = np.random.default_rng(0).permutation(100)
        >>> pair = Points(x, x[::-1], "a", "b", False, False, "0.01 nats")
        >>> len(gallery([pair] * 5, title="Five pairs").axes)
        5
    """
    if not pairs:
        raise InputError("Expected at least one pair to draw; got none.")
    across = min(4, len(pairs))
    down = math.ceil(len(pairs) / across)
    figure, first = canvas(2.5 * across + 0.4, 2.75 * down + 0.8, "")
    first.remove()
    figure.suptitle(title, x=0.02, ha="left", fontsize=13, fontweight="bold", color=INK)
    rng = np.random.default_rng(0)
    for number, pair in enumerate(pairs, 1):
        axes = figure.add_subplot(down, across, number)
        whole = np.flatnonzero((pair.x >= 0) & (pair.y >= 0))
        rows = rng.permutation(whole)[:DOTS]
        sides = [
            _spread(codes[whole], codes[rows], rng)
            for codes in (np.array(pair.x), np.array(pair.y))
        ]
        alpha = float(np.clip(300 / max(len(rows), 1), 0.12, 0.7))
        axes.scatter(sides[0], sides[1], s=7, color=BLUE, alpha=alpha, linewidths=0)
        quiet(axes)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=[], yticks=[])
        for name, category, label in (
            (pair.x_name, pair.x_is_category, axes.set_xlabel),
            (pair.y_name, pair.y_is_category, axes.set_ylabel),
        ):
            what = "category" if category else "rank"
            label(f"{_short(name)} ({what})", fontsize=8.5, color=INK)
        axes.set_title(pair.note, fontsize=9, color=INK, loc="left")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def _spread(every: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return places in 0 to 1: mid-ranks among all values, spread within the room of each."""
    counts = np.bincount(every)
    shares = counts / max(len(every), 1)
    middle = np.cumsum(shares) - shares / 2
    several = shares[codes] * (counts[codes] > 1)
    return np.asarray(middle[codes] + JITTER * 2 * several * (rng.random(len(codes)) - 0.5))


def _short(name: str) -> str:
    return name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 3]}..."
