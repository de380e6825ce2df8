"""Regression of columns on given columns: location and scale, without a model chosen in advance.

Three kinds of smoothers are compared on rows that they were not fitted to and averaged by
non-negative weights: additive splines, kernel ridge regression, and projection pursuit, which finds
the few directions of many columns that matter. Residuals are what is left of a column once what the
given columns say of its location and scale is taken out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

__all__ = ["Design", "Regression", "Residuals", "centred", "residuals"]

FOLDS = 5  # of rows, for residuals of rows that a smoother was not fitted to
CENTRES = 200  # of the kernel smoother
WIDTHS = (0.35, 0.7, 1.4)  # of kernels, in standard deviations times sqrt(columns)
KNOTS = 9  # basis functions of a smooth function of one column or direction
TERMS = 4  # directions that projection pursuit looks for
RANDOM = 3  # random starts of each search, besides those from moments
OPTIMISED = 3  # starts, the best ones, that are improved
STEPS = 12  # Gauss-Newton steps of a search
SEARCHED = 4_000  # largest number of rows for the search of directions
LEVELS = 10  # a column of at most this many values has no smooth function of its own
PENALTIES = np.logspace(-7, 1, 17)  # relative to the largest eigenvalue
ROUNDS = 2  # of location and scale
FAR = 5.0  # most by which a residual exceeds its scale where that is estimated
CONSTANT = 0.02  # standard deviation of a scale up to which it counts as constant
GAINED = 2.0, 4.0  # gain in standard errors between which a regression gets its weight
TARGETS = 8  # most columns for which directions are searched

Features = Callable[[np.ndarray], np.ndarray]


class _Rows:
    """Rows of given columns and their features, computed once."""

    def __init__(self, z: np.ndarray, features: Features) -> None:
        self.z = z
        self.features = features

    @cached_property
    def known(self) -> np.ndarray:
        """The features (n, k)."""
        return self.features(self.z)

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The means of the features, and eigenvalues and eigenvectors of their products."""
        means = self.known.mean(axis=0)
        centred = self.known - means
        values, vectors = np.linalg.eigh(centred.T @ centred)
        return means, values, vectors


