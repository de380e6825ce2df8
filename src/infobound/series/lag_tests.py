"""Tests of independence of two series at many lags, valid when both are autocorrelated.

Of each series the part that its own past predicts is removed (prewhitening). What is left of y is
correlated with functions of x, filtered as y was, and what is left of x with functions of y. A
correlation of two series of which one is white has a known variance, whatever the other. What is
assumed, and what is measured: `docs/lags.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.special import gammaincc, ndtri

from infobound._system import arguments
from infobound.data.columns import Column
from infobound.data.groups import complete_ids, group_ids
from infobound.errors import InputError
from infobound.tables.column_scores import scores

__all__ = ["LagTests", "Whitened", "Windows", "expect_lags", "lag_tests", "whiten"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

DECAYS = (2.0, 1.0)  # the j-th function of a quantity has the weight 1 / j^decay
FEW = 7  # values up to which a quantity's past enters value by value, as a category's does
ORDER = 20  # largest order of an autoregression
ROWS_EACH = 20  # rows for each order of it
CATEGORY_ORDER = 3  # the same for categories, of which each step has up to 16 coefficients
TESTS = 8  # four weightings, and twice as many for tails that are heavier than normal
TAIL = 10  # so many shifts must be as high, or the p-value is extrapolated
ROUNDING = 1e-9  # variances below are zero
RIDGE = 1e-9  # relative addition to variances in regressions
SMALLEST = 1e-16  # no p-value is smaller
MOST = 1_999  # shifts of a single series
DRAWN = 199  # shifts of several groups
SPARE = 20  # rows beyond four times the largest lag; pairs of rows in groups


class Windows(NamedTuple):
    """The rows of one series, or of several groups of rows whose borders no lag crosses.

    Attributes:
        order: (n,), the rows, group after group, in the order of time.
        lengths: the number of rows of each group.
    """

    order: Codes
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, n: int, groups: Any = None) -> Windows:
        """Sort n rows by the labels of their groups (n,); the rows of a group keep their order.

        Raises:
            InputError: If there is not one label for each row.

        Example:
            >>> Windows.of(4, ["a", "b", "a", "b"])
            Windows(order=array([0, 2, 1, 3]), lengths=(2, 2))
        """
        if groups is None:
            return cls(np.arange(n), (n,))
        ids = complete_ids(group_ids(groups), n)
        return cls(np.argsort(ids, kind="stable"), tuple(np.bincount(ids).tolist()))

    @property
    def slices(self) -> list[slice]:
        """The places of each group in `order`."""
        ends = np.cumsum(self.lengths).tolist()
        return [slice(end - n, end) for end, n in zip(ends, self.lengths, strict=True)]

    @property
    def age(self) -> Codes:
        """How many rows of its group are before each row, (n,)."""
        return np.concatenate([np.arange(length) for length in self.lengths])

    def pairs(self, lag: int) -> tuple[Codes, Codes]:
        """Return the rows of x and of y that are `lag` steps apart; x is earlier if positive.

        Example:
            >>> Windows.of(4, np.array([0, 0, 0, 1])).pairs(1)
            (array([0, 1]), array([1, 2]))
        """
        age, length = self.age, np.repeat(self.lengths, self.lengths)
        later = np.flatnonzero((age >= lag) & (age < length + lag))
        return self.order[later - lag], self.order[later]

    def shifted(self, by: Iterable[int]) -> Codes:
        """Return the rows after shifting those of each group in a circle, (n,)."""
        return np.concatenate(
            [np.roll(self.order[own], -k) for own, k in zip(self.slices, by, strict=True)]
        )

    def shifts(self, max_lag: int, *, count: int | None = None, seed: int = 0) -> Codes:
        """Return shifts (k, groups) of the rows of each group, that break its dependence.

        Those of a single series are multiples of 2 max_lag + 1, so that no two contain the same
        lag. Those of groups are random.
        """
        if len(self.lengths) > 1:
            size = (count or DRAWN, len(self.lengths))
            return np.random.default_rng(seed).integers(self.lengths, size=size)
        width = 2 * max_lag + 1
        most = self.lengths[0] // width - 1
        steps = np.unique(np.linspace(1, most, min(most, count or MOST)).astype(np.int64))
        return steps[:, None] * width


@dataclass(frozen=True, eq=False)
class Whitened:
    """A series prepared for tests with others; rows are in the order of `Windows.order`.

    Attributes:
        functions: (n, k), orthonormal functions of the values; 0 where they are missing.
        innovations: (n, j), what functions of the past do not predict; 0 where not known.
        coefficients: (p,), of the autoregression; empty for categories.
        flat: whether the order of the functions means nothing.
    """

    functions: Floats
    innovations: Floats
    coefficients: Floats
    flat: bool


@dataclass(frozen=True, eq=False)
class LagTests:
    """P-values of independence at the lags -max_lag to max_lag; x leads at positive lags.

    Attributes:
        lags: (w,), the lags.
        statistic: (w,), minus the log of the smallest p-value of several weightings; high where x
            and y are dependent.
        p_value: (w,), of each lag alone.
        adjusted: (w,), adjusted for all lags. To call x and y dependent where it is at most a is
            wrong for an independent pair with probability at most a.
        counted_p: the p-value of the highest lag by counting alone: the share of shifts of y, or
            of surrogates, whose highest lag is as high.
        smallest_p: the smallest value that `counted_p` can have.

    Example:
        >>> from infobound.data.columns import columns
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 1000))
        >>> found = lag_tests(*columns({"x": x, "y": np.roll(x, 3) + noise}), max_lag=5)
        >>> found.lags[found.adjusted < 0.05].tolist()
        [3]
    """

    lags: Codes
    statistic: Floats
    p_value: Floats
    adjusted: Floats
    counted_p: float
    smallest_p: float


def lag_tests(
    x: Column | Whitened,
    y: Column | Whitened,
    max_lag: int,
    *,
    windows: Windows | None = None,
    surrogates: Iterable[Column] | None = None,
    permutations: int | None = None,
    seed: int = 0,
) -> LagTests:
    """Test whether two series are independent, at each lag and at all lags together.

    The statistic of a lag is a weighted sum of squared correlations between the innovations of one
    series (its values less what its own past predicts) and functions of the other, filtered in the
    same way, and the other way round. Each correlation is divided by a standard error that allows
    for changing variances, so that under independence its square is nearly chi-squared if the
    innovations cannot be predicted from their past. The p-value is the larger of the one that
    follows and of the share of shifts of y by more than `max_lag` that score as high, extrapolated
    where fewer than ten do. The adjusted p-value multiplies it by the number of lags.

    Args:
        x: a series (n,); missing values are left out for the lags that need them.
        y: another; or both as returned by `whiten`.
        max_lag: the largest lag, in both directions.
        windows: the groups of rows; by default all rows are one series.
        surrogates: series that could be y if it were independent of x. All p-values then come from
            counting them.
        permutations: the number of shifts of y; by default 199 for several groups, and as many as
            do not overlap for one series.
        seed: seed of the shifts of groups.

    Returns:
        The p-values.

    Raises:
        InputError: If a series is constant or too short for the lags.

    Source: prewhitening, Haugh 1976, Journal of the American Statistical Association 71, 378-385;
    standard errors, White 1980, https://doi.org/10.2307/1912934; shifts, Yuan and Shou 2024,
    https://doi.org/10.1371/journal.pbio.3002758.

    Example:
        >>> from infobound.data.columns import columns
        >>> walks = np.cumsum(np.random.default_rng(6).normal(size=(500, 2)), axis=0)
        >>> bool(abs(np.corrcoef(walks.T)[0, 1]) > 0.5)  # independent, but both are slow
        True
        >>> bool(lag_tests(*columns(walks), max_lag=5).adjusted.min() > 0.05)
        True
    """
    windows = windows or Windows.of(len(x.codes if isinstance(x, Column) else x.functions))
    max_lag = expect_lags(max_lag, windows)
    one, other = (each if isinstance(each, Whitened) else whiten(each, windows) for each in (x, y))
    lags = np.arange(-max_lag, max_lag + 1)
    values = _statistics(one, other, windows, lags)
    if surrogates is not None:
        drawn = [_statistics(one, whiten(each, windows), windows, lags) for each in surrogates]
        null = np.stack(arguments.listed("surrogates", drawn))
        p = (1 + (null >= values).sum(axis=0)) / (1 + len(null))
        adjusted, highest = _share(null.max(axis=1), values), values.max()
    else:
        shifts = windows.shifts(max_lag, count=permutations, seed=seed)
        still = np.zeros((1, len(windows.lengths)), dtype=np.int64)
        around = _statistics(one, other, windows, lags, np.concatenate([still, shifts]))
        null, highest = around[1:], around[0].max()
        p = np.maximum(_tail(null.ravel(), values), np.minimum(TESTS * np.exp(-values), 1))
        adjusted = np.minimum(len(lags) * p, 1)
    p = np.clip(p, SMALLEST, 1)
    counted = float(_share(null.max(axis=1), highest))
    return LagTests(lags, values, p, np.maximum(adjusted, p), counted, 1 / (1 + len(null)))


def expect_lags(max_lag: int, windows: Windows) -> int:
    """Check the largest lag.

    Raises:
        InputError: If it is no positive number, or there are too few rows for it.
    """
    max_lag = arguments.integer("max_lag", max_lag, least=1)
    single, n = len(windows.lengths) == 1, sum(windows.lengths)
    most = (n - SPARE) // 4
    if not single:  # so many pairs of rows are left
        longest = range(1, min(max_lag, max(windows.lengths)) + 1)
        left = [np.maximum(np.array(windows.lengths) - lag, 0).sum() for lag in longest]
        most = int((np.array(left) >= SPARE).sum())
    if max_lag > most:
        rows = f"{n:,} rows" if single else f"groups of up to {max(windows.lengths):,} rows"
        remedy = f"Write max_lag={most}." if most > 0 else "Use longer series."
        raise InputError(
            f"Expected max_lag of at most {max(most, 0)} for {rows}; got {max_lag}. {remedy}"
        )
    return max_lag


def _share(null: Floats, values: Floats) -> Floats:
    """Return (1 + the number of `null` that are as high) / (1 + their number)."""
    as_high = len(null) - np.searchsorted(np.sort(null), values)
    return np.asarray((1 + as_high) / (1 + len(null)))


def _tail(null: Floats, values: Floats) -> Floats:
    """Return the share of `null` that are as high, extrapolated as exp(-value) beyond the tenth."""
    count = len(null)
    tail = min(TAIL, count // 2)
    ordered = np.sort(null)
    as_high = count - np.searchsorted(ordered, values)
    beyond = tail / count * np.exp(np.minimum(ordered[-tail] - values, 0))
    return np.where(as_high >= tail, as_high / count, beyond)


def _statistics(
    x: Whitened, y: Whitened, windows: Windows, lags: Codes, shifts: Codes | None = None
) -> Floats:
    """Return minus the log of approximate p-values (w,); with shifts (k, groups) of y, (k, w).

    With shifts, rows wrap around in their group.
    """
    found = []
    for one, other, back in ((x, y, False), (y, x, True)):
        kept = _orthonormal(_filtered(one.functions, other.coefficients, windows.age))
        sides = ((other.innovations, other.flat), (kept, one.flat))
        weights = [np.outer(*(_weights(*side, decay) for side in sides)) for decay in DECAYS]
        sums = [np.zeros(1)] * len(DECAYS)
        for k, squares in enumerate(_squares(kept, other.innovations, windows, lags, shifts, back)):
            sums = [total + squares @ each[k] for total, each in zip(sums, weights, strict=True)]
        found += [_log_p(total, each) for total, each in zip(sums, weights, strict=True)]
    return np.asarray(np.max(found, axis=0))


def _weights(functions: Floats, flat: bool, decay: float) -> Floats:
    """Return the weights (k,) of functions; 0 for those that are zero."""
    order = np.arange(1, functions.shape[1] + 1.0)
    return np.where(flat, 1.0, order**-decay) * functions.any(axis=0)


def _squares(
    one: Floats, other: Floats, windows: Windows, lags: Codes, shifts: Codes | None, back: bool
) -> Iterator[Floats]:
    """Yield squared t statistics (..., k) of each column of `other` with all columns of `one`.

    The rows of `one` are `lag` steps earlier, or later if `back`.
    """
    groups = []
    for k, own in enumerate(windows.slices):
        n = windows.lengths[k]
        if shifts is None:
            size = fft.next_fast_len(n + int(lags[-1]), real=True)  # so that nothing wraps around
            places = lags % size
        else:
            size, places = n, (shifts[:, k, None] + lags) % n
        spectra = [fft.rfft(a[own] ** p, size, axis=0) for p in (1, 2) for a in (one, other)]
        groups.append((size, places, spectra))
    for column in range(other.shape[1]):
        total, variance = np.zeros(1), np.zeros(1)
        for size, places, spectra in groups:
            found = []
            for a, b in (spectra[:2], spectra[2:]):
                b = b[:, column, None]
                product = a * np.conj(b) if back else np.conj(a) * b
                found.append(fft.irfft(product, size, axis=0)[places])
            total, variance = total + found[0], variance + found[1]
        yield np.square(total) / np.maximum(variance, ROUNDING)


def _log_p(sums: Floats, weights: Floats) -> Floats:
    """Return minus the log of P(sum > sums) of weighted squares of independent normals.

    The law is the gamma with the same three cumulants.
    """
    if not weights.any():
        return np.zeros_like(sums)
    mean, variance, third = (f * (weights**p).sum() for p, f in ((1, 1), (2, 2), (3, 8)))
    shape, scale = 4 * variance**3 / third**2, third / (2 * variance)
    p = gammaincc(shape, np.maximum(sums - (mean - shape * scale), 0) / scale)
    return np.asarray(-np.log(np.maximum(p, 1e-300)))


def whiten(column: Column, windows: Windows) -> Whitened:
    """Prepare a series for tests with others.

    Of a quantity the normal scores follow an autoregression whose order Akaike's criterion chooses;
    the innovations are functions of its residuals, less what remains to be predicted of each by its
    own past (Schwarz's criterion). Of categories, and of quantities with at most seven values, the
    innovations are the functions themselves less a regression on all functions of the past.

    Args:
        column: the series (n,).
        windows: its rows in order, and their groups.

    Raises:
        InputError: If all values are the same.
    """
    codes, age = column.codes[windows.order], windows.age
    seen = codes >= 0
    if len(np.unique(codes[seen])) < 2:
        raise InputError(
            f"Expected values that differ in series {column.name}; got one value. Leave it out."
        )
    functions = _spread(scores(codes[seen], categorical=column.categorical), seen)
    functions = _orthonormal(_centred(functions, seen, windows))
    flat = column.categorical or column.levels == 2
    most = min(ORDER, len(codes) // ROWS_EACH, int(np.median(windows.lengths)) // 5)
    if column.categorical or column.levels <= FEW:
        most = min(most // functions.shape[1], CATEGORY_ORDER)
        past = _autoregression(functions, age, most, math.log)
        left = _residuals(functions, past, age) * seen[:, None]
        return Whitened(functions, _orthonormal(left), np.zeros(0), flat)
    values = _centred(_normal_scores(codes, windows), np.ones_like(seen), windows)
    coefficients = _autoregression(values, age, most, lambda n: 2.0)
    known = seen & (age >= len(coefficients))
    left = _residuals(values, coefficients, age)[known, 0]
    ranks = np.unique(left.round(9), return_inverse=True)[1]
    waves = _spread(scores(ranks, categorical=False), known)
    parts = [waves[:, [k]] for k in range(waves.shape[1])]
    later = age - len(coefficients)
    parts = [_residuals(a, _autoregression(a, later, most, math.log), later) for a in parts]
    waves = _orthonormal(np.concatenate(parts, axis=1) * known[:, None])
    return Whitened(functions, waves, coefficients[:, 0, 0], flat)


def _spread(values: NDArray[Any], at: NDArray[np.bool_]) -> Floats:
    """Put rows (m, k) to their places among n, with 0 elsewhere."""
    found = np.zeros((len(at), values.shape[1]))
    found[at] = values
    return found


def _normal_scores(codes: Codes, windows: Windows) -> Floats:
    """Return normal scores (n, 1) of ranks, interpolated in time where values are missing."""
    seen = codes >= 0
    counts = np.bincount(codes[seen])
    middle = (np.cumsum(counts) - counts / 2) / counts.sum()
    values = np.where(seen, ndtri(middle)[codes], 0)
    for own in windows.slices:
        there = np.flatnonzero(seen[own])
        if 0 < len(there) < len(seen[own]):
            values[own] = np.interp(np.arange(len(seen[own])), there, values[own][there])
    return values[:, None]


def _centred(values: Floats, seen: NDArray[np.bool_], windows: Windows) -> Floats:
    """Subtract the means of each group, over the rows that are there."""
    values = values.copy()
    for own in windows.slices:
        if seen[own].any():
            values[own] -= values[own][seen[own]].mean(axis=0)
    return values * seen[:, None]


def _autoregression(
    values: Floats, age: Codes, most: int, penalty: Callable[[int], float]
) -> Floats:
    """Regress a series (n, k) on its past by least squares, and return coefficients (p, k, k).

    The order p, up to `most`, minimises n log |residual variance| + penalty(n) x coefficients.
    """
    rows = np.flatnonzero(age >= most)
    n, k = len(rows), values.shape[1]
    lagged = np.concatenate([values[rows - lag] for lag in range(most + 1)], axis=1)
    lagged -= lagged.mean(axis=0)
    gram = lagged.T @ lagged
    gram[np.diag_indices_from(gram)] *= 1 + RIDGE
    best, found = math.inf, np.zeros((0, k, k))
    for order in range(most + 1):
        past = slice(k, k * (order + 1))
        solved = np.linalg.solve(gram[past, past], gram[past, :k])
        left = np.diag(gram[:k, :k] - gram[:k, past] @ solved)
        used = left > ROUNDING
        cost = n * np.log(left[used]).sum() + penalty(n) * order * k * k
        if cost < best:
            best, found = cost, solved.reshape(order, k, k)
    return found


def _residuals(values: Floats, coefficients: Floats, age: Codes) -> Floats:
    """Return what an autoregression does not predict, with mean 0; 0 for the first rows."""
    found, rows = np.zeros_like(values), np.flatnonzero(age >= len(coefficients))
    left = values[rows]
    for lag, each in enumerate(coefficients, 1):
        left = left - values[rows - lag] @ each
    found[rows] = left - left.mean(axis=0)
    return found


def _filtered(functions: Floats, coefficients: Floats, age: Codes) -> Floats:
    """Filter functions (n, k) as another series is filtered by its autoregression (p,)."""
    each = coefficients[:, None, None] * np.eye(functions.shape[1])
    return _residuals(functions, each, age)


def _orthonormal(values: Floats) -> Floats:
    """Make columns orthonormal one after the other, with mean square 1; 0 for dependent ones."""
    found, size = np.linalg.qr(values)
    own = abs(np.diag(size)) > 1e-6 * np.sqrt(len(values))
    return np.asarray(found * own * math.sqrt(len(values)))
