"""Ridge regression of a column on features, on all rows and without some blocks of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

__all__ = ["PENALTIES", "Line", "Lines", "Spectrum", "Sums"]

PENALTIES = np.logspace(-7, 1, 17)  # relative to the largest eigenvalue


class Sums(NamedTuple):
    """Weighted sums over blocks of rows: of ones (b,), features (b, k), products (b, k, k)."""

    ones: np.ndarray
    features: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, known: np.ndarray, weights: np.ndarray, sizes: Sequence[int]) -> Sums:
        """Sum over consecutive blocks of these sizes."""
        k = known.shape[1]
        ones, features = np.empty(len(sizes)), np.empty((len(sizes), k))
        products, start = np.empty((len(sizes), k, k)), 0
        for b, size in enumerate(sizes):
            rows, own = known[start : start + size], weights[start : start + size]
            ones[b], features[b] = own.sum(), own @ rows
            root = np.sqrt(own)[:, None] * rows
            np.matmul(root.T, root, out=products[b])
            start += size
        return cls(ones, features, products)


class Spectrum(NamedTuple):
    """Eigenvalues and eigenvectors of the centred products of all rows."""

    values: np.ndarray
    vectors: np.ndarray

    @classmethod
    def of(cls, sums: Sums) -> Spectrum:
        """Decompose the products of all blocks together."""
        total = sums.features.sum(axis=0)
        square = sums.products.sum(axis=0) - np.outer(total, total) / sums.ones.sum()
        values, vectors = np.linalg.eigh(square)
        return cls(values.clip(min=0), vectors)


@dataclass(frozen=True, eq=False)
class Line:
    """A linear function of features."""

    constant: float
    slopes: np.ndarray

    def at(self, known: np.ndarray) -> np.ndarray:
        """Return its values (n,) for features (n, k)."""
        return np.asarray(self.constant + known @ self.slopes)


@dataclass(frozen=True, eq=False)
class Lines:
    """Ridge regressions of one column with the same penalty: of all rows and of some blocks."""

    sums: Sums
    column: np.ndarray  # (b,), weighted sums of the column, less its mean, over blocks
    products: np.ndarray  # (b, k), of features times the column
    mean: float
    penalty: float  # by weight
    whole: Line

    @classmethod
    def of(
        cls,
        known: np.ndarray,
        column: np.ndarray,
        weights: np.ndarray | None,
        sums: Sums,
        spectrum: Spectrum,
        sizes: Sequence[int],
    ) -> Lines:
        """Fit a column (n,) to features (n, k); generalised cross-validation sets the penalty."""
        mean = float(np.average(column, weights=weights))
        target = column - mean
        weighted = target if weights is None else weights * target
        ends = np.cumsum([0, *sizes])
        parts = [slice(a, b) for a, b in itertools.pairwise(map(int, ends))]
        own = np.array([weighted[part].sum() for part in parts])
        products = np.stack([weighted[part] @ known[part] for part in parts])
        values, vectors = spectrum
        projected = vectors.T @ products.sum(axis=0)
        largest = float(values[-1]) if values[-1] > 1e-200 else 1.0
        gains = 1 / (values + PENALTIES[:, None] * largest)
        misses = weighted @ target - (projected**2 * gains * (2 - values * gains)).sum(1)
        freedom = 1 + (values * gains).sum(1)
        best = np.argmin(misses / (1 - np.minimum(freedom / len(column), 0.99)) ** 2)
        slopes = vectors @ (gains[best] * projected)
        total = float(sums.ones.sum())
        whole = Line(mean - float(sums.features.sum(axis=0) @ slopes) / total, slopes)
        return cls(sums, own, products, mean, float(PENALTIES[best]) * largest / total, whole)

    def without(self, blocks: Sequence[int]) -> Line:
        """Return the regression on the rows of all other blocks."""
        kept = [b for b in range(len(self.column)) if b not in blocks]
        if 2 * len(kept) < len(self.column):
            ones, features, products, column, target = (
                sums[kept].sum(axis=0) for sums in (*self.sums, self.column, self.products)
            )
        else:
            out = list(blocks)
            ones, features, products, column, target = (
                sums.sum(axis=0) - sums[out].sum(axis=0)
                for sums in (*self.sums, self.column, self.products)
            )
        square = products - np.outer(features, features) / ones
        square.flat[:: len(square) + 1] += self.penalty * ones  # its diagonal
        slopes = cho_solve(cho_factor(square), target - features * (column / ones))
        return Line(self.mean + float(column - features @ slopes) / float(ones), slopes)
