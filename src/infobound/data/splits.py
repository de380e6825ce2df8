"""Splits of rows: cross-fitting folds, and training and validation rows.

Rows may depend on each other: in time, or because they belong to a group such as a subject.
`Layout` describes how, and splits rows so that training and test rows do not depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infobound.config import Config
from infobound.data.pair import Pair
from infobound.errors import InputError

__all__ = ["FEWEST", "Layout", "split", "train_validation_split"]

FEWEST = 40  # smallest number of rows; with fewer, a fold is too small for a standard error
TENTH = 10  # a gap is at most this part of a fold, so that little is lost


def split(
    n: int,
    k: int,
    *,
    seed: int,
    series: bool = False,
    gap: int = 0,
    groups: np.ndarray | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split n rows into k cross-fitting folds; every row is a test row once.

    Args:
        n: the number of rows.
        k: the number of folds.
        seed: seed of the random split.
        series: whether rows are a time series; then each fold tests a contiguous block.
        gap: rows at most so far from a test row of a series are not training rows.
        groups: (n,), the group of each row; then each fold tests whole groups.

    Returns:
        The sorted indices of training and test rows of each fold.

    Raises:
        InputError: If there are too few rows or groups.

    Example:
        >>> [len(test) for _, test in split(43, 4, seed=0)]
        [11, 11, 11, 10]
        >>> training, test = split(80, 4, seed=0, series=True, gap=2)[1]
        >>> [int(row) for row in (training[17], test[0], test[-1], training[18])]
        [17, 20, 39, 42]
    """
    need = max(FEWEST, 10 * k)
    if n < need:
        raise InputError(
            f"Expected at least {need} rows for {k} folds; got {n}. Collect more rows"
            + (f", or use fewer folds (--folds {max(2, n // 10)})." if n >= FEWEST else ".")
        )
    if groups is not None:
        tests = _whole_groups(groups, k, seed)
    else:
        order = np.arange(n) if series else np.random.default_rng(seed).permutation(n)
        tests = [np.sort(part) for part in np.array_split(order, k)]
    return [(_apart(np.setdiff1d(np.arange(n), test), test, gap), test) for test in tests]


