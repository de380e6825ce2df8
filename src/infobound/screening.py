"""What rows look like before anything is estimated: series, leaks, copies, ties, strays.

Each function reads a `Pair` or its `Column`s and says what it found as names and numbers;
`diagnostics` turns that into sentences. Nothing here changes a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from infobound.data import Pair, levels
from infobound.encoding import LEVELS
from infobound.storage import kinds

__all__ = [
    "Column",
    "Groups",
    "Serial",
    "coded_columns",
    "columns",
    "constant_columns",
    "copies_across",
    "duplicated_columns",
    "grouped_rows",
    "leaks",
    "repeated_rows",
    "serial",
    "sorted_by",
    "strays",
    "tied_columns",
]

LAGS = (1, 2, 3, 5, 10)  # rows apart at which a series shows
ALARM = 0.01  # chance that one side's rows, shuffled, look like a series; both sides must
WEAK = 0.05  # correlation of ranks from which on a series matters for an interval
TINY = 1e-4  # share of a column's variance that its copy leaves open
ENOUGH = 3_000  # rows that leaks are sought in
RARE = 20  # rows beside the commonest value, from which on equal columns are no accident
DISTINCT = 0.95  # share of different values from which on a column is continuous
GRAIN = 20  # values, times exp(mi), from which on rounding hides nothing
PILE = 0.05  # share of the rows that one value may hold
FAR = 1e6  # robust standard deviations
ALONE = 1e3  # times further out than all other rows
FEW = 0.01  # share of the rows that may be strays


@dataclass(frozen=True, eq=False)
class Column:
    """A column's different `values`, ascending, and how often each is taken."""

    name: str
    side: str
    values: np.ndarray
    counts: np.ndarray

    @cached_property
    def n(self) -> int:
        """The number of rows."""
        return int(self.counts.sum())

    @property
    def is_continuous(self) -> bool:
        """Whether nearly all values are different."""
        return len(self.values) >= DISTINCT * self.n

    @property
    def is_rare(self) -> bool:
        """Whether nearly all rows take one value."""
        return self.n - int(self.counts.max()) < RARE


def columns(pair: Pair) -> tuple[Column, ...]:
    """The columns of x, then those of y.

    Example:
        >>> from infobound.data import as_pair
        >>> columns(as_pair([2, 1, 1], [1, 2, 3]))[0].counts.tolist()
        [2, 1]
    """
    sides = (("x", pair.x, pair.x_names), ("y", pair.y, pair.y_names))
    return tuple(
        Column(name, side, *np.unique(values, return_counts=True))
        for side, rows, names in sides
        for name, values in zip(names, rows.T, strict=True)
    )


def constant_columns(columns: Sequence[Column]) -> tuple[str, ...]:
    """Columns with one value only.

    Example:
        >>> from infobound.data import as_pair
        >>> constant_columns(columns(as_pair([1, 1, 1], [1, 2, 3])))
        ('x[0]',)
    """
    return tuple(c.name for c in columns if len(c.values) == 1)


def duplicated_columns(pair: Pair) -> tuple[str, ...]:
    """Columns that equal an earlier one of their side, as 'a = b'; constant ones left out.

    Example:
        >>> from infobound.data import as_pair
        >>> duplicated_columns(as_pair([[1, 1], [2, 2], [3, 3]], [1, 2, 3]))
        ('x[0] = x[1]',)
    """
    found = []
    for rows, names in ((pair.x, pair.x_names), (pair.y, pair.y_names)):
        first: dict[bytes, str] = {}
        for name, column in zip(names, rows.T, strict=True):
            if column.min() < column.max():
                earlier = first.setdefault((column + 0.0).tobytes(), name)  # -0.0 becomes 0.0
                found += [f"{earlier} = {name}"] if earlier != name else []
    return tuple(found)


def repeated_rows(pair: Pair) -> int:
    """How many rows are exact copies of an earlier row.

    Example:
        >>> from infobound.data import as_pair
        >>> repeated_rows(as_pair([1, 1, 2], [0, 0, 0]))
        1
    """
    return len(pair.x) - int(kinds(pair.x, pair.y).max() + 1)


