"""Maps of given columns to features: smooth functions, products, and kernels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["SMOOTH_KNOTS", "Bumps", "Features", "Levels", "feature_maps", "has_many_means"]

SMOOTH_KNOTS = 9  # basis functions of a smooth function of one column or direction
BUMP_WIDTH = 1.3  # of a basis function, in distances to the next one
OUT = 40.0  # widths from the first basis function beyond which all are zero
CENTRES = 200  # of the kernel smoother
WIDTHS = (0.35, 0.7, 1.4)  # of kernels, in standard deviations times sqrt(columns)
PRODUCT_REACH = 3.0  # standard deviations beyond which products of columns do not grow
MULTIPLIED = 10  # most columns whose products are features
FEW_VALUES = 10  # a column of at most this many values has no smooth function of its own
MOST_LEVELS = 20  # most values of a column each of which has a mean of its own
ROWS_PER_MEAN = 4  # fewer rows than this for each of these means cannot teach them

Features = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Bumps:
    """Gaussian bumps along one column or direction."""

    centres: np.ndarray
    width: float

    @classmethod
    def of(cls, values: np.ndarray) -> Bumps:
        """Place bumps evenly over almost all values (n,)."""
        ends = round(0.02 * (len(values) - 1)), round(0.98 * (len(values) - 1))
        low, high = np.partition(values, ends)[list(ends)]
        width = BUMP_WIDTH * (high - low) / (SMOOTH_KNOTS - 1) + 1e-9
        return cls(low + (high - low) / (SMOOTH_KNOTS - 1) * np.arange(SMOOTH_KNOTS), float(width))

    def rows(self, values: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Fill (SMOOTH_KNOTS, n) with the bumps at values (n,), each from the one before it."""
        step = (self.centres[1] - self.centres[0]) / self.width
        place = ((values - self.centres[0]) / self.width).clip(-OUT, OUT)
        np.exp(-(place**2) / 2, out=found[0])
        ratio = np.exp(step * place)
        for k in range(1, SMOOTH_KNOTS):
            np.multiply(found[k - 1], ratio, out=found[k])
            found[k] *= math.exp(-(step**2) * (k - 0.5))
        return found

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the bumps (n, SMOOTH_KNOTS) at values (n,)."""
        return self.rows(values, np.empty((SMOOTH_KNOTS, len(values)))).T


@dataclass(frozen=True)
class Levels:
    """Indicators of the values of a column that has few: with lines, they give each one a mean."""

    values: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Levels:
        """Take the values of a column (n,) between the outermost; none if there are too many."""
        found = np.unique(values)
        return cls(found[1:-1] if len(found) <= MOST_LEVELS else found[:0])

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the indicators (n, k) of values (n,)."""
        return np.asarray(values[:, None] == self.values, dtype=np.float64)


def has_many_means(z: np.ndarray) -> bool:
    """Return whether columns (n, d) of few values have more means than their rows can teach.

    A column of k values has k - 2 means besides a line, and one of two values has one.

    Example:
        >>> z = np.random.default_rng(0).integers(12, size=(200, 20))
        >>> has_many_means(z), has_many_means(z[:, :5]), has_many_means(z > 5)
        (True, False, False)
    """
    if z.shape[1] * (MOST_LEVELS - 2) * ROWS_PER_MEAN <= len(z):  # without sorting many rows
        return False
    counts = np.array([len(np.unique(column)) for column in z.T])
    means = np.maximum(counts[counts <= MOST_LEVELS] - 2, 1).sum()
    return bool(means * ROWS_PER_MEAN > len(z))


def feature_maps(z: np.ndarray, seed: int) -> list[Features]:
    """Return the feature maps of ridge regressions: splines by column, products, and kernels."""
    columns = [k for k in range(z.shape[1]) if len(np.unique(z[:, k])) > FEW_VALUES]
    bumps = [Bumps.of(z[:, k]) for k in columns]
    levels = [Levels.of(column) for column in z.T]

    def additive(rows: np.ndarray) -> np.ndarray:
        own = [bump(rows[:, k]) for k, bump in zip(columns, bumps, strict=True)]
        means = [level(column) for column, level in zip(rows.T, levels, strict=True)]
        return np.asarray(np.hstack([rows, *own, *means]))

    rng = np.random.default_rng(seed)
    centres = z[rng.choice(len(z), min(len(z), CENTRES), replace=False)]
    widths = WIDTHS if z.shape[1] <= 3 else WIDTHS[1:]
    kernels = [_kernel(centres, width * np.sqrt(z.shape[1])) for width in widths]
    first, second = np.triu_indices(z.shape[1])

    def products(rows: np.ndarray) -> np.ndarray:
        near = rows.clip(-PRODUCT_REACH, PRODUCT_REACH)  # no row far out gets all of the leverage
        return np.asarray(np.hstack([rows, near[:, first] * near[:, second]]))

    return [additive, *([products] if 1 < z.shape[1] <= MULTIPLIED else []), *kernels]


def _kernel(centres: np.ndarray, width: float) -> Features:
    """Return Nystroem features of a Gaussian kernel, beside the columns themselves.

    Source: Williams and Seeger 2001,
    https://papers.nips.cc/paper/1866-using-the-nystrom-method-to-speed-up-kernel-machines.
    """

    scaled = np.ascontiguousarray(centres.T) / width**2
    offsets = -(centres**2).sum(1) / (2 * width**2)

    def kernel(rows: np.ndarray) -> np.ndarray:
        found = rows @ scaled
        found += offsets
        found -= (rows**2).sum(1, keepdims=True) / (2 * width**2)
        np.minimum(found, 0, out=found)
        return np.asarray(np.exp(found, out=found))

    values, vectors = np.linalg.eigh(kernel(centres))
    large = values > 1e-6 * values[-1]
    root = vectors[:, large] / np.sqrt(values[large] / len(centres))

    def features(rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), root.shape[1] + rows.shape[1]))
        np.matmul(kernel(rows), root, out=found[:, : root.shape[1]])
        found[:, root.shape[1] :] = rows
        return found

    return features
