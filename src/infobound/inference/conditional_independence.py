"""Tests of the independence of X and Y given Z.

For continuous Z no test is valid for all distributions and has power (Shah and Peters,
https://arxiv.org/abs/1804.07203), so each test here assumes something else about the residuals that
are left of x and y given z, and both p-values are reported:

- the local permutation test, that the distribution of y's residual is about the same for all rows
  of a neighbourhood of z. For z of few values the neighbourhoods are its values, and the test is
  exact;
- the projection test, that the regressions are good enough: the product of their errors is small
  beside 1 / sqrt(n).

Nothing is fitted here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import ndtr, softmax

from infobound._system.memory import row_ids
from infobound.regression.features import has_many_means

__all__ = [
    "Neighbours",
    "Scores",
    "are_classes",
    "local_permutation_p",
    "neighbourhoods",
    "projection_p",
    "strata",
    "untestable",
    "waves",
    "within",
]

LEAST_KEPT = 1e-3  # share of a row's variance that a fit leaves, at least
SIZE = 8  # rows of a neighbourhood, or up to half more
OMNIBUS_WAVES = 4  # functions of a column of x or y in the omnibus statistic
MODIFIERS = 3  # columns of z with which products may change
PRODUCT_WEIGHT = 0.5  # weight of such a product
FEW_VALUES = 20  # a column of at most this many values is a class


@dataclass(frozen=True, eq=False)
class Scores:
    """A critic's scores of rows that it had not seen.

    Attributes:
        matrix: (n, n), matrix[i, j] = f((x_i, z_i), y_j), in nats; less f(z_i, y_j), so that what z
            alone says of y is left out.
        neighbours: (n,), the neighbourhood of each row.
        doubt: the correlation that errors of regressions may have left in what the critic read.
        given: (n, n), given[i, j] = f(z_i, y_j), the critic of z and y, in nats; None if y seems
            not to depend on z.
    """

    matrix: np.ndarray
    neighbours: np.ndarray
    doubt: float = 0.0
    given: np.ndarray | None = None

    def terms(self) -> tuple[np.ndarray, float]:
        """Return the scores (n,) of the rows less their means given z, and their variance given z.

        Both are of all y, weighted by how likely they are given the z of a row. Without `given`,
        the variance is 0: that of the scores themselves is as good.
        """
        found = self.matrix - self.matrix.mean(axis=0)
        if self.given is None:
            return found.diagonal() - found.mean(axis=1), 0.0
        weights = softmax(self.given, axis=1)
        means = (weights * found).sum(axis=1)
        variances = (weights * found**2).sum(axis=1) - means**2
        return found.diagonal() - means, float(variances.mean())


def neighbourhoods(z: np.ndarray, *, size: int = SIZE) -> np.ndarray:
    """Divide rows into neighbourhoods: halve along the widest column until they are small.

    Args:
        z: (n, r), columns on comparable scales.
        size: the number of rows of a neighbourhood; it has up to twice as many less one.

    Returns:
        (n,), the neighbourhood of each row, from 0.

    Example:
        >>> neighbourhoods(np.array([[3.0], [1.0], [2.0], [9.0]]), size=2).tolist()
        [1, 0, 0, 1]
    """
    found = np.empty(len(z), dtype=int)
    waiting, count = [np.arange(len(z))], 0
    while waiting:
        rows = waiting.pop()
        if len(rows) < 2 * size:
            found[rows] = count
            count += 1
            continue
        column = z[rows, np.argmax(z[rows].std(axis=0))]
        order = rows[np.argsort(column, kind="stable")]
        half = len(order) // 2
        waiting += [order[half:], order[:half]]
    return found


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Rows whose y may be exchanged, and functions of x, y and z in which dependence shows.

    Attributes:
        groups: (n,), the neighbourhood of each row.
        left: (n, k), functions of x, and of x and z.
        right: (n, m), functions of y.
    """

    groups: np.ndarray
    left: np.ndarray
    right: np.ndarray

    @classmethod
    def of(
        cls,
        x: np.ndarray,
        y: np.ndarray,
        z: np.ndarray,
        groups: np.ndarray,
        *,
        exact: bool,
        plain: tuple[np.ndarray, ...] | None = None,
        known: np.ndarray | None = None,
        directions: np.ndarray | None = None,
    ) -> Neighbours:
        """Choose cosines of the ranks of each column, alone and times cosines of z.

        Args:
            x: (n, p), residuals.
            y: (n, q), residuals.
            z: (n, r).
            groups: (n,), the neighbourhood of each row.
            exact: whether values are ranked within their neighbourhood only, so that exchanging
                rows of y within it exchanges the functions too.
            plain: which columns of x and of y (p,), (q,) are residuals of classes, and used as they
                are, because other functions of them depend on z; those of few values by default.
            known: (n, m), functions of z, whose least-squares fits are taken off those of x and y:
                where the skewness of residuals depends on z, so do cosines of their ranks.
            directions: (r, d), directions of z in which products may change too; the first counts.
        """
        inside = groups if exact else None
        left, right = (
            waves(side, OMNIBUS_WAVES, inside, are_classes(side) if plain is None else plain[k])
            for k, side in enumerate((x, y))
        )
        if known is not None:
            left, right = (side - known @ np.linalg.lstsq(known, side)[0] for side in (left, right))
        wide = np.argsort(-z.std(axis=0), kind="stable")[:MODIFIERS]
        some = z[:, wide]
        if directions is not None and z.shape[1] > 1:
            some = np.hstack([some, z @ directions[:, :1]])
        modifiers = PRODUCT_WEIGHT * waves(some, 1, None, are_classes(some))
        if exact:  # values of z: which one it is
            levels = np.unique(groups)[: 4 * MODIFIERS]
            modifiers = PRODUCT_WEIGHT * np.stack([groups == level for level in levels], axis=1)
        together = left[:, :, None] * modifiers[:, None, :]
        return cls(groups, np.hstack([left, together.reshape(len(x), -1)]), right)

    def value(
        self, order: np.ndarray, *, doubt: float = 0.0, kept: np.ndarray | None = None
    ) -> float:
        """Return the statistic: the weighted sum of squared sums of products, studentised.

        Where both spreads change with z within a neighbourhood, exchanged rows have smaller
        products than the others, but not smaller studentised ones.

        Args:
            order: (n,), the order of the rows of y.
            doubt: the correlation that is taken off each one.
            kept: (n,), the share of the variance of y that a fit of these rows left of each one.

        Source: studentised permutation tests, Chung and Romano 2013,
        https://doi.org/10.1214/13-AOS1090.
        """
        sums = np.abs(self.left.T @ self.right[order])
        if doubt:
            left, right = map(np.sqrt, self.weights)
            sums = (sums - doubt * len(order) * np.outer(left, right)).clip(min=0)
        exchanged = self.squares[1][order]
        squares = self.squares[0].T @ (exchanged if kept is None else exchanged / kept[:, None])
        parts = np.divide(sums**2, squares, out=np.zeros_like(sums), where=squares > 0)
        return float(self.weights[0] @ parts @ self.weights[1])

    @cached_property
    def squares(self) -> tuple[np.ndarray, np.ndarray]:
        """The squared functions of x and z (n, k), and of y (n, m)."""
        return self.left**2, self.right**2

    @cached_property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Their means (k,) and (m,)."""
        return self.squares[0].mean(axis=0), self.squares[1].mean(axis=0)


def local_permutation_p(
    neighbours: Neighbours,
    learned: Sequence[Scores],
    *,
    permutations: int = 499,
    seed: int,
    leverages: np.ndarray | None = None,
    doubt: float = 0.0,
) -> float:
    """Return a p-value of X independent of Y given Z, by exchanging y within neighbourhoods.

    Two statistics are compared with their values after such permutations: the omnibus one of
    `Neighbours`, which looks at all rows, and the mean score of critics of other rows. The p-value
    is twice the smaller one.

    Args:
        neighbours: all rows.
        learned: scores of several groups of rows; may be empty.
        permutations: the number of permutations; the p-value is at least 1 / (1 + permutations).
        seed: the seed of the permutations.
        leverages: (n,), of the functions of z that were fitted to these rows, as in `projection_p`.
            Rows of y that were exchanged are not orthogonal to these functions.
        doubt: the correlation of x and y that errors of their regressions may have left; it is
            taken off what the rows show.

    Returns:
        The p-value, in (0, 1].

    Source: local permutation, Kim, Neykov, Balakrishnan and Wasserman 2022,
    https://arxiv.org/abs/2112.11666.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, y, z = rng.normal(size=(3, 200, 1))
        >>> groups = neighbourhoods(z)
        >>> tested = [Neighbours.of(x, v, z, groups, exact=False) for v in (y, y + x)]
        >>> [local_permutation_p(each, [], seed=0) < 0.05 for each in tested]
        [False, True]
    """
    rng = np.random.default_rng(seed)
    centred = [_centred(each) for each in learned]
    orders = [_orders(each, rng) for each in (neighbours.groups, *(c.neighbours for c in centred))]
    seen = np.empty((permutations + 1, 2))
    kept = None if leverages is None else _kept(leverages)
    for k in range(permutations + 1):
        order, *others = map(next, orders)
        if k:
            seen[k, 0] = neighbours.value(order)
        else:
            seen[k, 0] = neighbours.value(order, doubt=doubt, kept=kept)
        seen[k, 1] = sum(
            float(each.matrix[np.arange(len(own)), own].sum())
            for each, own in zip(centred, others, strict=True)
        )
    seen[0, 1] -= sum(each.doubt * len(each.matrix) for each in centred)
    used = seen if learned else seen[:, :1]
    values = (used >= used[0] - 1e-12 * np.abs(used[0])).mean(axis=0)
    return float(min(1.0, values.min() * used.shape[1]))


def projection_p(
    x: np.ndarray,
    y: np.ndarray,
    learned: Sequence[Scores],
    *,
    leverages: np.ndarray | None = None,
    doubt: float = 0.0,
    error: Callable[[np.ndarray], float] | None = None,
) -> float:
    """Return a p-value of X independent of Y given Z from residuals alone, by normal limits.

    It is the generalised covariance measure of each pair of columns, and of the critics' scores,
    which are a learned projection of x and of y: scores less their means given z. The p-value is
    the smallest one times their number.

    Args:
        x: (n, p), residuals.
        y: (n, q), residuals.
        learned: scores of several groups of rows; may be empty.
        leverages: (n,), of the functions of z that were fitted to these rows, or of means that
            were subtracted: a fit leaves the share 1 - h of a row's variance, and the sum of
            products has a larger variance than that of its products by so much.
        doubt: the correlation that errors of the regressions may have left, as in
            `local_permutation_p`.
        error: returns the standard error of the mean of values (n,), of rows that depend on each
            other; by default rows are independent.

    Returns:
        The p-value, in (0, 1].

    Source: Shah and Peters 2020, https://arxiv.org/abs/1804.07203; learned projections, Lundborg,
    Kim, Shah and Samworth 2024, https://arxiv.org/abs/2211.02039; leverages, MacKinnon and White
    1985, https://doi.org/10.1016/0304-4076(85)90158-7.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.normal(size=(2, 200, 1))
        >>> projection_p(x, y, []) > 0.05 > projection_p(x, y + x, [])
        True
    """
    products = (x[:, :, None] * y[:, None, :]).reshape(len(x), -1)
    kept = np.ones(len(x)) if leverages is None else _kept(leverages)
    sizes = []
    for column in products.T:
        size, inflation = abs(_studentised(column, kept)), 1.0
        if error is not None and column.std() > 0:
            inflation = error(column) * np.sqrt(len(x)) / column.std()
        sizes.append(max(size - doubt * np.sqrt(len(x)), 0.0) / inflation)
    plain = np.array([2 * ndtr(-size) for size in sizes])
    values = [float(min(1.0, plain.min() * len(plain)))]
    if learned:
        terms, variances = zip(*(each.terms() for each in learned), strict=True)
        doubts, counts = [each.doubt for each in learned], [len(each) for each in terms]
        lost, variance = (np.average(each, weights=counts) for each in (doubts, variances))
        # Few terms are skewed, and their own variance is then too small where their mean is large.
        size = _studentised(np.concatenate(terms), least=variance)
        values.append(float(ndtr(lost * np.sqrt(sum(counts)) - size)))
    return float(min(1.0, min(values) * len(values)))


def _kept(leverages: np.ndarray) -> np.ndarray:
    """Return the shares (n,) of the variances of rows that a fit of these leverages left."""
    return np.asarray(np.maximum(1 - leverages, LEAST_KEPT))


def _studentised(terms: np.ndarray, kept: np.ndarray | float = 1.0, *, least: float = 0.0) -> float:
    """Return the mean in standard errors; 0 if all are equal.

    The squared deviation of a term is that of a share `kept` of its variance. The variance of a
    term is at least `least`.
    """
    mean = terms.mean()
    spread = math.sqrt(max(((terms - mean) ** 2 / kept).mean(), least))
    return float(np.sqrt(len(terms)) * mean / spread) if spread > 0 else 0.0


def _centred(scores: Scores) -> Scores:
    """Subtract what depends on x alone or on y alone, and divide by the spread."""
    matrix = scores.matrix.astype(np.float64)
    matrix = matrix - matrix.mean(axis=1, keepdims=True)
    matrix -= matrix.mean(axis=0)
    spread = matrix.std()
    return replace(scores, matrix=matrix / spread if spread > 0 else 0 * matrix)


def _orders(groups: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield orders (n,) in which rows of the same group are exchanged at random.

    The first one is that of the rows.
    """
    yield np.arange(len(groups))
    place = np.argsort(groups, kind="stable")
    while True:
        order = np.empty_like(place)
        order[place] = place[np.argsort(groups[place] + rng.random(len(groups)))]
        yield order


