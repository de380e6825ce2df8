"""Mutual information of two series at each lag, with tests, a band and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import fft
from scipy.special import chdtri, ndtri

from infobound._system import arguments
from infobound._system.calls import Recorded, recorded
from infobound._system.units import Nats, Result
from infobound.config import Config
from infobound.data.columns import Column, as_table
from infobound.data.containers import as_rows
from infobound.errors import InputError
from infobound.estimation.estimate import estimate
from infobound.estimation.point import z_quantile
from infobound.files import readers
from infobound.files.read_options import ReadOptions
from infobound.files.tables import read_table
from infobound.pages.numbers import small
from infobound.pages.page import Page
from infobound.pages.presentable import Presentable
from infobound.pages.progress import Stages, staged
from infobound.plotting import lag_figures
from infobound.plotting.figures import FOUND
from infobound.results.estimate import Estimate
from infobound.series import lags_page
from infobound.series.lag_tests import Whitened, Windows, expect_lags, lag_tests, whiten
from infobound.tables import column_pictures
from infobound.tables.added_information import middle_ranks
from infobound.tables.column_pairs import save_table
from infobound.tables.estimates import FEWEST_ROWS, LEVEL, ColumnEstimate, estimates

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = [
    "Lag",
    "Lags",
    "inflation_of",
    "lags",
    "read_series",
    "take",
]

SHIFTS = 60  # of y by more than the largest lag, whose estimates give the band
CHUNK = 16  # pairs estimated between two calls of `progress`
DRAWS = 199  # of a function that draws surrogates
INDEPENDENT = (4.5, 6.0)  # rows x MI of independent rows by ranks: the .9 quantile, and its tail


@dataclass(frozen=True)
class Lag(Result):
    """The mutual information of x and y at one lag; values in nats.

    Attributes:
        lag: the steps from x to y; x leads if positive.
        mi: the estimate, less the mean of those at shifts of y (`Lags.chance`).
        low: the lower end of its 95 % interval, which is for this lag alone.
        high: the upper end.
        p_value: of independence at this lag.
        adjusted_p: the p-value adjusted for all lags.
        n: the number of pairs of rows in which both have values.
        effective_n: the number of independent rows that would be as informative.
    """

    lag: int
    mi: Nats
    low: Nats
    high: Nats
    p_value: float
    adjusted_p: float
    n: int
    effective_n: float


@dataclass(frozen=True, repr=False)
class Lags(Recorded, Presentable):
    """The mutual information of two series at the lags -max_lag to max_lag; values in nats.

    Attributes:
        x: the name of a series.
        y: the name of another.
        curve: the lags in order; x leads at positive ones.
        peak: among the lags with an adjusted p-value of at most .05 the one with the strongest
            evidence; if there are none, that of the largest estimate.
        band: if x and y are independent, the whole curve is below this value with 95 %.
        chance: the mean estimate where y is shifted by more than the largest lag. It is subtracted
            from all estimates: autocorrelation makes independent series look dependent.
        counted_p: the p-value of the highest lag by counting shifts of y (or surrogates) alone. It
            needs no model of the series but stationarity.
        smallest_p: the smallest value that `counted_p` can have with these rows and lags.
        n: the number of rows.
        groups: the number of groups, whose borders no lag crosses.
        surrogates: the number of surrogates of y from which all p-values come; 0 without them.
        refined: the full estimate at the peak, with an interval that would hold for all lags.
        notes: how the series were read.

    Example:
        >>> from infobound import lags
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 500))
        >>> found = lags(x, np.roll(x, 3) + noise, max_lag=5, refine=False)
        >>> found
        Lags: x and y, 11 lags, 500 rows. Peak at lag 3, ... nats, adjusted p ...; x leads.
        >>> found.to_frame()["lag"].tolist()
        [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5]
    """

    x: str
    y: str
    curve: tuple[Lag, ...]
    peak: Lag
    band: Nats
    chance: Nats
    counted_p: float
    smallest_p: float
    n: int
    groups: int
    surrogates: int
    refined: Estimate | None
    notes: tuple[str, ...]

    @property
    def max_lag(self) -> int:
        """The largest lag."""
        return self.curve[-1].lag

    @property
    def found(self) -> tuple[int, ...]:
        """The lags with an adjusted p-value of at most .05."""
        return tuple(each.lag for each in self.curve if each.adjusted_p <= FOUND)

    @property
    def rows_for_counting(self) -> int | None:
        """The number of rows from which `counted_p` can be .05; None if rows do not matter."""
        single = self.groups == 1 and not self.surrogates
        return round(len(self.curve) / FOUND) if single else None

    def __str__(self) -> str:
        """Describe the result in one line."""
        peak, leads = self.peak, ""
        if peak.lag and peak.adjusted_p <= FOUND:
            leads = f"; {self.x if peak.lag > 0 else self.y} leads"
        return (
            f"{self.x} and {self.y}, {len(self.curve):,} lags, {self.n:,} rows. Peak at lag "
            f"{peak.lag}, {peak.mi:.3f} nats, adjusted p {small(peak.adjusted_p)}{leads}."
        )

    def page(self, units: str = "nats") -> Page:
        """Describe everything about the result that can be shown."""
        return lags_page.curve_page(self, units)

    def to_frame(self, units: str = "nats") -> pd.DataFrame:
        """Return the curve as a frame with values in "nats" or "bits".

        The columns are lag, mi, low, high, p_value, adjusted_p, n and effective_n.

        Raises:
            InputError: If the unit is neither.
        """
        import pandas as pd

        return pd.DataFrame([each.values(units) for each in self.curve])

    def save(self, path: str | Path, *, units: str = "nats") -> None:
        """Write all values as .json, or the curve as .csv or .parquet.

        Args:
            path: the file; its ending chooses the format.
            units: "nats" or "bits".

        Raises:
            InputError: If the ending or the unit is another, or the file cannot be written.
        """
        save_table(self, self.to_frame, path, units)

    def figure(self, *, title: str = "", units: str = "nats") -> Figure:
        """Draw the curve with intervals, the band and the lags that are found.

        Args:
            title: the title; by default the names of the series.
            units: "nats" or "bits".

        Raises:
            InputError: If the unit is neither.
        """
        return lag_figures.lag_curve(
            np.array([each.lag for each in self.curve]),
            np.array([each.mi for each in self.curve]),
            np.array([(each.low, each.high) for each in self.curve]),
            found=np.isin([each.lag for each in self.curve], self.found),
            band=self.band,
            names=(self.x, self.y),
            title=title or f"{self.x} and {self.y}",
            unit=units,
        )

    def save_figure(self, path: str | Path, *, title: str = "", units: str = "nats") -> None:
        """Write the figure as .png, .svg or .pdf.

        Raises:
            InputError: If the ending or the unit is another, or the file cannot be written.
        """
        column_pictures.write(self.figure(title=title, units=units), Path(path))


@recorded("x", "y")
def lags(
    x: Any,
    y: Any,
    max_lag: int = 50,
    *,
    groups: Any = None,
    categorical: Sequence[str] = (),
    surrogates: Any = None,
    permutations: int | None = None,
    refine: bool = True,
    seed: int = 0,
    config: Config | None = None,
    progress: Stages | bool | None = None,
) -> Lags:
    """Estimate I(X_{t-l}; Y_t) of two series for each lag l, and test which lags are dependent.

    Tests, band and intervals allow for the autocorrelation of both series. The null hypothesis is
    that the whole series are independent, and each is stationary; `docs/lags.md` lists what else is
    assumed.

    Args:
        x: a series (n,) of numbers or categories in any container, or one column (n, 1). Missing
            values are left out for the lags that need them.
        y: another, at the same times.
        max_lag: the largest lag, in both directions; at most a quarter of the rows.
        groups: (n,), to which trial or subject each row belongs; lags never cross a border. Rows of
            a group are in the order of time.
        categorical: "x", "y" or both, if their numbers are codes of categories.
        surrogates: series that could be y if it were independent of x, (k, n), or a function of a
            NumPy generator that draws one. All p-values then come from counting them.
        permutations: the number of surrogates that a function draws, 199 by default; or of random
            shifts of y within groups.
        refine: whether the peak is estimated again by `infobound.estimate`.
        seed: seed of the estimates and of everything random.
        config: settings of the refined estimate; `Config()` by default. Rows are a series, and the
            level is raised so that the intervals of all lags would hold together.
        progress: whether to show a bar; by default in terminals and notebooks. Or a function, which
            is called with what is done, the number of steps done and that of all steps.

    Returns:
        The curve, its peak, the band and the tests; in nats.

    Raises:
        InputError: If a series has several columns or one value, lengths differ, there are too few
            rows for `max_lag`, or an argument is invalid.

    Source: docs/lags.md; lagged mutual information, Fraser and Swinney 1986,
    https://doi.org/10.1103/PhysRevA.33.1134.

    Example:
        >>> from scipy.signal import lfilter
        >>> slow = lfilter([1], [1, -0.9], np.random.default_rng(0).normal(size=(2, 1000)))
        >>> y = np.roll(slow[0], 7) ** 2 + slow[1]
        >>> found = lags(slow[0], y, max_lag=20, refine=False)
        >>> found.peak.lag, found.peak.adjusted_p < 0.001
        (7, True)
    """
    seed, refine = arguments.seed("seed", seed), arguments.boolean("refine", refine)
    config = config or Config(seed=seed)
    pair = _Series.of(x, y, groups, arguments.labels("categorical", categorical))
    one, other, windows = pair.x, pair.y, pair.windows
    n, max_lag = len(one.codes), expect_lags(max_lag, windows)
    if permutations is not None:
        permutations = arguments.integer("permutations", permutations, least=19)
    drawn = _surrogates(surrogates, other, permutations, seed)
    sides = whiten(one, windows), whiten(other, windows)
    tests = lag_tests(
        *sides, max_lag, windows=windows, surrogates=drawn, permutations=permutations, seed=seed
    )
    steps = range(-max_lag, max_lag + 1)
    rows = [windows.pairs(lag) for lag in steps]
    for lag, (i, j) in zip(steps, rows, strict=True):
        count = int(((one.codes[i] >= 0) & (other.codes[j] >= 0)).sum())
        if count < FEWEST_ROWS:
            raise InputError(
                f"Expected at least {FEWEST_ROWS} pairs of rows with values of both at each lag; "
                f"got {count} at lag {lag}. Use a smaller max_lag, or series with fewer gaps."
            )
    pairs = [(take(one, i), take(other, j)) for i, j in rows]
    if drawn is None:
        shifts = _shifts(windows, max_lag, seed)
        pairs += [(take(one, windows.order), take(other, windows.shifted(k))) for k in shifts]
    else:
        still = windows.order
        pairs += [(take(one, still), take(each, still)) for each in drawn[:SHIFTS]]
    found: list[ColumnEstimate] = []
    with staged(progress) as report:
        for start in range(0, len(pairs), CHUNK):
            found += estimates(pairs[start : start + CHUNK], seed=seed)
            report("estimating", len(found), len(pairs))
        null = np.array([each.mi for each in found[len(steps) :]])
        chance = max(float(null.mean()), 0.0)
        curve = tuple(
            _lag(lag, each, sides, windows, float(null.std()), chance, p, adjusted)
            for lag, each, p, adjusted in zip(
                steps, found, tests.p_value, tests.adjusted, strict=False
            )
        )
        strength = np.where(tests.adjusted <= FOUND, tests.statistic, -math.inf)
        if not np.isfinite(strength).any():
            strength = np.array([each.mi for each in curve])
        best = int(np.argmax(strength))
        refined = None
        if refine:
            report("refining", 0, 1)
            refined = _refined(*pairs[best], config, len(steps))
    return Lags(
        x=one.name,
        y=other.name,
        curve=curve,
        peak=curve[best],
        band=_band(found[len(steps) :], len(steps)) - chance,
        chance=chance,
        counted_p=tests.counted_p,
        smallest_p=tests.smallest_p,
        n=n,
        groups=len(windows.lengths),
        surrogates=0 if drawn is None else len(drawn),
        refined=refined,
        notes=pair.notes,
    )


def read_series(
    path: str | Path,
    *,
    x: Sequence[str],
    y: Sequence[str],
    group: Sequence[str] = (),
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    options: ReadOptions | None = None,
) -> tuple[Column, Column, np.ndarray | None]:
    """Read two series of a file, and the group of each row.

    Args:
        path: a file, as for `infobound.files.readers.read`.
        x: the name of the column of x.
        y: that of y.
        group: selectors of the columns whose values say which rows belong together, if any.
        categorical: names of columns that are categories.
        numeric: names of columns that are quantities although they are stored as text.
        options: how the file is written, as for `readers.read`.

    Raises:
        InputError: If there is a problem with the file, or not one column is named for x and y.
    """
    found = readers.opened(path, options=options)
    names = {side: found.select(own, side) for side, own in (("x", x), ("y", y)) if own}
    for side in ("x", "y"):
        count = len(names.get(side, ()))
        if count != 1:
            raise InputError(
                f"Expected one column for {side}; got {count}. The columns are "
                f"{', '.join(found.names[:20])}. For several at one lag, use estimate --series."
            )
    chosen = [names["x"][0], names["y"][0]]
    table = read_table(
        path, columns=chosen, categorical=categorical, numeric=numeric, options=options
    )
    return table.column(chosen[0]), table.column(chosen[1]), found.groups(group)


class _Series(NamedTuple):
    """Two series of one column each, and their rows in order."""

    x: Column
    y: Column
    windows: Windows
    notes: tuple[str, ...]

    @classmethod
    def of(cls, x: Any, y: Any, groups: Any, categorical: Sequence[str]) -> _Series:
        for name in categorical:
            arguments.choice("categorical", name, ("x", "y"))
        (one, said), (other, more) = (
            _column(side, rows, side in categorical) for side, rows in (("x", x), ("y", y))
        )
        n = len(one.codes)
        if len(other.codes) != n:
            raise InputError(
                f"Expected equal lengths for x and y; got {n:,} and {len(other.codes):,}. Row i of "
                "x and row i of y are of the same time."
            )
        return cls(one, other, Windows.of(n, groups), (*said, *more))


def _column(side: str, values: Any, categorical: bool) -> tuple[Column, tuple[str, ...]]:
    """Code a series; its name is that of its container, or else the side."""
    if isinstance(values, Column):
        return values, ()
    import pandas as pd

    rows, notes = as_rows(side, values)
    if rows.shape[1] != 1:
        raise InputError(
            f"Expected one column in {side}; got {rows.shape[1]}. Choose one, or use "
            "infobound.estimate(x, y, series=True) for several columns at one lag."
        )
    label = side if isinstance(rows, np.ndarray) else str(rows.columns[0])
    kind = object if isinstance(rows, np.ndarray) and rows.dtype.kind in "UO" else None
    frame = pd.DataFrame(np.asarray(rows), columns=[side], dtype=kind)
    if not isinstance(rows, np.ndarray):
        frame = rows.set_axis([side], axis=1)
    table = as_table(frame, categorical=[side] if categorical else [])
    return replace(table.column(side), name=label), (*notes, *table.notes)


def _surrogates(given: Any, y: Column, count: int | None, seed: int) -> list[Column] | None:
    """Code the surrogates of y that were given or that a function draws."""
    if given is None:
        return None
    if callable(given):
        draws = DRAWS if count is None else count
        children = np.random.default_rng(seed).spawn(draws)
        given = [given(rng) for rng in children]
    drawn = [_column("surrogates", each, y.categorical)[0] for each in given]
    for each in drawn:
        if len(each.codes) != len(y.codes):
            raise InputError(
                f"Expected surrogates of y with {len(y.codes):,} rows, shape (k, n); got "
                f"{len(each.codes):,}."
            )
    if len(drawn) < 19:
        raise InputError(
            f"Expected at least 19 surrogates, for a p-value of .05; got {len(drawn)}. Draw 199."
        )
    return drawn


def take(column: Column, rows: np.ndarray) -> Column:
    """Return some rows of a column."""
    return replace(column, codes=column.codes[rows])


def _shifts(windows: Windows, max_lag: int, seed: int) -> np.ndarray:
    """Return shifts (k, groups) of y by more than the largest lag."""
    if len(windows.lengths) > 1:
        return windows.shifts(max_lag, count=SHIFTS, seed=seed)
    ends = max_lag + 1, windows.lengths[0] - max_lag - 1
    return np.unique(np.linspace(*ends, SHIFTS).astype(np.int64))[:, None]


def _lag(
    lag: int,
    found: ColumnEstimate,
    sides: tuple[Whitened, Whitened],
    windows: Windows,
    spread: float,
    chance: float,
    p: float,
    adjusted: float,
) -> Lag:
    """Put together a lag; its interval is as wide as autocorrelation makes it."""
    inflation = max(inflation_of(*sides, windows, lag), 1.0)
    mi = found.mi - chance
    half = z_quantile(LEVEL) * max(math.sqrt(inflation) * found.standard_error, spread)
    return Lag(
        lag=lag,
        mi=mi,
        low=mi - half,
        high=mi + half,
        p_value=float(p),
        adjusted_p=float(adjusted),
        n=found.n,
        effective_n=found.n / inflation,
    )


def inflation_of(x: Whitened, y: Whitened, windows: Windows, lag: int) -> float:
    """Return how much autocorrelation multiplies the variance of a mean of per-row terms.

    The terms are those of a series of orthonormal functions for the density ratio; the variance is
    that of Newey and West with the number of lags that Andrews' rule chooses.
    """
    place = np.empty(len(windows.order), dtype=np.int64)
    place[windows.order] = np.arange(len(place))
    i, j = (place[rows] for rows in windows.pairs(lag))
    one, other = x.functions[i], y.functions[j]
    terms = ((one @ (one.T @ other)) * other).sum(axis=1) / len(i)
    terms -= terms.mean()
    n = len(terms)
    power = np.square(np.abs(fft.rfft(terms, fft.next_fast_len(2 * n, real=True))))
    covariances = fft.irfft(power, fft.next_fast_len(2 * n, real=True))[:n]
    if covariances[0] <= 0:
        return 1.0
    correlations = covariances / covariances[0]
    first = min(max(float(correlations[1]), 0.0), 0.99)
    rate = 4 * first**2 / ((1 - first) ** 2 * (1 + first) ** 2)
    reach = min(math.ceil(1.1447 * (rate * n) ** (1 / 3)), n // 4)
    weights = 1 - np.arange(1, reach + 1) / (reach + 1)
    return float(1 + 2 * weights @ correlations[1 : reach + 1])


def _band(found: Sequence[ColumnEstimate], count: int) -> float:
    """Return the height that the highest of `count` estimates of shifted series has with 5 %.

    The quantile is that of a gamma distribution with the estimates' mean, variance and skewness; by
    ranks not less than that of independent rows, which has a longer tail.
    """
    null = np.array([each.mi for each in found])
    mean, spread = float(null.mean()), float(null.std(ddof=1))
    skew = float(np.mean(((null - mean) / max(spread, 1e-12)) ** 3))
    shape = 4 / min(max(skew, 0.5), 2.8) ** 2
    quantile = chdtri(2 * shape, FOUND / count) / 2
    highest = mean + spread * (quantile - shape) / math.sqrt(shape)
    if any(each.method == "ranks" for each in found):
        tenth, scale = INDEPENDENT
        least = (tenth + scale * math.log(0.1 * count / FOUND)) / max(each.n for each in found)
        highest = max(highest, least)
    return highest


def _refined(x: Column, y: Column, config: Config, count: int) -> Estimate:
    """Estimate a lag with an interval that holds for `count` lags at once (Bonferroni)."""
    whole = (x.codes >= 0) & (y.codes >= 0)
    codes = [np.unique(each.codes[whole], return_inverse=True)[1] for each in (x, y)]
    both = [*zip(codes, (x, y), strict=True)]
    rows = [own if each.categorical else ndtri(middle_ranks(own)) for own, each in both]
    kinds = [side for side, each in zip("xy", (x, y), strict=True) if each.categorical]
    level = 1 - (1 - config.level) / count
    return estimate(
        *rows, categorical=kinds, config=config.with_(level=level, series=True), progress=False
    )
