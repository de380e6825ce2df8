"""Tests of independence of rows that depend on each other, in time or within groups.

All compare one statistic with its values after y was moved in time, after groups of y were
exchanged, or for surrogates of y. It is computed anew each time, so it does not know the rows as
they are better than the others. docs/series.md has the nulls and proofs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from infobound.errors import InputError

__all__ = [
    "CERTIFIED_GROUPS",
    "TESTS",
    "WHOLE",
    "Moves",
    "Tested",
    "Waves",
    "group_p",
    "needed_rows",
    "series_p",
]
__all__ += ["smallest_by_moves", "surrogate_p"]

TESTS = {  # how a p-value was computed, by the name in a result
    "moves": "moving y in time",
    "moves_in_groups": "moving y in time within groups",
    "whole_groups": "exchanging whole groups of y",
    "rows_in_groups": "permuting y within groups",
    "surrogates": "comparison with surrogates of y",
}

CERTIFIED_GROUPS = 40  # groups from which on bounds are computed from one row of each
PART = 6  # y is moved by up to the length of the series over this, in either direction
MOST = 499  # moves in one direction; longer series are moved by more than one row at a time
SHORTEST = 12  # rows of a series, or of a group's
WHOLE = 5  # groups from which on whole groups are exchanged: 5! = 120
WAVES = 4  # cosines of the ranks of a column
WIDE = 8  # columns from which on principal components are used
SCORED = 20_000  # most rows that a move compares


@dataclass(frozen=True)
class Tested:
    """A p-value.

    Attributes:
        p_value: the p-value.
        test: a key of `TESTS`; None if rows were permuted.
        smallest: the smallest p-value that the test can give on so many rows, if it matters.
    """

    p_value: float
    test: str | None = None
    smallest: float | None = None


@dataclass(frozen=True, eq=False)
class Waves:
    """Functions of x (n, k) and of y (n, m) in whose correlations dependence shows."""

    x: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> Waves:
        """Choose cosines of the ranks of each column; of many columns, of principal components.

        Args:
            x: (n, p).
            y: (n, q).
        """
        return cls(_waves(x), _waves(y))

    def values(self, left: np.ndarray, rights: Iterable[np.ndarray]) -> np.ndarray:
        """Return sums of squared correlations of some rows of x with others of y, slow ones first.

        Args:
            left: (m,), the indices of the rows of x.
            rights: the indices (m,) of the rows of y, for each value.

        Returns:
            (k,), one value for each of `rights`; a correlation of the k-th cosine of x with the
            l-th of y has the weight 1 / (k l).
        """
        x = _weighted(_standardised(self.x[left])) / len(left)
        return np.array(
            [float(((x.T @ _weighted(_standardised(self.y[r]))) ** 2).sum()) for r in rights]
        )

    def exchanged(self, rows: np.ndarray, orders: Iterable[np.ndarray]) -> np.ndarray:
        """Return the same values of some rows (m,) whose y are in other orders (m,) of them."""
        x, y = (_weighted(_standardised(side[rows])) for side in (self.x, self.y))
        return np.array([float(((x.T @ y[order]) ** 2).sum()) for order in orders]) / len(rows) ** 2


def _waves(rows: np.ndarray) -> np.ndarray:
    """Return cos(pi k F), k = 1 .. `WAVES`, of the ranks F of each column or component."""
    ranks = _ranks(rows)
    if rows.shape[1] > WIDE:
        centred: np.ndarray = ranks - 0.5
        directions = np.linalg.eigh(centred.T @ centred)[1][:, -WIDE:]
        ranks = _ranks(centred @ directions)
    orders = np.pi * np.arange(1, WAVES + 1)
    return np.asarray(np.cos(ranks[:, :, None] * orders).reshape(len(rows), -1))


def _ranks(rows: np.ndarray) -> np.ndarray:
    """Return the share of values of each column below each one and half of those equal to it."""
    found = []
    for column in rows.T:
        _, places, counts = np.unique(column, return_inverse=True, return_counts=True)
        found.append((counts.cumsum() - counts / 2)[places] / len(column))
    return np.column_stack(found)


def _standardised(columns: np.ndarray) -> np.ndarray:
    """Return columns (m, k) of mean zero and variance one; constant ones are zero."""
    centred = columns - columns.mean(axis=0)
    spread = np.sqrt((centred**2).mean(axis=0))
    found: np.ndarray = centred / np.where(spread > 1e-9, spread, np.inf)
    return found


def _weighted(waves: np.ndarray) -> np.ndarray:
    """Multiply the cosines of order k by the root of 1 / k."""
    orders = np.arange(1, WAVES + 1)
    return np.asarray((waves.reshape(len(waves), -1, WAVES) / np.sqrt(orders)).reshape(waves.shape))


def _as_high(values: np.ndarray) -> int:
    """Return how many values are as high as the first one, including itself."""
    return int((values >= values[0] * (1 - 1e-9)).sum())


@dataclass(frozen=True, eq=False)
class Moves:
    """The moves of y that one or several series allow.

    Attributes:
        rows: (m,), the indices of the rows of x that have a partner in y at every move.
        step: the number of rows of a move.
        count: the number of moves in one direction.

    Example:
        >>> moves = Moves.of([300])
        >>> moves.count, len(moves.rows)
        (50, 200)
    """

    rows: np.ndarray
    step: int
    count: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Moves:
        """Choose the moves of series that stand one after the other.

        y moves by up to a sixth of the series; of several ones, all by the same number of rows, and
        those that are too short for it are left out.

        Args:
            lengths: the number of rows of each series.

        Raises:
            InputError: If all of them are too short.
        """
        sizes = np.array(lengths)
        if sizes.max() < SHORTEST:
            raise InputError(
                f"Expected a series of at least {SHORTEST} rows; got {sizes.max()}. Leave series "
                "out, or collect longer ones."
            )
        # Of the reaches that fit a series, the one with most rows compared, times its moves.
        reaches = np.unique(sizes[sizes >= SHORTEST] // PART)
        kept = [(sizes[sizes >= PART * r] - 2 * r).sum() * min(r, MOST) for r in reaches]
        reach = int(reaches[int(np.argmax(kept))])
        step = -(-reach // MOST)
        starts = np.cumsum(sizes) - sizes
        rows = np.concatenate(
            [
                np.arange(start + reach, start + size - reach)
                for start, size in zip(starts, sizes, strict=True)
                if size >= PART * reach
            ]
        )
        return cls(rows[:: -(-len(rows) // SCORED)], step, reach // step)

    @property
    def smallest(self) -> float:
        """The smallest p-value that the moves can give."""
        return 1 / (1 + self.count)


def smallest_by_moves(lengths: Sequence[int]) -> float:
    """Return the smallest p-value that moves of series of these lengths can give; 1 if too short.

    Example:
        >>> smallest_by_moves([114, 114]), smallest_by_moves([5, 5])
        (0.05, 1.0)
    """
    return Moves.of(lengths).smallest if max(lengths) >= SHORTEST else 1.0


def needed_rows(p: float) -> int:
    """Return how many rows of a series allow a p-value of p by moves.

    Example:
        >>> needed_rows(0.05), smallest_by_moves([needed_rows(0.01)]) <= 0.01
        (114, True)
    """
    return PART * math.ceil(1 / p - 1 - 1e-9)


def series_p(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Tested:
    """Test independence by moving y against x in time.

    p is the number of moves in both directions with a value as high, and one for no move, over one
    more than the number of moves in one direction. That is valid if y is stationary.

    Args:
        x: (n, p), in the order of time.
        y: (n, q).
        groups: (n,), the group of each row, if there are several series.

    Raises:
        InputError: If no series has twelve rows.

    Source: Harris 2020, https://arxiv.org/abs/2012.06862; truncated time shifts, Yuan and Shou
    2024, https://doi.org/10.1371/journal.pbio.3002758.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, noise = rng.normal(size=(2, 300, 1))
        >>> [series_p(x, y).p_value <= 0.05 for y in (x + noise, noise)]
        [True, False]
        >>> round(series_p(x, noise).smallest, 3)
        0.02
    """
    moves, order = Moves.of([len(x)]), np.arange(len(x))
    if groups is not None:
        moves, order = Moves.of(np.bincount(groups).tolist()), np.argsort(groups, kind="stable")
    steps = [0, *range(-moves.count, 0), *range(1, moves.count + 1)]
    waves = Waves.of(x[order], y[order])
    values = waves.values(moves.rows, (moves.rows + moves.step * s for s in steps))
    p_value = min(1.0, _as_high(values) / (1 + moves.count))
    return Tested(p_value, "moves" if groups is None else "moves_in_groups", moves.smallest)


def group_p(
    x: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    *,
    permutations: int,
    seed: int,
    series: bool = False,
) -> Tested:
    """Test independence of rows in groups.

    From five groups on whole groups of y are exchanged, in which rows keep their order. That is
    valid if, without dependence, groups are exchangeable, whatever depends on what within them.
    Each group counts with equally many rows, drawn at random from larger groups; up to half of the
    groups, the smallest, are left out if more rows remain. With fewer groups, rows are permuted
    within groups, unless x or y is constant there; that is valid if rows are exchangeable within
    groups.

    Args:
        x: (n, p).
        y: (n, q).
        groups: (n,), the group of each row, from 0.
        permutations: the number of permutations.
        seed: the seed of the permutations.
        series: whether rows of a group are a time series; they then keep their order.

    Source: Phipson and Smyth 2010, https://arxiv.org/abs/1603.05766 (p is never 0); Winkler et al.
    2015, https://doi.org/10.1016/j.neuroimage.2015.05.092 (whole-block and within-block
    permutations).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> subjects = np.arange(200) // 10
        >>> x, y = rng.normal(size=(2, 20))[:, subjects, None] + rng.normal(size=(2, 200, 1)) / 4
        >>> found = group_p(x, y, subjects, permutations=199, seed=0)
        >>> found.test, found.p_value > 0.05
        ('whole_groups', True)
    """
    rng, waves = np.random.default_rng(seed), Waves.of(x, y)
    blocks = _equal_blocks(groups, rng)
    few = len(blocks) < WHOLE and not series
    if few and not (_is_constant(x, groups) or _is_constant(y, groups)):
        inner = Waves(_less_means(waves.x, groups), _less_means(waves.y, groups))
        rows = np.argsort(groups, kind="stable")
        own, places = groups[rows], np.arange(len(rows))
        orders = (np.argsort(own + rng.random(len(own))) for _ in range(permutations))
        values = inner.exchanged(rows, itertools.chain([places], orders))
        count = math.exp(min(50.0, sum(map(math.lgamma, np.bincount(groups) + 1))))
        test = "rows_in_groups"
    else:
        whole = np.arange(blocks.size).reshape(blocks.shape)
        orders = (whole[rng.permutation(len(blocks))].ravel() for _ in range(permutations))
        values = waves.exchanged(blocks.ravel(), itertools.chain([whole.ravel()], orders))
        count = math.exp(min(50.0, math.lgamma(len(blocks) + 1)))
        test = "whole_groups"
    smallest = max(1 / (1 + permutations), 1 / count)
    return Tested(_as_high(values) / (1 + permutations), test, smallest)


def _equal_blocks(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the indices (count, m) of m rows of each group that has as many, in their order."""
    sizes = np.bincount(groups)
    ascending = np.sort(sizes)
    kept = ascending * np.arange(len(sizes), 0, -1)  # rows that are used
    left_out = max(0, min(len(sizes) // 2, len(sizes) - WHOLE))  # at most
    m = int(ascending[int(np.argmax(kept[: left_out + 1]))])
    m = min(m, max(1, SCORED // len(sizes)))
    drawn = np.argsort(groups + rng.random(len(groups)))
    starts = np.cumsum(sizes) - sizes
    return np.stack([np.sort(drawn[starts[g] : starts[g] + m]) for g in np.flatnonzero(sizes >= m)])


def _is_constant(rows: np.ndarray, groups: np.ndarray) -> bool:
    """Return whether all rows of a group are equal, in every group."""
    first = np.unique(groups, return_index=True)[1]
    return bool((rows == rows[first][groups]).all())


def _less_means(columns: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return columns (n, k) less the means of their group."""
    counts = np.bincount(groups)
    means = [np.bincount(groups, weights=column) / counts for column in columns.T]
    return np.asarray(columns - np.column_stack(means)[groups])


def surrogate_p(x: np.ndarray, y: np.ndarray, surrogates: Iterable[np.ndarray]) -> Tested:
    """Test independence by surrogates: p = (1 + number that depend on x as much) / (1 + number).

    It is valid if, without dependence, y and its surrogates are exchangeable given x.

    Args:
        x: (n, p).
        y: (n, q).
        surrogates: rows (n, q) in the place of y.

    Source: Theiler et al. 1992, https://doi.org/10.1016/0167-2789(92)90102-S.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, noise = rng.normal(size=(2, 100, 1))
        >>> surrogate_p(x, x + noise, rng.normal(size=(99, 100, 1))).p_value
        0.01
    """
    rows = np.arange(len(x))
    rows, left = rows[:: -(-len(x) // SCORED)], _waves(x)
    values = np.array(
        [Waves(left, _waves(other)).values(rows, [rows])[0] for other in (y, *surrogates)]
    )
    return Tested(_as_high(values) / len(values), "surrogates", 1 / len(values))