def copies_across(pair: Pair, fold: np.ndarray) -> int:
    """How many rows have an exact copy in another fold than their own; `fold` (n,) numbers them.

    Example:
        >>> from infobound.data import as_pair
        >>> copies_across(as_pair([1, 1, 2, 2], [0, 0, 0, 0]), np.array([0, 1, 1, 1]))
        2
    """
    kind = kinds(pair.x, pair.y)
    lowest, highest = np.full(len(kind), fold.max()), np.full(len(kind), fold.min())
    np.minimum.at(lowest, kind, fold)
    np.maximum.at(highest, kind, fold)
    return int((lowest < highest)[kind].sum())


@dataclass(frozen=True)
class Groups:
    """Rows of one side that repeat while the other side differs."""

    side: str
    count: int
    rows: int


def grouped_rows(pair: Pair, columns: Sequence[Column]) -> Groups | None:
    """The side whose rows are measured several times: by subject, by stimulus.

    That is: at least half of its rows are shared by two rows to a tenth of all, one column tells
    the groups apart, and its values are neither few nor counts, rounded, or their logs or roots.

    Example:
        >>> from infobound.data import as_pair
        >>> subjects = np.repeat(np.random.default_rng(0).normal(size=50), 4)
        >>> pair = as_pair(subjects, np.arange(200))
        >>> grouped_rows(pair, columns(pair))
        Groups(side='x', count=50, rows=200)
    """
    n = len(pair.x)
    for side, rows in (("x", pair.x), ("y", pair.y)):
        own = [c for c in columns if c.side == side]
        widest = max(own, key=lambda c: len(c.values))
        if not LEVELS < len(widest.values) <= n / 1.5 or _is_counted(widest.values):
            continue
        counts = np.bincount(kinds(rows))
        shared = (counts >= 2) & (counts <= n / 10)
        members = int(counts[shared].sum())
        if members < n / 2 or len(counts) > 1.05 * len(widest.values):
            continue
        if repeated_rows(pair) < (members - shared.sum()) / 2:
            return Groups(side, int(shared.sum()), members)
    return None


def _is_counted(values: np.ndarray) -> bool:
    """Whether values, or what they may be a logarithm or a root of, are on a grid."""
    with np.errstate(over="ignore"):
        meant = (values, np.exp(values), 2.0**values, 10.0**values, values**2)
    return any(np.isfinite(v).all() and _on_grid(np.unique(v)) for v in meant)


def _on_grid(values: np.ndarray) -> bool:
    """Whether different values, ascending, are multiples of a step, but for where they start."""
    steps = np.diff(values)
    steps = steps / steps.min()
    return bool(np.all(np.abs(steps - np.round(steps)) < 1e-3))


def _mid_ranks(column: np.ndarray) -> np.ndarray:
    """Ranks from 1 of a column (n,), ties shared out."""
    _, which, counts = np.unique(column, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which])


def _ranks(rows: np.ndarray) -> np.ndarray:
    """Mid-ranks of rows (n, d) by column, mean 0, variance 1; zeros for a constant column."""
    ranks = np.column_stack([_mid_ranks(column) for column in rows.T])
    ranks -= ranks.mean(axis=0)
    spread = ranks.std(axis=0)
    return np.asarray(ranks / np.where(spread > 0, spread, 1))


@dataclass(frozen=True)
class Serial:
    """The column that follows the row order most clearly; no lag: it follows the row number."""

    name: str
    lag: int | None
    correlation: float

    def __str__(self) -> str:
        """In words."""
        with_what = "the row number" if self.lag is None else f"the ranks {self.lag} rows before"
        return f"{self.name} with {with_what} ({self.correlation:+.2f})"


