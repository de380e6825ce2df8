"""Locations of several columns given others, refined by the likelihood of their residuals together.

A regression of each column alone leaves errors of a few percent of the variance of its residuals.
They hide little of a smooth dependence of the residuals, but half of a narrow one, such as a curve
with little noise. There, however, residuals together show the errors: these move rows off the
curve. So the locations are moved to where the residuals are most likely under their joint density.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from infobound.data.clusters import clusters
from infobound.regression.features import Bumps
from infobound.regression.residuals import Origin, clear
from infobound.regression.smoothers import Design, Regression

__all__ = ["Refined", "refined"]

FOLDS = 5  # of rows, for residuals of rows that no location was fitted to
FEWEST, MOST = 200, 5_000  # rows for which locations are refined; many rows leave small errors
ERROR = 0.03  # expected variance of the errors of a location, as a part of that of its residual
ROWS_PER_COMPONENT = 60  # of the mixture of Gaussians
LIKE_ALL = 2.0  # rows with a part of all rows' covariance that are added to each component
ALIKE = 0.1 / LIKE_ALL, 1e-3  # this part, over sqrt(components), and what is added to variances
FIRST, AGAIN, SETTLED = 40, 10, 1e-4  # iterations of EM, and the gain per row at which it ends
ROUNDS, STEPS = 6, 2  # of the density, and of the locations in each
SHORTER = 1.0, 0.5, 0.25, 0.1  # steps that are tried until the likelihood rises
FUNCTIONS = 8  # rows per function of the given columns
FOUND = 1e-9  # standard deviation from which on regressions found more than the linear part
SAME = 0.95  # absolute cosine of two directions from which on they count as one
SMALL = 1e-3  # singular values of the functions, relative to the largest, that are left out
MOST_GAIN = 2.0  # nats of a row; a row far from a narrow density would outweigh all others


class Refined(NamedTuple):
    """Residuals of refined locations.

    Attributes:
        values: (n, k), in the units of the residuals that they take the place of.
        noise: (FOLDS, n, k), draws from the distribution of their errors, one of each fold.
    """

    values: np.ndarray
    noise: np.ndarray


class _Density(NamedTuple):
    """A mixture of Gaussians in k columns: the logs of its densities are linear in `_features`."""

    slopes: np.ndarray
    belongs: np.ndarray  # (n, components), of the rows that it was fitted to

    @classmethod
    def fit(cls, rows: np.ndarray, belongs: np.ndarray, rounds: int) -> _Density:
        """Fit to rows (n, k) by EM, which starts at these shares of the components."""
        k, features, before = rows.shape[1], _features(rows), -math.inf
        like_all = ALIKE[0] / math.sqrt(belongs.shape[1]) * np.cov(rows.T)
        for _ in range(rounds):
            moments = belongs.T @ features
            mass = moments[:, :1] + 1e-6
            means, squares = np.split(moments[:, 1:] / mass, [k], axis=1)
            spread = squares.reshape(-1, k, k) - means[:, :, None] * means[:, None]
            own = mass[:, :, None] / (mass[:, :, None] + LIKE_ALL)
            spread = own * spread + (1 - own) * like_all + ALIKE[1] * np.eye(k)
            precise = np.linalg.inv(spread)
            pull = (precise @ means[:, :, None])[:, :, 0]
            constants = np.log(mass[:, 0] / mass.sum()) - (pull * means).sum(1) / 2
            constants += np.linalg.slogdet(precise)[1] / 2 - k / 2 * math.log(2 * math.pi)
            slopes = np.column_stack([constants, pull, -precise.reshape(-1, k * k) / 2])
            logs, belongs = _logs(features @ slopes.T)
            if logs.mean() - before < SETTLED:
                break
            before = float(logs.mean())
        return cls(slopes, belongs)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the log density (n,) of rows (n, k)."""
        return _logs(_features(rows) @ self.slopes.T)[0]

    def gradient(self, rows: np.ndarray) -> np.ndarray:
        """Return the gradient (n, k) of the log density in rows."""
        k = rows.shape[1]
        mean = _logs(_features(rows) @ self.slopes.T)[1] @ self.slopes
        squares = mean[:, k + 1 :].reshape(-1, k, k)
        return np.asarray(mean[:, 1 : k + 1] + 2 * np.einsum("nij,nj->ni", squares, rows))


