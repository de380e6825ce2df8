"""Clusters of rows around a few of them, from which fits of mixtures start."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["clusters"]


def clusters(rows: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """Assign each row to the nearest of `count` rows that are far from each other (k-means++).

    Each of these is the best of a few that are drawn with probabilities proportional to squared
    distances from those before it.

    Args:
        rows: (n, d).
        count: the number of clusters; some are empty if fewer rows differ.
        seed: the seed of the draws.

    Returns:
        (count, n), one for the cluster of each row and zero for the others.

    Source: Arthur and Vassilvitskii 2007, https://dl.acm.org/doi/10.5555/1283383.1283494.

    Example:
        >>> clusters(np.array([[0.0], [10.0], [0.1], [10.1]]), 2).sum(axis=1)
        array([2., 2.])
    """
    rng = np.random.default_rng(seed)
    columns = np.ascontiguousarray(rows.T, dtype=np.float64)
    label = np.zeros(len(rows), dtype=np.intp)
    far = _squares(columns, rng.integers(len(rows), size=1))[0]
    for k in range(1, count):
        ends = far.cumsum()
        drawn = np.searchsorted(ends, rng.random(2 + int(math.log(count))) * ends[-1])
        away = _squares(columns, drawn.clip(max=len(rows) - 1))
        best = away[np.minimum(away, far).sum(axis=1).argmin()]
        label[best < far] = k
        far = np.minimum(best, far)
    return np.asarray(np.arange(count)[:, None] == label, dtype=np.float64)


def _squares(columns: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return squared distances (k, n) of all rows, given as columns (d, n), from some of them."""
    found = np.zeros((len(places), columns.shape[1]))
    for column in columns:
        found += (column - column[places, None]) ** 2
    return found
