"""Regression of columns on given columns: location and scale, without a model chosen in advance.

Four kinds of smoothers are compared on rows that they were not fitted to and averaged by
non-negative weights: additive splines, products of two columns, kernel ridge regression, and
projection pursuit, which finds the few directions of many columns that matter. Residuals are what
is left of a column after regressing its location and scale on the given columns.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import nnls

from infobound.data import Layout

__all__ = [
    "Bumps",
    "Design",
    "Known",
    "Origin",
    "Refit",
    "Regression",
    "Residuals",
    "centred",
    "clear",
    "refitted",
    "residuals",
]

DOUBTED = 2  # folds whose rows show the errors of regressions
SMOOTHER_FOLDS = 5  # of rows, for residuals of rows that a smoother was not fitted to
CENTRES = 200  # of the kernel smoother
WIDTHS = (0.35, 0.7, 1.4)  # of kernels, in standard deviations times sqrt(columns)
SMOOTH_KNOTS = 9  # basis functions of a smooth function of one column or direction
BUMP_WIDTH = 1.3  # of a basis function, in distances to the next one
OUT = 40.0  # widths from the first basis function beyond which all are zero
ALONG = np.r_[1e-11, 1e-5, np.full(SMOOTH_KNOTS, 1e-4)]  # penalties of a smooth function, by row
TERMS = 4  # directions that projection pursuit looks for
RANDOM = 3  # random starts of each search, besides those from moments
OPTIMISED = 3  # starts, the best ones, that are improved
GAUSS_NEWTON_STEPS = 12  # Gauss-Newton steps of a search
STEPS_AGAIN = 4  # the same for rows like those of an earlier search
ROUGH, ROUGH_STEPS = 1_000, 4  # rows and steps from which the best of several starts is chosen
SEARCH_ROWS = 4_000  # largest number of rows for the search of directions
PRODUCT_REACH = 3.0  # standard deviations beyond which products of columns do not grow
MULTIPLIED = 10  # most columns whose products are features
FEW_VALUES = 10  # a column of at most this many values has no smooth function of its own
PENALTIES = np.logspace(-7, 1, 17)  # relative to the largest eigenvalue
LEAST_SPREAD = 1e-12  # part of the variance of a combination of columns below which it is constant
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

Features = Callable[[np.ndarray], np.ndarray]


class Known:
    """Rows of given columns and their features under each map, computed once and when needed.

    Args:
        z: (n, r).
        maps: the maps of features.
    """

    def __init__(self, z: np.ndarray, maps: Sequence[Features]) -> None:
        self.z = z
        self.maps = maps
        self._features: dict[int, np.ndarray] = {}

    def __getitem__(self, j: int) -> np.ndarray:
        """Return the features (n, k) under map j."""
        if j not in self._features:
            self._features[j] = self.maps[j](self.z)
        return self._features[j]


class Design:
    """Given columns (n, r), standardised, with their folds and the features of each smoother.

    Sums of products of features are computed once for each block of rows, half of a fold. Those of
    the other folds are differences of these, so that no regression passes over the rows again.

    Args:
        z: (n, r).
        seed: the seed of folds and searches.
        folds: the number of folds.
        layout: how rows depend on each other.
    """

    def __init__(
        self, z: np.ndarray, *, seed: int = 0, folds: int = 3, layout: Layout | None = None
    ) -> None:
        self.seed = seed
        self.maps = _maps(z, seed)
        self.blocks = (layout or Layout()).halves(len(z), folds, seed=seed)
        self.order = np.concatenate(self.blocks)
        self.known = Known(z[self.order], self.maps)
        self._plain: dict[int, tuple[_Sums, _Spectrum]] = {}

    @property
    def z(self) -> np.ndarray:
        """The rows (n, r) in the order of the blocks."""
        return self.known.z

    @cached_property
    def parts(self) -> list[tuple[np.ndarray, slice]]:
        """The other rows and the rows of each fold, as places in the order of the blocks."""
        ends = np.cumsum([0, *map(len, self.blocks)])[::2]
        places = np.arange(len(self.order))
        return [
            (np.delete(places, np.s_[start:end]), slice(start, end))
            for start, end in itertools.pairwise(map(int, ends))
        ]

    def linear(self, values: np.ndarray) -> np.ndarray:
        """Return predictions (n, k) of each fold's rows from the others by ridge regression.

        All columns have the same penalty, so that what a column is of others remains in what is
        left of them: errors of the regressions are then the same combination. A penalty large
        enough for each column by itself would leave more of z in their difference than there is of
        it. So generalised cross-validation compares determinants of what is left, which choose the
        same penalty for all linear combinations; with almost as many columns as rows, variances.
        """
        values = values[self.order]
        found = np.empty_like(values, dtype=np.float64)
        k = values.shape[1]
        for rest, own in self.parts:
            means, mean = self.z[rest].mean(axis=0), values[rest].mean(axis=0)
            design, target = self.z[rest] - means, values[rest] - mean
            sizes, vectors = np.linalg.eigh(design.T @ design)
            sizes = sizes.clip(min=0)
            projected = vectors.T @ (design.T @ target)
            gains = 1 / (sizes + PENALTIES[:, None] * max(sizes[-1], 1e-300))
            unit = np.sqrt((target**2).sum(axis=0)).clip(min=1e-150)
            known, share = projected / unit, gains * (2 - sizes * gains)
            left = (target / unit).T @ (target / unit) - (known.T * share[:, None]) @ known
            left[:, ~np.eye(k, dtype=bool)] *= 1 - min(k / len(rest), 1.0) ** 2
            spreads = np.linalg.eigvalsh(left).clip(min=LEAST_SPREAD)
            freedom = np.minimum((1 + (sizes * gains).sum(axis=1)) / len(rest), 0.99)
            best = np.argmin(np.log(spreads).mean(axis=1) - 2 * np.log(1 - freedom))
            slopes = vectors @ (gains[best][:, None] * projected)
            found[own] = mean + (self.z[own] - means) @ slopes
        return self.restored(found)

    def restored(self, rows: np.ndarray) -> np.ndarray:
        """Return rows (n, ...) in the order of the blocks in their own order."""
        found = np.empty_like(rows)
        found[self.order] = rows
        return found

    def lines(self, j: int, column: np.ndarray, weights: np.ndarray | None) -> _Lines:
        """Return ridge regressions of a column, in the order of the blocks, on features j.

        Generalised cross-validation on all rows chooses the penalty of all of them.
        """
        known, sizes = self.known[j], list(map(len, self.blocks))
        if weights is not None:
            sums = _Sums.of(known, weights, sizes)
            spectrum = _Spectrum.of(sums)
        else:
            if j not in self._plain:
                sums = _Sums.of(known, np.ones(len(column)), sizes)
                self._plain[j] = sums, _Spectrum.of(sums)
            sums, spectrum = self._plain[j]
        return _Lines.of(known, column, weights, sums, spectrum, sizes)

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
        lines: dict[int, _Lines] | None = None,
    ) -> np.ndarray:
        """Return the predictions (n, smoothers) of each fold's rows from the others.

        Args:
            column: (n,), what is predicted.
            weights: (n,), of the rows; equal if None.
            starts: directions from which projection pursuit starts; those that it finds are added
                if there are none. With None there is no such smoother.
            shares: the weights of the smoothers, if known; those of zero are left out.
            lines: receives the ridge regressions by their map.
        """
        count = len(self.maps) + (starts is not None)
        found = np.zeros((len(column), count))
        wanted = np.ones(count, dtype=bool) if shares is None else shares > 0
        column = column[self.order]
        weights = None if weights is None else weights[self.order]
        for j in np.flatnonzero(wanted[: len(self.maps)]):
            fitted = self.lines(int(j), column, weights)
            for k, (_, own) in enumerate(self.parts):
                line = fitted.without(range(2 * k, 2 * k + 2))
                found[own, j] = line.at(self.known[int(j)][own])
            if lines is not None:
                lines[int(j)] = fitted
        if starts is not None and wanted[-1]:
            for rest, own in self.parts:
                some = None if weights is None else weights[rest]
                pursued = _pursuit(self.z[rest], column[rest], some, starts, self.seed)
                found[own, -1] = pursued(self.z[own])
        return self.restored(found)

    def disagreement(
        self,
        column: np.ndarray,
        weights: np.ndarray | None,
        starts: list[np.ndarray] | None,
        shares: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows (m,) and by how much predictions of them from two halves of others differ.

        The arguments are those of `held_out`. A quarter of the mean square is the variance of
        predictions from both halves. The rows are those of the first `DOUBTED` folds.
        """
        column = column[self.order]
        weights = None if weights is None else weights[self.order]
        lines = {int(j): self.lines(int(j), column, weights) for j in np.flatnonzero(shares[:-1])}
        if starts is None and shares[-1]:
            lines[len(shares) - 1] = self.lines(len(shares) - 1, column, weights)
        ends = np.cumsum([0, *map(len, self.blocks)])
        rows, found = [], []
        for k in range(min(DOUBTED, len(self.parts))):
            own = self.parts[k][1]
            rows.append(self.order[own])
            difference = np.zeros(own.stop - own.start)
            for sign, half in ((1, 0), (-1, 1)):
                left_out = {2 * k, 2 * k + 1, *range(1 - half, len(self.blocks), 2)}
                for j, fitted in lines.items():
                    line = fitted.without(sorted(left_out))
                    difference += sign * shares[j] * line.at(self.known[j][own])
                if starts is not None and shares[-1]:
                    blocks = [b for b in range(len(self.blocks)) if b not in left_out]
                    rest = np.concatenate([np.arange(ends[b], ends[b + 1]) for b in blocks])
                    some = None if weights is None else weights[rest]
                    pursued = _pursuit(self.z[rest], column[rest], some, starts, self.seed)
                    difference += sign * shares[-1] * pursued(self.z[own])
            found.append(difference)
        return np.concatenate(rows), np.concatenate(found)


