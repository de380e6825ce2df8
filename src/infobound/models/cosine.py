"""A critic that is cheap enough to be refitted often, for tests of independence.

A Gaussian copula captures linear dependence between whole rows; a cosine series of ranks captures
nonlinear dependence between single columns. Both together are fitted in a millisecond and need a
few dozen rows. The scores approximate a log ratio but are not normalised: they detect dependence
and do not measure it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtr

from infobound.data import Transform
from infobound.models.copulas import GaussianCopula

__all__ = ["Witness"]

ORDERS = np.arange(1, 7)  # frequencies of the cosines: half-waves over the range of the ranks


@dataclass(frozen=True, eq=False)
class Cosines:
    """Standardised cosines of the ranks of one side's columns."""

    transform: Transform
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray, transform: Transform) -> tuple[Cosines, np.ndarray]:
        """Fit to rows (n, d), and return their standardised cosines (n, 6 d) too."""
        raw = _raw_cosines(rows, transform)
        spread, mean = raw.std(axis=0), raw.mean(axis=0)
        fitted = cls(transform, mean, np.where(spread > 1e-9, spread, np.inf))
        return fitted, fitted._standardised(raw)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Map rows (n, d) to standardised cosines (n, 6 d), ordered by frequency."""
        return self._standardised(_raw_cosines(rows, self.transform))

    def _standardised(self, raw: np.ndarray) -> np.ndarray:
        """Standardise cosines (n, 6 d) in place."""
        raw -= self.mean
        raw /= self.scale
        return raw


def _raw_cosines(rows: np.ndarray, transform: Transform) -> np.ndarray:
    """Return the cosines (n, 6 d), by cos(k t + t) = 2 cos t cos k t - cos(k t - t)."""
    n, d = rows.shape
    found = np.empty((n, len(ORDERS), d))
    first = found[:, 0] = np.cos(np.pi * ndtr(transform.normal_scores(rows)))
    before: np.ndarray | float = 1.0
    for k in range(1, len(ORDERS)):
        found[:, k] = 2 * first * found[:, k - 1] - before
        before = found[:, k - 1]
    return found.reshape(n, -1)


@dataclass(frozen=True, eq=False)
class Witness:
    """A Gaussian copula of robustly scaled values plus a cosine series of ranks.

    The series is sum theta_kl phi_k(x) phi_l(y), with phi_k the standardised cosine of k
    half-waves, for every column of x with every column of y. A coefficient is multiplied by
    max(0, 1 - (k l / 2) / (n theta^2)): under independence n theta^2 averages 1, and high
    frequencies are shrunk more than low ones.

    Source: Kallenberg and Ledwina 1999, Journal of the American Statistical Association 94, 285-301
    (orthogonal series of ranks for tests of independence). The shrinkage weights are our own,
    chosen for power.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 300, 1))
        >>> y = x**2 + noise
        >>> scores = Witness.fit(x[:200], y[:200])(x[200:], y[200:])
        >>> bool(np.diagonal(scores).mean() > scores.mean() + 0.3)
        True
    """

    x_cosines: Cosines
    y_cosines: Cosines
    theta: np.ndarray
    copula: GaussianCopula

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray) -> Witness:
        """Fit transforms, copula and series to x (n, p) and y (n, q), float64."""
        to_x, to_y = Transform.fit(x), Transform.fit(y)
        (x_cosines, on_x), (y_cosines, on_y) = Cosines.fit(x, to_x), Cosines.fit(y, to_y)
        theta = on_x.T @ on_y / len(x)
        price = np.outer(np.repeat(ORDERS, x.shape[1]), np.repeat(ORDERS, y.shape[1])) / 2
        shown = np.maximum(len(x) * theta**2, 1e-12)
        copula = GaussianCopula.fit(_tensor(to_x.robust(x)), _tensor(to_y.robust(y)))
        return cls(x_cosines, y_cosines, theta * np.maximum(0, 1 - price / shown), copula)

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Score x (n, p) against y (m, q): (n, m), float32."""
        left = (self.x_cosines(x) @ self.theta).astype(np.float32)
        series = left @ self.y_cosines(y).T.astype(np.float32)
        to_x, to_y = self.x_cosines.transform, self.y_cosines.transform
        linear = self.copula(_tensor(to_x.robust(x)), _tensor(to_y.robust(y)))
        scores: np.ndarray = series + linear.numpy()
        return scores


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).float()
