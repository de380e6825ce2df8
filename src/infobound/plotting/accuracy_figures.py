"""Figures of a study or a calibration: estimate against truth, and error against rows.

Functions take plain records and return a matplotlib `Figure`, as in `figures`; `figures.render`
turns it into bytes. Nothing here estimates or writes a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound._system.units import scale
from infobound.plotting import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["error_figure", "rehearsal_figure", "subsampling_figure", "truth_figure"]

# Colour and marker of each estimator: neighbouring colours are distinguishable with any colour
# vision, and markers in black and white.
LOOKS = (
    (figures.BLUE, "o"),
    (figures.ORANGE, "s"),
    (figures.GREEN, "D"),
    ("#A3467F", "^"),
    ("#3D9BD1", "v"),
    ("#8A6D00", "P"),
    (figures.GREY, "X"),
    (figures.RED, "*"),
)
DECADES = 1e4  # errors smaller than the largest by more than this factor are not shown
# An estimate off by more than this multiple of the largest truth is drawn on the edge
OFF_CHART = 1.0
# Largest number of sizes side by side: the smallest, the largest, and some in between
MOST_PANELS = 4


def truth_figure(records: Iterable[Mapping[str, Any]], *, title: str, unit: str = "nats") -> Figure:
    """Draw estimate against truth: a panel per n, a marker per task, a style per estimator.

    Args:
        records: mappings with `task`, `n`, `estimator`, and in nats `truth`, `mi`, `low`, `high`;
            the last two are None if there is no interval.
        title: the title.
        unit: the unit of the figure, "nats" or "bits".

    Returns:
        The figure.

    Example:
        >>> record = dict(task="a", n=100, estimator="e", truth=0.5, mi=0.4, low=0.3, high=0.6)
        >>> figure = truth_figure([record], title="One task")
        >>> figure.axes[0].get_xlabel()
        'exact mutual information (nats)'
    """
    records = _in_unit(records, ("truth", "mi", "low", "high"), unit)
    sizes = _thinned(sorted({r["n"] for r in records}))
    names = list(dict.fromkeys(r["estimator"] for r in records))
    figure, axes = figures.canvas(4.4 * max(len(sizes), 1) + 1.6, 5.6, title)
    panels = _panels(figure, axes, len(sizes))
    low, high = _frame(records)
    left, right = _padded([0.0, 0.1, *(r["truth"] for r in records)])
    # Estimators of one task are drawn side by side, with a shift that is small against the axis.
    step = 0.02 * (right - left) / max(len(names) - 1, 2)
    for axes, n in zip(panels, sizes, strict=False):
        equal = "estimate = truth"
        axes.plot(
            [left, right], [left, right], color=figures.INK, linewidth=1, zorder=1, label=equal
        )
        for index, name in enumerate(names):
            shift = step * (index - (len(names) - 1) / 2)
            mine = [r for r in records if r["estimator"] == name]
            far = any(not low <= r["mi"] <= high for r in mine)
            here = [{**r, "mi": min(max(r["mi"], low), high)} for r in mine if r["n"] == n]
            label = f"{name}, some beyond the frame" if far else name
            _marks(axes, here, shift, *LOOKS[index % len(LOOKS)], label)
        axes.set_xlim(left, right)
        axes.set_ylim(low, high)
        axes.set_xlabel(f"exact mutual information ({unit})", color=figures.INK)
        axes.grid(color=figures.MIST, linewidth=0.5, alpha=0.7)
        if len(sizes) > 1:
            axes.text(0.04, 0.94, f"N = {n:,}", transform=axes.transAxes, fontsize=12, va="top")
    panels[0].set_ylabel(f"estimate ({unit})", color=figures.INK)
    figures.finish(figure, panels[0], ncols=2 * min(len(panels), 2))
    return figure


def error_figure(records: Iterable[Mapping[str, Any]], *, title: str, unit: str = "nats") -> Figure:
    """Draw mean absolute error against N with logarithmic axes and a line per estimator.

    Args:
        records: mappings with `suite`, `group`, `n`, `estimator`, in nats `mae` and `mae_error`,
            which may be None, and `tasks`, the number of tasks. Only the group "all" is drawn; each
            suite has its own lines.
        title: the title.
        unit: the unit of the figure, "nats" or "bits".

    Returns:
        The figure.

    Example:
        >>> common = dict(suite="s", group="all", estimator="e", tasks=1, mae_error=None)
        >>> records = [dict(n=n, mae=1 / n, **common) for n in (100, 1000)]
        >>> error_figure(records, title="One estimator").axes[0].get_xscale()
        'log'
    """
    records = _in_unit(records, ("mae", "mae_error"), unit)
    records = [r for r in records if r["group"] == "all" and r["mae"] is not None and r["mae"] > 0]
    several = len({r["suite"] for r in records}) > 1
    lines: dict[str, list[Mapping[str, Any]]] = {}
    full = {r["suite"]: 0 for r in records}
    for r in records:
        full[r["suite"]] = max(full[r["suite"]], r["tasks"])
    for r in sorted(records, key=lambda r: r["n"]):
        name = f"{r['estimator']}, {r['suite']}" if several else r["estimator"]
        lines.setdefault(name, []).append(r)
    figure, axes = figures.canvas(8.0, 5.4, title)
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = sorted({r["n"] for r in records})
    top = max((r["mae"] for r in records), default=1.0)
    wide = max(sizes[-1] / sizes[0], 4) if sizes else 4
    for index, (name, here) in enumerate(lines.items()):
        colour, mark = LOOKS[index % len(LOOKS)]
        shift = wide ** (0.008 * (index - (len(lines) - 1) / 2))
        x, y = [r["n"] * shift for r in here], [r["mae"] for r in here]
        below, above = ([abs(_ends(r)[end]) for r in here] for end in (0, 1))
        axes.errorbar(
            x,
            y,
            yerr=[below, above],
            color=colour,
            marker=mark,
            markersize=7,
            linewidth=1.8,
            elinewidth=1.1,
            label=_said(name, here, full[here[0]["suite"]], max(y) * DECADES < top),
        )
    _plain_ticks(axes, sizes, [r["mae"] + e for r in records for e in _ends(r)])
    axes.set_xlabel("N, rows", color=figures.INK)
    axes.set_ylabel(f"mean absolute error ± standard error ({unit})", color=figures.INK)
    axes.grid(color=figures.MIST, linewidth=0.5, alpha=0.7)
    figures.finish(figure, axes)
    return figure


def _in_unit(
    records: Iterable[Mapping[str, Any]], names: Sequence[str], unit: str
) -> list[Mapping[str, Any]]:
    """Convert the values of these names, which are in nats or None, to the unit."""
    divisor = scale(unit)
    return [
        {**r, **{name: r[name] / divisor for name in names if r[name] is not None}} for r in records
    ]


def _ends(record: Mapping[str, Any]) -> tuple[float, float]:
    """Return the offsets of an error bar; the lower end stays above 0 because of the log axis."""
    error = record["mae_error"] or 0.0
    return -min(error, 0.7 * record["mae"]), error


def _said(name: str, records: list[Mapping[str, Any]], full: int, below: bool) -> str:
    """Return the label of a line, with remarks about fewer tasks and values that are not shown."""
    tasks = min(r["tasks"] for r in records)
    few = f", {tasks} of {full} tasks" if tasks < full else ""
    return f"{name}{few}{', below the frame' if below else ''}"


def _frame(records: list[Mapping[str, Any]]) -> tuple[float, float]:
    """Return the range of the y axis: all truths, and estimates and intervals near them.

    An outlier would squash all other estimates, so it is drawn on the edge.
    """
    top = max([0.1, *(r["truth"] for r in records)])
    values = [0.0, top]
    values += [min(max(r["mi"], -OFF_CHART * top), (1 + OFF_CHART) * top) for r in records]
    low, high = min(values), max(values)
    room = (high - low) / 4
    ends = [x for r in records for x in (r["low"], r["high"]) if x is not None]
    return _padded([*values, *(min(max(x, low - room), high + room) for x in ends)])


def _padded(values: list[float]) -> tuple[float, float]:
    """Return the range of an axis that shows these values with a margin."""
    low, high = min(values), max(values)
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _marks(
    axes: Axes,
    records: Sequence[Mapping[str, Any]],
    shift: float,
    colour: str,
    mark: str,
    name: str,
) -> None:
    """Draw the estimates of one estimator with their intervals in one panel."""
    x = [r["truth"] + shift for r in records]
    spans = [(a, r) for a, r in zip(x, records, strict=True) if r["low"] is not None]
    axes.vlines(
        [a for a, _ in spans],
        [r["low"] for _, r in spans],
        [r["high"] for _, r in spans],
        color=colour,
        linewidth=1.3,
        alpha=0.6,
        zorder=2,
    )
    style: dict[str, Any] = {"color": colour, "markersize": 6}
    style |= {"markeredgecolor": "white", "markeredgewidth": 0.6}
    # A line without points that is not clipped would take all of the room of the layout.
    style |= {"label": name, "zorder": 3, "clip_on": not records}
    axes.plot(x, [r["mi"] for r in records], mark, **style)


def _panels(figure: Figure, first: Axes, count: int) -> list[Axes]:
    """Return `count` axes side by side: the first, which has the title, and others to its right."""
    if count < 2:
        return [first]
    grid = figure.add_gridspec(1, count)
    first.set_subplotspec(grid[0])
    panels = [first]
    for index in range(1, count):
        axes = figure.add_subplot(grid[index], sharey=first)
        figures.quiet(axes)
        axes.tick_params(labelleft=False)
        panels.append(axes)
    return panels


def _thinned(sizes: list[int]) -> list[int]:
    """Select at most `MOST_PANELS` sizes, including the smallest and the largest."""
    if len(sizes) <= MOST_PANELS:
        return sizes
    last = len(sizes) - 1
    return [sizes[round(k * last / (MOST_PANELS - 1))] for k in range(MOST_PANELS)]


def _plain_ticks(axes: Axes, sizes: list[int], errors: list[float]) -> None:
    """Label every size by its number, and errors as decimals: 0.05, not 5 x 10^-2."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator

    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    top = max(errors, default=1.0)
    low = max(min(errors, default=0.1), top / DECADES)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top / low < 2000 else (1,)))
    axes.yaxis.set_minor_locator(FixedLocator([]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if sizes:
        axes.set_xlim(sizes[0] / 1.35, sizes[-1] * 1.35)
    axes.set_ylim(low / 1.4, top * 1.4)


def rehearsal_figure(
    records: Iterable[Mapping[str, Any]],
    *,
    own: float,
    interval: tuple[float, float],
    title: str,
    unit: str = "nats",
    point: str = "one run",
) -> Figure:
    """Draw estimates against planted truth in a panel per kind, with the user's own as a band.

    Both axes are linear up to 0.05 and logarithmic beyond.

    Args:
        records: one mapping per point, with `group` (the kind, or "independent"), and in nats
            `truth`, `mi`, `low` and `high`.
        own: the user's own estimate, in nats.
        interval: its interval, in nats.
        title: the title.
        unit: the unit of the figure, "nats" or "bits".
        point: what a point is.

    Returns:
        The figure.

    Example:
        >>> run = dict(group="monotone", truth=0.5, mi=0.4, low=0.3, high=0.6)
        >>> figure = rehearsal_figure([run], own=0.3, interval=(0.2, 0.4), title="One run")
        >>> figure.axes[0].get_xscale()
        'symlog'
    """
    records = _in_unit(records, ("truth", "mi", "low", "high"), unit)
    divisor = scale(unit)
    own, interval = own / divisor, (interval[0] / divisor, interval[1] / divisor)
    kinds = [k for k in dict.fromkeys(r["group"] for r in records) if k != "independent"]
    kinds = kinds or ["independent"]
    figure, first = figures.canvas(max(4.2 * len(kinds) + 1.4, 7.6), 5.4, title)
    ends = [x for r in records for x in (r["truth"], r["low"], r["high"])] + [*interval, 0.1]
    high, low = 1.3 * max(ends), min(1.1 * min(ends), -0.01)
    for axes, kind in zip(_panels(figure, first, len(kinds)), kinds, strict=True):
        mine = [r for r in records if r["group"] in (kind, "independent")]
        axes.axhspan(*interval, color=figures.ORANGE, alpha=0.15, linewidth=0, zorder=0.5)
        axes.axhline(own, color=figures.ORANGE, linewidth=1.6, zorder=1, label="your own estimate")
        line = [0.0, *np.geomspace(0.01, high, 60)]
        axes.plot(line, line, color=figures.INK, linewidth=1, zorder=1, label="estimate = truth")
        place = _beside([r["truth"] for r in mine])
        bounds = [r["low"] for r in mine], [r["high"] for r in mine]
        axes.vlines(place, *bounds, color=figures.BLUE, linewidth=1.1, alpha=0.5, zorder=2)
        style: dict[str, Any] = {"color": figures.BLUE, "markersize": 5.5, "zorder": 3}
        style |= {"markeredgecolor": "white", "markeredgewidth": 0.6, "clip_on": False}
        name = f"{point}, with its interval"
        axes.plot(place, [r["mi"] for r in mine], "o", **style, label=name)
        for set_scale in (axes.set_xscale, axes.set_yscale):
            set_scale("symlog", linthresh=0.05, linscale=0.6)
        _decimals(axes, sorted({r["truth"] for r in mine}))
        axes.set_xlim(-0.012, high)
        axes.set_ylim(low, high)
        axes.set_xlabel(f"planted mutual information ({unit})", color=figures.INK)
        axes.grid(color=figures.MIST, linewidth=0.5, alpha=0.7)
        axes.annotate(
            kind,
            (0.97, 0.04),
            xycoords="axes fraction",
            ha="right",
            va="bottom",
            fontsize=12,
            color=figures.INK,
        )
    first.set_ylabel(f"estimate ({unit})", color=figures.INK)
    figures.finish(figure, first, ncols=3)
    return figure


def _beside(truths: Sequence[float]) -> list[float]:
    """Return positions side by side for the runs of one rung, so that their bars do not overlap."""
    seen: dict[float, int] = {}
    places = []
    for truth in truths:
        k = seen[truth] = seen.get(truth, -1) + 1
        many = truths.count(truth)
        places.append(truth + (k - (many - 1) / 2) * 0.025 * max(truth, 0.06))
    return places


def _decimals(axes: Axes, truths: Sequence[float]) -> None:
    """Set ticks at the rungs on the x axis, and plain decimals on both axes."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    plain = FuncFormatter(lambda value, _: f"{value:.2g}".replace("-", "−"))
    sides = (axes.xaxis, truths), (axes.yaxis, [-0.05, 0, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5])
    for axis, ticks in sides:
        axis.set_major_locator(FixedLocator(list(ticks)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(plain)


def subsampling_figure(
    sizes: np.ndarray,
    values: np.ndarray,
    *,
    spreads: np.ndarray,
    interval: tuple[float, float],
    limit: float,
    title: str,
    unit: str = "nats",
) -> Figure:
    """Draw mean estimates of parts of the rows against 1/N.

    Args:
        sizes: (k,), the numbers of rows of a part, all rows first.
        values: (k,), the mean estimates, in nats.
        spreads: (k,), the standard deviations between parts, in nats.
        interval: the interval of all rows, in nats.
        limit: the value extrapolated to 1/N = 0, in nats.
        title: the title.
        unit: the unit of the figure, "nats" or "bits".

    Returns:
        The figure.

    Raises:
        InputError: If the unit is unknown.

    Example:
        >>> figure = subsampling_figure(np.array([400, 200]), np.array([0.5, 0.51]),
        ...     spreads=np.array([0.0, 0.02]), interval=(0.4, 0.6), limit=0.49, title="Parts")
        >>> figure.axes[0].get_xlabel()
        '1 / rows of a part'
    """
    factor = scale(unit)
    figure, axes = figures.canvas(7.4, 4.6, title)
    where, middle = 1 / np.asarray(sizes, dtype=float), np.asarray(values) / factor
    axes.axhspan(
        interval[0] / factor, interval[1] / factor, color=figures.ORANGE, alpha=0.15, linewidth=0
    )
    axes.axhline(middle[0], color=figures.ORANGE, linewidth=1.4, label="estimate of all rows")
    axes.plot(
        [0, where.max()],
        [limit / factor, *np.polyval(np.polyfit(where, middle, 1), where.max(keepdims=True))],
        color=figures.GREY,
        linewidth=1.1,
        linestyle="--",
        label="line in 1/N",
    )
    axes.errorbar(
        where,
        middle,
        np.asarray(spreads) / factor,
        fmt="o",
        color=figures.BLUE,
        capsize=3,
        label="mean of parts ± standard deviation",
    )
    axes.set_xticks([0, *where], ["0", *(f"1/{n:,}" for n in sizes)])
    axes.set_xlim(-0.04 * where.max(), 1.08 * where.max())
    axes.set_xlabel("1 / rows of a part", color=figures.INK)
    axes.set_ylabel(f"mutual information ({unit})", color=figures.INK)
    axes.grid(axis="y", color=figures.MIST, linewidth=0.5, alpha=0.7)
    figures.finish(figure, axes, ncols=3)
    return figure