def waves(side: np.ndarray, count: int, groups: np.ndarray | None, plain: np.ndarray) -> np.ndarray:
    """Return sqrt(2) cos(pi k F), k = 1 .. count, divided by k, of the ranks F of each column.

    Args:
        side: (n, d).
        count: the number of functions of a column.
        groups: (n,); if given, values are ranked, or centred, within groups.
        plain: (d,), which columns are used as they are, standardised.

    Returns:
        (n, functions).

    Example:
        >>> waves(np.arange(4.0)[:, None], 2, None, np.array([False])).shape
        (4, 2)
    """
    found = []
    for column, as_it_is in zip(side.T, plain, strict=True):
        if as_it_is:
            values = column - column.mean()
            if groups is not None:
                values = column - _means(column, groups)
            spread = values.std()
            found.append(values[:, None] / spread if spread > 0 else values[:, None])
            continue
        if groups is None:
            ranks = _ranks(column)
        else:
            ranks = np.empty(len(column))
            for level in np.unique(groups):
                rows = groups == level
                ranks[rows] = _ranks(column[rows])
        orders = np.arange(1, count + 1)
        found.append(np.sqrt(2) * np.cos(np.pi * ranks[:, None] * orders) / orders)
    return np.hstack(found)


def _ranks(column: np.ndarray) -> np.ndarray:
    """Return the share of values below each one and half of those equal to it, (n,)."""
    _, places, counts = np.unique(column, return_inverse=True, return_counts=True)
    return np.asarray((counts.cumsum() - counts / 2)[places] / len(column))


