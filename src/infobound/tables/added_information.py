"""Tests of what each of many columns adds to the information about a target.

A column is cut at quantiles into 2, 4, 8 or 16 codes. The target is described by uncorrelated
functions of variance one: Haar functions of its ranks, or the class that a row has. The statistic
is the sum of squares between codes, as in the analysis of variance, added over functions. In
permuted rows its mean is its degrees of freedom, and its distribution nearly chi-squared. The
numbers of codes are those where it is most significant; the p-value is multiplied by how many were
tried.

The statistic less its degrees of freedom, divided by n, estimates phi^2, the mean square
contingency, and log(1 + phi^2) / 2 the mutual information: rightly where it is weak, and of normal
columns in many codes (Pearson 1904, "On the theory of contingency").

Within the codes of another column the same statistic tests what a column adds in company. So
columns are found that have no information of their own, as in an exclusive or.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc, gammaln

__all__ = [
    "FINEST",
    "Evidence",
    "Target",
    "alone",
    "in_pairs",
    "middle_ranks",
    "quantile_codes",
    "whitened",
]

FINEST = 16  # most codes of a column
PAIR_CODES = 4  # most codes of a column in a pair
VARIANCE_ROUNDING = 1e-9  # share of a function's variance
MOST_VALUES = 1_000_000  # largest number of values of functions within codes at once
CELL_ROWS = 5  # smallest mean number of rows in a cell, and
CELL_EXPECTED = 1  # smallest expected number in any (Cochran's rule)


class Evidence(NamedTuple):
    """What each column adds.

    Attributes:
        information: (p,), in nats; about zero where nothing is added.
        log_p: (p,), logarithms of p-values.
        partner: (p,), the column within whose codes the evidence was found; -1 for none.
    """

    information: np.ndarray
    log_p: np.ndarray
    partner: np.ndarray


@dataclass(frozen=True, eq=False)
class Target:
    """Functions of a target, the coarse ones first.

    Attributes:
        functions: (n, d).
        ends: numbers of functions that separate `kinds` values.
        kinds: numbers of values.
        shares: the share of the rows that the rarest of these values has.
    """

    functions: np.ndarray
    ends: tuple[int, ...]
    kinds: tuple[int, ...]
    shares: tuple[float, ...]

    @classmethod
    def quantity(cls, ranks: np.ndarray) -> Target:
        """Describe ranks (n,) between 0 and 1 by Haar functions.

        Example:
            >>> Target.quantity(np.array([0.1, 0.6])).functions[:, :3].tolist()
            [[-1.0, -1.0, 0.0], [1.0, 0.0, -1.0]]
        """
        codes = (FINEST * ranks).astype(np.intp)
        found = []
        for width in (16, 8, 4, 2):
            sign = np.where(codes % width < width // 2, -1.0, 1.0)
            found += [np.where(codes // width == k, sign, 0.0) for k in range(FINEST // width)]
        kinds = (2, 4, 8, 16)
        counts = [np.bincount(codes * each // FINEST) for each in kinds]
        shares = [each[each > 0].min() / len(codes) for each in counts]
        return cls(np.stack(found, axis=1), (1, 3, 7, 15), kinds, tuple(shares))

    @classmethod
    def classes(cls, indicators: np.ndarray, shares: np.ndarray) -> Target:
        """Describe classes by whether a row has each but the last, the most frequent first.

        Args:
            indicators: (n, k - 1), or what is left of them.
            shares: (k,), the shares of the rows, in descending order.
        """
        d = indicators.shape[1]
        ends = [*(end for end in (1, 3, 7, 15) if end < d), d]
        rarest = [min(shares[end - 1], shares[end:].sum()) for end in ends]
        return cls(indicators, tuple(ends), tuple(end + 1 for end in ends), tuple(rarest))


def middle_ranks(codes: np.ndarray) -> np.ndarray:
    """Return the share of rows with lower codes (n,) from 0, and half of those with the same.

    Example:
        >>> middle_ranks(np.array([0, 1, 1, 0])).tolist()
        [0.25, 0.75, 0.75, 0.25]
    """
    counts = np.bincount(codes)
    return np.asarray(((counts.cumsum() - counts / 2) / len(codes))[codes])


def quantile_codes(column: np.ndarray) -> np.ndarray:
    """Return the codes 0 to 15 of a column (n,) cut at quantiles; equal values have one code.

    Example:
        >>> quantile_codes(np.array([3.0, 1.0, 2.0, 9.0])).tolist()
        [10, 2, 6, 14]
    """
    return (FINEST * middle_ranks(np.unique(column, return_inverse=True)[1])).astype(np.intp)


def alone(
    codes: np.ndarray, target: Target, *, basis: np.ndarray, few: np.ndarray, among: np.ndarray
) -> Evidence:
    """Test what each column adds by itself.

    Args:
        codes: (n, p), 0 to 15.
        target: the target, uncorrelated with the basis.
        basis: (n, b), orthonormal; what is known already. The codes of quantities are those of what
            it leaves of them.
        few: (p,), which columns have few values; the basis is subtracted from their indicators.
        among: the columns to test.

    Returns:
        The evidence; log_p is 0 for columns that are not tested.
    """
    n, p = codes.shape
    found = Evidence(np.zeros(p), np.zeros(p), np.full(p, -1))
    free = 1 - basis.shape[1] / n
    functions, used = whitened(target.functions)
    for k in among:
        cells = np.eye(FINEST)[codes[:, k]]
        if few[k]:
            cells = cells[:, cells.any(axis=0)][:, :-1]
            own, kept = whitened(cells - basis @ (basis.T @ cells))
            squares = ((own.T @ functions) ** 2).sum(axis=0) / n
            least = min(n - cells.sum(), cells.sum(axis=0).min(initial=n))
            values = [(squares.cumsum(), kept.sum() * used.cumsum(), least, cells.shape[1] + 1)]
        else:
            sums, counts = (cells.T @ functions)[:, None], cells.sum(axis=0)[:, None]
            values = [(*_between(sums, counts, used[None], m), m) for m in (2, 4, 8, 16)]
        options = [
            (free * squares[end - 1], freedom[end - 1] * (least * share >= CELL_EXPECTED))
            for place, (squares, freedom, least, m) in enumerate(values)
            for end, kinds, share in zip(target.ends, target.kinds, target.shares, strict=True)
            if n >= CELL_ROWS * m * kinds or (place, end) == (0, target.ends[0])
        ]
        information, log_p, _ = _most_significant(np.array(options).T[:, :, None], n)
        found.information[k], found.log_p[k] = information[0], log_p[0] + np.log(len(options))
    return _without_chance(found)


def in_pairs(
    codes: np.ndarray,
    target: Target,
    *,
    contexts: np.ndarray,
    free: float,
    among: np.ndarray,
    partners: np.ndarray,
) -> Evidence:
    """Test what each column adds within the codes of each other column.

    Args:
        codes: (n, p), 0 to 15.
        target: the target.
        contexts: (n, p), the codes of the columns as partners.
        free: the share of degrees of freedom that is left of the rows.
        among: the columns to test.
        partners: the columns within whose codes they are tested.

    Returns:
        The strongest evidence of each column over its partners; p-values are multiplied by their
        number.
    """
    n, p = codes.shape
    found = Evidence(np.zeros(p), np.zeros(p), np.full(p, -1))
    if not len(among):
        return found
    ends = [
        end for end, kinds in zip(target.ends, target.kinds, strict=True) if kinds <= PAIR_CODES
    ]
    ends = ends or [target.ends[0]]
    values = np.hstack([target.functions[:, : ends[-1]], np.ones((n, 1))])
    width = values.shape[1]
    cells = _indicators(codes[:, among]).reshape(n, -1)
    block, tests = max(1, MOST_VALUES // (n * PAIR_CODES * width)), 0
    for start in range(0, len(partners), block):
        here = partners[start : start + block]
        inside = (_indicators(contexts[:, here])[..., None] * values[:, None, None]).reshape(n, -1)
        sums = (cells.T @ inside.astype(np.float32)).astype(np.float64)
        sums = sums.reshape(len(among), PAIR_CODES, len(here), PAIR_CODES, width)
        moments = (inside.T @ values).reshape(len(here), PAIR_CODES, width, width)
        options = []
        for levels in (2, 4):
            merged = sums.reshape(*sums.shape[:3], levels, -1, width).sum(axis=-2)
            own = moments.reshape(len(here), levels, -1, width, width).sum(axis=2)
            means, whitening, used = _whitening(own)
            within = merged[..., :-1] - merged[..., -1:] * means
            within = (within[..., None, :] * whitening).sum(axis=-1)
            for m in (2, 4):
                squares, freedom, least = _between(
                    within.swapaxes(1, 2), merged[..., -1].swapaxes(1, 2), used, m
                )
                options += [
                    (
                        free * squares[..., end - 1],
                        freedom[..., end - 1] * (least * share >= CELL_EXPECTED),
                    )
                    for end, kinds, share in zip(ends, target.kinds, target.shares, strict=False)
                    if n >= CELL_ROWS * m * levels * kinds or (m, levels, end) == (2, 2, ends[0])
                ]
        tests += len(options) * len(here)
        # (statistic and freedom, options and partners, columns)
        stacked = np.array(options).transpose(1, 0, 3, 2)
        itself = here[:, None] == among
        stacked[:, :, itself] = 0.0
        stacked = stacked.reshape(2, -1, len(among))
        information, log_p, place = _most_significant(stacked, n)
        better = log_p < found.log_p[among]
        at = among[better]
        found.information[at], found.log_p[at] = information[better], log_p[better]
        found.partner[at] = here[place[better] % len(here)]
    return _without_chance(found._replace(log_p=found.log_p + np.log(max(tests, 1))))


def _without_chance(found: Evidence) -> Evidence:
    """Limit p-values to 1, and multiply information by one less them.

    The most significant of several statistics is above its mean by chance.
    """
    log_p = np.minimum(found.log_p, 0.0)
    return found._replace(information=-np.expm1(log_p) * found.information, log_p=log_p)


def _indicators(codes: np.ndarray) -> np.ndarray:
    """Return which of the coarse codes the codes 0 to 15 (n, p) are, (n, p, 4)."""
    return np.asarray(np.eye(PAIR_CODES, dtype=np.float32)[codes * PAIR_CODES // FINEST])


def whitened(functions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return uncorrelated columns of mean 0 and variance 1, made in order, and which are not 0."""
    values = np.hstack([functions, np.ones((len(functions), 1))])
    means, whitening, used = _whitening(values.T @ values)
    return (functions - means) @ whitening.T, used


