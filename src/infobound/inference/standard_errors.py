"""Standard errors of means of rows that depend on each other, in time or within groups.

A series gets the long-run variance of its own values, groups that of their sums. Both say how many
independent rows would know the mean as well: the effective size.
"""

from __future__ import annotations

import math

import numpy as np

from infobound.config import Config

__all__ = ["effective_size", "long_run_variance", "standard_error"]

NEAR_ONE = 5.0  # an autoregression's coefficient is at most 1 - this / n: n / 400 rows are known
FEWEST_DEGREES = 3.0  # of freedom of a t distribution, whose standard deviation is used


def standard_error(
    values: np.ndarray, rows: np.ndarray, config: Config, *, groups: np.ndarray | None = None
) -> float:
    """Return the standard error of the mean of per-row values.

    Where rows depend on each other it allows for its own uncertainty: it is multiplied by the
    standard deviation of a t distribution, with as many degrees of freedom as there are effective
    rows, or groups, less one.

    Args:
        values: (n,).
        rows: (n,), the indices of the rows, in the order of time for a series.
        config: the settings.
        groups: the group of each row of the whole sample, as an id, if rows are in groups.

    Example:
        >>> values = np.random.default_rng(0).normal(size=900)
        >>> round(standard_error(values, np.arange(900), Config()), 3)
        0.032
        >>> twice = np.repeat(values, 2)  # groups of two equal rows
        >>> round(standard_error(twice, np.arange(1800), Config(), groups=np.arange(1800) // 2), 3)
        0.033
    """
    if groups is None and not config.series:
        return float(values.std()) / math.sqrt(len(values))
    size, count = _sizes(values, rows, groups)
    degrees = max(count - 1, FEWEST_DEGREES)
    return float(values.std()) / math.sqrt(size) * math.sqrt(degrees / (degrees - 2))


def effective_size(
    values: np.ndarray, rows: np.ndarray, config: Config, *, groups: np.ndarray | None = None
) -> float | None:
    """Return how many independent rows would know the mean of the values as well.

    For a series it is n / (1 + 2 sum of autocorrelations), for groups n over the design effect.

    Args:
        values: (n,).
        rows: (n,), the indices of the rows.
        config: the settings.
        groups: the group of each row of the whole sample, as an id, if rows are in groups.

    Returns:
        The number, from 1 to n; None if rows are independent, or all values are equal.

    Source: Kish 1965, Survey Sampling (design effect).

    Example:
        >>> walk = np.random.default_rng(0).normal(size=1000).cumsum()
        >>> effective_size(walk, np.arange(1000), Config(series=True)) < 20
        True
    """
    if (groups is None and not config.series) or np.ptp(values) == 0:
        return None
    return _sizes(values, rows, groups)[0]


def _sizes(values: np.ndarray, rows: np.ndarray, groups: np.ndarray | None) -> tuple[float, float]:
    """Return the effective number of rows, and the number of units behind its uncertainty."""
    n, variance = len(values), float(values.var())
    if variance == 0:
        return float(n), float(n)
    if groups is None:
        size = n * variance / long_run_variance(values[np.argsort(rows)])
        return min(max(size, 1.0), n), size
    _, own = np.unique(groups[rows], return_inverse=True)
    sums, counts = np.bincount(own, weights=values - values.mean()), np.bincount(own)
    count = n**2 / float((counts**2).sum())  # of groups, if these were equally large
    if len(counts) == 1:
        return 1.0, 1.0
    spread = float((sums**2).sum()) * len(counts) / (len(counts) - 1) / n**2
    return min(max(variance / spread, 1.0), n) if spread > 0 else float(n), count


def long_run_variance(values: np.ndarray) -> float:
    """Return n times the variance of the mean of a series, at least that of independent values.

    The series is prewhitened by an autoregression of order one. The autocovariances of the rest
    are weighted by Bartlett's kernel with an automatic bandwidth.

    Args:
        values: (n,), in the order of time.

    Source: Andrews and Monahan 1992, https://doi.org/10.2307/2951574 (prewhitening); Newey and West
    1994, https://doi.org/10.2307/2297912 (bandwidth).

    Example:
        >>> noise, values = np.random.default_rng(0).normal(size=20_000), np.zeros(20_000)
        >>> for t in range(1, 20_000):
        ...     values[t] = 0.8 * values[t - 1] + noise[t]  # long-run variance 1 / (1 - 0.8)**2
        >>> 20 < long_run_variance(values) < 30
        True
    """
    n, centred = len(values), values - values.mean()
    plain = float((centred**2).mean())
    if plain == 0 or n < 4:
        return plain
    slope = float(centred[1:] @ centred[:-1] / (centred @ centred))
    slope += (1 + 3 * slope) / n  # Kendall's correction of its bias
    slope = min(max(slope, NEAR_ONE / n - 1), 1 - NEAR_ONE / n)
    rest = centred[1:] - slope * centred[:-1]
    few = min(int(4 * (n / 100) ** (2 / 9)), n - 2)
    first = _autocovariances(rest, few)
    total = first[0] + 2 * first[1:].sum()
    tilt = 2 * (np.arange(1, few + 1) * first[1:]).sum() / total if total > 0 else 0.0
    width = min(int(1.1447 * (tilt**2 * n) ** (1 / 3)), n // 4)
    each = _autocovariances(rest, width)
    weights = 1 - np.arange(1, width + 1) / (width + 1)
    found = float(each[0] + 2 * (weights * each[1:]).sum()) / (1 - slope) ** 2
    return max(found, plain)


def _autocovariances(values: np.ndarray, lags: int) -> np.ndarray:
    """Return the means of products with the values 0, 1, ..., `lags` rows before."""
    n = len(values)
    return np.array([values[lag:] @ values[: n - lag] for lag in range(lags + 1)]) / n
