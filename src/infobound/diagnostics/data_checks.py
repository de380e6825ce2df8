"""Checks of the data before estimation: serial dependence, leaks, copies, ties, outliers.

Each function reads a `Pair` or its `Column`s and returns names and numbers; `findings` turns them
into sentences. Nothing here changes a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from infobound._system.memory import row_ids
from infobound.data import Pair, n_distinct
from infobound.data.encoding import LEVELS
from infobound.data.pair import GIVEN

__all__ = [
    "Column",
    "Groups",
    "Leak",
    "Serial",
    "Unordered",
    "coded_columns",
    "columns",
    "constant_columns",
    "copied_rows",
    "copies_across",
    "duplicated_columns",
    "given_columns",
    "grouped_rows",
    "leaks",
    "outlier_columns",
    "repeated_rows",
    "serial",
    "sorted_by",
    "tied_columns",
    "unordered_columns",
]

LAGS = (1, 2, 3, 5, 10)  # distances in rows at which serial correlation is tested
ALARM = 0.01  # significance level of serial dependence of one side; both must be significant
WEAK = 0.05  # smallest rank correlation of a series that matters for an interval
TINY = 1e-4  # largest fraction of a column's variance that its copy leaves unexplained
MOST_COPIES = 10  # more equal rows than this are a value of discrete data, not copies
FEWEST_COPIES = 3  # smallest number of copies to report
OWN = 0.9  # fraction of a column's repeated values that must belong to copied rows
NEIGHBOURS = 100  # number of neighbouring values whose gaps are compared
ENOUGH = 3_000  # number of rows in which leaks are searched for
CODED = 50_000  # number of rows in which codes are searched for
UNORDERED = 0.3  # roughness, relative to that of codes, from which on the order is meaningless
CLEAR = 8  # standard errors by which that roughness must exceed zero
RARE = 20  # rows besides the most frequent value below which equal columns may be a coincidence
DISTINCT = 0.95  # fraction of distinct values from which on a column is continuous
GRAIN = 20  # with this many values, times exp(mi), rounding hides almost nothing
PILE = 0.05  # fraction of the rows above which one value is a pile
FAR = 1e6  # an error is further out than this, in robust standard deviations
ALONE = 1e3  # and further out than all other rows by this factor
FEW = 0.01  # largest fraction of the rows that may be such errors


@dataclass(frozen=True, eq=False)
class Column:
    """A column as its distinct values.

    Attributes:
        name: the name of the column.
        side: "x", "y" or "given".
        values: the distinct values in ascending order.
        counts: how often each value occurs.
    """

    name: str
    side: str
    values: np.ndarray
    counts: np.ndarray

    @cached_property
    def n(self) -> int:
        """The number of rows."""
        return int(self.counts.sum())

    @cached_property
    def entropy(self) -> float:
        """The entropy of the empirical distribution of values, in nats."""
        shares = self.counts / self.n
        return float(-(shares * np.log(shares)).sum())

    @property
    def is_continuous(self) -> bool:
        """Whether nearly all values are distinct."""
        return len(self.values) >= DISTINCT * self.n

    @property
    def is_rare(self) -> bool:
        """Whether nearly all rows have the same value."""
        return self.n - int(self.counts.max()) < RARE


def columns(pair: Pair) -> tuple[Column, ...]:
    """Return the columns of x, then those of y.

    Example:
        >>> from infobound.data import as_pair
        >>> columns(as_pair([2, 1, 1], [1, 2, 3]))[0].counts.tolist()
        [2, 1]
    """
    return (*_of_side(pair, "x"), *_of_side(pair, "y"))


def given_columns(pair: Pair) -> tuple[Column, ...]:
    """Return the columns of what is given.

    Example:
        >>> from infobound.data import as_pair
        >>> [column.name for column in given_columns(as_pair([2, 1], [1, 2], given=[3, 4]))]
        ['given[0]']
    """
    return () if pair.given is None else _of_side(pair, GIVEN)


def _of_side(pair: Pair, side: str) -> tuple[Column, ...]:
    rows, names = pair.sides[side]
    return tuple(
        Column(name, side, *np.unique(values, return_counts=True))
        for name, values in zip(names, rows.T, strict=True)
    )


def constant_columns(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the names of columns with a single value.

    Example:
        >>> from infobound.data import as_pair
        >>> constant_columns(columns(as_pair([1, 1, 1], [1, 2, 3])))
        ('x[0]',)
    """
    return tuple(c.name for c in columns if len(c.values) == 1)


