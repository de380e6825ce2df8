"""Column-wise transforms, fitted to training rows only: normal scores and robust scaling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

__all__ = ["FAR", "Transform"]

FAR = 5.0  # scales from the median beyond which robust scaling is logarithmic
KNOTS = 10_000  # largest number of knots of interpolated ranks: about 0.002 sd apart


@dataclass(frozen=True, eq=False)
class Transform:
    """Column-wise maps fitted on training rows (n, d).

    Attributes:
        knots: for each column, the values at which the normal scores are known.
        scores: for each column, the normal scores there; between knots they are interpolated.
        centre: (d,), the medians.
        scale: (d,), the interquartile ranges / 1.349, as wide as a normal's standard deviation; the
            standard deviations where these are zero.
        unit: (d,), 1/4 for columns near the largest float64, whose differences overflow, else 1.

    Example:
        >>> fitted = Transform.fit(np.array([[1.0], [2.0], [100.0]]))
        >>> fitted.normal_scores(np.array([[2.0]])).item()
        0.0
    """

    knots: tuple[np.ndarray, ...]
    scores: tuple[np.ndarray, ...]
    centre: np.ndarray
    scale: np.ndarray
    unit: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray) -> Transform:
        """Fit ranks, medians and interquartile ranges to rows (n, d)."""
        ordered = np.array(rows.T, order="C")  # (d, n)
        ordered.sort(axis=1)
        untied = _standardised(np.ones(len(rows)))
        knots, scores = [], []
        for column in ordered:
            first = np.flatnonzero(np.append(True, column[1:] != column[:-1]))
            counts = np.diff(first, append=len(column))
            at, quantiles = untied if len(first) == len(column) else _standardised(counts)
            knots.append(column[first[at]])
            scores.append(quantiles)
        # Differences of values near the largest float64 would overflow; those of a quarter do not.
        largest = np.abs(ordered[:, [0, -1]]).max(axis=1)
        unit = np.where(largest > np.finfo(float).max / 4, 0.25, 1.0)
        ordered *= unit[:, None]
        low, centre, high = np.percentile(ordered, [25, 50, 75], axis=1, overwrite_input=True)
        scale = (high - low) / 1.349
        for k in np.flatnonzero(scale == 0):
            scale[k] = _deviation(rows[:, k] * unit[k])
        scale = np.where(scale > 0, scale, 1.0)
        return cls(tuple(knots), tuple(scores), centre, scale, unit)

    def normal_scores(self, rows: np.ndarray) -> np.ndarray:
        """Return normal quantiles (n, d) of interpolated mid-ranks, clamped outside the range."""
        columns = [
            _interpolated(column, knots, scores)
            for column, knots, scores in zip(rows.T, self.knots, self.scores, strict=True)
        ]
        return np.stack(columns, axis=1)

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """Return (x - median) / scale, (n, d)."""
        with np.errstate(over="ignore"):
            return np.asarray((rows * self.unit - self.centre) / self.scale)

    def robust(self, rows: np.ndarray) -> np.ndarray:
        """Return (x - median) / scale, (n, d); logarithmic beyond 5 (1000 gives 11.9), up to 20."""
        scaled = self.scaled(rows)
        found: np.ndarray = np.clip(scaled, -FAR, FAR)
        far = np.abs(scaled) > FAR
        found[far] += np.sign(scaled[far]) * np.minimum(np.log1p(np.abs(scaled[far]) - FAR), 15)
        return found

    def every(self, rows: np.ndarray) -> np.ndarray:
        """Return `normal_scores`, `robust` and the radii of both side by side, (n, 2 d + 4)."""
        scores, robust = self.normal_scores(rows), self.robust(rows)
        return np.concatenate([scores, robust, _radii(scores, robust)], axis=1)


def _interpolated(column: np.ndarray, knots: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Interpolate scores between ascending knots, even so close that slopes overflow.

    In that case knots and values are scaled up. Sorted values are found several times as fast.
    """
    order = np.argsort(column)
    found = np.empty(len(column))
    found[order] = np.interp(column[order], knots, scores)
    steep = ~np.isfinite(found)
    if steep.any():
        with np.errstate(over="ignore"):
            found[steep] = np.interp(column[steep] * 2.0**200, knots * 2.0**200, scores)
    return found


def _standardised(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the distinct values, so often each, are knots, and their normal scores."""
    middle = (np.cumsum(counts) - 0.5 * counts) / counts.sum()
    quantiles = ndtri(middle)
    if counts.max() > 1:  # without ties their mean is zero by symmetry
        quantiles = quantiles - np.average(quantiles, weights=counts)
    spread = np.sqrt(np.average(quantiles**2, weights=counts))
    kept = _knots(quantiles)
    return kept, quantiles[kept] / (spread if spread > 0 else np.inf)


def _deviation(column: np.ndarray) -> float:
    """Return the standard deviation of values whose squares may leave float64's range."""
    with np.errstate(over="ignore"):
        spread = float(column.std())
    if spread > 0 and np.isfinite(spread):
        return spread
    top = float(np.abs(column).max()) or 1.0
    return min(float((column / top).std()) * top, float(np.finfo(float).max))


def _knots(quantiles: np.ndarray) -> np.ndarray:
    """Return the indices of quantiles to keep as knots: all, or those next to an even grid."""
    if len(quantiles) <= KNOTS:
        return np.arange(len(quantiles))
    above = np.searchsorted(quantiles, np.linspace(quantiles[0], quantiles[-1], KNOTS // 2))
    return np.union1d(above, np.maximum(above - 1, 0))


def _radii(*scaled: np.ndarray) -> np.ndarray:
    """Return the scaled radii |z|^2 and log |z|^2 of the rows of each z (n, d), side by side.

    Radii are columns of their own because networks learn them poorly from many coordinates. They
    are scaled by the degrees of freedom instead of being fitted.
    """
    columns = []
    for z in scaled:
        square = (z**2).sum(axis=1) / z.shape[1]
        spread = np.sqrt(2 / z.shape[1])
        columns += [3 * np.tanh((square - 1) / spread / 3)]
        columns += [np.clip(np.log(square + 1e-2) / spread, -5, 5)]
    return np.stack(columns, axis=1)