def refined(
    z: np.ndarray, rest: np.ndarray, origin: Origin, *, errors: np.ndarray, seed: int = 0
) -> Refined | None:
    """Return residuals whose locations were refined, where that is clearly better.

    In each fold of other rows, the regressions of `residuals` are fitted once more. Their errors
    are modelled as functions of z, linear and smooth along the directions that projection pursuit
    found, with a normal prior of variance `ERROR`. Gauss-Newton steps of the posterior alternate
    with fits of the residuals' density. The refined residuals count if they are clearly more likely
    on the rows of the fold, by `residuals.clear`. Each location is a function of z, so I(X;Y|Z)
    does not change.

    Args:
        z: (n, r), standardised.
        rest: (n, k), residuals of columns that may depend on each other given z.
        origin: what they were made of.
        errors: (k, k), the covariances of the errors of their locations so far.
        seed: the seed of folds and searches.

    Returns:
        The residuals, or None if there are too few or too many rows or no gain is clear.

    Source: efficient estimation of locations where the density of the noise is not known, Bickel
    1982, https://doi.org/10.1214/aos/1176345863; errors by the jackknife of groups of rows, Shao
    and Wu 1989, https://doi.org/10.1214/aos/1176347263.

    Example:
        >>> from infobound.regression.residuals import residuals
        >>> rng = np.random.default_rng(0)
        >>> z, u, noise = rng.normal(size=(3, 600, 1))
        >>> noises = np.hstack([u, np.sin(3 * u) + 0.2 * noise])
        >>> before = residuals(z, 2 * np.sin(2 * z) + noises)
        >>> after = refined(z, before.values, before.origin, errors=before.errors).values
        >>> def error(each): return 1 - np.corrcoef(each[:, 0], u[:, 0])[0, 1] ** 2
        >>> bool(error(after) < error(before.values) / 2)
        True
    """
    n, k = rest.shape
    if not FEWEST <= n <= MOST or k < 2:
        return None
    rng = np.random.default_rng(seed)
    values, gain, folds = np.empty_like(rest), np.empty(n), []
    for j, own in enumerate(np.array_split(rng.permutation(n), FOLDS)):
        training = np.setdiff1d(np.arange(n), own)
        found = _Fold.fit(z, rest, origin, training, seed)
        if found is None:
            return None
        values[own] = found.values[own]
        folds.append(found.values)
        more = found.density(values[own]) - found.before(rest[own])
        gain[own] = more.clip(-MOST_GAIN, MOST_GAIN)
        if j == 0 and not gain[own].mean() > 0:  # most dependences are not narrow
            return None
    share = clear(gain)
    if not share:
        return None
    noise = math.sqrt(FOLDS - 1) * (np.stack(folds) - np.mean(folds, axis=0))  # the jackknife's
    white = rng.multivariate_normal(np.zeros(k), errors, noise.shape[:2], method="eigh")
    return Refined(share * values + (1 - share) * rest, share * noise + (1 - share) * white)