def duplicated_columns(pair: Pair) -> tuple[str, ...]:
    """Return columns that equal an earlier one of their side, as 'a = b'; constant ones excluded.

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
    """Count rows that are exact copies of an earlier row.

    Example:
        >>> from infobound.data import as_pair
        >>> repeated_rows(as_pair([1, 1, 2], [0, 0, 0]))
        1
    """
    return len(pair.x) - int(row_ids(pair.x, pair.y).max() + 1)


def copied_rows(pair: Pair, columns: Sequence[Column]) -> np.ndarray:
    """Return the indices of rows that have exact copies which chance does not explain.

    Rows can coincide by chance: values are rounded, both sides take few values, or they share many
    zeros. Copies are visible in a column whose values are fine enough to distinguish rows: nearly
    all values that repeat there belong to rows that are equal in every column, and there are more
    repeats than the digits of the values explain (`_ties_by_digits`). The gaps between the values
    of all such columns must also be those of continuous values (`_short_gaps`). Both criteria hold
    for any dependence between columns. A row that occurs more than ten times is a value of discrete
    data, not a copy.

    Example:
        >>> from infobound.data import as_pair
        >>> x = np.random.default_rng(0).normal(size=100)
        >>> pair = as_pair(np.r_[x, x[:20]], np.r_[x, x[:20]] > 0)
        >>> len(copied_rows(pair, columns(pair)))
        40
        >>> rounded = as_pair(pair.x.round(1), pair.y)
        >>> len(copied_rows(rounded, columns(rounded)))
        0
    """
    kind = row_ids(pair.x, pair.y)
    counts = np.bincount(kind)
    repeated = np.flatnonzero((counts >= 2) & (counts <= MOST_COPIES))
    fewest = max(FEWEST_COPIES, len(kind) / 100)
    first = np.unique(kind, return_index=True)[1][repeated]
    found = np.zeros(len(counts), dtype=bool)
    if counts[repeated].sum() - len(repeated) < fewest:
        return np.flatnonzero(found)
    short, expected = 0, 0.0
    for column, values in zip(columns, (*pair.x.T, *pair.y.T), strict=True):
        shared = column.counts[np.searchsorted(column.values, values[first])]
        alone = repeated[shared == counts[repeated]]  # no other row has their value
        if (
            counts[alone].sum() - len(alone) >= fewest
            and len(alone) >= max(FEWEST_COPIES, OWN * np.count_nonzero(column.counts > 1))
            and len(alone) > 3 * _ties_by_digits(column)
        ):
            found[alone] = True
            shorter, of = _short_gaps(column)
            short, expected = short + shorter, expected + of
    is_fine = short >= max(2, expected / 2)
    return np.flatnonzero(found[kind] & is_fine)


def _short_gaps(column: Column) -> tuple[int, float]:
    """Count gaps between values that are too short for a grid; also return the expected count.

    On a grid no gap is smaller than a step, and where k values repeat by chance about 2 k gaps are
    one step long: the 2 k smallest gaps are about equal. If values are continuous and k rows were
    copied, a quarter of the 2 k smallest gaps is shorter than a quarter of the largest of them.
    Gaps are compared with those around them, within a hundred values and within a power of ten,
    because the step may change: in logarithms of counts, or in values with a fixed number of
    significant digits. The expected count is that for continuous values.
    """
    values, gaps = column.values, np.diff(column.values)
    if len(gaps) < LEVELS:
        return 0, 0.0
    around = np.lib.stride_tricks.sliding_window_view(np.pad(gaps, 10, mode="reflect"), 21)
    gaps = gaps / np.median(around, axis=1)
    with np.errstate(divide="ignore"):
        decade = np.floor(np.log10(np.abs(values[:-1])))
    hundreds = np.arange(NEIGHBOURS, len(gaps) - NEIGHBOURS // 2, NEIGHBOURS)
    ends = np.union1d(np.flatnonzero(np.diff(decade)) + 1, hundreds)
    short, expected = 0, 0.0
    for part in np.split(np.arange(len(gaps)), ends):
        tied = int(np.count_nonzero(column.counts[part] > 1))
        smallest = np.sort(gaps[part])[: min(2 * tied, len(part) // 2)]
        if len(smallest) > 1:
            short += int(np.count_nonzero(smallest < smallest[-1] / 4))
            expected += (len(smallest) - 1) / 4
    return short, expected


def _ties_by_digits(column: Column) -> float:
    """Return how many rows are expected to repeat a value by chance, given the values' digits.

    A value with d decimals (or d binary digits) stands for a step of 10^-d (or 2^-d). With r rows
    per unit of length, the number of rows within a step is Poisson(r / 10^d). A value that happens
    to end in zeros counts as a larger step, so the result tends to be too large.
    """
    values, counts, size = column.values, column.counts, np.abs(column.values)
    mantissa, exponent = np.frexp(size)
    bits = np.ldexp(mantissa, 53).astype(np.int64)
    step = np.ldexp((bits & -bits).astype(float), exponent - 53)
    for digits in range(16):
        fits = np.abs(np.round(size, digits) - size) <= 4 * np.spacing(size)
        step = np.where(fits, np.maximum(step, 10.0**-digits), step)
    at, up_to = np.arange(len(values)), np.concatenate([[0], np.cumsum(counts)])
    low, high = np.maximum(at - 5, 0), np.minimum(at + 5, len(values) - 1)
    share = step / (values[high] - values[low])
    rows = ((up_to[high + 1] - up_to[low]) * share).clip(1e-12)
    return float((counts * (1 + np.expm1(-rows) / rows)).sum())


def copies_across(pair: Pair, fold: np.ndarray) -> int:
    """Count rows that have an exact copy in another fold; `fold` (n,) has the fold of each row.

    Example:
        >>> from infobound.data import as_pair
        >>> copies_across(as_pair([1, 1, 2, 2], [0, 0, 0, 0]), np.array([0, 1, 1, 1]))
        2
    """
    kind = row_ids(pair.x, pair.y)
    lowest, highest = np.full(len(kind), fold.max()), np.full(len(kind), fold.min())
    np.minimum.at(lowest, kind, fold)
    np.maximum.at(highest, kind, fold)
    return int((lowest < highest)[kind].sum())


@dataclass(frozen=True)
class Groups:
    """Rows of one side that repeat while the other side differs.

    Attributes:
        side: "x" or "y".
        count: the number of groups of equal rows.
        rows: the number of rows in these groups.
    """

    side: str
    count: int
    rows: int


def grouped_rows(pair: Pair, columns: Sequence[Column]) -> Groups | None:
    """Find the side whose rows are repeated measurements, for example of a subject or a stimulus.

    At least half of its rows must be in groups of two equal rows up to a tenth of all rows, one
    column must distinguish the groups, and the values of that column must be neither few, nor
    counts or rounded values, nor logarithms or roots of such.

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
        counts = np.bincount(row_ids(rows))
        shared = (counts >= 2) & (counts <= n / 10)
        members = int(counts[shared].sum())
        if members < n / 2 or len(counts) > 1.05 * len(widest.values):
            continue
        if repeated_rows(pair) < (members - shared.sum()) / 2:
            return Groups(side, int(shared.sum()), members)
    return None


