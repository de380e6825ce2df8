"""Validated pairs of rows, their folds and their transforms.

Values are validated here, once, at the boundary; files are read in `readers`. A transform is fitted
to training rows only. This module does not import torch, and imports pandas only when needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from infobound._system.memory import fits, gathered, kinds, pieces
from infobound.data.containers import as_rows, have_different_indexes
from infobound.data.encoding import numbers
from infobound.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Entropy",
    "Pair",
    "Transform",
    "as_pair",
    "entropy",
    "has_ties",
    "hold_out",
    "is_plain",
    "levels",
    "pair_arrays",
    "pair_frames",
    "split",
]

FEWEST = 40  # smallest number of rows; with fewer, a fold is too small for a standard error
KNOTS = 10_000  # largest number of knots of interpolated ranks: about 0.002 sd apart


@dataclass(frozen=True, eq=False)
class Pair:
    """Validated rows of x and y without missing or infinite values.

    Attributes:
        x: (n, p), float64 in memory, or memory-mapped with any real dtype; `memory.take` reads rows
            of both.
        y: (n, q), of the same kind.
        x_names: the names of the columns of x.
        y_names: the names of the columns of y.
        notes: how the rows were read and encoded.

    Example:
        >>> as_pair([1, 2, 3], [3, 2, 1]).x.shape
        (3, 1)
    """

    x: np.ndarray
    y: np.ndarray
    x_names: tuple[str, ...]
    y_names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def as_pair(x: Any, y: Any = None, *, part: bool = False) -> Pair:
    """Convert rows in any container (arrays, tensors, frames, lists, sparse matrices) to a `Pair`.

    An array (n,) becomes one column; more than two dimensions are flattened, with a note.

    Args:
        x: (n, p) or (n,); or a `Pair`, as returned by `readers.read`, which is returned unchanged.
        y: (n, q) or (n,); omitted if x is a `Pair`.
        part: whether these are a part of the rows only. Then a single row is allowed, and
            categories are an error, because they depend on all rows.

    Returns:
        The validated rows.

    Raises:
        InputError: If there are no rows of numbers, lengths are unequal, values are missing or
            infinite, or text is not a category.

    Example:
        >>> as_pair(np.zeros((4, 2, 2)), np.arange(4)).notes
        ('x: each row of shape (2, 2) flattened into 4 columns.',)
    """
    if isinstance(x, Pair):
        if y is not None:
            raise InputError("Expected no y beside a Pair, which holds one; got both.")
        return x
    if y is None:
        raise InputError(
            "Expected y, or a Pair in the place of x; got neither. Give estimate(x, y)."
        )
    notes: list[str] = []
    if have_different_indexes(x, y):
        notes.append("x and y have different indexes: rows were paired by position, not by index.")
    found: list[Any] = []
    for side, values in (("x", x), ("y", y)):
        rows, more = as_rows(side, values)
        found.append(rows)
        notes += more
    _expect_paired(found[0].shape, found[1].shape, part)
    names = [
        [f"{side}[{k}]" for k in range(rows.shape[1])]
        for side, rows in zip("xy", found, strict=True)
    ]
    if all(isinstance(rows, np.ndarray) and is_plain(rows) for rows in found):
        return pair_arrays(*found, names=(names[0], names[1]), notes=notes, source="the arrays")
    import pandas as pd

    left, right = (
        pd.DataFrame(rows, columns=own, dtype=object if rows.dtype.kind in "UO" else None)
        if isinstance(rows, np.ndarray)
        else rows
        for rows, own in zip(found, names, strict=True)
    )
    return pair_frames(left, right, notes=notes, source="the arrays", categories=not part)


def _expect_paired(x: tuple[int, int], y: tuple[int, int], part: bool) -> None:
    """Check that x and y have equally many rows, at least one, and at least one column each."""
    for side, own, other in (("x", x, y), ("y", y, x)):
        if own[0] == 1 < own[1] and (other[0] == own[1] or (other[0] == 1 and not part)):
            raise InputError(
                f"Expected a row for each observation in {side}; got one row of {own[1]:,} "
                f"columns. Transpose it: {side}.T."
            )
    if x[0] != y[0]:
        raise InputError(
            f"Expected equal lengths for x and y; got {x[0]} and {y[0]}. Row i of x must belong to "
            "row i of y: align them first."
        )
    for side, shape in (("x", x), ("y", y)):
        if 0 in shape:
            raise InputError(
                f"Expected at least one row and one column for {side}; got shape {shape}. Give "
                "rows by columns."
            )


def is_plain(rows: np.ndarray) -> bool:
    """Return whether rows (n, d) are real numbers that float64 represents exactly.

    Example:
        >>> is_plain(np.zeros((2, 1), dtype=np.float32)), is_plain(np.array([["a"]]))
        (True, False)
    """
    largest = {"b": 1, "f": 8, "i": 4, "u": 4}.get(rows.dtype.kind, 0)
    return rows.size > 0 and rows.itemsize <= largest


def pair_arrays(
    x: np.ndarray,
    y: np.ndarray,
    *,
    names: tuple[Sequence[str], Sequence[str]],
    source: str,
    notes: Sequence[str] = (),
    drop_missing: bool = False,
) -> Pair:
    """Validate arrays of real numbers piece by piece and return them as a `Pair`.

    Memory-mapped arrays that are a large part of the free memory stay on disk unchanged.

    Args:
        x: (n, p).
        y: (n, q).
        names: the names of the columns of x and of y.
        source: the name of the data in messages.
        notes: notes about how the data were read.
        drop_missing: whether to drop rows with missing values.

    Raises:
        InputError: If there are no rows or columns, values are missing (unless dropped), or values
            are infinite.
    """
    _expect_paired(x.shape, y.shape, part=True)
    everything = [*names[0], *names[1]]
    n, width = len(x), len(everything)
    missing, infinite = np.zeros(width, dtype=int), np.zeros(width, dtype=int)
    whole = np.ones(n, dtype=bool)
    for at in pieces(n, width):
        rows = np.concatenate([x[at], y[at]], axis=1)
        absent = np.isnan(rows)
        whole[at] = ~absent.any(axis=1)
        missing += absent.sum(axis=0)
        infinite += np.isinf(rows[whole[at]]).sum(axis=0)
    if not whole.all():
        counts = zip(everything, missing, strict=True)
        notes = [*notes, _dropped(counts, ~whole, source, drop_missing)]
        x, y = (
            gathered((s[at][whole[at]] for at in pieces(n, width)), int(whole.sum()), s.shape[1])
            for s in (x, y)
        )
    _expect_finite(zip(everything, infinite, strict=True), source)
    x, y = (_held(np.asarray(side)) for side in (x, y))
    return Pair(x, y, tuple(names[0]), tuple(names[1]), tuple(notes))


def _held(rows: np.ndarray) -> np.ndarray:
    """Load rows into memory if they fit; otherwise leave them on disk, as native floats."""
    if fits(*rows.shape):
        return np.ascontiguousarray(rows, dtype=np.float64)
    if rows.dtype in (np.float32, np.float64) and rows.dtype.isnative:
        return rows
    return gathered((rows[at] for at in pieces(*rows.shape)), *rows.shape)


def _dropped(
    counts: Iterable[tuple[str, int]],
    rows: np.ndarray,
    source: str,
    drop_missing: bool,
    hint: str = "",
) -> str:
    """Return a note about dropped rows, or raise if they must not be dropped or none are left."""
    if not drop_missing:
        named = ", ".join(f"{name} ({count:,})" for name, count in counts if count)
        raise InputError(
            f"Expected no missing values in {source}; got {rows.sum():,} of {len(rows):,} rows "
            f"with missing values, in columns {named}. Fill them, or leave those rows out with "
            f"--drop-missing (from Python: dropna first).{hint}"
        )
    if rows.all():
        raise InputError(f"Expected rows without missing values in {source}; got none.{hint}")
    return f"Dropped {rows.sum():,} of {len(rows):,} rows with missing values.{hint}"


def _expect_finite(counts: Iterable[tuple[str, int]], source: str) -> None:
    named = ", ".join(f"{name} ({count:,})" for name, count in counts if count)
    if named:
        raise InputError(
            f"Expected finite values in {source}; got infinite ones (or ones beyond 1.8e308, "
            f"the largest of float64) in columns {named}. Remove or replace those rows."
        )


def pair_frames(
    left: pd.DataFrame,
    right: pd.DataFrame,
    *,
    source: str,
    notes: Sequence[str] = (),
    drop_missing: bool = False,
    hint: str = "",
    categories: bool = True,
) -> Pair:
    """Validate and encode two frames of equal length as a `Pair`.

    Args:
        left: the columns of x.
        right: the columns of y.
        source: the name of the data in messages.
        notes: notes about how the data were read.
        drop_missing: whether to drop rows with missing values.
        hint: a possible reason of missing values, added to messages.
        categories: whether categories are allowed besides numbers.

    Raises:
        InputError: If values are missing (unless dropped) or infinite, or text is not a category.
    """
    import pandas as pd

    _expect_paired(left.shape, right.shape, part=True)
    missing = pd.concat([left.isna(), right.isna()], axis=1)
    rows = missing.any(axis=1).to_numpy()
    if rows.any():
        notes = [*notes, _dropped(missing.sum().items(), rows, source, drop_missing, hint)]
        left, right = left[~rows], right[~rows]
    sides = []
    for side, frame in (("x", left), ("y", right)):
        values, names, said = numbers(side, frame, categories=categories)
        notes = [*notes, *said]
        _expect_finite(zip(names, np.isinf(values).sum(0), strict=True), source)
        sides.append((np.ascontiguousarray(values), tuple(names)))
    return Pair(sides[0][0], sides[1][0], sides[0][1], sides[1][1], tuple(notes))


def split(
    n: int, k: int, *, seed: int, series: bool = False
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split n rows into k cross-fitting folds; every row is a test row once.

    Args:
        n: the number of rows.
        k: the number of folds.
        seed: seed of the random split.
        series: whether rows are a time series; then each fold tests a contiguous block.

    Returns:
        The sorted indices of training and test rows of each fold.

    Raises:
        InputError: If there are too few rows.

    Example:
        >>> [len(test) for _, test in split(43, 4, seed=0)]
        [11, 11, 11, 10]
    """
    need = max(FEWEST, 10 * k)
    if n < need:
        raise InputError(
            f"Expected at least {need} rows for {k} folds; got {n}. Collect more rows"
            + (f", or use fewer folds (--folds {max(2, n // 10)})." if n >= FEWEST else ".")
        )
    order = np.arange(n) if series else np.random.default_rng(seed).permutation(n)
    tests = [np.sort(part) for part in np.array_split(order, k)]
    return [(np.setdiff1d(order, test), test) for test in tests]


