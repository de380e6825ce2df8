"""Mutual information of two sides of few values, from the counts of a contingency table.

The observed frequencies of a table of many cells show dependence by chance. Two corrections are
combined: the entropies are Grassberger's, and what they still show of permuted rows is subtracted.
Where the rows hardly differ from permuted ones, observed frequencies are used instead of the
entropies: they vary less, and what they show of independent rows is all bias.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import digamma, xlogy

from infobound import data
from infobound.estimation.selection import ramp

__all__ = ["Counted", "counted", "counted_codes", "entropy_of_counts", "observed_entropy"]

PERMUTED = 32  # permutations of y whose mean is subtracted
# Standard deviations between which the observed frequencies lose their weight.
FREQUENCY_RAMP = (1.0, 3.0)


class Counted(NamedTuple):
    """The estimate from counts, in nats.

    Attributes:
        mi: the mutual information.
        error: its uncertainty besides that of the mean of `terms`, as a standard error.
        terms: (n,), the log ratios of the observed frequencies of the rows' cells.
    """

    mi: float
    error: float
    terms: np.ndarray


def entropy_of_counts(counts: np.ndarray) -> float:
    """Estimate an entropy from the counts of its values, in nats.

    Source: Grassberger 2003, https://arxiv.org/abs/physics/0307138.

    Example:
        >>> round(entropy_of_counts(np.array([1, 1, 2])), 2)  # log 4 is 1.39: rare ones are missing
        1.66
    """
    n = int(counts.sum())
    return float(np.log(n) - _logarithms(n)[counts].sum() / n)


@lru_cache(maxsize=8)
def _logarithms(n: int) -> np.ndarray:
    """Return k times Grassberger's logarithm of k, (n + 1,), of k = 0 to n rows."""
    k = np.arange(1, n + 1, dtype=np.float64)
    sign = np.where(k % 2 == 0, 0.5, -0.5)
    logs = digamma(k) + sign * (digamma((k + 1) / 2) - digamma(k / 2))
    return np.concatenate([[0.0], k * logs])


def counted(pair: data.Pair) -> Counted:
    """Estimate the MI of rows by the counts of their values; see `counted_codes`.

    Args:
        pair: x (n, p) and y (n, q), each with few distinct rows.

    Returns:
        The estimate, in nats.

    Example:
        >>> x = np.random.default_rng(0).integers(2, size=1000)
        >>> round(counted(data.as_pair(x, x)).mi, 2)  # log 2
        0.69
    """
    return counted_codes(pair.x_ids, pair.y_ids)


def counted_codes(i: np.ndarray, j: np.ndarray) -> Counted:
    """Estimate the MI of codes by their counts.

    Permuted rows are independent, so what the entropies show of them is bias. Only a part of it is
    subtracted where the table has fewer cells of a single row than that of permuted rows: these
    cells are where the bias comes from (Good and Turing's estimate of the probability of unseen
    cells is their number / n). The observed frequencies count by how few standard deviations they
    show more than those of permuted rows: `FREQUENCY_RAMP`.

    Args:
        i: (n,), int64, from 0.
        j: (n,), int64, from 0.

    Returns:
        The estimate, in nats.

    Example:
        >>> x = np.random.default_rng(0).integers(2, size=1000)
        >>> round(counted_codes(x, x).mi, 2)  # log 2
        0.69
    """
    sides = np.bincount(i), np.bincount(j)
    n = len(i)
    cells, counts = _counts(i * len(sides[1]) + j, len(sides[0]) * len(sides[1]))
    margins = sum(map(entropy_of_counts, sides))
    plain_margins = sum(map(observed_entropy, sides))
    chance, plain, singles = np.empty((3, PERMUTED))
    for k, permuted in enumerate(_permuted(i, j, sides)):
        chance[k] = margins - entropy_of_counts(permuted)
        plain[k] = plain_margins - observed_entropy(permuted)
        singles[k] = (permuted == 1).sum()
    share = min(1.0, (counts == 1).sum() / max(singles.mean(), 1.0))
    by_chance = float(chance.mean())
    terms = np.log(counts[cells] * n / (sides[0][i] * sides[1][j]))
    mi = margins - entropy_of_counts(counts) - share * by_chance
    more = plain_margins - observed_entropy(counts) - float(plain.mean())
    weight = ramp(more / max(float(plain.std()), 1e-9), *FREQUENCY_RAMP)
    mi += (1 - weight) * (more - mi)
    doubt = by_chance * np.sqrt(share * (1 - share))  # none where all or nothing is by chance
    return Counted(float(mi), float(np.hypot(chance.std(), doubt)), terms)


def _counts(cells: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places (n,) of rows in the counts of their cells, and these counts."""
    if size <= len(cells):
        return cells, np.bincount(cells, minlength=size)
    _, places, counts = np.unique(cells, return_inverse=True, return_counts=True)
    return places, counts


def _permuted(
    i: np.ndarray, j: np.ndarray, sides: tuple[np.ndarray, np.ndarray]
) -> Iterator[np.ndarray]:
    """Yield the counts of the cells of permuted rows: small tables are drawn from their law.

    Values are sorted by their counts, so that their codes do not matter.

    Source: Patefield 1981, https://doi.org/10.2307/2346669.
    """
    from scipy.stats import random_table

    rng, width = np.random.default_rng(0), len(sides[1])
    seen = [np.sort(counts[counts > 0]) for counts in sides]
    if min(map(len, seen)) < 2:  # a table of one row is its margins; SciPy's is not initialised
        yield from [max(seen, key=len)] * PERMUTED
    elif len(sides[0]) * width <= len(i):
        yield from random_table(*seen, seed=rng).rvs(PERMUTED).reshape(PERMUTED, -1)
    else:
        for _ in range(PERMUTED):
            yield _counts(i * width + rng.permutation(j), len(sides[0]) * width)[1]


def observed_entropy(counts: np.ndarray) -> float:
    """Return the entropy of observed frequencies, in nats.

    Example:
        >>> round(observed_entropy(np.array([5, 5, 0])), 3)  # log 2
        0.693
    """
    shares = counts / counts.sum()
    return float(-xlogy(shares, shares).sum())