def _is_counted(values: np.ndarray) -> bool:
    """Return whether values, or their exponentials or squares, lie on a grid."""
    with np.errstate(over="ignore"):
        meant = (values, np.exp(values), 2.0**values, 10.0**values, values**2)
    return any(np.isfinite(v).all() and _on_grid(np.unique(v)) for v in meant)


def _on_grid(values: np.ndarray) -> bool:
    """Return whether distinct ascending values are equal to an offset plus multiples of a step."""
    steps = np.diff(values)
    steps = steps / steps.min()
    return bool(np.all(np.abs(steps - np.round(steps)) < 1e-3))


def _mid_ranks(column: np.ndarray) -> np.ndarray:
    """Return the ranks of a column (n,) from 1, with mid-ranks for ties."""
    _, which, counts = np.unique(column, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which])


def _ranks(rows: np.ndarray) -> np.ndarray:
    """Return standardised mid-ranks of the columns of rows (n, d); zeros for a constant column."""
    ranks = np.column_stack([_mid_ranks(column) for column in rows.T])
    ranks -= ranks.mean(axis=0)
    spread = ranks.std(axis=0)
    return np.asarray(ranks / np.where(spread > 0, spread, 1))


@dataclass(frozen=True)
class Serial:
    """The column that depends on the order of rows most clearly.

    Attributes:
        name: the name of the column.
        lag: the lag in rows of the autocorrelation; None for correlation with the row number.
        correlation: the rank correlation.
    """

    name: str
    lag: int | None
    correlation: float

    def __str__(self) -> str:
        """Describe the correlation in words."""
        with_what = "the row number" if self.lag is None else f"the ranks {self.lag} rows before"
        return f"{self.name} with {with_what} ({self.correlation:+.2f})"


