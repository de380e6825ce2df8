"""Orthonormal functions of the values of a column, whose correlations show dependence."""

from __future__ import annotations

import numpy as np

__all__ = ["scores"]

COSINES = 6  # functions of a quantity: more find faster waves, with less power for slow ones
CONTRASTS = 16  # functions of a category: its most frequent levels; the others are pooled


def scores(codes: np.ndarray, *, categorical: bool) -> np.ndarray:
    """Return functions of a column that have mean 0, variance 1 and no correlation over the rows.

    Those of a quantity are cos(pi j u), j = 1, ..., 6, of the mid-rank u in (0, 1), made
    orthonormal one after the other; without ties they already are. Those of a category are the
    indicators of its most frequent levels, made orthonormal in the same way.

    Args:
        codes: (n,), ranks or numbers of categories from 0, as in `Column`; some may be absent.
        categorical: whether their order means nothing.

    Returns:
        (n, k), float32, with k one less than the number of values, and at most 6 or 16; a column of
        zeros if there is one value only.

    Source: score functions of mid-ranks, Mukhopadhyay and Parzen 2020,
    https://arxiv.org/abs/1912.05503.

    Example:
        >>> found = scores(np.random.default_rng(0).permutation(1000), categorical=False)
        >>> bool(np.allclose(found.T @ found / 1000, np.eye(6), atol=1e-4))
        True
    """
    counts = np.bincount(codes)
    place = np.cumsum(counts > 0) - 1
    counts = counts[counts > 0].astype(np.float64)
    shares = counts / counts.sum()
    if len(counts) < 2:
        return np.zeros((len(codes), 1), dtype=np.float32)
    if categorical:
        top = np.argsort(-counts, kind="stable")[: min(CONTRASTS, len(counts) - 1)]
        functions = (np.arange(len(counts))[:, None] == top).astype(np.float64)
    else:
        middle = np.cumsum(shares) - shares / 2
        functions = np.cos(
            np.pi * np.outer(middle, np.arange(1, min(COSINES, len(counts) - 1) + 1))
        )
    root = np.sqrt(shares)[:, None]
    basis = np.linalg.qr(root * np.column_stack([np.ones(len(counts)), functions]))[0]
    values = (basis[:, 1:] / root).astype(np.float32)
    return np.asarray(values[place[codes]])
