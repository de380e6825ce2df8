"""Figures of a training curve and of an estimate, and the smoothing that the curve uses.

Functions take numbers and return a matplotlib `Figure`, which `render` turns into bytes. matplotlib
is imported only when needed, through its object interface: no pyplot, no windows, no global state.
Nothing here computes an estimate or writes a file.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from infobound._system.units import scale
from infobound.errors import FaultWarning, InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

__all__ = [
    "FOUND",
    "canvas",
    "draw",
    "estimate_figure",
    "finish",
    "first_reached",
    "listed",
    "quiet",
]
__all__ += ["render", "shaded", "smooth", "training_curve"]


# After Okabe and Ito, distinguishable with any colour vision; line styles differ as well.
BLUE, PALE, ORANGE, GREEN, RED = "#0072B2", "#9CCBE8", "#D17A00", "#009E73", "#C8102E"
INK, GREY, MIST = "#262626", "#6E6E6E", "#DEDEDE"

# A ceiling above this multiple of all other values is only named: it would squash them
DISTANT_CEILING = 2.5
# A curve below minus this multiple of the largest value is cut off, with its minimum
CUT_BELOW = 1.5
SPARSE = 400  # with fewer records than this, the raw curve is a wide band behind the smoothed one
DPI = 150
FOUND = 0.05  # p-values and q-values up to this are called found
TITLE = 72  # most letters of a line of a title
CELLS = 40  # rows and columns of a table up to which its cells stay vectors
KINDS: tuple[Literal["png", "svg"], ...] = ("png", "svg")  # file formats of every figure


def listed(names: Sequence[str]) -> str:
    """Return the names of columns for a title: all of a few, or the first and the last of many.

    Example:
        >>> listed(["bmi", "age"]), listed([f"a{k}" for k in range(9)])
        ('bmi, age', 'a0 ... a8')
    """
    short = [name if len(name) <= 24 else f"{name[:21]}..." for name in map(str, names)]
    return ", ".join(short) if len(short) <= 3 else f"{short[0]} ... {short[-1]}"


def draw(name: str, figure: Callable[[], Figure], write: Callable[[str, bytes], object]) -> None:
    """Draw a figure and write it as `<name>.png` and `<name>.svg`.

    Call it after the result has been written: if the figure cannot be drawn or written (a full
    disk, a broken matplotlib), there is only a `FaultWarning`.

    Args:
        name: the name of the files without ending.
        figure: returns the figure.
        write: called with the name and the bytes of each file.

    Example:
        >>> files = {}
        >>> history = {c: np.arange(3) for c in ("iteration", "train", "validation")}
        >>> draw("curve", lambda: training_curve(history, title="A"), files.__setitem__)
        >>> sorted(files)
        ['curve.png', 'curve.svg']
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # characters missing in the font
            made = figure()
            files = {f"{name}.{kind}": render(made, kind) for kind in KINDS}
        for file, data in files.items():
            write(file, data)
    except Exception as error:  # matplotlib, its files or the disk may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        warnings.warn(
            f"The picture {name}.png is left out; the result itself is saved. It cannot be drawn "
            f"or written: {reason}",
            FaultWarning,
            stacklevel=2,
        )


def smooth(values: np.ndarray, iterations: np.ndarray, rate: float) -> np.ndarray:
    """Return the moving average s_k = (1 - rate) s_{k-1} + rate v_k, one step per iteration.

    Between records that are D iterations apart, D steps are taken towards the later one: their
    joint rate is 1 - (1 - rate)^D. So the curve hardly depends on how often it was recorded, and
    with a record per iteration it equals the notebook's. A nan is skipped.

    Args:
        values: (T,), the curve.
        iterations: (T,), increasing, the iteration of each value.
        rate: the rate of the moving average per iteration, in (0, 1].

    Returns:
        (T,), the smoothed curve in the unit of `values`; it starts at the first value.

    Raises:
        InputError: If lengths are unequal, iterations do not increase, or the rate is outside
            (0, 1].

    Example:
        >>> smooth(np.array([0.0, 1.0, 1.0]), np.array([0, 1, 3]), 0.5).tolist()
        [0.0, 0.5, 0.875]
    """
    values, iterations = _curve(values, iterations)
    if not 0 < rate <= 1:
        raise InputError(f"Expected a smoothing rate in (0, 1]; got {rate}. Try 0.01.")
    smoothed = np.full(len(values), math.nan)
    current, last = math.nan, 0.0
    for k, (value, iteration) in enumerate(zip(values, iterations, strict=True)):
        if math.isfinite(value):
            gap = iteration - last
            # No rounding at distance 1, so that the notebook's curve is reproduced exactly.
            gain = rate if gap == 1 else 1 - (1 - rate) ** gap
            current = value if math.isnan(current) else (1 - gain) * current + gain * value
            last = iteration
        smoothed[k] = current
    return smoothed