@dataclass(frozen=True)
class Regression:
    """A fitted regression: the weighted average of its smoothers.

    Attributes:
        maps: the maps of features of the ridge regressions.
        constants: (k,), what is added to the smoothers' slopes.
        shares: the weights of the smoothers of each column; the last one is that of projection
            pursuit. The mean of the column takes the weight that is missing to one.
        starts: the directions that were found for each column.
        slopes: the slopes (features, k) of maps, times the weights.
        pursuits: by column, the result of projection pursuit if its weight is not zero.
        held_out: (n, k), predictions of each row by smoothers that were not fitted to it.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(500, 3))
        >>> fitted = Regression.fit(Design(z), np.sin(z[:, :1]))
        >>> bool(np.abs(fitted(z) - np.sin(z[:, :1])).mean() < 0.05)
        True
    """

    maps: Sequence[Features]
    constants: np.ndarray
    shares: tuple[np.ndarray, ...]
    starts: tuple[list[np.ndarray], ...]
    slopes: Mapping[int, np.ndarray]
    pursuits: Mapping[int, Features]
    held_out: np.ndarray

    @classmethod
    def fit(
        cls,
        design: Design,
        values: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        start: Regression | None = None,
        pursuit: bool = True,
    ) -> Regression:
        """Fit columns to given columns.

        Args:
            design: the given columns (n, r).
            values: (n, k).
            weights: (n, k), of the rows; equal by default.
            start: an earlier fit to similar rows, whose weights and directions are kept.
            pursuit: whether directions are looked for, which takes most of the time.
        """
        constants = np.average(values, axis=0, weights=weights)
        every: list[np.ndarray] = []
        ways: list[list[np.ndarray]] = []
        slopes: dict[int, np.ndarray] = {}
        pursuits: dict[int, Features] = {}
        held_out = np.empty_like(values)
        for k, (column, mean) in enumerate(zip(values.T, constants.copy(), strict=True)):
            some = None if weights is None else weights[:, k]
            found = [] if start is None else start.starts[k]
            known = None if start is None else start.shares[k]
            lines: dict[int, _Lines] = {}
            tried = design.held_out(column, some, found if pursuit else None, known, lines)
            if not pursuit:
                tried = np.column_stack([tried, np.full(len(tried), mean)])
            shares = _shares(tried, column, some) if known is None else known
            held_out[:, k] = mean + (tried - mean) @ shares
            for j in np.flatnonzero(shares[:-1]):
                line = lines[int(j)].whole
                if int(j) not in slopes:
                    slopes[int(j)] = np.zeros((len(line.slopes), values.shape[1]))
                slopes[int(j)][:, k] = shares[j] * line.slopes
                constants[k] += shares[j] * (line.constant - mean)
            if shares[-1] > 0:
                rows, order = design.z, design.order
                part = None if some is None else some[order]
                pursuits[k] = _pursuit(rows, column[order], part, found, design.seed)
                constants[k] -= shares[-1] * mean
            every.append(shares)
            ways.append(found)
        return cls(design.maps, constants, tuple(every), tuple(ways), slopes, pursuits, held_out)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Return predictions (m, k) for z (m, r)."""
        return self.at(Known(z, self.maps))

    def at(self, known: Known) -> np.ndarray:
        """Return predictions (m, k) for rows whose features other regressions may share."""
        found = np.tile(self.constants, (len(known.z), 1))
        for j, slopes in self.slopes.items():
            found += known[j] @ slopes
        for k, pursuit in self.pursuits.items():
            found[:, k] += self.shares[k][-1] * pursuit(known.z)
        return found


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
        errors: (k,), the part of their variance that the error of the location is, as far as two
            halves of the rows disagree.
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
        directions: (r, d), along which some of them are smooth.
    """

    values: np.ndarray
    functions: np.ndarray
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
        >>> bool(np.corrcoef(found.values.T, u.T)[0, 1] > 0.97), bool(found.errors[0] < 0.05)
        (True, True)
    """
    design = Design(z, seed=seed, folds=SMOOTHER_FOLDS, layout=layout)
    found = np.empty_like(values, dtype=np.float64)
    errors, scale_errors, uncertain, unexplained = np.empty((4, values.shape[1]))
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
        noise, total = 0.0, max(float(found[:, k].var()), 1e-300)
        if part:
            rows, apart = design.disagreement(*asked)
            noise = part**2 * float(((apart / scale[rows]) ** 2).mean()) / 4
        errors[k] = noise / total
        uncertain[k] = (1 - part) ** 2 * float((((location - mean) / scale) ** 2).mean()) / total
    spread = np.maximum(found.std(axis=0), 1e-300)
    origin = Origin(values, linear, scales * spread)
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
    fitted to z and to smooth functions along these directions: by least squares, or by Huber's
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
    ways = _shared_directions(z, origin.columns) if searched else []
    smooth = [Bumps.of(z @ way)(z @ way) for way in ways]
    directions = np.stack(ways, axis=1) if ways else np.empty((z.shape[1], 0))
    functions = np.hstack([np.ones((len(z), 1)), z, *smooth, *([] if far is None else [far])])
    functions /= np.maximum(np.sqrt((functions**2).mean(axis=0)), 1e-300)
    if functions.shape[1] > MOST_FUNCTIONS * len(z):
        return Refit(rest, functions[:, :0], directions)
    bounded = np.zeros(rest.shape[1], dtype=bool) if bounded is None else bounded
    found = [
        _unfitted(functions * (scale.mean() / scale)[:, None], column + linear / scale, robust=long)
        for column, linear, scale, long in zip(
            rest.T, origin.linear.T, origin.scale.T, ~bounded, strict=True
        )
    ]
    return Refit(np.column_stack(found), functions, directions)


def _unfitted(functions: np.ndarray, column: np.ndarray, *, robust: bool) -> np.ndarray:
    """Return a column (n,) less its fit to functions (n, k), of least squares or Huber's."""
    ridge = 1e-6 * (functions**2).sum() / functions.shape[1] * np.eye(functions.shape[1])

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