def train_validation_split(
    rows: np.ndarray,
    share: float,
    *,
    seed: int,
    series: bool = False,
    gap: int = 0,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows at random into two parts of at least two rows each.

    Args:
        rows: (n,), the indices of the rows, n >= 4.
        share: the fraction to hold out.
        seed: seed of the split.
        series: whether rows are a time series; then the last rows are held out.
        gap: rows at most so far from those held out of a series are in neither part.
        groups: the group of each row of the whole sample; then whole groups are held out, if the
            rows are of several.

    Returns:
        The indices of the rest and of the rows held out, both sorted.

    Example:
        >>> [len(part) for part in train_validation_split(np.arange(100), 0.15, seed=0)]
        [85, 15]
    """
    count = min(max(2, round(share * len(rows))), len(rows) - 2)
    if groups is not None and len(own := np.unique(groups[rows])) > 1:
        order = np.random.default_rng(seed).permutation(own)
        sizes = np.cumsum(np.bincount(groups[rows])[order])
        most = max(1, int(np.abs(sizes[:-1] - count).argmin()) + 1)
        held = np.isin(groups[rows], order[:most])
        return np.sort(rows[~held]), np.sort(rows[held])
    order = np.sort(rows)[::-1] if series else np.random.default_rng(seed).permutation(rows)
    rest, held = np.sort(order[count:]), np.sort(order[:count])
    near = _apart(rest, held, gap)
    return (near if len(near) >= 2 else rest), held


def _apart(rows: np.ndarray, others: np.ndarray, gap: int) -> np.ndarray:
    """Return the rows that are more than `gap` rows away from all others; both are sorted."""
    if not gap:
        return rows
    place = np.searchsorted(others, rows)
    before = rows - others[np.maximum(place - 1, 0)]
    after = others[np.minimum(place, len(others) - 1)] - rows
    near = ((place > 0) & (before <= gap)) | ((place < len(others)) & (after <= gap))
    return np.asarray(rows[~near])


def _whole_groups(groups: np.ndarray, k: int, seed: int) -> list[np.ndarray]:
    """Divide groups among k parts of about equally many rows, in random order, large ones first."""
    sizes = np.bincount(groups)
    if len(sizes) < k:
        raise InputError(
            f"Expected at least {k} groups for {k} folds; got {len(sizes)}. Collect more groups"
            + (f", or use fewer folds (--folds {len(sizes)})." if len(sizes) > 1 else ".")
        )
    order = np.random.default_rng(seed).permutation(len(sizes))
    fold, filled = np.empty(len(sizes), dtype=int), np.zeros(k)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold[group] = int(filled.argmin())
        filled[fold[group]] += sizes[group]
    if filled.min() < FEWEST / 4:
        raise InputError(
            f"Expected groups that make {k} folds of {FEWEST // 4} rows or more; got one group of "
            f"{sizes.max():,} of {len(groups):,} rows. Use fewer folds (--folds 2), or take fewer "
            "rows of the largest group."
        )
    return [np.flatnonzero(fold[groups] == part) for part in range(k)]


@dataclass(frozen=True, eq=False)
class Layout:
    """How rows depend on each other, and splits that respect it.

    Attributes:
        series: whether rows follow each other in time, within their group if there are groups.
        gap: the number of rows between training and test rows of a series.
        groups: (n,), the group of each row, from 0; None if rows are in no groups.

    Example:
        >>> from infobound.data.pair import as_pair
        >>> walk = np.random.default_rng(0).normal(size=(400, 2)).cumsum(axis=0)
        >>> Layout.of(as_pair(walk[:, 0], walk[:, 1]), Config(series=True)).gap
        10
    """

    series: bool = False
    gap: int = 0
    groups: np.ndarray | None = None

    @classmethod
    def of(cls, pair: Pair, config: Config) -> Layout:
        """Return the layout of the rows of a pair.

        A series without groups has gaps: up to the distance from which on rows of x, or of y, are
        hardly correlated, at most a tenth of a fold.
        """
        if pair.groups is not None or not config.series:
            return cls(config.series, 0, pair.groups)
        return cls(True, min(pair.memory, len(pair.x) // (TENTH * config.folds)))

    @property
    def independent(self) -> bool:
        """Whether rows do not depend on each other."""
        return not self.series and self.groups is None

    def folds(self, n: int, k: int, *, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Split n rows into k folds; see `split`."""
        return split(n, k, seed=seed, series=self.series, gap=self.gap, groups=self.groups)

    def hold_out(
        self, rows: np.ndarray, share: float, *, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Split training rows; see `train_validation_split`."""
        return train_validation_split(
            rows, share, seed=seed, series=self.series, gap=self.gap, groups=self.groups
        )

    def apart(self, n: int, k: int = 10) -> list[tuple[np.ndarray, np.ndarray]] | None:
        """Divide n rows into up to k parts, each with the rows that do not depend on its rows.

        Returns:
            For each part, the indices of the other rows and of its own; None if all rows are
            independent.
        """
        if self.independent:
            return None
        if self.groups is not None:
            k = min(k, int(self.groups.max()) + 1)
            own = [np.flatnonzero(self.groups % k == part) for part in range(k)]
        else:
            own = np.array_split(np.arange(n), k)
        return [(_apart(np.setdiff1d(np.arange(n), rows), rows, self.gap), rows) for rows in own]

    def halves(self, n: int, k: int, *, seed: int) -> list[np.ndarray]:
        """Divide n rows into k parts, and each of these into halves, for regressions.

        The parts of a series are stretches of time; groups stay whole, if there are enough.
        """
        order, group = np.arange(n), self.groups
        if group is not None and int(group.max()) + 1 >= k:
            parts = [np.flatnonzero(group % k == part) for part in range(k)]
            parts = [part[np.argsort(group[part], kind="stable")] for part in parts]
        elif self.series:
            parts = np.array_split(order, k)
        else:
            parts = np.array_split(np.random.default_rng(seed).permutation(n), k)
            return [half for part in parts for half in (part[::2], part[1::2])]
        return [half for part in parts for half in np.array_split(part, 2)]

    def one_of_each(self, rows: np.ndarray, *, seed: int) -> np.ndarray:
        """Return one row of each group among these rows, drawn at random; all without groups."""
        if self.groups is None:
            return rows
        shuffled = np.random.default_rng(seed).permutation(rows)
        return np.sort(shuffled[np.unique(self.groups[shuffled], return_index=True)[1]])