def hold_out(
    rows: np.ndarray, share: float, *, seed: int, series: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows at random into (rest, held out), both sorted, with at least two rows in each.

    Args:
        rows: (n,), the indices of the rows.
        share: the fraction to hold out.
        seed: seed of the split.
        series: whether rows are a time series; then the last rows are held out.

    Example:
        >>> [len(part) for part in hold_out(np.arange(100), 0.15, seed=0)]
        [85, 15]
    """
    order = np.sort(rows)[::-1] if series else np.random.default_rng(seed).permutation(rows)
    count = min(max(2, round(share * len(rows))), len(rows) - 2)
    return np.sort(order[count:]), np.sort(order[:count])


@dataclass(frozen=True, eq=False)
class Transform:
    """Column-wise maps fitted on training rows (n, d).

    Example:
        >>> fitted = Transform.fit(np.array([[1.0], [2.0], [100.0]]))
        >>> fitted.normal_scores(np.array([[2.0]])).item()
        0.0
    """

    knots: tuple[np.ndarray, ...]
    scores: tuple[np.ndarray, ...]
    centre: np.ndarray
    scale: np.ndarray
    unit: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray) -> Transform:
        """Fit ranks, medians and interquartile ranges to rows (n, d)."""
        knots, scores = [], []
        for column in rows.T:
            values, counts = np.unique(column, return_counts=True)
            middle = (np.cumsum(counts) - 0.5 * counts) / counts.sum()
            quantiles = ndtri(middle)
            if len(values) < len(column):  # without ties their mean is zero by symmetry
                quantiles = quantiles - np.average(quantiles, weights=counts)
            spread = np.sqrt(np.average(quantiles**2, weights=counts))
            kept = _knots(quantiles)
            knots.append(values[kept])
            scores.append(quantiles[kept] / (spread if spread > 0 else np.inf))
        # Differences of values near the largest float64 would overflow; those of a quarter do not.
        unit = np.where(np.abs(rows).max(axis=0) > np.finfo(float).max / 4, 0.25, 1.0)
        rows = rows * unit
        low, centre, high = np.percentile(rows, [25, 50, 75], axis=0)
        scale = (high - low) / 1.349
        with np.errstate(over="ignore"):
            spread = rows.std(axis=0)
        for k in np.flatnonzero((scale == 0) & ~((spread > 0) & np.isfinite(spread))):
            top = np.abs(rows[:, k]).max() or 1.0  # squares of such values leave float64's range
            spread[k] = np.minimum((rows[:, k] / top).std() * top, np.finfo(float).max)
        scale = np.where(scale > 0, scale, spread)
        scale = np.where(scale > 0, scale, 1.0)
        return cls(tuple(knots), tuple(scores), centre, scale, unit)

    def normal_scores(self, rows: np.ndarray) -> np.ndarray:
        """Return normal quantiles (n, d) of interpolated mid-ranks, clamped outside the range."""
        columns = [
            _interpolated(column, knots, scores)
            for column, knots, scores in zip(rows.T, self.knots, self.scores, strict=True)
        ]
        return np.stack(columns, axis=1)

    def robust(self, rows: np.ndarray) -> np.ndarray:
        """Return (x - median) / scale, (n, d); logarithmic beyond 5 (1000 gives 11.9), up to 20."""
        with np.errstate(over="ignore"):
            scaled = (rows * self.unit - self.centre) / self.scale
        beyond = np.maximum(np.abs(scaled) - 5, 0)
        return np.clip(scaled, -5, 5) + np.sign(scaled) * np.minimum(np.log1p(beyond), 15)

    def every(self, rows: np.ndarray) -> np.ndarray:
        """Return `normal_scores`, `robust` and the radii of both side by side, (n, 2 d + 4)."""
        scores, robust = self.normal_scores(rows), self.robust(rows)
        return np.concatenate([scores, robust, _radii(scores, robust)], axis=1)


def _interpolated(column: np.ndarray, knots: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Interpolate scores between ascending knots, even so close that slopes overflow.

    In that case knots and values are scaled up.
    """
    found = np.interp(column, knots, scores)
    steep = ~np.isfinite(found)
    if steep.any():
        with np.errstate(over="ignore"):
            found[steep] = np.interp(column[steep] * 2.0**200, knots * 2.0**200, scores)
    return found


def _knots(quantiles: np.ndarray) -> np.ndarray:
    """Return the indices of quantiles to keep as knots: all, or those next to an even grid."""
    if len(quantiles) <= KNOTS:
        return np.arange(len(quantiles))
    above = np.searchsorted(quantiles, np.linspace(quantiles[0], quantiles[-1], KNOTS // 2))
    return np.union1d(above, np.maximum(above - 1, 0))


def _radii(*scaled: np.ndarray) -> np.ndarray:
    """Return the scaled radii |z|^2 and log |z|^2 of the rows of each z (n, d), side by side.

    Radii are columns of their own because networks learn them poorly from many coordinates. They
    are scaled by the degrees of freedom instead of being fitted.
    """
    columns = []
    for z in scaled:
        square = (z**2).sum(axis=1) / z.shape[1]
        spread = np.sqrt(2 / z.shape[1])
        columns += [3 * np.tanh((square - 1) / spread / 3)]
        columns += [np.clip(np.log(square + 1e-2) / spread, -5, 5)]
    return np.stack(columns, axis=1)


def levels(rows: np.ndarray) -> int:
    """Count distinct rows of (n, d); return n if one column has more than n / 10 distinct values.

    Example:
        >>> levels(np.arange(60).reshape(-1, 1) % 3)
        3
    """
    if any(len(np.unique(column)) > len(rows) / 10 for column in rows.T):
        return len(rows)
    return int(kinds(rows).max()) + 1


class Entropy(NamedTuple):
    """An estimated entropy, in nats.

    Attributes:
        value: the entropy.
        error: its standard error.
        largest: the largest entropy of that many values.
    """

    value: float
    error: float
    largest: float

    def interval(self, errors: float, doubt: float = 0.0) -> tuple[float, float]:
        """Return an interval of so many standard errors around the value, in nats.

        A further uncertainty `doubt`, in nats, lowers the lower end.
        """
        low = self.value - errors * math.hypot(self.error, doubt)
        return low, min(self.value + errors * self.error, self.largest)


def entropy(rows: np.ndarray) -> Entropy | None:
    """Estimate the entropy of rows that take few values.

    It is the entropy of the observed frequencies plus (K - 1) / 2n, at most log K, for K values.

    Args:
        rows: (n, d).

    Returns:
        The entropy in nats, or None if there are more than n / 10 distinct rows.

    Source: Miller and Madow; Paninski (2003), https://doi.org/10.1162/089976603321780272.

    Example:
        >>> round(entropy(np.arange(60).reshape(-1, 1) % 3).value, 3)  # log 3
        1.099
    """
    if levels(rows) > len(rows) / 10:
        return None
    counts = np.bincount(kinds(rows))
    surprise = -np.log(counts / len(rows))
    observed = float(np.average(surprise, weights=counts))
    variance = float(np.average((surprise - observed) ** 2, weights=counts))
    unseen = (len(counts) - 1) / (2 * len(rows))
    largest = math.log(len(counts))
    return Entropy(min(observed + unseen, largest), math.sqrt(variance / len(rows)), largest)


def has_ties(pair: Pair) -> bool:
    """Return whether more than one row in twenty repeats a value, in any column.

    Example:
        >>> has_ties(as_pair([1, 1, 2], [1, 2, 3]))
        True
    """
    return any(len(np.unique(c)) < 0.95 * len(c) for side in (pair.x, pair.y) for c in side.T)