def serial(pair: Pair) -> tuple[Serial, Serial] | None:
    """One column of x and one of y where both sides follow the order of the rows; else None.

    Each column's ranks are held against themselves some rows before, and against the row number.
    How large such a sum becomes in shuffled rows is bounded by Bernstein's inequality
    (https://doi.org/10.1080/01621459.1962.10482149), which needs no normal margin and stays
    right where few rows differ from the rest; the bound is shared among all columns and lags.

    Example:
        >>> from infobound.data import as_pair
        >>> walk = np.random.default_rng(0).normal(size=(400, 2)).cumsum(axis=0)
        >>> found = serial(as_pair(walk[:, 0], walk[:, 1]))
        >>> found[0].name, found[0].lag
        ('x[0]', 1)
    """
    x = _serial(pair.x, pair.x_names)
    y = None if x is None else _serial(pair.y, pair.y_names)
    return None if x is None or y is None else (x, y)


def _serial(rows: np.ndarray, names: Sequence[str]) -> Serial | None:
    n, ranks = len(rows), _ranks(rows)
    lags = [lag for lag in LAGS if 4 * lag < n]
    sums = [(ranks * _ranks(np.arange(n)[:, None])).sum(axis=0)]
    sums += [(ranks[lag:] * ranks[:-lag]).sum(axis=0) for lag in lags]
    largest = np.abs(ranks).max(axis=0)
    limits = np.stack([np.sqrt(3) * largest] + len(lags) * [largest**2])
    size = np.abs(sums)
    chance = 2 * size.size * np.exp(-(size**2) / 2 / (n + limits * size / 3))
    chance[size < WEAK * n] = 1
    test, column = np.unravel_index(int(chance.argmin()), chance.shape)
    if chance[test, column] > ALARM:
        return None
    lag = None if test == 0 else lags[test - 1]
    return Serial(names[int(column)], lag, float(sums[test][column] / (n - (lag or 0))))


def sorted_by(pair: Pair, columns: Sequence[Column]) -> str | None:
    """The name of a column by which the rows are sorted, or whose few values stand in blocks.

    Example:
        >>> from infobound.data import as_pair
        >>> pair = as_pair([3, 1, 2, 4], [1, 2, 2, 5])
        >>> sorted_by(pair, columns(pair))
        'y[0]'
    """
    for column, v in zip(columns, (*pair.x.T, *pair.y.T), strict=True):
        steps = np.diff(v)
        blocks = 1 < len(column.values) <= len(v) / 10
        if len(column.values) > 1 and ((steps >= 0).all() or (steps <= 0).all()):
            return column.name
        if blocks and np.count_nonzero(steps) == len(column.values) - 1:
            return column.name
    return None


