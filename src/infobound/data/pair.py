"""Validated pairs of rows, their folds and their transforms.

What values can have wrong is said here, once, at the boundary; files are in `readers`. A transform
is fitted on training rows only. Nothing here imports torch, and pandas comes late.
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

FEWEST = 40  # rows: with fewer, a fold has too few test rows for a standard error
KNOTS = 10_000  # of a column's interpolated ranks: some 0.002 standard deviations apart


@dataclass(frozen=True, eq=False)
class Pair:
    """Validated rows: x (n, p) and y (n, q), finite; `notes` says what was done to them.

    They are float64 in memory, or memory-mapped, of any real type: `memory.take` takes rows from
    both.

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
    """Rows in any container (arrays, tensors, frames, lists, sparse matrices) as a `Pair`.

    One dimension becomes a column; more than two are flattened, with a note. A `Pair`, such as
    `readers.read` gives, is taken as x without y, and stays as it is. `part` says that other rows
    come apart from these: one row is then enough, and categories, which only all rows together
    tell, are an error.

    Raises:
        InputError: no rows of numbers, unequal lengths, missing or infinite values, text that is
            no category.

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
    """Shapes of as many rows of x as of y, and of one column or more of each."""
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
    """Whether rows (n, d) are real numbers, each of which is one in float64 too.

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
    """Real numbers x (n, p) and y (n, q), validated piece by piece; `source` names them.

    Memory-mapped arrays that are a large part of the free memory stay on disk, as they are.

    Raises:
        InputError: no rows or columns, missing values (unless dropped), infinite values.
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
    """Rows in memory if they fit; if not, where they are, or as floats of this machine on disk."""
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
    """That rows with missing values were dropped, where that is asked for and others are left."""
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
    """Frames of equal length, validated and encoded; `source` names them in errors.

    `hint` says what may be behind missing values. Without `categories` only numbers are taken.

    Raises:
        InputError: missing values (unless dropped), infinite values, text that is no category.
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
    """k cross-fitting folds: (training rows, test rows), sorted; every row is tested once.

    Of a series each fold tests a stretch of time.

    Raises:
        InputError: too few rows.

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
    """Rows parted into (rest, held out), both sorted, at least two in each; of a series the last.

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
        """Ranks, medians and inter-quartile ranges of these rows and no others."""
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
        """Normal quantiles of the interpolated mid-ranks, (n, d); clamped beyond the range."""
        columns = [
            _interpolated(column, knots, scores)
            for column, knots, scores in zip(rows.T, self.knots, self.scores, strict=True)
        ]
        return np.stack(columns, axis=1)

    def robust(self, rows: np.ndarray) -> np.ndarray:
        """(x - median) / scale, (n, d); beyond 5 as a logarithm: 1000 becomes 11.9; at most 20."""
        with np.errstate(over="ignore"):
            scaled = (rows * self.unit - self.centre) / self.scale
        beyond = np.maximum(np.abs(scaled) - 5, 0)
        return np.clip(scaled, -5, 5) + np.sign(scaled) * np.minimum(np.log1p(beyond), 15)

    def every(self, rows: np.ndarray) -> np.ndarray:
        """`normal_scores`, `robust` and the radii of both side by side, (n, 2 d + 4)."""
        scores, robust = self.normal_scores(rows), self.robust(rows)
        return np.concatenate([scores, robust, _radii(scores, robust)], axis=1)


def _interpolated(column: np.ndarray, knots: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Scores between ascending knots, also where these are so close that slopes overflow."""
    found = np.interp(column, knots, scores)
    steep = ~np.isfinite(found)
    if steep.any():
        with np.errstate(over="ignore"):
            found[steep] = np.interp(column[steep] * 2.0**200, knots * 2.0**200, scores)
    return found


def _knots(quantiles: np.ndarray) -> np.ndarray:
    """Which of ascending normal quantiles stay as knots: all, or those next to an even grid."""
    if len(quantiles) <= KNOTS:
        return np.arange(len(quantiles))
    above = np.searchsorted(quantiles, np.linspace(quantiles[0], quantiles[-1], KNOTS // 2))
    return np.union1d(above, np.maximum(above - 1, 0))


def _radii(*scaled: np.ndarray) -> np.ndarray:
    """How far out each row of each (n, d) is: |z|^2 and log |z|^2, (n, 2) side by side.

    Networks find radii hard to learn from many coordinates; here they are columns, softly scaled
    with the numbers of degrees of freedom rather than fitted.
    """
    columns = []
    for z in scaled:
        square = (z**2).sum(axis=1) / z.shape[1]
        spread = np.sqrt(2 / z.shape[1])
        columns += [3 * np.tanh((square - 1) / spread / 3)]
        columns += [np.clip(np.log(square + 1e-2) / spread, -5, 5)]
    return np.stack(columns, axis=1)


def levels(rows: np.ndarray) -> int:
    """How many different rows there are in (n, d); n if one column already has n / 10.

    Example:
        >>> levels(np.arange(60).reshape(-1, 1) % 3)
        3
    """
    if any(len(np.unique(column)) > len(rows) / 10 for column in rows.T):
        return len(rows)
    return int(kinds(rows).max()) + 1


class Entropy(NamedTuple):
    """An entropy, its standard error and the largest that as many values can have, nats."""

    value: float
    error: float
    largest: float

    def interval(self, errors: float, doubt: float = 0.0) -> tuple[float, float]:
        """So many standard errors around the value, nats; a further doubt widens it below."""
        low = self.value - errors * math.hypot(self.error, doubt)
        return low, min(self.value + errors * self.error, self.largest)


def entropy(rows: np.ndarray) -> Entropy | None:
    """The entropy of rows (n, d) that take few values; None where they take many.

    The entropy of the observed frequencies plus (K - 1) / 2n, at most log K, for K values.

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
    """Whether in any column more than one row in twenty repeats a value.

    Example:
        >>> has_ties(as_pair([1, 1, 2], [1, 2, 3]))
        True
    """
    return any(len(np.unique(c)) < 0.95 * len(c) for side in (pair.x, pair.y) for c in side.T)
