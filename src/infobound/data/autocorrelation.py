"""Autocorrelation of rows in the order of time."""

from __future__ import annotations

import numpy as np
from scipy import fft

from infobound._system.memory import subsample, take_rows

__all__ = ["autocorrelations", "memory"]

ALIKE = 0.05  # product of the correlations of x and of y below which rows are taken as independent
LONGEST = 200_000  # rows that are looked at
WIDEST = 50  # columns of a side that are looked at


def autocorrelations(values: np.ndarray, lags: int) -> np.ndarray:
    """Return the correlations of columns with themselves at lags 1, 2, ...; zero for constants.

    Args:
        values: (n, d), in the order of time.
        lags: the number of lags, less than n.

    Returns:
        (lags, d).

    Example:
        >>> bool(autocorrelations(np.arange(400.0)[:, None] % 2, 1)[0, 0] < -0.99)
        True
    """
    centred = values - values.mean(axis=0)
    size = fft.next_fast_len(len(values) + lags, real=True)
    power = np.abs(fft.rfft(centred, size, axis=0)) ** 2
    sums = fft.irfft(power, size, axis=0)[: lags + 1]
    return np.divide(sums[1:], sums[0], out=np.zeros((lags, sums.shape[1])), where=sums[0] > 0)


def memory(x: np.ndarray, y: np.ndarray) -> int:
    """Return the distance in rows at which x, or y, does not resemble itself any more.

    What a critic has memorised of a row helps it with another one only as far as both x and y
    resemble each other there, so the product of both sides' largest correlations is looked at.

    Args:
        x: (n, p), in the order of time.
        y: (n, q).

    Returns:
        The first lag at which that product is below `ALIKE`, less one; at most a twentieth of the
        rows.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> walks = rng.normal(size=(2, 1000, 1)).cumsum(axis=1)
        >>> memory(*walks), memory(walks[0], rng.normal(size=(1000, 1)))
        (50, 0)
    """
    rows = np.arange(min(len(x), LONGEST))
    lags = max(1, len(x) // 20)
    largest = np.ones(min(lags, len(rows) - 1))
    for side in (x, y):
        columns = subsample(np.arange(side.shape[1]), WIDEST, seed=0)
        ranks = np.argsort(np.argsort(take_rows(side, rows)[:, columns], axis=0), axis=0)
        largest = largest * np.abs(autocorrelations(ranks.astype(float), len(largest))).max(axis=1)
    below = np.flatnonzero(largest < ALIKE)
    return int(below[0]) if len(below) else len(largest)