def _whitening(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return means of functions, what makes them uncorrelated, and which are left.

    Args:
        moments: (..., d + 1, d + 1), sums of products of the functions and 1, in groups of rows.

    Returns:
        The means (..., d); lower triangles (..., d, d) that turn deviations into functions of
        variance 1 (divisor n - 1), or 0 where one is a combination of those before it; and which of
        them are not 0 (..., d).
    """
    counts = moments[..., -1, -1]
    means = moments[..., :-1, -1] / np.maximum(counts, 1)[..., None]
    raw = moments[..., :-1, :-1]
    products = raw - counts[..., None, None] * means[..., :, None] * means[..., None, :]
    covariances = products / np.maximum(counts - 1, 1)[..., None, None]
    found = np.zeros_like(covariances)
    d = covariances.shape[-1]
    used = np.zeros(covariances.shape[:-1], dtype=bool)
    for k in range(d):
        before = found[..., :k, :]
        overlap = (before * covariances[..., k, None, :]).sum(axis=-1)
        row = -(overlap[..., None] * before).sum(axis=-2)
        row[..., k] += 1.0
        variance = ((row[..., None, :] * covariances).sum(axis=-1) * row).sum(axis=-1)
        whole = raw[..., k, k] / np.maximum(counts, 1)
        used[..., k] = variance > VARIANCE_ROUNDING * whole
        scale = np.where(used[..., k], 1 / np.sqrt(np.where(used[..., k], variance, 1.0)), 0.0)
        found[..., k, :] = row * scale[..., None]
    return means, found, used


def _between(
    sums: np.ndarray, counts: np.ndarray, used: np.ndarray, m: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sums of squares between m codes, and their degrees of freedom, cumulated (..., d).

    The third value is the smallest number of rows with a code in a level (...).

    Args:
        sums: (..., codes, levels, d), sums of functions over the rows with a code in a level.
        counts: (..., codes, levels), numbers of these rows.
        used: (..., levels, d), which functions are not 0 there.
        m: the number of codes, which are merged.
    """
    *outer, codes, levels, d = sums.shape
    sums = sums.reshape(*outer, m, codes // m, levels, d).sum(axis=-3)
    counts = counts.reshape(*outer, m, codes // m, levels).sum(axis=-2)
    squares = (sums**2 / np.maximum(counts, 1)[..., None]).sum(axis=(-3, -2))
    compared = np.maximum((counts > 0).sum(axis=-2) - 1, 0)
    freedom = (compared[..., None] * used).sum(axis=-2)
    least = np.where(counts > 0, counts, np.inf).min(axis=(-2, -1))
    return squares.cumsum(axis=-1), freedom.cumsum(axis=-1), least


def _most_significant(options: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return information, log p-value and place of the most significant option of each column.

    Args:
        options: (2, k, p), statistics and their degrees of freedom.
        n: the number of rows.
    """
    log_p = _log_tail(*options)
    place = log_p.argmin(axis=0)
    columns = np.arange(len(place))
    statistic, freedom = options[:, place, columns]
    information = 0.5 * np.log1p(np.maximum((statistic - freedom) / n, -0.5))
    return information, log_p[place, columns], place


def _log_tail(statistic: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Return the log probability that a chi-squared variable exceeds the statistic.

    Where float64 has no such number, it is the leading term of the incomplete gamma function's
    expansion.
    """
    p = np.where(freedom > 0, chdtrc(np.maximum(freedom, 1), statistic), 1.0)
    shape, x = freedom / 2, np.maximum(statistic, 1.0) / 2
    far = (shape - 1) * np.log(x) - x - gammaln(np.maximum(shape, 0.5))
    least = 1e-300
    return np.where(p > least, np.log(np.maximum(p, least)), np.minimum(far, np.log(least)))
