"""Projection pursuit: the few directions of given columns along which a column is smooth.

Source: Friedman and Stuetzle 1981, https://doi.org/10.1080/01621459.1981.10477729.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from infobound.regression.features import SMOOTH_KNOTS, Bumps, Features
from infobound.regression.ridge import Lines, Spectrum, Sums

__all__ = ["along", "pursue", "shared_directions"]

ALONG = np.r_[1e-11, 1e-5, np.full(SMOOTH_KNOTS, 1e-4)]  # penalties of a smooth function, by row
TERMS = 4  # directions that projection pursuit looks for
RANDOM = 3  # random starts of each search, besides those from moments
OPTIMISED = 3  # starts, the best ones, that are improved
GAUSS_NEWTON_STEPS = 12  # Gauss-Newton steps of a search
STEPS_AGAIN = 4  # the same for rows like those of an earlier search
ROUGH, ROUGH_STEPS = 1_000, 4  # rows and steps from which the best of several starts is chosen
CUBIC, POWERS = 12, 15  # random starts of directions of third moments, and their iterations
SEARCH_ROWS = 4_000  # largest number of rows for the search of directions


def pursue(
    z: np.ndarray,
    column: np.ndarray,
    weights: np.ndarray | None,
    starts: list[np.ndarray],
    seed: int,
) -> Features:
    """Fit smooth functions of a few directions of z, found one after the other."""
    rng = np.random.default_rng(seed)
    rows = np.arange(len(z))
    if len(z) > SEARCH_ROWS:
        rows = rng.choice(len(z), SEARCH_ROWS, replace=False)
    known, some = z[rows], np.ones(len(rows)) if weights is None else weights[rows]
    left = column[rows] - np.average(column[rows], weights=some)
    few = slice(ROUGH)
    r = z.shape[1]
    directions: list[np.ndarray] = []
    most, steps = (1, STEPS_AGAIN) if starts else (OPTIMISED, GAUSS_NEWTON_STEPS)
    for _ in range(TERMS if r > 1 else 1):
        tried = starts or list(rng.normal(size=(RANDOM, r)))
        tried = [np.ones(1)] if r == 1 else [*_moments(known, left, some), *tried]
        if len(tried) > most:
            tried.sort(key=lambda way: _misses(known[few], left[few], some[few], way))
        tried = tried[:most]
        if len(tried) > 1:
            found = [
                _direction(known[few], left[few], some[few], way, ROUGH_STEPS) for way in tried
            ]
            tried = [min(found, key=lambda each: each.misses).way]
        best = _direction(known, left, some, tried[0], steps)
        freedom = min((SMOOTH_KNOTS + r) / len(known), 0.99)
        if best.misses / (1 - freedom) ** 2 > some @ left**2:
            break
        left = left - best.fitted
        directions.append(best.way)
    if not starts:
        starts += directions
    bumps = [Bumps.of(z @ direction) for direction in directions]

    def features(rows: np.ndarray) -> np.ndarray:
        own = [bump(rows @ way) for way, bump in zip(directions, bumps, strict=True)]
        return np.asarray(np.hstack([rows, *own]))

    own = features(z)
    sums = Sums.of(own, np.ones(len(z)) if weights is None else weights, [len(z)])
    line = Lines.of(own, column, weights, sums, Spectrum.of(sums), [len(z)]).whole
    return lambda rows: line.at(features(rows))


def shared_directions(z: np.ndarray, columns: np.ndarray) -> list[np.ndarray]:
    """Return directions of z along which smooth functions explain all columns (n, k) best.

    Each one must lower the Bayesian information criterion: where columns depend on each other, they
    also fit the same directions of their noise, which must not count as functions of z.
    """
    rows = np.arange(len(z))
    if len(z) > SEARCH_ROWS:
        rows = np.linspace(0, len(z) - 1, SEARCH_ROWS).astype(int)
    z, columns = z[rows], columns[rows] - columns[rows].mean(axis=0)
    left = (columns / np.maximum(columns.std(axis=0), 1e-300)).T
    same, ways = np.ones(len(z)), []
    r = z.shape[1]
    penalty = (SMOOTH_KNOTS * len(left) + r) * math.log(len(z)) / left.size
    for _ in range(TERMS if r > 1 else 1):
        starts = [way for each in left for way in _odd_too(z, each, _moments(z, each, same))]
        tried = [_direction(z, left, same, way, ROUGH_STEPS) for way in starts]
        if not tried:
            break
        way = min(tried, key=lambda each: each.misses).way
        best = _direction(z, left, same, way, GAUSS_NEWTON_STEPS)
        if best.misses * math.exp(penalty) > (left**2).sum():
            break
        left = left - best.fitted
        ways.append(best.way)
    return ways


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


def _odd_too(z: np.ndarray, left: np.ndarray, moments: list[np.ndarray]) -> list[np.ndarray]:
    """Return directions, and those of large third moments, in which odd functions show.

    The mean of left (w'z)^2 z is w, up to a factor, for the direction w of a sine. It is iterated
    from the directions that there are and from random ones, of which two are kept.

    Source: Janzamin, Sedghi and Anandkumar 2014, https://arxiv.org/abs/1412.2863.
    """
    random = np.random.default_rng(0).normal(size=(CUBIC, z.shape[1]))
    ways = np.vstack([*moments, random])
    for _ in range(POWERS):
        ways /= np.linalg.norm(ways, axis=1, keepdims=True).clip(min=1e-300)
        ways = (((ways @ z.T) ** 2 - 1) * left) @ z
    found, random = np.split(ways, [len(moments)])
    best = random[np.argsort(-np.linalg.norm(random, axis=1), kind="stable")[:2]]
    return [*moments, *(way for way in (*found, *best) if np.linalg.norm(way) > 1e-12)]


class _Direction(NamedTuple):
    """A direction (r,), the values of smooth functions of it, and the weighted sum of misses."""

    way: np.ndarray
    fitted: np.ndarray
    misses: float


def _direction(
    z: np.ndarray, left: np.ndarray, weights: np.ndarray, start: np.ndarray, steps: int
) -> _Direction:
    """Improve a direction by Gauss-Newton steps on the fit of a smooth function of it.

    With several rows of `left` (k, n), each has a function of its own.
    """
    r = z.shape[1]
    way = start / np.linalg.norm(start)
    fitted, slopes = along(z @ way, left, weights)
    every = np.broadcast_to(weights, left.shape).ravel()
    misses = float(every @ (left - fitted).ravel() ** 2)
    damping = 0.1
    for _ in range(steps if r > 1 else 0):
        design = (z * slopes[..., None]).reshape(-1, r)
        square = (design * every[:, None]).T @ design
        gradient = (every * (left - fitted).ravel()) @ design
        before = misses
        for _ in range(4):
            ridge = (damping * np.trace(square) / r + 1e-12) * np.eye(r)
            there = way + np.linalg.solve(square + ridge, gradient)
            there /= np.linalg.norm(there)
            values, ups = along(z @ there, left, weights)
            now = float(every @ (left - values).ravel() ** 2)
            if now < misses:
                way, fitted, slopes, misses = there, values, ups, now
                damping = max(damping / 5, 1e-4)
                break
            damping *= 5
        if misses > (1 - 1e-4) * before:
            break
    return _Direction(way, fitted, misses)


def _misses(z: np.ndarray, left: np.ndarray, weights: np.ndarray, way: np.ndarray) -> float:
    """Return the weighted sum of squared misses of a smooth function of a direction."""
    return float(weights @ (left - along(z @ (way / np.linalg.norm(way)), left, weights)[0]) ** 2)


def along(
    values: np.ndarray, left: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a smooth function along a direction; return its values and its slopes.

    Both have the shape of `left`: (n,), or (k, n) for a function of each of k rows.
    """
    bumps = Bumps.of(values)
    basis = np.empty((SMOOTH_KNOTS + 2, len(values)))
    basis[0], basis[1] = 1.0, values
    bumps.rows(values, basis[2:])
    weighted = basis * weights
    square = weighted @ basis.T
    square.flat[:: len(square) + 1] += weights.sum() * ALONG  # its diagonal
    found = np.linalg.solve(square, weighted @ left.T).T
    own = found[..., 2:]
    slopes = (own * bumps.centres) @ basis[2:] - values * (own @ basis[2:])
    return found @ basis, found[..., 1:2] + slopes / bumps.width**2