def serial(pair: Pair) -> tuple[Serial, Serial] | None:
    """Find one column of x and one of y that depend on the order of rows; None unless both do.

    The ranks of each column are correlated with themselves some rows before, and with the row
    number. The distribution of such a sum for shuffled rows is bounded by Bernstein's inequality
    (see Bennett 1962, https://doi.org/10.1080/01621459.1962.10482149), which needs no normal
    margins and stays valid if few rows differ from the rest. The level is divided among all columns
    and lags (Bonferroni).

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
    """Return the name of a column by which rows are sorted, or whose few values form blocks.

    Example:
        >>> from infobound.data import as_pair
        >>> pair = as_pair([3, 1, 2, 4], [1, 2, 2, 5])
        >>> sorted_by(pair, columns(pair))
        'y[0]'
    """
    names = [column.name for column in columns]
    for column, v in zip(columns, (*pair.x.T, *pair.y.T), strict=True):
        steps = np.diff(v)
        blocks = 1 < len(column.values) <= len(v) / 10
        if len(column.values) > 1 and ((steps >= 0).all() or (steps <= 0).all()):
            return _origin(column.name, names)
        if blocks and np.count_nonzero(steps) == len(column.values) - 1:
            return _origin(column.name, names)
    return None


def _origin(name: str, names: Sequence[str]) -> str:
    """Return the column of categories that "site=A" belongs to, if there are more of it."""
    origin = name.rpartition("=")[0]
    together = sum(origin == other.rpartition("=")[0] for other in names)
    return origin if origin and together > 1 else name


@dataclass(frozen=True)
class Leak:
    """A column of x and a column of y that determine each other.

    Attributes:
        what: a description in words.
        entropy: the entropy in nats of a column with few values, which is then the MI of both.
    """

    what: str
    entropy: float | None = None

    def __str__(self) -> str:
        """Return the description."""
        return self.what


def leaks(pair: Pair, columns: Sequence[Column]) -> tuple[Leak, ...]:
    """Find columns of x and y that determine each other up to a fraction 1e-4 of the variance.

    A monotone function is detected by the rank correlation; any other smooth function by how little
    the ranks of one column change in the order of the other (Chatterjee's coefficient,
    https://arxiv.org/abs/1909.10140); and a recoding of few values by their pairs.

    Example:
        >>> from infobound.data import as_pair
        >>> x = np.random.default_rng(0).normal(size=2000)
        >>> pair = as_pair(x, np.stack([np.exp(-x), x**2], axis=1))
        >>> [str(leak) for leak in leaks(pair, columns(pair))]
        ['x[0] and y[0] are in the same order', 'y[1] is a function of x[0]']
        >>> code = np.arange(90) % 3
        >>> recoded = as_pair(code, 7 * code % 5)
        >>> leaks(recoded, columns(recoded))[0].what
        'each value of x[0] goes with one value of y[0]'
    """
    step = -(-len(pair.x) // ENOUGH)
    x, y = _ranks(pair.x[::step]), _ranks(pair.y[::step])
    left, right = ([c for c in columns if c.side == side] for side in ("x", "y"))
    same = np.abs(x.T @ y) > (1 - TINY) * len(x)
    forth, back = _roughness(x, y) < TINY, _roughness(y, x).T < TINY
    found = []
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            rare = a.is_rare or b.is_rare
            if not rare and _recode(a, b) and _is_one_to_one(x[:, i], y[:, j]):
                what = f"each value of {a.name} goes with one value of {b.name}"
                found.append(Leak(what, a.entropy))
            elif same[i, j] and not rare:
                is_discrete = min(len(a.values), len(b.values)) <= a.n / 10
                limit = min(a.entropy, b.entropy) if is_discrete else None
                found.append(Leak(f"{a.name} and {b.name} are in the same order", limit))
            elif a.is_continuous and b.is_continuous and (forth[i, j] or back[i, j]):
                of, by = (b, a) if forth[i, j] else (a, b)
                found.append(Leak(f"{of.name} is a function of {by.name}"))
    return tuple(found)


def _recode(a: Column, b: Column) -> bool:
    """Return whether two columns have few values, equally many, with equal counts."""
    few = 1 < len(a.values) == len(b.values) <= a.n / 10
    return few and np.array_equal(np.sort(a.counts), np.sort(b.counts))


def _is_one_to_one(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether the values of a (n,) and b (n,) correspond one to one."""
    pairs = len(np.unique(row_ids(a[:, None], b[:, None])))
    return pairs == len(np.unique(a)) == len(np.unique(b))


def _roughness(by: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Return the fraction (p, q) of the variance of `of` (n, q) that `by` (n, p) does not explain.

    It is computed from mean absolute differences, assuming a normal remainder. Large differences,
    where a function turns or its argument has gaps, count less than in squared differences.
    """
    steps = (np.abs(np.diff(of[np.argsort(column)], axis=0)).mean(axis=0) for column in by.T)
    return np.asarray(np.pi / 4 * np.stack(list(steps)) ** 2)


def tied_columns(columns: Sequence[Column], mi: float) -> tuple[tuple[str, float], ...]:
    """Find columns of many values whose ties may matter, with the fraction of tied rows.

    Either one value is far more frequent than the others (zero inflation, heaping), or values are
    rounded too coarsely for that much dependence: a normal column of L values, about 5 / L standard
    deviations apart, hides about (5 exp(mi) / L)^2 / 24 nats, 0.003 at L = 20 exp(mi).

    Args:
        columns: the columns.
        mi: the estimate, in nats.

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
    """Find columns of 3 to 20 consecutive whole numbers, which may be codes of categories.

    There are none if both sides take so few values that a contingency table is fitted, for which
    codes do not matter.

    Example:
        >>> from infobound.data import as_pair
        >>> pair = as_pair(np.linspace(0, 1, 90), np.arange(90) % 3)
        >>> coded_columns(pair, columns(pair))
        ('y[0]',)
    """
    if 5 * n_distinct(pair.x) * n_distinct(pair.y) <= len(
        pair.x
    ):  # a contingency table can be fitted
        return ()
    return tuple(
        c.name
        for c in columns
        if 3 <= len(c.values) <= min(LEVELS, c.n / 10) and set(np.diff(c.values)) == {1.0}
        if c.values[0] % 1 == 0
    )


@dataclass(frozen=True)
class Unordered:
    """A column of whole numbers whose order is meaningless for a column of the other side.

    Attributes:
        name: the name of the column.
        count: the number of its values.
        other: the name of the column of the other side.
    """

    name: str
    count: int
    other: str


def unordered_columns(pair: Pair, columns: Sequence[Column]) -> tuple[Unordered, ...]:
    """Find columns of more than 20 whole numbers whose order is meaningless for the other side.

    For each number, the ranks of the other side have a mean. If the numbers are quantities, it lies
    near the straight line between the means of the two neighbouring numbers, as in any relation
    that is smooth at this scale. For codes, the variance around that line is 1.5 times the variance
    of the means. Both variances are products of the means of two halves of the rows, so that noise
    cancels. A column is reported if the ratio exceeds `UNORDERED` and is `CLEAR` standard errors
    from zero.

    There are none if both sides take so few values that a contingency table is fitted; columns with
    fewer than five rows per value are ignored.

    Example:
        >>> from infobound.data import as_pair
        >>> rng = np.random.default_rng(0)
        >>> x, effect = rng.integers(30, size=600), rng.normal(size=30)
        >>> for means in (effect, np.sort(effect)):
        ...     pair = as_pair(x, means[x] + 0.5 * rng.normal(size=600))
        ...     unordered_columns(pair, columns(pair))
        (Unordered(name='x[0]', count=30, other='y[0]'),)
        ()
    """
    step = -(-len(pair.x) // CODED)
    sides = {"x": pair.x[::step], "y": pair.y[::step]}
    n = len(sides["x"])
    found: list[Unordered] = []
    whole = [LEVELS < len(c.values) <= n / 5 and bool((c.values % 1 == 0).all()) for c in columns]
    if not any(whole) or 5 * n_distinct(pair.x) * n_distinct(pair.y) <= len(pair.x):
        return ()
    ranks = {side: _ranks(rows) for side, rows in sides.items()}
    # Copies are placed at their first occurrence, so that the halves do not share their noise.
    _, first, which = np.unique(row_ids(*sides.values()), return_index=True, return_inverse=True)
    order = np.argsort(first[which], kind="stable")
    for side, other in (("x", "y"), ("y", "x")):
        names = [c.name for c in columns if c.side == other]
        own = [(c, is_whole) for c, is_whole in zip(columns, whole, strict=True) if c.side == side]
        for (column, is_whole), values in zip(own, sides[side].T, strict=True):
            if is_whole:
                share, clear = _roughness_of_means(values[order], ranks[other][order])
                best = int(np.where(share > UNORDERED, clear, -np.inf).argmax())
                if share[best] > UNORDERED and clear[best] > CLEAR:
                    found.append(Unordered(column.name, len(column.values), names[best]))
    return tuple(found)


def _roughness_of_means(by: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure how far means of `of` (n, q) per value of `by` (n,) are from their neighbours' line.

    Returns:
        The variance around the line relative to that of unordered means, (q,), and in standard
        errors, (q,).
    """
    order = np.argsort(by, kind="stable")
    of, (values, level, counts) = (
        of[order],
        np.unique(by[order], return_inverse=True, return_counts=True),
    )
    starts = np.cumsum(counts) - counts
    sums = np.add.reduceat(of, starts)
    within = ((of - (sums / counts[:, None])[level]) ** 2).sum(axis=0) / (len(of) - len(counts))
    repeats = counts >= 2
    values, counts, starts, sums = (v[repeats] for v in (values, counts, starts, sums))
    half = counts // 2
    cuts = np.stack([starts, starts + half], axis=1).ravel()
    first = np.add.reduceat(of, cuts)[::2] if len(cuts) else sums
    halves = first / half[:, None], (sums - first) / (counts - half)[:, None]
    if len(values) <= LEVELS:
        return np.zeros(of.shape[1]), np.zeros(of.shape[1])
    t = ((values[1:-1] - values[:-2]) / (values[2:] - values[:-2]))[:, None]
    off = [m[1:-1] - (1 - t) * m[:-2] - t * m[2:] for m in halves]
    t, size = t[:, 0], counts.astype(float)
    weights = 1 / (1 / size[1:-1] + (1 - t) ** 2 / size[:-2] + t**2 / size[2:])
    bent = weights @ (off[0] * off[1])
    size /= size.sum()
    away = [m - size @ m for m in halves]
    spread = np.maximum(size @ (away[0] * away[1]), 1e-12)
    unordered = spread * (weights @ (1 + t**2 + (1 - t) ** 2))
    # Each product has a standard deviation of 2 `within`; neighbouring products share rows.
    error = 2 * np.maximum(within, 1e-12) * np.sqrt(2 * len(weights))
    return bent / unordered, bent / error


def outlier_columns(columns: Sequence[Column]) -> tuple[tuple[str, str], ...]:
    """Find columns with values that are codes or errors rather than measurements.

    A code is an extreme value whose distance to the others exceeds their range, if all its digits
    are nines, or exceeds three times their range, if it occurs at least three times. An error is
    more than a million robust standard deviations from the median, and a thousand times further
    than all other rows.

    Returns:
        Names of columns with a description of these values.

    Example:
        >>> from infobound.data import as_pair
        >>> x = np.r_[np.random.default_rng(0).normal(size=97), -999, -999, -999]
        >>> outlier_columns(columns(as_pair(x, np.arange(100))))
        (('x[0]', '-999 in 3 rows'),)
    """
    with np.errstate(over="ignore"):  # of values near the largest float64
        said = [(column.name, _code(column) or _error(column)) for column in columns]
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
    tail = np.cumsum(counts[::-1])[::-1]  # number of rows at least as far out
    jumps = (away[1:] > FAR) & (away[1:] > ALONE * away[:-1]) & (tail[1:] <= max(1, FEW * column.n))
    if not jumps.any():
        return ""
    first = int(jumps.argmax()) + 1
    value = column.values[order[first]]
    return f"{value:.4g} or beyond in {tail[first]:,} row" + "s" * bool(tail[first] > 1)
