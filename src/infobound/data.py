"""Validated pairs of rows, their folds and their transforms.

What values can have wrong is said here, once, at the boundary; files are in `tables`. A transform
is fitted on training rows only. Nothing here imports torch, and pandas comes late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from infobound.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Pair",
    "Transform",
    "as_pair",
    "entropy",
    "has_ties",
    "hold_out",
    "levels",
    "pair_frames",
    "split",
]

FEWEST = 40  # rows: with fewer, a fold has too few test rows for a standard error
LEVELS = 20  # levels of a text column that are always believed to be categories


@dataclass(frozen=True, eq=False)
class Pair:
    """Validated rows: x (n, p) and y (n, q), float64, finite; `notes` says what was done to them.

    Example:
        >>> as_pair([1, 2, 3], [3, 2, 1]).x.shape
        (3, 1)
    """

    x: np.ndarray
    y: np.ndarray
    x_names: tuple[str, ...]
    y_names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def as_pair(x: Any, y: Any) -> Pair:
    """Arrays, tensors, frames or lists of n rows as a `Pair`.

    One dimension becomes a column; more than two are flattened, and said so.

    Raises:
        InputError: unequal lengths, missing or infinite values, text that is no category.

    Example:
        >>> as_pair(np.zeros((4, 2, 2)), np.arange(4)).notes
        ('x: each row of shape (2, 2) flattened into 4 columns.',)
    """
    frames, notes = [], []
    indexes = [side.index for side in (x, y) if type(side).__module__.startswith("pandas")]
    if len(indexes) == 2 and not indexes[0].equals(indexes[1]):
        notes.append("x and y have different indexes: rows were paired by position, not by index.")
    for side, values in (("x", x), ("y", y)):
        frame, said = _frame(side, values)
        frames.append(frame)
        notes += said
    n, m = map(len, frames)
    if n != m:
        raise InputError(
            f"Expected equal lengths for x and y; got {n} and {m}. Row i of x must belong to row i "
            "of y: align them first."
        )
    return pair_frames(frames[0], frames[1], notes=notes, source="the arrays")


def _frame(side: str, values: Any) -> tuple[pd.DataFrame, list[str]]:
    """Any accepted container as a frame, and what was done to it."""
    import pandas as pd

    notes: list[str] = []
    if isinstance(values, pd.Series):
        return values.to_frame(str(values.name or side)).reset_index(drop=True), notes
    if isinstance(values, pd.DataFrame):
        frame = values.reset_index(drop=True)
        frame = frame.set_axis([str(c) for c in frame.columns], axis=1)
        if not frame.columns.is_unique:
            doubles = ", ".join(sorted(set(frame.columns[frame.columns.duplicated()])))
            raise InputError(
                f"Expected different column names in {side}; got {doubles} more than once. "
                "Rename the columns."
            )
        return frame, notes
    if type(values).__module__.split(".")[0] == "torch":
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() and values.itemsize < 4 else values
        values = values.to_dense().resolve_conj().numpy()
    try:
        if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
            values = np.ma.filled(values.astype(np.float64), np.nan)  # masked means missing
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(
            f"Expected rows of equal length in {side}; got a ragged list ({error})."
        ) from error
    if array.ndim == 0 or array.dtype.kind not in "biufUSO":
        raise InputError(
            f"Expected numbers in {side}, shape (n,) or (n, columns); got {array.dtype} of shape "
            f"{array.shape}. Convert it to a numeric array."
        )
    if array.ndim == 1:
        array = array[:, None]
    elif array.ndim > 2:
        shape = array.shape[1:]
        array = array.reshape(len(array), -1)
        notes = [f"{side}: each row of shape {shape} flattened into {array.shape[1]} columns."]
    return pd.DataFrame(array, columns=[f"{side}[{k}]" for k in range(array.shape[1])]), notes


def pair_frames(
    left: pd.DataFrame,
    right: pd.DataFrame,
    *,
    source: str,
    notes: Sequence[str] = (),
    drop_missing: bool = False,
) -> Pair:
    """Frames of equal length, validated and encoded; `source` names them in errors.

    Raises:
        InputError: missing values (unless dropped), infinite values, text that is no category.
    """
    import pandas as pd

    for side, frame in (("x", left), ("y", right)):
        if frame.shape[1] == 0 or len(frame) == 0:
            raise InputError(
                f"Expected at least one row and one column for {side}; got shape {frame.shape}."
            )
    missing = pd.concat([left.isna(), right.isna()], axis=1)
    rows = missing.any(axis=1).to_numpy()
    if rows.any():
        counts = missing.sum()
        named = ", ".join(f"{name} ({count:,})" for name, count in counts[counts > 0].items())
        if not drop_missing:
            raise InputError(
                f"Expected no missing values in {source}; got {rows.sum():,} of {len(rows):,} rows "
                f"with missing values, in columns {named}. Fill them, or leave those rows out with "
                "--drop-missing (from Python: dropna first)."
            )
        left, right = left[~rows], right[~rows]
        notes = [*notes, f"Dropped {rows.sum():,} of {len(rows):,} rows with missing values."]
        if not len(left):
            raise InputError(f"Expected rows without missing values in {source}; got none.")
    sides = []
    for side, frame in (("x", left), ("y", right)):
        values, names, said = _numbers(side, frame)
        notes = [*notes, *said]
        infinite = np.isinf(values)
        if infinite.any():
            named = ", ".join(
                f"{n} ({c:,})" for n, c in zip(names, infinite.sum(0), strict=True) if c
            )
            raise InputError(
                f"Expected finite values in {source}; got infinite ones in columns {named}. "
                "Remove or replace those rows."
            )
        sides.append((np.ascontiguousarray(values), tuple(names)))
    return Pair(sides[0][0], sides[1][0], sides[0][1], sides[1][1], tuple(notes))


def _numbers(side: str, frame: pd.DataFrame) -> tuple[np.ndarray, list[str], list[str]]:
    """A frame without missing values as float64 columns, categories one-hot encoded."""
    import pandas as pd

    columns: list[np.ndarray] = []
    names: list[str] = []
    notes: list[str] = []
    for name in frame.columns:
        values = frame[name]
        kind = values.dtype
        if pd.api.types.is_datetime64_any_dtype(kind) or pd.api.types.is_timedelta64_dtype(kind):
            raise InputError(
                f"Expected numbers or categories in column {name}; got times. Turn them into "
                "numbers that mean something here, such as hours since the start."
            )
        if pd.api.types.is_complex_dtype(kind):
            raise InputError(
                f"Expected real numbers in column {name}; got complex ones. Give the real and the "
                "imaginary part as two columns."
            )
        if pd.api.types.is_numeric_dtype(kind):  # bool counts as a number here
            numbers = values.to_numpy(dtype=np.float64)
            if np.abs(numbers).max() >= 2**53 and len(np.unique(numbers)) < values.nunique():
                raise InputError(
                    f"Expected numbers that float64 tells apart in column {name}; got integers "
                    "beyond 2^53. Leave an identifier out; subtract the smallest from a time."
                )
            columns.append(numbers)
            names.append(name)
            continue
        text = values.astype(str).str.strip()
        parsed = pd.to_numeric(text, errors="coerce")
        numeric = ~parsed.isna().to_numpy()
        is_category = isinstance(kind, pd.CategoricalDtype)
        if not is_category and numeric.all():
            columns.append(parsed.to_numpy(dtype=np.float64))
            names.append(name)
            continue
        if not is_category and numeric.mean() >= 0.5:
            wrong = np.flatnonzero(~numeric)
            where = ", ".join(f"{text.iloc[i]!r} in row {frame.index[i] + 1}" for i in wrong[:3])
            raise InputError(
                f"Expected numbers in column {name}; got text in {len(wrong):,} of {len(text):,} "
                f"rows: {where}. Correct those cells, or leave them empty and use --drop-missing."
            )
        levels = sorted(text.unique())
        if len(levels) > max(LEVELS, len(text) // 20):
            raise InputError(
                f"Expected categories or numbers in text column {name}; got {len(levels):,} "
                f"different texts in {len(text):,} rows. It looks like an identifier: leave it out."
            )
        shown = levels[1:] if len(levels) == 2 else levels  # two levels need one column
        columns += [(text == level).to_numpy(dtype=np.float64) for level in shown]
        names += [f"{name}={level}" for level in shown]
        count = f"{len(shown)} column" + ("s" if len(shown) != 1 else "")
        notes.append(f"{side}: {name} has {len(levels)} categories, one-hot encoded into {count}.")
    return np.stack(columns, axis=1), names, notes


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

    @classmethod
    def fit(cls, rows: np.ndarray) -> Transform:
        """Ranks, medians and inter-quartile ranges of these rows and no others."""
        knots, scores = [], []
        for column in rows.T:
            values, counts = np.unique(column, return_counts=True)
            middle = (np.cumsum(counts) - 0.5 * counts) / counts.sum()
            quantiles = ndtri(middle)
            spread = np.sqrt(np.average(quantiles**2, weights=counts))
            knots.append(values)
            scores.append(quantiles / spread if spread > 0 else np.zeros_like(quantiles))
        low, centre, high = np.percentile(rows, [25, 50, 75], axis=0)
        scale = (high - low) / 1.349
        with np.errstate(over="ignore"):
            spread = rows.std(axis=0)
        scale = np.where(scale > 0, scale, np.where(np.isfinite(spread), spread, 0))
        return cls(tuple(knots), tuple(scores), centre, np.where(scale > 0, scale, 1.0))

    def normal_scores(self, rows: np.ndarray) -> np.ndarray:
        """Normal quantiles of the interpolated mid-ranks, (n, d); clamped beyond the range."""
        columns = [
            np.interp(column, knots, scores)
            for column, knots, scores in zip(rows.T, self.knots, self.scores, strict=True)
        ]
        return np.stack(columns, axis=1)

    def robust(self, rows: np.ndarray) -> np.ndarray:
        """(x - median) / scale, (n, d); beyond 5 as a logarithm: 1000 becomes 11.9; at most 20."""
        scaled = (rows - self.centre) / self.scale
        beyond = np.maximum(np.abs(scaled) - 5, 0)
        return np.clip(scaled, -5, 5) + np.sign(scaled) * np.minimum(np.log1p(beyond), 15)

    def radii(self, rows: np.ndarray) -> np.ndarray:
        """How far out each row is, (n, 4): |z|^2 and log |z|^2 of the scores and of `robust`.

        Networks find radii hard to learn from many coordinates; here they are columns, softly
        scaled with the numbers of degrees of freedom rather than fitted.
        """
        columns = []
        for z in (self.normal_scores(rows), self.robust(rows)):
            square = (z**2).sum(axis=1) / rows.shape[1]
            spread = np.sqrt(2 / rows.shape[1])
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
    return len(np.unique(rows, axis=0))


def entropy(rows: np.ndarray) -> float | None:
    """The entropy of rows (n, d) that take few values, nats; None where they take many.

    Example:
        >>> round(entropy(np.arange(60).reshape(-1, 1) % 3), 3)  # log 3
        1.099
    """
    if levels(rows) > len(rows) / 10:
        return None
    shares = np.unique(rows, axis=0, return_counts=True)[1] / len(rows)
    return float(-(shares * np.log(shares)).sum())


def has_ties(pair: Pair) -> bool:
    """Whether in any column more than one row in twenty repeats a value.

    Example:
        >>> has_ties(as_pair([1, 1, 2], [1, 2, 3]))
        True
    """
    return any(len(np.unique(c)) < 0.95 * len(c) for side in (pair.x, pair.y) for c in side.T)