def leaks(pair: Pair, columns: Sequence[Column]) -> tuple[str, ...]:
    """Columns of x and y that determine each other but for a share of 1e-4 of the variance.

    A monotone copy shows in the correlation of ranks, any other smooth function in how little the
    ranks of one column change in the order of the other: Chatterjee's coefficient,
    https://arxiv.org/abs/1909.10140.

    Example:
        >>> from infobound.data import as_pair
        >>> x = np.random.default_rng(0).normal(size=2000)
        >>> pair = as_pair(x, np.stack([np.exp(-x), x**2], axis=1))
        >>> leaks(pair, columns(pair))
        ('x[0] and y[0] are in the same order', 'y[1] is a function of x[0]')
    """
    step = -(-len(pair.x) // ENOUGH)
    x, y = _ranks(pair.x[::step]), _ranks(pair.y[::step])
    left, right = ([c for c in columns if c.side == side] for side in ("x", "y"))
    same = np.abs(x.T @ y) > (1 - TINY) * len(x)
    forth, back = _roughness(x, y) < TINY, _roughness(y, x).T < TINY
    found = []
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            if same[i, j] and not (a.is_rare or b.is_rare):
                found.append(f"{a.name} and {b.name} are in the same order")
            elif a.is_continuous and b.is_continuous and (forth[i, j] or back[i, j]):
                of, by = (b, a) if forth[i, j] else (a, b)
                found.append(f"{of.name} is a function of {by.name}")
    return tuple(found)


def _roughness(by: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Share of each column's variance (n, q) that each of `by` (n, p) leaves open, (p, q).

    From mean absolute steps, as of a normal remainder; large steps where a function turns or its
    argument has gaps count less than they would squared.
    """
    steps = (np.abs(np.diff(of[np.argsort(column)], axis=0)).mean(axis=0) for column in by.T)
    return np.asarray(np.pi / 4 * np.stack(list(steps)) ** 2)


def tied_columns(columns: Sequence[Column], mi: float) -> tuple[tuple[str, float], ...]:
    """Columns of many values in which repeats may matter, and the share of rows that repeat one.

    Either one value is a pile among others that are few (zero inflation, heaping), or values are
    too coarsely rounded for that much dependence: a normal column of L values, some 5 / L standard
    deviations apart, hides about (5 exp(mi) / L)^2 / 24 nats, 0.003 at L = 20 exp(mi).

    Example:
        >>> from infobound.data import as_pair
        >>> rounded = np.random.default_rng(0).normal(size=500).round(1)
        >>> tied_columns(columns(as_pair(rounded, np.arange(500))), 2.0)
        (('x[0]', 0.972),)
    """
    coarse = GRAIN * np.exp(min(mi, 20.0))
    return tuple(
        (c.name, float(c.counts[c.counts > 1].sum() / c.n))
        for c in columns
        if len(c.values) > LEVELS and not c.is_continuous
        if len(c.values) < coarse or c.counts.max() > max(PILE * c.n, 10 * np.median(c.counts))
    )


def coded_columns(pair: Pair, columns: Sequence[Column]) -> tuple[str, ...]:
    """Columns of 3 to 20 consecutive whole numbers, which may be codes of categories.

    None where both sides take so few values that any code means the same.

    Example:
        >>> from infobound.data import as_pair
        >>> pair = as_pair(np.linspace(0, 1, 90), np.arange(90) % 3)
        >>> coded_columns(pair, columns(pair))
        ('y[0]',)
    """
    if 5 * levels(pair.x) * levels(pair.y) <= len(pair.x):  # a contingency table can be fitted
        return ()
    return tuple(
        c.name
        for c in columns
        if 3 <= len(c.values) <= min(LEVELS, c.n / 10) and set(np.diff(c.values)) == {1.0}
        if c.values[0] % 1 == 0
    )


def strays(columns: Sequence[Column]) -> tuple[tuple[str, str], ...]:
    """Columns and, in words, values in them that are codes or errors rather than measurements.

    A code is an end value further from all others than they are from each other, if it is all
    nines, or three times further, if it repeats. An error lies a million robust standard
    deviations out, and a thousand times further than all other rows.

    Example:
        >>> from infobound.data import as_pair
        >>> x = np.r_[np.random.default_rng(0).normal(size=97), -999, -999, -999]
        >>> strays(columns(as_pair(x, np.arange(100))))
        (('x[0]', '-999 in 3 rows'),)
    """
    said = ((column.name, _code(column) or _error(column)) for column in columns)
    return tuple((name, text) for name, text in said if text)


def _code(column: Column) -> str:
    values = column.values
    if len(values) <= LEVELS:
        return ""
    for end, near, far in ((0, 1, -1), (-1, -2, 0)):
        gap = abs(values[end] - values[near]) / abs(values[near] - values[far])
        digits, count = f"{abs(values[end]):g}", int(column.counts[end])
        nines = len(digits) > 1 and set(digits) == {"9"}
        if (nines and gap > 1) or (count >= 3 and gap > 3):
            return f"{values[end]:g} in {count:,} row" + "s" * (count > 1)
    return ""


def _error(column: Column) -> str:
    places = np.searchsorted(np.cumsum(column.counts), np.array([0.25, 0.5, 0.75]) * column.n)
    low, centre, high = column.values[places]
    if high == low:
        return ""
    away = np.abs(column.values - centre) / ((high - low) / 1.349)
    order = np.argsort(away)
    away, counts = away[order], column.counts[order]
    tail = np.cumsum(counts[::-1])[::-1]  # rows as far out or further
    jumps = (away[1:] > FAR) & (away[1:] > ALONE * away[:-1]) & (tail[1:] <= max(1, FEW * column.n))
    if not jumps.any():
        return ""
    first = int(jumps.argmax()) + 1
    value = column.values[order[first]]
    return f"{value:.4g} or beyond in {tail[first]:,} row" + "s" * bool(tail[first] > 1)