class Design:
    """Given columns (n, r), standardised, with their folds and the features of each smoother.

    Args:
        z: (n, r).
        seed: the seed of folds and searches.
        folds: the number of folds.
        half: 0 or 1, if only this half of the other rows is fitted for each fold.
    """

    def __init__(
        self, z: np.ndarray, *, seed: int = 0, folds: int = 3, half: int | None = None
    ) -> None:
        self.z = z
        self.seed = seed
        shuffled = np.random.default_rng(seed).permutation(len(z))
        taken = slice(None) if half is None else slice(half, None, 2)
        self.parts = [
            (np.setdiff1d(shuffled, own)[taken], np.sort(own))
            for own in np.array_split(shuffled, folds)
        ]
        self.others = [
            [_Rows(z[rest], features) for features in _maps(z[rest], seed)]
            for rest, _ in self.parts
        ]
        self.own = [
            [_Rows(z[own], rows.features) for rows in others]
            for (_, own), others in zip(self.parts, self.others, strict=True)
        ]

    @cached_property
    def whole(self) -> list[_Rows]:
        """All rows under each map of features."""
        return [_Rows(self.z, features) for features in _maps(self.z, self.seed)]

    def linear(self, values: np.ndarray) -> np.ndarray:
        """Return predictions (n, k) of each fold's rows from the others by ridge regression.

        All columns have the same penalty, so that what a column is of others remains in what is
        left of them: errors of the regressions are then the same combination.
        """
        found = np.empty_like(values, dtype=np.float64)
        for rest, own in self.parts:
            means, mean = self.z[rest].mean(axis=0), values[rest].mean(axis=0)
            design, target = self.z[rest] - means, values[rest] - mean
            sizes, vectors = np.linalg.eigh(design.T @ design)
            sizes = sizes.clip(min=0)
            projected = vectors.T @ (design.T @ target)
            gains = 1 / (sizes + PENALTIES[:, None] * max(sizes[-1], 1e-300))
            total = np.maximum((target**2).sum(axis=0), 1e-300)
            explained = np.einsum("jk,aj->ak", projected**2 / total, gains * (2 - sizes * gains))
            freedom = np.minimum((1 + (sizes * gains).sum(axis=1)) / len(rest), 0.99)
            best = np.argmin((1 - explained).mean(axis=1) / (1 - freedom) ** 2)
            slopes = vectors @ (gains[best][:, None] * projected)
            found[own] = mean + (self.z[own] - means) @ slopes
        return found

    def stacked(
        self,
        column: np.ndarray,
        weights: np.ndarray | None,
        starts: list[np.ndarray] | None,
        shares: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions (n,) of each fold's rows from the others, and the smoothers' shares.

        The arguments are those of `held_out`.
        """
        tried = self.held_out(column, weights, starts, shares)
        mean = np.average(column, weights=weights)
        shares = _shares(tried, column, weights) if shares is None else shares
        return np.asarray(mean + (tried - mean) @ shares), shares

    def held_out(
        self,
        column: np.ndarray,
        weights: np.ndarray | None,
        starts: list[np.ndarray] | None,
        shares: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the predictions (n, smoothers) of each fold's rows from the others.

        Args:
            column: (n,), what is predicted.
            weights: (n,), of the rows; equal if None.
            starts: directions from which projection pursuit starts; those that it finds are added
                if there are none. With None there is no such smoother.
            shares: the weights of the smoothers, if known; those of zero are left out.
        """
        count = len(self.others[0]) + (starts is not None)
        found = np.zeros((len(self.z), count))
        wanted = np.ones(count, dtype=bool) if shares is None else shares > 0
        for k, ((rest, own), others) in enumerate(zip(self.parts, self.others, strict=True)):
            some = None if weights is None else weights[rest]
            for j, rows in enumerate(others):
                if wanted[j]:
                    found[own, j] = _ridge(rows, column[rest], some).at(self.own[k][j].known)
            if starts is not None and wanted[-1]:
                pursued = _pursuit(self.z[rest], column[rest], some, starts, self.seed)
                found[own, -1] = pursued(self.z[own])
        return found


@dataclass(frozen=True)
class Regression:
    """A fitted regression: the weighted average of its smoothers.

    Attributes:
        means: the mean of each column, which takes the weight that is missing to one.
        shares: the weights of the smoothers of each column.
        starts: the directions that were found for each column.
        smoothers: the smoothers of each column whose weight is not zero.
        held_out: (n, k), predictions of each row by smoothers that were not fitted to it.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(500, 3))
        >>> fitted = Regression.fit(Design(z), np.sin(z[:, :1]))
        >>> bool(np.abs(fitted(z) - np.sin(z[:, :1])).mean() < 0.05)
        True
    """

    means: tuple[float, ...]
    shares: tuple[np.ndarray, ...]
    starts: tuple[list[np.ndarray], ...]
    smoothers: tuple[tuple[Features, ...], ...]
    held_out: np.ndarray

    @classmethod
    def fit(
        cls,
        design: Design,
        values: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        start: Regression | None = None,
    ) -> Regression:
        """Fit columns to given columns.

        Args:
            design: the given columns (n, r).
            values: (n, k).
            weights: (n, k), of the rows; equal by default.
            start: an earlier fit to similar rows, whose weights and directions are kept.
        """
        means = np.average(values, axis=0, weights=weights)
        columns: list[tuple[Features, ...]] = []
        every: list[np.ndarray] = []
        ways: list[list[np.ndarray]] = []
        held_out = np.empty_like(values)
        for k, (column, mean) in enumerate(zip(values.T, means, strict=True)):
            some = None if weights is None else weights[:, k]
            found = [] if start is None else start.starts[k]
            known = None if start is None else start.shares[k]
            tried = design.held_out(column, some, found, known)
            shares = _shares(tried, column, some) if known is None else known
            held_out[:, k] = mean + (tried - mean) @ shares
            made: list[Features] = [
                _ridge(rows, column, some)
                for share, rows in zip(shares[:-1], design.whole, strict=True)
                if share > 0
            ]
            if shares[-1] > 0:
                made.append(_pursuit(design.z, column, some, found, design.seed))
            columns.append(tuple(made))
            every.append(shares)
            ways.append(found)
        return cls(tuple(means.tolist()), tuple(every), tuple(ways), tuple(columns), held_out)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Return predictions (m, k) for z (m, r)."""
        found = np.empty((len(z), len(self.means)))
        for k, (mean, shares, each) in enumerate(
            zip(self.means, self.shares, self.smoothers, strict=True)
        ):
            found[:, k] = mean
            for share, smoother in zip(shares[shares > 0], each, strict=True):
                found[:, k] += share * (smoother(z) - mean)
        return found


class Residuals(NamedTuple):
    """What given columns do not say of the location and scale of others.

    Attributes:
        values: (n, k), about standardised.
        errors: (k,), the part of their variance that the error of the regressions is, as far as two
            halves of the rows disagree.
        unexplained: (k,), the part of the variance of the columns that is left.
    """

    values: np.ndarray
    errors: np.ndarray
    unexplained: np.ndarray


def residuals(z: np.ndarray, values: np.ndarray, *, seed: int = 0) -> Residuals:
    """Return what given columns do not say of the location and scale of others.

    Each row's location m(z) and scale s(z) come from the other folds' rows. A residual
    (x - m(z)) / s(z) is a bijection of x for each z, so I(X;Y|Z) does not change.

    Args:
        z: (n, r), standardised.
        values: (n, k).
        seed: the seed of folds and searches.

    Returns:
        The residuals, with what is known of their errors.

    Source: projection pursuit, Friedman and Stuetzle 1981,
    https://doi.org/10.1080/01621459.1981.10477729; stacking, Breiman 1996,
    https://doi.org/10.1007/BF00117832; cross-fitting, https://arxiv.org/abs/1608.00060.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z, u = rng.normal(size=(2, 800, 1))
        >>> found = residuals(z, np.sin(2 * z) + np.exp(z / 2) * u)
        >>> bool(np.corrcoef(found.values.T, u.T)[0, 1] > 0.97), bool(found.errors[0] < 0.05)
        (True, True)
    """
    design = Design(z, seed=seed, folds=FOLDS)
    halves = [Design(z, seed=seed, folds=FOLDS, half=half) for half in (0, 1)]
    found = np.empty_like(values, dtype=np.float64)
    errors, unexplained = np.empty((2, values.shape[1]))
    searched = values.shape[1] <= TARGETS
    rest = values - design.linear(values)
    for k, column in enumerate(rest.T):
        weights, scale, doubt = None, np.ones(len(z)), 0.0
        starts: list[list[np.ndarray] | None] = [[] if searched else None for _ in range(3)]
        for again in range(ROUNDS):  # from the second on, rows weigh by their scale
            location, shares = design.stacked(column, weights, starts[0])
            mean = np.average(column, weights=weights)
            gain = ((column - mean) ** 2 - (column - location) ** 2) / scale**2
            part = _clear(gain)
            asked = column, weights, starts[0], shares
            left = column - mean - part * (location - mean)
            if again:  # a step of maximum likelihood, which is less noisy than logarithms
                wanted = np.abs(left) / scale
                wanted = (wanted / wanted.mean() - 1).clip(max=FAR)
            else:
                wanted = np.log(left**2 + 1e-4 * np.median(left**2) + 1e-300) / 2
            step, scaled = design.stacked(wanted, None, starts[1 + min(again, 1)])
            step -= step.mean()
            size = np.abs(left) / scale
            size = (size / max(size.mean(), 1e-300)).clip(max=FAR)
            power = _clear(size - size * np.exp(-step) - step)
            doubt = power**2 * doubt if again else 0.0
            scale = (scale * np.exp(power * step)).clip(0.05, 20)
            one, other = (
                half.stacked(wanted, None, starts[1 + min(again, 1)], scaled)[0] for half in halves
            )
            doubt += power**2 * float((one - other).var()) / 4
            if scale.std() < CONSTANT:
                break
            weights = 1 / scale**2
        found[:, k] = left / scale
        unexplained[k] = left.var() / max(values[:, k].var(), 1e-300)
        first, second = (half.stacked(*asked)[0] for half in halves)
        noise = part**2 * float((((first - second) / scale) ** 2).mean()) / 4
        errors[k] = noise / max(float(found[:, k].var()), 1e-300) + doubt
    return Residuals(found / np.maximum(found.std(axis=0), 1e-300), errors, unexplained)


def _clear(gain: np.ndarray) -> float:
    """Return the weight of what gained so much on rows that it had not seen, by row."""
    spread = float(gain.std())
    if spread == 0:
        return 0.0
    errors = math.sqrt(len(gain)) * float(gain.mean()) / spread
    return min(max((errors - GAINED[0]) / (GAINED[1] - GAINED[0]), 0.0), 1.0)


def centred(z: np.ndarray, values: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return columns less their location given other columns, as in `residuals`; for classes.

    The scale of a class given z is a function of its location, and close to zero where it is rare,
    so it is not taken out.

    Args:
        z: (n, r), standardised.
        values: (n, k).
        seed: the seed of folds and searches.

    Returns:
        (n, k).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z, u = rng.normal(size=(2, 800, 1))
        >>> found = centred(z, (z + u > 0).astype(float))
        >>> bool(np.abs(np.corrcoef(found.T, z.T)[0, 1]) < 0.1)
        True
    """
    design = Design(z, seed=seed, folds=FOLDS)
    searched = values.shape[1] <= TARGETS
    location = [design.stacked(column, None, [] if searched else None)[0] for column in values.T]
    return np.asarray(values - np.column_stack(location))


def _shares(tried: np.ndarray, column: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return non-negative weights of the smoothers, which sum to at most one."""
    root = np.ones(len(column)) if weights is None else np.sqrt(weights)
    mean = np.average(column, weights=weights)
    shares = nnls((tried - mean) * root[:, None], (column - mean) * root)[0]
    return np.asarray(shares / max(1.0, shares.sum()))


def _maps(z: np.ndarray, seed: int) -> list[Features]:
    """Return the feature maps of ridge regressions: splines by column, and kernels."""
    columns = [k for k in range(z.shape[1]) if len(np.unique(z[:, k])) > LEVELS]
    bumps = [_Bumps.of(z[:, k]) for k in columns]

    def additive(rows: np.ndarray) -> np.ndarray:
        own = [bump(rows[:, k]) for k, bump in zip(columns, bumps, strict=True)]
        return np.asarray(np.hstack([rows, *own]))

    rng = np.random.default_rng(seed)
    centres = z[rng.choice(len(z), min(len(z), CENTRES), replace=False)]
    widths = WIDTHS if z.shape[1] <= 3 else WIDTHS[1:]
    return [additive, *(_kernel(centres, width * np.sqrt(z.shape[1])) for width in widths)]


def _kernel(centres: np.ndarray, width: float) -> Features:
    """Return Nystroem features of a Gaussian kernel, beside the columns themselves.

    Source: Williams and Seeger 2001,
    https://papers.nips.cc/paper/1866-using-the-nystrom-method-to-speed-up-kernel-machines.
    """

    def kernel(rows: np.ndarray) -> np.ndarray:
        squares = (rows**2).sum(1)[:, None] + (centres**2).sum(1) - 2 * rows @ centres.T
        return np.asarray(np.exp(-squares.clip(min=0) / (2 * width**2)))

    values, vectors = np.linalg.eigh(kernel(centres))
    large = values > 1e-6 * values[-1]
    root = vectors[:, large] / np.sqrt(values[large] / len(centres))
    return lambda rows: np.hstack([kernel(rows) @ root, rows])


@dataclass(frozen=True)
class _Bumps:
    """Gaussian bumps along one column or direction."""

    centres: np.ndarray
    width: float

    @classmethod
    def of(cls, values: np.ndarray) -> _Bumps:
        low, high = np.quantile(values, [0.02, 0.98])
        return cls(np.linspace(low, high, KNOTS), 1.3 * (high - low) / (KNOTS - 1) + 1e-9)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-(((values[:, None] - self.centres) / self.width) ** 2) / 2))

    def slopes(self, values: np.ndarray, bumps: np.ndarray) -> np.ndarray:
        return np.asarray(-(values[:, None] - self.centres) / self.width**2 * bumps)


def _ridge(rows: _Rows, column: np.ndarray, weights: np.ndarray | None) -> _Line:
    """Fit a ridge regression on features; generalised cross-validation chooses the penalty."""
    mean = float(np.average(column, weights=weights))
    if weights is None:
        means, values, vectors = rows.spectrum
        target = column - mean
        projected = vectors.T @ ((rows.known - means).T @ target)
    else:
        means = weights @ rows.known / weights.sum()
        root = np.sqrt(weights)
        design, target = (rows.known - means) * root[:, None], (column - mean) * root
        values, vectors = np.linalg.eigh(design.T @ design)
        projected = vectors.T @ (design.T @ target)
    values = values.clip(min=0)
    gains = 1 / (values + PENALTIES[:, None] * max(values[-1], 1e-300))
    misses = target @ target - (projected**2 * gains * (2 - values * gains)).sum(1)
    freedom = 1 + (values * gains).sum(1)
    best = np.argmin(misses / (1 - np.minimum(freedom / len(column), 0.99)) ** 2)
    return _Line(rows.features, mean, means, vectors @ (gains[best] * projected))


@dataclass(frozen=True, eq=False)
class _Line:
    """A linear function of features."""

    features: Features
    mean: float
    means: np.ndarray
    slopes: np.ndarray

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return self.at(self.features(z))

    def at(self, known: np.ndarray) -> np.ndarray:
        return np.asarray(self.mean + (known - self.means) @ self.slopes)


def _pursuit(
    z: np.ndarray,
    column: np.ndarray,
    weights: np.ndarray | None,
    starts: list[np.ndarray],
    seed: int,
) -> Features:
    """Fit smooth functions of a few directions of z, found one after the other."""
    rng = np.random.default_rng(seed)
    rows = np.arange(len(z))
    if len(z) > SEARCHED:
        rows = rng.choice(len(z), SEARCHED, replace=False)
    known, some = z[rows], np.ones(len(rows)) if weights is None else weights[rows]
    left = column[rows] - np.average(column[rows], weights=some)
    r = z.shape[1]
    directions: list[np.ndarray] = []
    most = 1 if starts else OPTIMISED
    for _ in range(TERMS if r > 1 else 1):
        tried = starts or list(rng.normal(size=(RANDOM, r)))
        tried = [np.ones(1)] if r == 1 else [*_moments(known, left, some), *tried]
        if len(tried) > most:
            tried.sort(key=lambda way: _misses(known, left, some, way))
        found = [_direction(known, left, some, start) for start in tried[:most]]
        direction, fitted, misses = min(found, key=lambda each: each[2])
        freedom = min((KNOTS + r) / len(known), 0.99)
        if misses / (1 - freedom) ** 2 > some @ left**2:
            break
        left = left - fitted
        directions.append(direction)
    if not starts:
        starts += directions
    bumps = [_Bumps.of(z @ direction) for direction in directions]

    def features(rows: np.ndarray) -> np.ndarray:
        own = [bump(rows @ way) for way, bump in zip(directions, bumps, strict=True)]
        return np.asarray(np.hstack([rows, *own]))

    return _ridge(_Rows(z, features), column, weights)


def _moments(z: np.ndarray, left: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """Return directions in which a smooth function of one direction shows in its moments.

    They are that of least squares, and the two main Hessian directions (Li 1992,
    https://doi.org/10.1080/01621459.1992.10476258), which find even functions and products.
    """
    r = z.shape[1]
    square = (z * weights[:, None]).T @ z
    linear = np.linalg.solve(square + 1e-3 * np.trace(square) / r * np.eye(r), (weights * left) @ z)
    values, vectors = np.linalg.eigh((z * (weights * left)[:, None]).T @ z)
    order = np.argsort(-np.abs(values))[:2]
    return [way for way in (linear, *vectors[:, order].T) if np.linalg.norm(way) > 1e-12]


def _direction(
    z: np.ndarray, left: np.ndarray, weights: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Improve a direction by Gauss-Newton steps on the fit of a smooth function of it.

    Returns:
        The direction, the fitted values (n,), and the weighted sum of squared misses.
    """
    r = z.shape[1]
    way = start / np.linalg.norm(start)
    fitted, slopes = _along(z @ way, left, weights)
    misses = float(weights @ (left - fitted) ** 2)
    damping = 0.1
    for _ in range(STEPS if r > 1 else 0):
        design = z * slopes[:, None]
        square = (design * weights[:, None]).T @ design
        gradient = (weights * (left - fitted)) @ design
        before = misses
        for _ in range(4):
            ridge = (damping * np.trace(square) / r + 1e-12) * np.eye(r)
            there = way + np.linalg.solve(square + ridge, gradient)
            there /= np.linalg.norm(there)
            values, ups = _along(z @ there, left, weights)
            now = float(weights @ (left - values) ** 2)
            if now < misses:
                way, fitted, slopes, misses = there, values, ups, now
                damping = max(damping / 5, 1e-4)
                break
            damping *= 5
        if misses > (1 - 1e-4) * before:
            break
    return way, fitted, misses


def _misses(z: np.ndarray, left: np.ndarray, weights: np.ndarray, way: np.ndarray) -> float:
    """Return the weighted sum of squared misses of a smooth function of a direction."""
    return float(weights @ (left - _along(z @ (way / np.linalg.norm(way)), left, weights)[0]) ** 2)


def _along(
    values: np.ndarray, left: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a smooth function along a direction; return its values (n,) and its slopes (n,)."""
    bumps = _Bumps.of(values)
    known = bumps(values)
    design = np.column_stack([np.ones_like(values), values, known])
    square = (design * weights[:, None]).T @ design
    penalty = weights.sum() * np.r_[1e-11, 1e-5, np.full(KNOTS, 1e-4)]
    found = np.linalg.solve(square + np.diag(penalty), (weights * left) @ design)
    return design @ found, found[1] + bumps.slopes(values, known) @ found[2:]