def first_reached(values: np.ndarray, iterations: np.ndarray, level: float) -> int | None:
    """Return the first iteration at which a curve exceeds a level; None if it never does.

    Args:
        values: (T,), the curve, usually smoothed; a nan exceeds nothing.
        iterations: (T,), increasing, the iteration of each value.
        level: the level, in the unit of `values`.

    Returns:
        The iteration, or None.

    Raises:
        InputError: If lengths are unequal, or iterations do not increase.

    Example:
        >>> first_reached(np.array([0.0, 3.0, 4.5]), np.array([0, 500, 1000]), 4.0)
        1000
    """
    values, iterations = _curve(values, iterations)
    above = np.flatnonzero(values > level)
    return int(iterations[above[0]]) if len(above) else None


def training_curve(
    history: Mapping[str, np.ndarray],
    *,
    title: str,
    truth: float | None = None,
    ceiling: float | None = None,
    count: int | None = None,
    rate: float = 0.01,
    share: float = 0.8,
    chosen: int | None = None,
    held_name: str = "held-out",
    unit: str = "nats",
) -> Figure:
    """Draw the bound during training, on training rows and on held-out rows.

    Args:
        history: arrays (T,): `iteration`; `train`, the bound on training rows; `validation`, the
            bound on held-out rows, nan if missing. Values in nats.
        title: the title.
        truth: the exact mutual information in nats, if it is known.
        ceiling: the largest value of the bound, in nats.
        count: the K of a ceiling log K, for its label.
        rate: the rate of the moving average of the training curve, see `smooth`.
        share: a line marks where the smoothed curve first exceeds this fraction of the truth.
        chosen: the iteration whose weights were chosen, marked by a dot.
        held_name: the name of the held-out rows: "validation" if they chose the weights.
        unit: the unit of the figure, "nats" or "bits".

    Returns:
        The figure.

    Raises:
        InputError: If the unit is unknown, a column of `history` is missing, or `smooth` raises it.

    Example:
        >>> steps = np.arange(50)
        >>> rise = 1 - np.exp(-steps / 10)
        >>> history = {"iteration": steps, "train": rise, "validation": 0.7 * rise}
        >>> figure = training_curve(history, title="A short run", truth=0.9)
        >>> figure.axes[0].get_ylabel()
        'mutual information (nats)'
    """
    factor = scale(unit)
    for column in ("iteration", "train", "validation"):
        if column not in history:
            raise InputError(
                f"Expected a history with iteration, train and validation; got {sorted(history)}. "
                f"Add {column}."
            )
    raw, steps = _curve(history["train"], history["iteration"])
    held, _ = _curve(history["validation"], history["iteration"])
    line, raw, held = smooth(raw, steps, rate) / factor, raw / factor, held / factor

    figure, axes = canvas(8.0, 5.2, title)
    axes.axhline(0, color=MIST, linewidth=1, zorder=0.5)
    width = 3.2 if len(steps) < SPARSE else 0.6
    axes.plot(steps, raw, color=PALE, linewidth=width, label="training rows, each record")
    axes.plot(steps, line, color=BLUE, linewidth=1.8, label=f"training rows, smoothed at {rate:g}")
    finite = held[np.isfinite(held)]
    top = max([x for x in (*line, *finite) if math.isfinite(x)] + [(truth or 0) / factor, 1e-3])
    if len(finite):
        seen = np.isfinite(held)
        depth = "" if finite.min() >= -CUT_BELOW * top else f", down to {_number(finite.min())}"
        axes.plot(
            steps[seen], held[seen], color=ORANGE, linewidth=1.8, label=f"{held_name} rows{depth}"
        )
    if truth is not None:
        _truth(axes.axhline, truth / factor)
        reached = first_reached(line, steps, share * truth / factor)
        if reached is not None:
            name = f"{100 * share:g} % of the truth, iteration {reached:,}"
            axes.axvline(reached, color=GREEN, linewidth=1.8, linestyle=":", label=name)
    drawn = _ceiling(axes.axhline, ceiling, count, factor, unit, DISTANT_CEILING * top)
    if chosen is not None:
        _chosen(axes, steps, held if len(finite) else line, chosen)

    lows = [x for x in (0.0, *raw, *finite) if math.isfinite(x)]
    peak = max([x for x in raw if math.isfinite(x)], default=0.0)
    low, high = max(min(lows), -CUT_BELOW * top), max(top, drawn, min(peak, DISTANT_CEILING * top))
    axes.set_ylim(low - 0.04 * (high - low), high + 0.06 * (high - low))
    axes.set_xlim(steps[0], steps[-1] + max(0.01 * (steps[-1] - steps[0]), 1e-9))
    axes.set_xlabel("iteration", color=INK)
    axes.set_ylabel(f"mutual information ({unit})", color=INK)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.grid(axis="y", color=MIST, linewidth=0.5, alpha=0.7)
    finish(figure, axes)
    return figure


