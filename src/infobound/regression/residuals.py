"""Residuals: what is left of columns after regressing location and scale on given columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from infobound.data import Layout
from infobound.regression.features import Bumps, Levels
from infobound.regression.pursuit import along, shared_directions
from infobound.regression.smoothers import Design

__all__ = ["Origin", "Refit", "Residuals", "centred", "clear", "refitted", "residuals"]

SMOOTHER_FOLDS = 5  # of rows, for residuals of rows that a smoother was not fitted to
SCALE_ROUNDS = 2  # of location and scale
MOST_RESIDUAL = 5.0  # most by which a residual exceeds its scale where that is estimated
CONSTANT = 0.02  # standard deviation of a scale up to which it counts as constant
GAIN_RAMP = 2.0, 4.0  # gain in standard errors between which a regression gets its weight
TARGETS = 8  # most columns for which directions are searched
MOST_FUNCTIONS = 1 / 3  # of the number of rows, functions that residuals are fitted to once more
HUBER = 1.345  # standard deviations beyond which residuals count less: 95 % efficient for normals
LONG_TAILS = 2.0  # by which Huber's estimate must be more precise than least squares to be used
HUBER_STEPS = 15
LEFT = 2.0  # standard errors above chance at which what is left after Huber's fit depends on z
NORMAL_MEDIAN = 0.6745  # median absolute value of a standard normal


class Origin(NamedTuple):
    """What residuals were made of.

    Attributes:
        columns: (n, k), the columns before anything was taken out.
        linear: (n, k), the linear part that was taken out first.
        scale: (n, k), what the rest was divided by.
    """

    columns: np.ndarray
    linear: np.ndarray
    scale: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[Origin]) -> Origin:
        """Return the columns of all parts side by side."""
        return cls(*map(np.hstack, zip(*parts, strict=True)))


class Residuals(NamedTuple):
    """Residuals of the location and scale of columns given others.

    Attributes:
        values: (n, k), about standardised.
        errors: (k, k), the covariances of the errors of their locations, as far as two halves of
            the rows disagree. The diagonal is the part of their variances.
        scale_errors: (k,), the same of the scale.
        uncertain: (k,), the part of it that regressions would explain, but whose gain was not
            clear enough to be taken out.
        unexplained: (k,), the part of the variance of the columns that is left.
        origin: what they were made of.
    """

    values: np.ndarray
    errors: np.ndarray
    scale_errors: np.ndarray
    uncertain: np.ndarray
    unexplained: np.ndarray
    origin: Origin


class Refit(NamedTuple):
    """A fit of residuals to functions of given columns on all rows.

    Attributes:
        values: (n, k), what is left of the residuals.
        functions: (n, m), the functions.
        leverages: (n,), of the rows in the fits: how much of its own noise each takes up.
        directions: (r, d), along which some of them are smooth.
    """

    values: np.ndarray
    functions: np.ndarray
    leverages: np.ndarray
    directions: np.ndarray


def residuals(
    z: np.ndarray, values: np.ndarray, *, seed: int = 0, layout: Layout | None = None
) -> Residuals:
    """Return the residuals of the location and scale of columns given others.

    Each row's location m(z) and scale s(z) come from the other folds' rows. A residual
    (x - m(z)) / s(z) is a bijection of x for each z, so I(X;Y|Z) does not change.

    Args:
        z: (n, r), standardised.
        values: (n, k).
        seed: the seed of folds and searches.
        layout: how rows depend on each other; folds are stretches of time, or whole groups.

    Returns:
        The residuals, with what is known of their errors.

    Source: projection pursuit, Friedman and Stuetzle 1981,
    https://doi.org/10.1080/01621459.1981.10477729; stacking, Breiman 1996,
    https://doi.org/10.1007/BF00117832; cross-fitting, https://arxiv.org/abs/1608.00060.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z, u = rng.normal(size=(2, 800, 1))
        >>> found = residuals(z, np.sin(2 * z) + np.exp(z / 2) * u)
        >>> bool(np.corrcoef(found.values.T, u.T)[0, 1] > 0.97), bool(found.errors[0, 0] < 0.05)
        (True, True)
    """
    design = Design(z, seed=seed, folds=SMOOTHER_FOLDS, layout=layout)
    found = np.empty_like(values, dtype=np.float64)
    scale_errors, uncertain, unexplained = np.empty((3, values.shape[1]))
    apart_by_column: dict[int, np.ndarray] = {}
    searched = values.shape[1] <= TARGETS
    linear, scales = design.linear(values), np.empty_like(found)
    rest = values - linear
    for k, column in enumerate(rest.T):
        weights, scale, scale_errors[k] = None, np.ones(len(z)), 0.0
        starts: list[list[np.ndarray] | None] = [[] if searched else None for _ in range(3)]
        for again in range(SCALE_ROUNDS):  # from the second on, rows weigh by their scale
            location, shares = design.stacked(column, weights, starts[0])
            mean = np.average(column, weights=weights)
            gain = ((column - mean) ** 2 - (column - location) ** 2) / scale**2
            part = clear(gain)
            asked = column, weights, starts[0], shares
            left = column - mean - part * (location - mean)
            if again:  # a step of maximum likelihood, which is less noisy than logarithms
                wanted = np.abs(left) / scale
                wanted = (wanted / wanted.mean() - 1).clip(max=MOST_RESIDUAL)
            else:
                wanted = np.log(left**2 + 1e-4 * np.median(left**2) + 1e-300) / 2
            step, scaled = design.stacked(wanted, None, starts[1 + min(again, 1)])
            step -= step.mean()
            size = np.abs(left) / scale
            size = (size / max(size.mean(), 1e-300)).clip(max=MOST_RESIDUAL)
            power = clear(size - size * np.exp(-step) - step)
            scale_errors[k] *= (1 - power) ** 2  # a second step corrects the first one
            scale = (scale * np.exp(power * step)).clip(0.05, 20)
            if power:
                _, apart = design.disagreement(wanted, None, starts[1 + min(again, 1)], scaled)
                scale_errors[k] += power**2 * float(apart.var()) / 4
            if scale.std() < CONSTANT:
                break
            weights = 1 / scale**2
        found[:, k], scales[:, k] = left / scale, scale
        unexplained[k] = left.var() / max(values[:, k].var(), 1e-300)
        total = max(float(found[:, k].var()), 1e-300)
        if part:
            rows, apart = design.disagreement(*asked)
            apart_by_column[k] = part * apart / (2 * scale[rows] * math.sqrt(total))
        uncertain[k] = (1 - part) ** 2 * float((((location - mean) / scale) ** 2).mean()) / total
    spread = np.maximum(found.std(axis=0), 1e-300)
    origin = Origin(values, linear, scales * spread)
    errors = np.zeros((values.shape[1],) * 2)
    for j, first in apart_by_column.items():  # all of the same rows
        for k, second in apart_by_column.items():
            errors[j, k] = float((first * second).mean())
    return Residuals(found / spread, errors, scale_errors, uncertain, unexplained, origin)


def clear(gain: np.ndarray) -> float:
    """Return the weight of what gained so much on rows that it had not seen, by row."""
    spread = float(gain.std())
    if spread == 0:
        return 0.0
    errors = math.sqrt(len(gain)) * float(gain.mean()) / spread
    return min(max((errors - GAIN_RAMP[0]) / (GAIN_RAMP[1] - GAIN_RAMP[0]), 0.0), 1.0)


def centred(
    z: np.ndarray, values: np.ndarray, *, seed: int = 0, layout: Layout | None = None
) -> np.ndarray:
    """Return columns less their location given other columns, as in `residuals`; for classes.

    The scale of a class given z is a function of its location, and close to zero where it is rare,
    so it is not taken out.

    Args:
        z: (n, r), standardised.
        values: (n, k).
        seed: the seed of folds and searches.
        layout: how rows depend on each other, as in `residuals`.

    Returns:
        (n, k).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z, u = rng.normal(size=(2, 800, 1))
        >>> found = centred(z, (z + u > 0).astype(float))
        >>> bool(np.abs(np.corrcoef(found.T, z.T)[0, 1]) < 0.1)
        True
    """
    design = Design(z, seed=seed, folds=SMOOTHER_FOLDS, layout=layout)
    searched = values.shape[1] <= TARGETS
    location = [design.stacked(column, None, [] if searched else None)[0] for column in values.T]
    return np.asarray(values - np.column_stack(location))


def refitted(
    z: np.ndarray,
    rest: np.ndarray,
    origin: Origin,
    *,
    far: np.ndarray | None = None,
    bounded: np.ndarray | None = None,
) -> Refit:
    """Return residuals less what z still explains of them, by a fit of all rows, for tests.

    `residuals` treats each column alone and takes the linear part out first, from other rows. With
    few rows and many columns of z, a smooth function that two columns share may then be missed, or
    remain in the errors of both linear parts. Here all columns search together for directions of
    z, beginning with their linear parts. Then each residual, with the linear part added again, is
    fitted to z, to smooth functions along these directions and to what they change by if these
    turn, and to a mean of each value where a column of z has few: by least squares, or by Huber's
    M-estimate if the noise has such long tails that this is far more precise. Where the skewness of
    noise depends on z, as that of classes and counts does, Huber's estimate differs from the mean
    by a function of z. So it is not used for classes, or if a function of z is clearly left.

    Args:
        z: (n, r), standardised.
        rest: (n, k), residuals.
        origin: what they were made of.
        far: (n, m), columns of z with values so far out that z does not hold them as they are.
        bounded: (k,), which columns are classes, whose noise has no long tails; by default none.

    Returns:
        The fit. There are no functions, and the residuals are unchanged, if they would be too many
        for the rows.

    Source: projection pursuit, as for `residuals`; M-estimates, Huber 1964,
    https://doi.org/10.1214/aoms/1177703732.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> z, noise = rng.normal(size=(200, 20)), rng.normal(size=(200, 2))
        >>> found = residuals(z, 3 * np.sin(z.sum(axis=1, keepdims=True) / 2.5) + noise)
        >>> after = refitted(z, found.values, found.origin).values
        >>> [bool(np.corrcoef(each.T)[0, 1] > 0.3) for each in (found.values, after)]
        [True, False]
    """
    searched = origin.columns.shape[1] <= TARGETS
    ways = shared_directions(z, origin.columns) if searched else []
    smooth = [Bumps.of(z @ way)(z @ way) for way in ways]
    directions = np.stack(ways, axis=1) if ways else np.empty((z.shape[1], 0))
    functions = np.hstack([np.ones((len(z), 1)), z, *smooth, *([] if far is None else [far])])
    means = np.hstack([Levels.of(column)(column) for column in z.T])
    if functions.shape[1] + means.shape[1] <= MOST_FUNCTIONS * len(z):
        functions = np.hstack([functions, means])
    functions /= np.maximum(np.sqrt((functions**2).mean(axis=0)), 1e-300)
    if functions.shape[1] > MOST_FUNCTIONS * len(z):
        return Refit(rest, functions[:, :0], np.zeros(len(z)), directions)
    bounded = np.zeros(rest.shape[1], dtype=bool) if bounded is None else bounded
    room = int(MOST_FUNCTIONS * len(z) - functions.shape[1]) // z.shape[1]
    found, leverages = [], np.zeros(len(z))
    for column, linear, scale, long in zip(
        rest.T, origin.linear.T, origin.scale.T, ~bounded, strict=True
    ):
        wanted, relative = column + linear / scale, scale / scale.mean()
        every = np.hstack([functions, *_turns(z, wanted * relative, ways[:room])])
        design = every / relative[:, None]
        found.append(_unfitted(design, wanted, robust=long))
        leverages += _leverages(design) / rest.shape[1]
    return Refit(np.column_stack(found), functions, leverages, directions)


def _turns(z: np.ndarray, column: np.ndarray, ways: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield how smooth functions of directions of z, which a column (n,) has, change with these.

    A direction that is a little wrong leaves a combination of these columns (n, r).
    """
    for way in ways:
        fitted, slopes = along(z @ way, column, np.ones(len(z)))
        column = column - fitted
        yield z * (slopes / max(math.sqrt((slopes**2).mean()), 1e-300))[:, None]


