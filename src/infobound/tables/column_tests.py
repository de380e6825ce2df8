"""Permutation tests of independence for many pairs of columns at once.

The statistic of a pair is a weighted sum of the squared correlations of the functions of its
columns (`column_scores`), with two choices of weights: steep ones find monotone dependence best,
flat ones waves, rings and crosses. All pairs share the permutations of the rows, and one matrix
product gives the correlations of all. What is exact and what is approximate: `docs/columns.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc

from infobound._system import arguments
from infobound.data.columns import Column
from infobound.errors import InputError
from infobound.tables.column_scores import scores

__all__ = ["ColumnTests", "column_tests"]

DECAYS = (2.0, 1.0)  # the j-th function of a quantity has the weight 1 / j^decay
# Excess kurtosis up to which a product of functions has near-normal correlations
EXCESS_KURTOSIS = 0.02
TAIL = 10  # so many permuted statistics must be as high, or the p-value is extrapolated
SMALLEST = 1e-16  # no p-value is smaller
SLACK = 1e-3  # statistics this near are ties, since they are computed in single precision
TABLE_WORK = 3e11  # multiplications, which choose the number of permutations
EACH = 2_000  # multiplications that take as long as what is done with a product afterwards
BLOCK_WORK = 1e7  # multiplications that take as long as the overhead of a block
FEWEST_PERMUTATIONS, MOST_PERMUTATIONS = 99, 1_999  # permutations
FEWEST_ROWS = 3  # of fewer there are too few orders
BLOCK_PAIRS = 10_000  # pairs whose permuted statistics are sorted at once
STRIP = 32  # columns whose products with all others are computed at once


@dataclass(frozen=True, eq=False)
class ColumnTests:
    """P-values of independence for pairs of columns.

    Attributes:
        p_value: (p, q), of each left and each right column; nan for a column and itself, and where
            fewer than three rows have values of both.
        adjusted: (p, q), adjusted for testing all these pairs. To call pairs dependent where it is
            at most a is wrong in any of them with probability a.
        permutations: their number.

    Example:
        >>> from infobound.data.columns import columns
        >>> x = np.random.default_rng(0).normal(size=(200, 3))
        >>> x[:, 1] += x[:, 0] ** 2
        >>> found = column_tests(columns(x))
        >>> bool(found.adjusted[0, 1] < 0.05 < found.adjusted[0, 2])
        True
    """

    p_value: np.ndarray
    adjusted: np.ndarray
    permutations: int


def column_tests(
    left: Sequence[Column],
    right: Sequence[Column] | None = None,
    *,
    permutations: int | None = None,
    seed: int = 0,
    watch: Callable[[int, int], None] | None = None,
) -> ColumnTests:
    """Test each left column against each right one, or all pairs of the left ones.

    A p-value is the rank of the statistic among those of permuted rows, which is exact where rows
    are exchangeable. Where fewer than ten permutations score as high, the tail through the tenth
    highest is that of a normal approximation; where both columns are so concentrated on one value
    that this is poor, Fisher's exact test of these values against all others limits it. A pair uses
    the rows in which both columns have values.

    Args:
        left: p columns with equally many rows.
        right: q columns with as many rows; None for all pairs of left columns.
        permutations: their number, at least 19; by default from 99 to 1,999, by the size of the
            table.
        seed: seed of the permutations.
        watch: called with the number of steps done and that of all steps.

    Returns:
        The p-values, and those adjusted by Westfall and Young's single-step max-T.

    Raises:
        InputError: If there is no pair, or there are fewer than 19 permutations.

    Source: Phipson and Smyth 2010, https://arxiv.org/abs/1603.05766 (p is never 0); Westfall and
    Young 1993, Resampling-based multiple testing.

    Example:
        >>> from infobound.data.columns import columns
        >>> rng = np.random.default_rng(0)
        >>> table = {"dose": rng.normal(size=300), "site": rng.integers(5, size=300)}
        >>> table["hurt"] = table["dose"] + rng.normal(size=300) > 0
        >>> dose, site, hurt = columns(table, categorical=["site"])
        >>> (column_tests([dose, site], [hurt]).p_value.ravel() < 0.001).tolist()
        [True, False]
    """
    seed, n_left = arguments.seed("seed", seed), len(left)
    if not left or (right is not None and not right) or (right is None and n_left < 2):
        raise InputError(f"Expected at least one pair of columns; got {n_left} columns.")
    blocks = [*_blocks(left, right)]
    if not blocks:
        raise InputError(
            f"Expected pairs of columns with values in {FEWEST_ROWS} rows or more; got none. Leave "
            "out columns that are mostly missing."
        )
    if permutations is None:
        affordable = TABLE_WORK // sum(b.work for b in blocks)
        permutations = int(np.clip(affordable, FEWEST_PERMUTATIONS, MOST_PERMUTATIONS))
    permutations = arguments.integer("permutations", permutations, least=19)
    i, j = np.concatenate([block.pairs for block in blocks], axis=1)
    values = np.empty((1 + permutations, len(i)), dtype=np.float32)
    done = start = 0
    for block in blocks:
        stop = start + block.pairs.shape[1]
        for row, part in zip(values, block.statistics(permutations, seed), strict=True):
            row[start:stop] = part
            done += 1
            if watch is not None:
                watch(done, len(blocks) * (1 + permutations))
        start = stop
    heavy, exact = (np.concatenate(a) for a in zip(*(b.limits() for b in blocks), strict=True))
    found = _p_values(values, heavy, exact)
    tables = np.full((2, n_left, n_left if right is None else len(right)), np.nan)
    tables[:, i, j] = found
    if right is None:
        tables[:, j, i] = found
    return ColumnTests(tables[0], tables[1], permutations)


def _p_values(values: np.ndarray, heavy: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return p-values and adjusted p-values (2, m) of m pairs.

    Args:
        values: (1 + permutations, m), minus the log of approximate p-values: the observed one and
            those of permuted rows.
        heavy: (m,), whether the approximation is poor.
        exact: (m,), a valid p-value of heavy pairs.
    """
    count, observed = len(values), values[0].astype(np.float64)
    slack = SLACK * (1 + observed)
    tail = min(TAIL, count // 2)
    as_high, bar = np.empty((2, len(observed)))
    highest = np.full(count, -np.inf)
    for start in range(0, len(observed), BLOCK_PAIRS):
        own = slice(start, start + BLOCK_PAIRS)
        some = values[:, own]
        as_high[own] = (some >= (observed - slack)[own]).sum(axis=0)
        bar[own] = np.partition(some, count - tail, axis=0)[count - tail]
        light = some[:, ~heavy[own]] - bar[own][~heavy[own]]
        highest = np.maximum(highest, light.max(axis=1, initial=-np.inf))
    beyond = tail / count * np.exp(np.minimum(bar - observed, 0))
    beyond = np.where(heavy, np.clip(exact, beyond, tail / count), beyond)
    p = np.maximum(np.where(as_high >= tail, as_high / count, beyond), SMALLEST)
    # Heavy pairs would dominate the maximum: they get their share of the level for themselves.
    adjusted = np.minimum(len(p) * p, 1.0)
    if not heavy.all():
        lower = np.searchsorted(np.sort(highest), (observed - bar - slack)[~heavy])
        adjusted[~heavy] = np.minimum((count - lower) / count / (~heavy).mean(), 1.0)
    return np.stack([p, np.maximum(adjusted, p)])


def _blocks(left: Sequence[Column], right: Sequence[Column] | None) -> Iterator[_Block]:
    """Divide the pairs into blocks of pairs with the same rows: those that both columns have."""
    groups = _by_rows(left)
    for k, (i, rows) in enumerate(groups):
        for j, others in groups[k:] if right is None else _by_rows(right):
            square = right is None and j is i
            if (not square or len(i) > 1) and (rows & others).sum() >= FEWEST_ROWS:
                yield _Block(left, left if right is None else right, i, j, rows & others, square)


def _by_rows(columns: Sequence[Column]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Group columns that have values in the same rows: their indices, and these rows (n,)."""
    groups: dict[bytes, list[int]] = {}
    for k, column in enumerate(columns):
        groups.setdefault(np.packbits(column.codes < 0).tobytes(), []).append(k)
    return [(np.array(ks), columns[ks[0]].codes >= 0) for ks in groups.values()]


@dataclass(frozen=True, eq=False)
class _Side:
    """The functions of several columns, side by side.

    Attributes:
        scores: (n, k), the functions of all columns.
        widths: (p,), the number of functions of each column.
        order: (k,), the number of each function in its column, from 1.
        flat: (k,), whether the order of a column's functions means nothing.
        excess: (k,), the excess kurtosis, at least 0.
        rare: (n, p), float32, whether a column differs from its most frequent value.
    """

    scores: np.ndarray
    widths: np.ndarray
    order: np.ndarray
    flat: np.ndarray
    excess: np.ndarray
    rare: np.ndarray

    @classmethod
    def of(cls, columns: Sequence[Column], rows: np.ndarray) -> _Side:
        """Compute the functions on some rows."""
        codes = [column.codes[rows] for column in columns]
        pairs = [*zip(codes, columns, strict=True)]
        parts = [scores(own, categorical=column.categorical) for own, column in pairs]
        together = np.concatenate(parts, axis=1)
        widths = np.array([part.shape[1] for part in parts])
        order = np.concatenate([np.arange(1, width + 1) for width in widths])
        flat = np.repeat([c.categorical or c.levels == 2 for c in columns], widths)
        fourth = np.mean(np.square(np.square(together)), axis=0, dtype=np.float64)
        rare = [own != np.bincount(own).argmax() for own in codes]
        sides = np.stack(rare, axis=1).astype(np.float32)
        return cls(together, widths, order, flat, np.maximum(fourth - 3, 0), sides)

    def cut(self, start: int, stop: int) -> slice:
        """Return the functions of the columns from `start` to `stop`."""
        ends = np.cumsum([0, *self.widths])
        return slice(ends[start], ends[stop])

    def part(self, start: int, stop: int) -> _Side:
        """Return the columns from `start` to `stop`."""
        own = self.cut(start, stop)
        each = (self.order[own], self.flat[own], self.excess[own], self.rare[:, start:stop])
        return _Side(self.scores[:, own], self.widths[start:stop], *each)

    def weights(self, decay: float) -> np.ndarray:
        """Return the weights (k,) of the functions."""
        return np.where(self.flat, 1.0, self.order**-decay)


class _Block:
    """Pairs of the left columns i and the right columns j, which use the same rows."""

    def __init__(
        self,
        left: Sequence[Column],
        right: Sequence[Column],
        i: np.ndarray,
        j: np.ndarray,
        rows: np.ndarray,
        square: bool,
    ) -> None:
        self.rows = rows
        one = _Side.of([left[k] for k in i], rows)
        other = one if square else _Side.of([right[k] for k in j], rows)
        self.permuted = other.scores
        self.strips = []
        places = []
        for start in range(0, len(i), STRIP):
            stop, first = min(start + STRIP, len(i)), start if square else 0
            cut = other.cut(first, len(j))
            strip = _Strip(one.part(start, stop), other.part(first, len(j)), square)
            self.strips.append((cut, strip))
            places.append((i[start + strip.wanted[0]], j[first + strip.wanted[1]]))
        self.pairs = np.concatenate(places, axis=1)
        self.work = BLOCK_WORK + float(
            (rows.sum() + EACH) * sum(strip.size for _, strip in self.strips)
        )

    def statistics(self, permutations: int, seed: int) -> Iterator[np.ndarray]:
        """Yield the statistics (m,): the observed ones, then those of each permutation."""
        yield self._values(self.permuted)
        for number in range(permutations):
            keys = np.random.default_rng([seed, number]).permutation(len(self.rows))
            order = keys if self.rows.all() else np.argsort(keys[self.rows])
            yield self._values(self.permuted[order])

    def _values(self, permuted: np.ndarray) -> np.ndarray:
        return np.concatenate([strip.values(permuted[:, cut]) for cut, strip in self.strips])

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which pairs are heavy (m,), and the p-values of Fisher's exact test of those."""
        heavy = np.concatenate([strip.heavy for _, strip in self.strips])
        return heavy, np.concatenate([strip.fisher() for _, strip in self.strips])


class _Strip:
    """The statistics of all pairs of some left and right columns.

    Products of two functions that are both heavy-tailed do not count, since their correlations are
    not near-normal; in a pair that has no others they do, and the pair is heavy.
    """

    def __init__(self, left: _Side, right: _Side, square: bool) -> None:
        self.left, self.right = left, right
        grid = np.indices((len(left.widths), len(right.widths)))
        self.wanted = np.nonzero((grid[0] < grid[1]) | (not square))
        limit = EXCESS_KURTOSIS * len(left.scores) * np.ones((len(left.order), len(right.order)))
        cells = np.outer(left.widths, right.widths)
        limit *= np.where(np.outer(left.flat, right.flat), self._spread(cells), 1)
        counts = np.outer(left.excess, right.excess) <= limit
        none = ~self._reduced(counts, np.logical_or)
        self.heavy = none[self.wanted]
        counts |= self._spread(none)
        self.size = counts.size
        self.laws = [self._law(decay, counts) for decay in DECAYS]

    def _spread(self, pairs: np.ndarray) -> np.ndarray:
        """Repeat a value for each pair of columns for all pairs of their functions."""
        return pairs.repeat(self.left.widths, 0).repeat(self.right.widths, 1)

    def _reduced(self, functions: np.ndarray, how: np.ufunc = np.add) -> np.ndarray:
        """Reduce values for pairs of functions to values for pairs of columns."""
        starts = [np.cumsum(widths) - widths for widths in (self.left.widths, self.right.widths)]
        found: np.ndarray = how.reduceat(how.reduceat(functions, starts[1], 1), starts[0], 0)
        return found

    def _law(self, decay: float, counts: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return weights, and shape, scale and start of the gamma with the same three cumulants.

        The cumulants are those of the weighted sum of squares of independent normals.
        """
        weights = np.outer(self.left.weights(decay), self.right.weights(decay)) * counts
        mean, variance, third = (
            factor * self._reduced(weights**power)[self.wanted]
            for power, factor in ((1, 1), (2, 2), (3, 8))
        )
        shape, scale = 4 * variance**3 / third**2, third / (2 * variance)
        return weights.astype(np.float32), shape, scale, mean - shape * scale

    def values(self, permuted: np.ndarray) -> np.ndarray:
        """Return minus the log of approximate p-values of the wanted pairs, float32."""
        n = len(permuted)
        products = np.square(self.left.scores.T @ permuted)
        smallest = np.ones(len(self.wanted[0]))
        for weights, shape, scale, start in self.laws:
            total = self._reduced(products * weights)[self.wanted] * ((n - 1) / n**2)
            p = gammaincc(shape, np.maximum(total - start, 0) / scale)
            smallest = np.minimum(smallest, p)
        return (-np.log(np.maximum(smallest, 1e-300))).astype(np.float32)

    def fisher(self) -> np.ndarray:
        """Return two-sided p-values of the most frequent values against all others; 1 if light."""
        found = np.ones(len(self.heavy))
        if not self.heavy.any():
            return found
        from scipy.stats import hypergeom

        n = len(self.left.rare)
        both = (self.left.rare.T @ self.right.rare)[self.wanted][self.heavy].round()
        sides = [side.rare.sum(axis=0, dtype=np.float64) for side in (self.left, self.right)]
        i, j = (own[at][self.heavy] for own, at in zip(sides, self.wanted, strict=True))
        law = hypergeom(n, i, j)
        found[self.heavy] = np.minimum(2 * np.minimum(law.cdf(both), law.sf(both - 1)), 1)
        return found