def estimate_figure(
    *,
    mi: float,
    interval: tuple[float, float],
    held_out: float,
    held_out_error: float,
    training: float,
    title: str,
    certified: float | None = None,
    ceiling: float | None = None,
    count: int | None = None,
    truth: float | None = None,
    level: float = 0.95,
    held_name: str = "held-out lower bound",
    unit: str = "nats",
) -> Figure:
    """Draw an estimate on one axis: training value, held-out bound, certified bound and interval.

    Args:
        mi: the point estimate; this and all other values are in nats.
        interval: its interval at `level`.
        held_out: the value on held-out rows.
        held_out_error: its standard error.
        training: the same on training rows.
        title: the title.
        certified: the certified lower bound at `level`, drawn up to the estimate, if there is one.
        ceiling: the largest value of the bound.
        count: the K of a ceiling log K, for its label.
        truth: the exact mutual information, if it is known.
        level: the confidence level of `interval` and of `certified`.
        held_name: what `held_out` is.
        unit: the unit of the figure, "nats" or "bits".

    Returns:
        The figure.

    Raises:
        InputError: If the unit is unknown.

    Example:
        >>> figure = estimate_figure(mi=0.4, interval=(0.3, 0.5), held_out=0.35,
        ...     held_out_error=0.04, training=0.5, title="y = x + noise, 400 rows")
        >>> figure.axes[0].get_xlabel()
        'mutual information (nats)'
    """
    factor = scale(unit)
    rows = [
        ("training rows", training, (training, training), GREY, f"{training / factor:.3f}"),
        (
            f"{held_name}\n± standard error",
            held_out,
            (held_out - held_out_error, held_out + held_out_error),
            ORANGE,
            f"{held_out / factor:.3f} ± {held_out_error / factor:.3f}",
        ),
        (
            f"estimate, {100 * level:g} % interval",
            mi,
            interval,
            BLUE,
            f"{mi / factor:.3f}  [{interval[0] / factor:.3f}, {interval[1] / factor:.3f}]",
        ),
    ]
    if certified is not None:
        name, span = f"certified at {100 * level:g} %", (certified, max(certified, mi))
        rows.insert(2, (name, certified, span, GREEN, f"≥ {certified / factor:.3f}"))
    figure, axes = canvas(8.0, 2.9 if certified is None else 3.4, title)
    axes.axvline(0, color=MIST, linewidth=1, zorder=0.5)
    edges = [0.0, 1e-3 / factor]
    for row, (name, value, (low, high), colour, text) in enumerate(rows):
        one_sided = name.startswith("certified")  # a lower bound has no upper end
        line, mark = (":", ">") if one_sided else ("-", "o")
        ends = [low / factor, high / factor]
        axes.plot(ends, [row, row], color=colour, linestyle=line, linewidth=3)
        axes.plot([value / factor], [row], mark, color=colour, markersize=9, zorder=3)
        axes.annotate(
            text.replace("-", "−"),
            (1.02, row),
            xycoords=("axes fraction", "data"),
            va="center",
            color=INK,
            fontweight="bold",
            annotation_clip=False,
        )
        edges += [x / factor for x in (low, value, high) if math.isfinite(x)]
    if truth is not None:
        _truth(axes.axvline, truth / factor)
        edges.append(truth / factor)
    edges.append(_ceiling(axes.axvline, ceiling, count, factor, unit, DISTANT_CEILING * max(edges)))

    reach = max(edges) - min(edges)
    axes.set_xlim(min(edges) - 0.04 * reach, max(edges) + 0.04 * reach)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], color=INK)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=MIST, linewidth=0.5, alpha=0.7)
    axes.set_xlabel(f"mutual information ({unit})", color=INK)
    finish(figure, axes)
    return figure