def _ridge(functions: np.ndarray) -> np.ndarray:
    """Return the penalty (k, k) of fits to functions (n, k), some of which may be the same."""
    return np.asarray(1e-6 * (functions**2).sum() / functions.shape[1] * np.eye(functions.shape[1]))


def _leverages(functions: np.ndarray) -> np.ndarray:
    """Return the leverages (n,) of rows in a least-squares fit to functions (n, k)."""
    square = functions.T @ functions + _ridge(functions)
    return np.asarray((functions * np.linalg.solve(square, functions.T).T).sum(axis=1))


def _unfitted(functions: np.ndarray, column: np.ndarray, *, robust: bool) -> np.ndarray:
    """Return a column (n,) less its fit to functions (n, k), of least squares or Huber's."""
    ridge = _ridge(functions)

    def left(weights: np.ndarray) -> np.ndarray:
        weighted = functions.T * weights
        slopes = np.linalg.solve(weighted @ functions + ridge, weighted @ column)
        return np.asarray(column - functions @ slopes)

    plain = found = left(np.ones(len(column)))
    if not robust:
        return plain
    for _ in range(HUBER_STEPS):
        bound = HUBER * max(float(np.median(np.abs(found))) / NORMAL_MEDIAN, 1e-300)
        found = left(bound / np.maximum(np.abs(found), bound))
    near = np.abs(found).clip(max=bound)
    variance = (near**2).mean() / max(float((near < bound).mean()), 1e-300) ** 2
    if (plain**2).mean() <= LONG_TAILS * variance or variance == 0:
        return plain
    # Least squares fit noise a little better by chance; if much better, a function of z is left.
    count = functions.shape[1]
    by_chance = (count + LEFT * math.sqrt(2 * count)) / len(column)
    if plain.var() <= (1 - by_chance) * found.var():
        return plain
    return np.asarray(found - found.mean())  # Huber's location is not the mean of skewed noise