def are_classes(side: np.ndarray) -> np.ndarray:
    """Return which columns (d,) of rows (n, d) take so few values that they are classes.

    Example:
        >>> are_classes(np.stack([np.arange(40) % 2, np.arange(40)], axis=1)).tolist()
        [True, False]
    """
    return np.array([len(np.unique(column)) <= FEW_VALUES for column in side.T])


def _means(column: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return each row's mean of its group, (n,)."""
    return np.asarray((np.bincount(groups, weights=column) / np.bincount(groups))[groups])


def within(side: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return columns (n, d) less the means of their groups, in standard deviations of the groups.

    Args:
        side: (n, d).
        groups: (n,), from 0.

    Example:
        >>> within(np.array([[1.0], [3.0], [5.0], [5.0]]), np.array([0, 0, 1, 1])).ravel().tolist()
        [-1.0, 1.0, 0.0, 0.0]
    """
    found = np.zeros(side.shape)
    for k, column in enumerate(side.T):
        left = column - _means(column, groups)
        spread = np.sqrt(_means(left**2, groups))
        np.divide(left, spread, out=found[:, k], where=spread > 1e-12 * np.abs(column).max())
    return found


def strata(z: np.ndarray, *, rows: int = 2) -> np.ndarray | None:
    """Return the value of each row as an id (n,), if z takes few values; else None.

    Args:
        z: (n, r).
        rows: smallest mean number of rows per value.
    """
    ids = row_ids(z)
    return ids if len(ids) >= rows * (int(ids.max()) + 1) else None


def untestable(z: np.ndarray) -> bool:
    """Return whether neither strata nor regressions on z (n, r) let a test hold its level.

    Without strata, both tests need the means of the columns of few values, which may be too many.
    """
    return has_many_means(z) and strata(z) is None