def render(figure: Figure, kind: Literal["png", "svg", "pdf"]) -> bytes:
    """Render a figure to the bytes of a file without a date, so that the bytes are reproducible.

    PNG has 150 dots per inch; text in SVG stays text.

    Args:
        figure: the figure.
        kind: the file format.

    Returns:
        The contents of the file.

    Raises:
        InputError: If the format is unknown.

    Example:
        >>> figure = training_curve({c: np.arange(3) for c in ("iteration", "train", "validation")},
        ...     title="Three records")
        >>> render(figure, "png")[1:4]
        b'PNG'
    """
    dates = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    if kind not in dates:
        raise InputError(f"Expected a kind of picture among png, svg and pdf; got {kind!r}.")
    target = io.BytesIO()
    with _matplotlib("matplotlib").rc_context(
        {"svg.hashsalt": "infobound", "svg.fonttype": "none"}
    ):
        figure.savefig(target, format=kind, dpi=DPI, metadata=dates[kind])
    return target.getvalue()


def _curve(values: np.ndarray, iterations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check a curve and return values and iterations as float64 vectors."""
    values, iterations = np.asarray(values, np.float64), np.asarray(iterations, np.float64)
    if values.ndim != 1 or values.shape != iterations.shape or not len(values):
        raise InputError(
            "Expected two vectors of equal length, values and iterations, with one record or more; "
            f"got shapes {values.shape} and {iterations.shape}."
        )
    if not (np.diff(iterations) > 0).all():
        raise InputError(
            "Expected iterations that increase; got some that do not. Sort the records, and keep "
            "one for each iteration."
        )
    return values, iterations


def _number(value: float) -> str:
    """Format with two decimals, or three for small numbers, and a true minus sign."""
    digits = 3 if abs(value) < 0.1 else 2
    return f"{value:.{digits}f}".replace("-", "−")


def canvas(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    """Create an empty figure of a size in inches, with a title and plain axes."""
    figure = _matplotlib("matplotlib.figure").Figure(
        figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white"
    )
    _matplotlib("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    figure._repr_png_ = partial(render, figure, "png")  # type: ignore[attr-defined] # for notebooks
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)  # type: ignore[union-attr, call-arg]
    axes = figure.add_subplot()
    _titled(axes, title, TITLE)
    quiet(axes)
    return figure, axes


def _titled(axes: Axes, title: str, letters: int) -> Text:
    """Write a title above axes, in lines of at most so many letters."""
    return axes.set_title(
        textwrap.fill(title, letters),
        loc="left",
        fontsize=13,
        fontweight="bold",
        color=INK,
        pad=10,
        parse_math=False,
    )


def _matplotlib(module: str) -> Any:
    """Import a module of matplotlib independently of the environment variable MPLBACKEND.

    The variable names a backend for windows or notebooks, which is not needed here; but matplotlib
    cannot be imported if it does not recognise the name.
    """
    if "matplotlib" in sys.modules:
        return importlib.import_module(module)
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        found = importlib.import_module(module)
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with contextlib.suppress(ValueError):  # set it for the caller's pyplot, as matplotlib does
            sys.modules["matplotlib"].rcParams["backend"] = backend
    return found


def quiet(axes: Axes) -> None:
    """Apply the common style to axes: no frame, grey lines, dark text."""
    axes.xaxis.label.set_fontsize(11)
    axes.yaxis.label.set_fontsize(11)
    axes.tick_params(labelsize=10.5, color=GREY, labelcolor=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(GREY)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")


def shaded(axes: Axes, values: np.ndarray, *, top: float, label: str) -> None:
    """Draw a table (p, q) as cells from transparent at 0 to blue at `top`, with a colour bar.

    Cells are transparent, so that they suit light and dark pages; missing values are grey.
    """
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    ends = [to_rgba(BLUE, opacity) for opacity in (0.0, 1.0)]
    colours = LinearSegmentedColormap.from_list("shades", ends).with_extremes(bad=MIST)
    shown = np.ma.masked_invalid(values)
    style: dict[str, Any] = {"vmin": 0, "vmax": top, "cmap": colours}
    if max(shown.shape) > CELLS:
        image: Any = axes.imshow(shown, interpolation="nearest", **style)
    else:
        edges = (np.arange(size + 1) - 0.5 for size in reversed(shown.shape))
        image = axes.pcolormesh(*edges, shown, **style)
        axes.invert_yaxis()
        axes.set_aspect("equal")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure = axes.get_figure()
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02)  # type: ignore[union-attr]
    bar.solids.set_rasterized(True)  # type: ignore[union-attr] # without seams
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.set_label(label, color=INK, fontsize=10)
    bar.ax.tick_params(labelsize=9.5, color=GREY, labelcolor=INK)


def _truth(draw: Callable[..., object], value: float) -> None:
    """Draw the exact value with `axhline` or `axvline`."""
    name = f"ground truth = {_number(value)}"
    draw(value, color=RED, linewidth=1.6, linestyle="--", zorder=2.5, label=name)


def _ceiling(
    draw: Callable[..., object],
    ceiling: float | None,
    count: int | None,
    scale: float,
    unit: str,
    limit: float,
) -> float:
    """Draw the ceiling with `axhline` or `axvline`; return the value the axis must show, or 0."""
    if ceiling is None or not math.isfinite(ceiling):
        return 0.0
    value = ceiling / scale
    log = "" if count is None else f" {'log' if unit == 'nats' else 'log₂'} {count:,} ="
    if value <= limit:
        draw(value, color=INK, linewidth=0.9, zorder=1.5, label=f"ceiling{log} {_number(value)}")
        return value
    # An empty line puts the value into the legend without extending the axis.
    draw(math.nan, color="none", label=f"ceiling{log} {_number(value)}, beyond the frame")
    return 0.0


def _chosen(axes: Axes, steps: np.ndarray, curve: np.ndarray, chosen: int) -> None:
    """Mark the chosen iteration by a dot on the curve that chose it."""
    seen = np.isfinite(curve)
    axes.plot(
        [chosen],
        [np.interp(chosen, steps[seen], curve[seen])] if seen.any() else [0.0],
        "o",
        color="white",
        markeredgecolor=INK,
        markeredgewidth=1.6,
        markersize=8,
        zorder=4,
        label=f"weights chosen, iteration {chosen:,}",
    )


def finish(figure: Figure, axes: Axes, *, ncols: int = 2) -> None:
    """Add a legend below the axes, where it cannot cover data, fit the title, fix the layout."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=ncols,
            frameon=False,
            fontsize=10.5,
            labelcolor=INK,
            handlelength=2.4,
            columnspacing=2.5,
        )
    figure.draw_without_rendering()
    title = " ".join(axes.get_title(loc="left").split())
    if title:  # long labels leave less room for it
        box = _titled(axes, title, len(title)).get_window_extent()
        share = (figure.bbox.width - box.x0) / box.width
        _titled(axes, title, max(20, min(TITLE, int(0.97 * share * len(title)))))
        figure.draw_without_rendering()
    # Each further layout would move things slightly and change the bytes of the file.
    figure.set_layout_engine("none")
