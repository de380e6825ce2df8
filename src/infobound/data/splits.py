"""Splits of rows: cross-fitting folds, and training and validation rows."""

from __future__ import annotations

import numpy as np

from infobound.errors import InputError

__all__ = ["FEWEST", "split", "train_validation_split"]

FEWEST = 40  # smallest number of rows; with fewer, a fold is too small for a standard error


def split(
    n: int, k: int, *, seed: int, series: bool = False
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split n rows into k cross-fitting folds; every row is a test row once.

    Args:
        n: the number of rows.
        k: the number of folds.
        seed: seed of the random split.
        series: whether rows are a time series; then each fold tests a contiguous block.

    Returns:
        The sorted indices of training and test rows of each fold.

    Raises:
        InputError: If there are too few rows.

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


def train_validation_split(
    rows: np.ndarray, share: float, *, seed: int, series: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows at random into two parts of at least two rows each.

    Args:
        rows: (n,), the indices of the rows, n >= 4.
        share: the fraction to hold out.
        seed: seed of the split.
        series: whether rows are a time series; then the last rows are held out.

    Returns:
        The indices of the rest and of the rows held out, both sorted.

    Example:
        >>> [len(part) for part in train_validation_split(np.arange(100), 0.15, seed=0)]
        [85, 15]
    """
    order = np.sort(rows)[::-1] if series else np.random.default_rng(seed).permutation(rows)
    count = min(max(2, round(share * len(rows))), len(rows) - 2)
    return np.sort(order[count:]), np.sort(order[:count])