class _Fold(NamedTuple):
    """The refined locations of a fold.

    Attributes:
        values: (n, k), the refined residuals of all rows.
        density: the density of the refined residuals.
        before: that of the residuals before.
    """

    values: np.ndarray
    density: _Density
    before: _Density

    @classmethod
    def fit(
        cls, z: np.ndarray, rest: np.ndarray, origin: Origin, training: np.ndarray, seed: int
    ) -> _Fold | None:
        """Fit to training rows; None if they are too few for the functions."""
        scale, k = origin.scale, rest.shape[1]
        start, ways = _located(z, rest, origin, training, seed)
        functions = _functions(z, ways, training)
        p = functions.shape[1]
        if p * FUNCTIONS > len(training):
            return None
        known = functions[training, None] / scale[training, :, None]  # (n, k, p)
        values = (origin.columns - start) / scale
        prior = p / ERROR / values[training].var(axis=0)[:, None]
        moved = np.zeros((k, p))
        belongs = clusters(values[training], len(training) // ROWS_PER_COMPONENT, seed=seed).T
        before = _Density.fit(rest[training], belongs, FIRST)
        density = _Density.fit(values[training], belongs, FIRST)

        def at(moved: np.ndarray) -> np.ndarray:
            return np.asarray(values[training] - np.einsum("nkp,kp->nk", known, moved))

        def posterior(moved: np.ndarray) -> float:
            return float(density(at(moved)).sum() - (prior * moved**2).sum() / 2)

        for again in range(ROUNDS):
            if again:
                density = _Density.fit(at(moved), density.belongs, AGAIN)
            for _ in range(STEPS):
                slopes = (-density.gradient(at(moved))[:, :, None] * known).reshape(-1, k * p)
                precision = slopes.T @ slopes + np.diag(np.repeat(prior[:, 0], p))
                ahead = slopes.sum(0) - (prior * moved).ravel()
                step = np.linalg.solve(precision, ahead).reshape(k, p)
                now = posterior(moved)
                tried = (moved + shorter * step for shorter in SHORTER)
                moved = next((each for each in tried if posterior(each) > now), moved)
        values = values - functions @ moved.T / scale
        return cls(values, density, before)


def _located(
    z: np.ndarray, rest: np.ndarray, origin: Origin, training: np.ndarray, seed: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the locations (n, k) of all rows by regressions on some, and directions of z."""
    columns, weights = origin.columns, origin.scale[training] ** -2
    design = np.column_stack([np.ones(len(z)), z])
    linear = np.empty_like(columns)
    for j, column in enumerate(columns.T):
        root = np.sqrt(weights[:, j])
        own = design[training] * root[:, None], column[training] * root
        linear[:, j] = design @ np.linalg.lstsq(*own, rcond=None)[0]
    ways: list[np.ndarray] = [np.ones(1)] if z.shape[1] == 1 else []
    beyond = (columns - origin.linear - rest * origin.scale).std(axis=0) > FOUND
    if not beyond.any():
        return linear, ways
    left = (columns - linear)[training]
    fitted = Regression.fit(Design(z[training], seed=seed), left, weights=weights)
    for way in (way for found in fitted.starts for way in found):
        if all(abs(way @ other) < SAME for other in ways):
            ways.append(way)
    return linear + beyond * fitted(z), ways


def _functions(z: np.ndarray, ways: Sequence[np.ndarray], training: np.ndarray) -> np.ndarray:
    """Return orthogonal functions (n, p) of z: linear, and smooth along directions.

    The products of these and the columns are functions along directions close by.
    """
    r, most = z.shape[1], len(training) // FUNCTIONS
    found = [np.ones((len(z), 1)), z]
    for way in ways:
        smooth = Bumps.of(z[training] @ way)(z @ way)
        products = [smooth * column[:, None] for column in z.T] if r > 1 else []
        for more in ([smooth, *products], [smooth]):
            if sum(each.shape[1] for each in (*found, *more)) <= most:
                found += more
                break
    every = np.hstack(found)
    every /= np.maximum(np.sqrt((every[training] ** 2).mean(axis=0)), 1e-300)
    _, sizes, axes = np.linalg.svd(every[training], full_matrices=False)
    kept = sizes > SMALL * sizes[0]
    return np.asarray(every @ (axes[kept].T / sizes[kept]) * math.sqrt(len(training)))


def _features(rows: np.ndarray) -> np.ndarray:
    """Return a one, the columns and all products of two of them (n, 1 + k + k²)."""
    products = (rows[:, :, None] * rows[:, None]).reshape(len(rows), -1)
    return np.column_stack([np.ones(len(rows)), rows, products])


def _logs(each: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the logs (n,) of sums of exponentials (n, components), and the parts of these."""
    most = each.max(axis=1, keepdims=True)
    parts = np.exp(each - most)
    total = parts.sum(axis=1, keepdims=True)
    return (most + np.log(total))[:, 0], parts / total