def _shared_directions(z: np.ndarray, columns: np.ndarray) -> list[np.ndarray]:
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
        starts = [way for each in left for way in _moments(z, each, same)]
        tried = [_direction(z, left, same, way, ROUGH_STEPS) for way in starts]
        if not tried:
            break
        way = min(tried, key=lambda each: each[2])[0]
        way, fitted, misses = _direction(z, left, same, way, GAUSS_NEWTON_STEPS)
        if misses * math.exp(penalty) > (left**2).sum():
            break
        left = left - fitted
        ways.append(way)
    return ways


def _shares(tried: np.ndarray, column: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return non-negative weights of the smoothers, which sum to at most one."""
    root = np.ones(len(column)) if weights is None else np.sqrt(weights)
    mean = np.average(column, weights=weights)
    shares = nnls((tried - mean) * root[:, None], (column - mean) * root)[0]
    return np.asarray(shares / max(1.0, shares.sum()))


def _maps(z: np.ndarray, seed: int) -> list[Features]:
    """Return the feature maps of ridge regressions: splines by column, products, and kernels."""
    columns = [k for k in range(z.shape[1]) if len(np.unique(z[:, k])) > FEW_VALUES]
    bumps = [Bumps.of(z[:, k]) for k in columns]

    def additive(rows: np.ndarray) -> np.ndarray:
        own = [bump(rows[:, k]) for k, bump in zip(columns, bumps, strict=True)]
        return np.asarray(np.hstack([rows, *own]))

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


class _Sums(NamedTuple):
    """Weighted sums over blocks of rows: of ones (b,), features (b, k), products (b, k, k)."""

    ones: np.ndarray
    features: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, known: np.ndarray, weights: np.ndarray, sizes: Sequence[int]) -> _Sums:
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


class _Spectrum(NamedTuple):
    """Eigenvalues and eigenvectors of the centred products of all rows."""

    values: np.ndarray
    vectors: np.ndarray

    @classmethod
    def of(cls, sums: _Sums) -> _Spectrum:
        total = sums.features.sum(axis=0)
        square = sums.products.sum(axis=0) - np.outer(total, total) / sums.ones.sum()
        values, vectors = np.linalg.eigh(square)
        return cls(values.clip(min=0), vectors)


@dataclass(frozen=True, eq=False)
class _Line:
    """A linear function of features."""

    constant: float
    slopes: np.ndarray

    def at(self, known: np.ndarray) -> np.ndarray:
        return np.asarray(self.constant + known @ self.slopes)


@dataclass(frozen=True, eq=False)
class _Lines:
    """Ridge regressions of one column with the same penalty: of all rows and of some blocks."""

    sums: _Sums
    column: np.ndarray  # (b,), weighted sums of the column, less its mean, over blocks
    products: np.ndarray  # (b, k), of features times the column
    mean: float
    penalty: float  # by weight
    whole: _Line

    @classmethod
    def of(
        cls,
        known: np.ndarray,
        column: np.ndarray,
        weights: np.ndarray | None,
        sums: _Sums,
        spectrum: _Spectrum,
        sizes: Sequence[int],
    ) -> _Lines:
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
        whole = _Line(mean - float(sums.features.sum(axis=0) @ slopes) / total, slopes)
        return cls(sums, own, products, mean, float(PENALTIES[best]) * largest / total, whole)

    def without(self, blocks: Sequence[int]) -> _Line:
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
        return _Line(self.mean + float(column - features @ slopes) / float(ones), slopes)


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
            tried = [min(found, key=lambda each: each[2])[0]]
        direction, fitted, misses = _direction(known, left, some, tried[0], steps)
        freedom = min((SMOOTH_KNOTS + r) / len(known), 0.99)
        if misses / (1 - freedom) ** 2 > some @ left**2:
            break
        left = left - fitted
        directions.append(direction)
    if not starts:
        starts += directions
    bumps = [Bumps.of(z @ direction) for direction in directions]

    def features(rows: np.ndarray) -> np.ndarray:
        own = [bump(rows @ way) for way, bump in zip(directions, bumps, strict=True)]
        return np.asarray(np.hstack([rows, *own]))

    own = features(z)
    sums = _Sums.of(own, np.ones(len(z)) if weights is None else weights, [len(z)])
    line = _Lines.of(own, column, weights, sums, _Spectrum.of(sums), [len(z)]).whole
    return lambda rows: line.at(features(rows))


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
    z: np.ndarray, left: np.ndarray, weights: np.ndarray, start: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Improve a direction by Gauss-Newton steps on the fit of a smooth function of it.

    With several rows of `left` (k, n), each has a function of its own.

    Returns:
        The direction, the fitted values, as `left`, and the weighted sum of squared misses.
    """
    r = z.shape[1]
    way = start / np.linalg.norm(start)
    fitted, slopes = _along(z @ way, left, weights)
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
            values, ups = _along(z @ there, left, weights)
            now = float(every @ (left - values).ravel() ** 2)
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
