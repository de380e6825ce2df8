"""Estimation of I(X;Y|Z), the mutual information that is left when Z is known.

By the chain rule it is I((X,Z);Y) - I(Z;Y). Both are estimated on the same folds, after what Z says
of the location and scale of X and Y was taken out: for each z that is a bijection of x and of y, so
it does not change I(X;Y|Z), and it leaves I(Z;Y) near zero, where its error is small. Critics of
the first MI that do not read Z compete with those that do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from torch import nn

from infobound import data
from infobound._system.memory import subsample, take_rows
from infobound.config import Config
from infobound.data.transforms import FAR
from infobound.errors import InputError
from infobound.estimation import combine
from infobound.estimation.conditional_guarantees import (
    GivenSampler,
    certified_by_draws,
    certified_by_strata,
)
from infobound.estimation.crossfit import Fold, fit_fold
from infobound.estimation.ksg import conditional_terms, ksg_terms
from infobound.estimation.point import NO_LIMIT, PointEstimate
from infobound.estimation.selection import Ensemble, Job, configure_bound
from infobound.inference.conditional_independence import (
    Neighbours,
    Scores,
    are_classes,
    local_permutation_p,
    neighbourhoods,
    projection_p,
    strata,
    untestable,
    within,
)
from infobound.inference.standard_errors import standard_error
from infobound.models.closed_forms import stem
from infobound.regression.joint_locations import refined
from infobound.regression.residuals import Origin, Refit, centred, refitted, residuals
from infobound.training import loop

__all__ = ["Sides", "conditional", "p_values"]

TESTED_ROWS = 20_000  # most rows that the tests look at
MOST_HIDDEN = 0.5  # of what is missing to a correlation of one, errors of regressions may hide
LOST = 0.5  # most of an estimate that is added for such errors
BLURRED_ROWS = 5_000  # most rows to which noise like these errors is added
BLURS = 2  # draws of this noise
BIASED = 2.0  # mean squared error of a smoother over its variance: its bias adds about as much
SCORED_PER_FOLD = 2_000  # most rows of a fold that a critic scores for the tests

FARTHEST = 1e6  # scales from the median, of z as it is
# Fields of `Sides` with a value for x and one for y.
TWOFOLD = ("origins", "errors", "scale_errors", "uncertain", "left", "noise")

Parts = Sequence[tuple[np.ndarray, np.ndarray]]  # training rows and test rows of each fold


@dataclass(frozen=True, eq=False)
class Sides:
    """x, y and z as the critics read them.

    Attributes:
        x: (n, p), residuals given z; columns of few values are unchanged.
        y: (n, q), the same.
        z: (n, r), standardised.
        origins: what x and y were made of.
        errors: the parts of the variances of x and y that errors of their locations are.
        shared: (p, q), the covariances of the errors of x and y, in units of these variances; zero
            by default.
        scale_errors: the parts that errors of their scales are.
        uncertain: the parts that z may explain, but not clearly.
        left: the parts of the variances of x and y that z does not explain.
        levels: (n,), which value of z each row has, as an id, if z takes few values.
        layout: how rows depend on each other.
        noise: draws (m, n, p) and (m, n, q) from the distribution of the errors of x and y, if
            their locations were refined.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    origins: tuple[Origin, Origin]
    errors: tuple[float, float]
    scale_errors: tuple[float, float]
    uncertain: tuple[float, float]
    left: tuple[float, float]
    levels: np.ndarray | None
    layout: data.Layout = field(default_factory=data.Layout)
    noise: tuple[np.ndarray, ...] = ()
    shared: np.ndarray = field(default_factory=lambda: np.zeros((1, 1)))

    @classmethod
    def of(cls, pair: data.Pair, config: Config) -> Sides:
        """Remove from x and y the location and scale that z predicts.

        A side of classes takes the place of y, so that classifiers read x and z.
        """
        assert pair.given is not None
        everything, layout = np.arange(len(pair.x)), data.Layout.of(pair, config)
        given = take_rows(pair.given, everything)
        z = _standardised(given)
        sides = [take_rows(side, everything) for side in (pair.x, pair.y)]
        origins = [
            Origin(side.astype(np.float64), np.zeros(side.shape), np.ones(side.shape))
            for side in sides
        ]
        many = [np.flatnonzero(~are_classes(side)) for side in sides]
        wanted = np.hstack([side[:, own] for side, own in zip(sides, many, strict=True)])
        errors, scale_errors, uncertain, left = ([v, v] for v in (0.0, 0.0, 0.0, 1.0))
        shared = np.zeros((sides[0].shape[1], sides[1].shape[1]))
        if wanted.shape[1]:
            scaled = data.Transform.fit(wanted).robust(wanted)
            rest = residuals(z, scaled, seed=config.seed, layout=layout)
            at = 0
            for side, own in enumerate(many):
                if len(own):
                    here = slice(at, at + len(own))
                    for all_columns, columns in zip(origins[side], rest.origin, strict=True):
                        all_columns[:, own] = columns[:, here]
                    sides[side] = sides[side].copy()
                    sides[side][:, own] = rest.values[:, here]
                    errors[side] = float(rest.errors.diagonal()[here].mean())
                    scale_errors[side] = float(rest.scale_errors[here].mean())
                    uncertain[side] = float(rest.uncertain[here].mean())
                    left[side] = float(rest.unexplained[here].min())
                    at += len(own)
            p = len(many[0])
            shared[np.ix_(*many)] = rest.errors[:p, p:]
        found = cls(
            *(sides[0], sides[1], z, (origins[0], origins[1])),
            *((errors[0], errors[1]), (scale_errors[0], scale_errors[1])),
            *((uncertain[0], uncertain[1]), (left[0], left[1])),
            *(strata(given), layout),
            shared=shared,
        )
        return found.exchanged if _is_class(found.x) and not _is_class(found.y) else found

    @property
    def exchanged(self) -> Sides:
        """The same with x and y exchanged."""
        parts = {name: getattr(self, name)[::-1] for name in TWOFOLD}
        return replace(self, x=self.y, y=self.x, shared=self.shared.T, **parts)

    @property
    def error_covariance(self) -> np.ndarray:
        """The covariances (p + q, p + q) of the errors of the locations of x and y."""
        p, q = self.x.shape[1], self.y.shape[1]
        shared = np.broadcast_to(self.shared, (p, q))
        most = math.sqrt(self.errors[0] * self.errors[1])
        size = float(np.linalg.norm(shared, 2))
        shared = shared * min(1.0, most / size) if size else shared  # which is what they may be
        own = (error * np.eye(d) for error, d in zip(self.errors, (p, q), strict=True))
        first, second = own
        return np.block([[first, shared], [shared.T, second]])

    @property
    def doubt(self) -> float:
        """The correlation of x and y that errors of both regressions may have left.

        Errors that are the same function of z look like a dependence.
        """
        first, second = map(
            sum, zip((BIASED * e for e in self.errors), self.uncertain, strict=True)
        )
        return math.sqrt(first * second)

    @property
    def both(self) -> data.Pair:
        """The pair of (x, z) and y."""
        return _pair(np.hstack([self.x, self.z]), self.y, self.layout)

    @property
    def alone(self) -> data.Pair:
        """The pair of z and y."""
        return _pair(self.z, self.y, self.layout)


def conditional(
    pair: data.Pair,
    config: Config,
    hooks: loop.Hooks,
    module: nn.Module | None = None,
    sampler: GivenSampler | None = None,
) -> PointEstimate:
    """Estimate I(X;Y|Z) by cross-fitting, as the difference I((X,Z);Y) - I(Z;Y).

    Args:
        pair: the rows, with what is given.
        config: the settings.
        hooks: connect the estimate to its run directory and to the caller.
        module: not possible here.
        sampler: draws x given z, if that distribution is known; see `conditional_guarantees`.

    Returns:
        The point estimate, in nats.

    Raises:
        InputError: If there is a module.

    Source: the chain rule, Cover and Thomas, Elements of Information Theory, section 2.5;
    residuals of both sides, whose errors multiply, https://arxiv.org/abs/1804.07203.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=300)  # a common cause
        >>> x, y = 2 * z + rng.normal(size=(2, 300))
        >>> config = Config(critic="none", base="gaussian", certify=False)
        >>> found = conditional(data.as_pair(x, y, given=z), config, loop.Hooks())
        >>> found.mi < 0.05
        True
    """
    if module is not None:
        raise InputError(
            "Expected no module of your own with given: its critic would have to read x, y and "
            "what is given. Leave one of the two out."
        )
    if config.estimator == "ksg":
        raise InputError(
            "Expected estimator 'default', 'gaussian' or 'student' with given; got 'ksg'. The "
            "default compares itself with nearest neighbours in up to 4 columns."
        )
    sides = Sides.of(pair, config)
    fine = _refined(sides, config)  # the tests read `sides`, whose means given z are zero
    parts = sides.layout.folds(len(pair.x), config.folds, seed=config.seed)
    found, folds, fitted = _difference(fine, config, parts, hooks)
    limit = pair.sample[1].limit
    neighbours = _second_opinion(fine, config)
    blurred = {} if neighbours is None else _blurred(fine, config)
    found = _less_attenuated(found, fine, blurred)
    most = limit[1] if limit else NO_LIMIT
    point = combine.finish(found, folds, config, most, neighbours, groups=pair.groups)
    point = replace(point, left=sides.left)
    if not config.certify:
        return point
    point = replace(point, exchanged=_other_order(fine, config, parts, folds, found.terms))
    if not sides.layout.independent:
        return replace(point, projection_p=_projection_p(sides, config))
    local, projection = p_values(pair, sides, config, _scores(sides, config, parts, fitted))
    tested, bound = [test for _, test in parts], None
    if sampler is not None:
        bound = certified_by_draws(pair, config, tested, sampler)
    elif sides.levels is not None:
        bound = certified_by_strata(pair, config, tested, sides.levels)
    return replace(point, p_value=local, projection_p=projection, certified=bound)


def _difference(
    sides: Sides, config: Config, parts: Parts, hooks: loop.Hooks, *, most: int | None = None
) -> tuple[combine.Combined, list[Fold], list[tuple[Ensemble, Ensemble]]]:
    """Estimate I((X,Z);Y) - I(Z;Y), and return the folds of the first and the critics of both.

    With `most`, only so many folds are fitted, the first ones.
    """
    bound = configure_bound(config)
    alone = Job(sides.alone, config.with_(base="auto"), bound, hooks=hooks, sceptical=True)
    simple = replace(alone, config=alone.config.with_(critic="none"))
    both = Job(sides.both, config, bound, hooks=hooks, given=sides.z.shape[1])
    first, second, critics = [], [], []
    for k, (training, test) in enumerate(parts[:most]):
        rows = k, training, test, parts[(k + 1) % len(parts)][1]
        of_z, shapes = fit_fold(simple, *rows, name="given")
        fold, critic = fit_fold(replace(both, shapes=shapes.parts), *rows, name="fold")
        if any(part.base is None for part in fold.parts):
            # A network may see in y a shape that z predicts; then one must look for it there too.
            of_z, shapes = fit_fold(alone, *rows, name="given")
        first.append(fold)
        second.append(of_z)
        critics.append((critic, shapes))
    groups = sides.layout.groups
    first, second = (
        combine.downgrade_implausible_copulas(folds, config, groups) for folds in (first, second)
    )
    shared = float(np.mean([critic.shared for critic, _ in critics]))
    of_both, rest = combine.Combined.of(both.pair, first), combine.Combined.of(alone.pair, second)
    return of_both.less(rest, shared=shared), first, critics


def _other_order(
    sides: Sides, config: Config, parts: Parts, folds: Sequence[Fold], terms: np.ndarray
) -> float | None:
    """Return the held-out value with x and y exchanged, by closed forms of the same kinds.

    It is the mean of the terms (n,) of all rows, moved by the difference of both orders in the
    first fold. A regression that failed shows there as well as in all folds.
    """
    used = dict.fromkeys(stem(fold.base) for fold in folds if fold.base is not None)
    if not used or _is_class(sides.y):
        return None
    simple = config.with_(critic="none", base=",".join(used))
    others = _difference(sides.exchanged, simple, parts, loop.Hooks(), most=1)[0].terms
    return float(terms.mean() + others.mean() - terms[: len(others)].mean())


def p_values(
    pair: data.Pair, sides: Sides, config: Config, learned: Sequence[Scores]
) -> tuple[float, float] | tuple[None, None]:
    """Return the p-values of the local permutation test and of the projection test.

    There is none where z is `untestable`.

    Args:
        pair: the rows, with what is given.
        sides: the same as the critics read them.
        config: the settings: the seed and the number of permutations.
        learned: scores of critics of other rows; may be empty.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=300)  # a common cause
        >>> x, y = 2 * z + rng.normal(size=(2, 300))
        >>> pair, config = data.as_pair(x, y, given=z), Config()
        >>> [p > 0.05 for p in p_values(pair, Sides.of(pair, config), config, [])]
        [True, True]
    """
    if untestable(sides.z):
        return None, None
    rows = subsample(np.arange(len(pair.x)), TESTED_ROWS, seed=config.seed)
    local_p = partial(local_permutation_p, permutations=config.permutations, seed=config.seed)
    if sides.levels is not None:
        levels = np.unique(sides.levels[rows], return_inverse=True)[1]
        x, y = (take_rows(side, rows) for side in (pair.x, pair.y))
        neighbours = Neighbours.of(x, y, sides.z[rows], levels, exact=True)
        local = local_p(neighbours, [])
        x, y = within(x, levels), within(y, levels)
        return local, projection_p(x, y, learned, leverages=1 / np.bincount(levels)[levels])
    z = sides.z[rows]
    refit, taken = _refitted(pair, sides, config.seed)
    x, y = np.split(refit.values[rows], [sides.x.shape[1]], axis=1)
    leverages = refit.leverages[rows]
    neighbours = Neighbours.of(
        *(x, y, z, neighbourhoods(z)),
        exact=False,
        plain=(are_classes(sides.x), are_classes(sides.y)),
        known=refit.functions[rows],
        directions=refit.directions,
    )
    learned = [replace(each, doubt=sides.doubt + taken) for each in learned]
    local = local_p(neighbours, learned, leverages=leverages, doubt=sides.doubt)
    return local, projection_p(x, y, learned, leverages=leverages, doubt=sides.doubt)


def _refitted(pair: data.Pair, sides: Sides, seed: int) -> tuple[Refit, float]:
    """Fit residuals of x and y, side by side, to functions of z on all rows.

    The second value is the correlation of x and y that the functions may have taken out, beyond
    what as many functions take out of noise. Critics have read x and y with it.
    """
    before = np.hstack([_without_classes(sides.z, side, seed) for side in (sides.x, sides.y)])
    assert pair.given is not None
    given = take_rows(pair.given, np.arange(len(before)))
    scaled = data.Transform.fit(given).scaled(given)
    far = scaled[:, (np.abs(scaled) > FAR).any(axis=0)].clip(-FARTHEST, FARTHEST)
    classes = np.hstack([are_classes(side) for side in (sides.x, sides.y)])
    refit = refitted(sides.z, before, Origin.joined(sides.origins), far=far, bounded=classes)
    share = float(refit.leverages.mean())
    spread = np.maximum(before.var(axis=0), 1e-300)
    taken = (1 - share - refit.values.var(axis=0) / spread).clip(min=0)
    wide = sides.x.shape[1]
    return refit, math.sqrt(taken[:wide].mean() * taken[wide:].mean())


def _projection_p(sides: Sides, config: Config) -> float | None:
    """Return the p-value of the projection test for rows that depend on each other.

    Its standard errors allow for that; rows cannot be exchanged, and critics' scores are left out.
    There is none where z is `untestable`.
    """
    if untestable(sides.z):
        return None
    every = np.arange(len(sides.x))
    both = (_without_classes(sides.z, side, config.seed) for side in (sides.x, sides.y))
    if sides.levels is not None:
        both = (within(side, sides.levels) for side in (sides.x, sides.y))
    x, y = both

    def error(values: np.ndarray) -> float:
        return standard_error(values, every, config, groups=sides.layout.groups)

    return projection_p(x, y, [], doubt=sides.doubt, error=error)


def _without_classes(z: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """Return rows (n, d) whose columns of few values are residuals given z, as the others are."""
    few = are_classes(rows)
    found = rows.astype(np.float64)
    if few.any():
        found[:, few] = centred(z, found[:, few], seed=seed)
    return found


def _scores(
    sides: Sides, config: Config, parts: Parts, critics: Sequence[tuple[Ensemble, Ensemble]]
) -> list[Scores]:
    """Return the scores of each fold's critics, of rows that they had not seen.

    What the critic of z and y says is taken off: it says nothing of x, but looks like dependence.
    There are none where columns of few values keep their values: they depend on z, more than the
    critics of few rows know.
    """
    found: list[Scores] = []
    if are_classes(sides.x).any() or are_classes(sides.y).any():
        return found
    for (_, test), (critic, of_z) in zip(parts, critics, strict=True):
        if not critic.parts:
            continue
        scored = subsample(test, SCORED_PER_FOLD, seed=config.seed)
        matrix, given = critic.matrix(scored), None
        if of_z.parts:
            given = of_z.matrix(scored)
            matrix = matrix - given
        found.append(Scores(matrix, neighbourhoods(sides.z[scored]), given=given))
    return found


def _refined(sides: Sides, config: Config) -> Sides:
    """Return x and y with locations refined by their joint density, where that is clearly better.

    The means of these residuals given z are zero only if the shape of their noise is the same for
    all z, which an estimate does not need.
    """
    rest, p = np.hstack([sides.x, sides.y]), sides.x.shape[1]
    few = rest.shape[1] <= combine.FEW_COLUMNS and not are_classes(rest).any()
    if config.estimator != "default" or not few or sides.levels is not None:
        return sides
    if not sides.layout.independent:
        return sides
    origin = Origin.joined(sides.origins)
    found = refined(sides.z, rest, origin, errors=sides.error_covariance, seed=config.seed)
    if found is None:
        return sides
    spread = np.maximum(found.values.std(axis=0), 1e-300)
    (x, y), noise = (np.split(part / spread, [p], axis=-1) for part in found)
    now = (float((noise[0] ** 2).mean()), float((noise[1] ** 2).mean()))
    shared = np.einsum("mnp,mnq->pq", *noise) / noise[0][..., 0].size
    return replace(sides, x=x, y=y, errors=now, noise=tuple(noise), shared=shared)


def _second_opinion(sides: Sides, config: Config) -> np.ndarray | None:
    """Return the neighbours' per-row contributions (n,), or None where they are not reliable.

    Where x and y do not depend on z any more, neighbours in x and y alone see more.
    """
    columns = sides.x.shape[1] + sides.y.shape[1]
    few = columns <= combine.FEW_COLUMNS and len(sides.x) <= combine.MANY_ROWS
    pair = _pair(sides.x, sides.y, sides.layout)
    if config.estimator != "default" or not few or data.has_ties(pair):
        return None
    x, y, z = (data.Transform.fit(side).normal_scores(side) for side in (sides.x, sides.y, sides.z))
    apart = sides.layout.apart(len(x))
    found = ksg_terms(x, y, apart=apart)
    if columns + z.shape[1] <= combine.FEW_COLUMNS:
        others = conditional_terms(x, y, z, apart=apart)
        found = others if others.mean() > found.mean() else found
    return found


def _standardised(z: np.ndarray) -> np.ndarray:
    """Return robustly scaled columns with mean zero and variance one; constant ones are zero."""
    scaled = data.Transform.fit(z).robust(z)
    spread = scaled.std(axis=0)
    return np.asarray((scaled - scaled.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _less_attenuated(
    found: combine.Combined, sides: Sides, blurred: Mapping[float, float]
) -> combine.Combined:
    """Correct half of what regressions and critics may hide of a dependence.

    Errors of the regressions are noise in the residuals: with parts d and e of their variances and
    a covariance c they turn a canonical correlation r into (r + c) / sqrt((1 + d) (1 + e)). Errors
    are as correlated as what the regressions fit, so a linear dependence hardly loses anything.
    Sharper dependence loses more, as much as the neighbours' estimate in `blurred` if the same
    noise is added once more. Critics that read z
    recover some of it, so the other half is uncertain, as is what a bias of the regressions adds to
    e, about as much as their variance. So is what a common function of z adds if it was not clear
    enough to be taken out.

    A critic that is tuned on held-out rows is too smooth by about as much as its own noise costs.
    This lowers training and held-out value alike, so their mean does not correct it. Where there is
    no dependence, there is nothing to smooth.
    """
    mi = max(found.mi, 0.0)
    shares, common = _canonical(sides)
    seen = -np.expm1(-2 * mi * shares)

    def half_of_lost(factor: float) -> float:
        parts = (e + s for e, s in zip(sides.errors, sides.scale_errors, strict=True))
        noise = math.prod(1 + factor * part for part in parts)
        right = (np.sqrt(seen * noise) - factor * common).clip(min=np.sqrt(seen)) ** 2
        true = np.minimum(right, (seen + MOST_HIDDEN) / (1 + MOST_HIDDEN))
        normal = float(-np.log1p(-true).sum()) / 2 - mi
        return min(max(normal, blurred.get(factor, 0.0)), LOST * mi) / 2

    lost = half_of_lost(1.0)
    smoothed = -math.expm1(-2 * mi) * found.extra_error / 2
    added = -math.log1p(-min(sides.uncertain[0] * sides.uncertain[1], MOST_HIDDEN)) / 2
    extra = math.hypot(found.extra_error, half_of_lost(BIASED), smoothed, added)
    return replace(found, mi=found.mi + lost + smoothed, extra_error=extra)


def _blurred(sides: Sides, config: Config) -> dict[float, float]:
    """Return what errors of regressions, times a factor, take from the neighbours' estimate.

    Source: simulation extrapolation, Cook and Stefanski 1994,
    https://doi.org/10.1080/01621459.1994.10476871.
    """
    errors = [e + s for e, s in zip(sides.errors, sides.scale_errors, strict=True)]
    if not any(errors) or not sides.layout.independent:
        return {}
    rows = subsample(np.arange(len(sides.x)), BLURRED_ROWS, seed=config.seed)
    pair = [side[rows] / np.maximum(side.std(axis=0), 1e-300) for side in (sides.x, sides.y)]
    rng = np.random.default_rng(config.seed)
    widths = [side.shape[1] for side in pair]
    covariance = np.diag(np.repeat(sides.scale_errors, widths))
    if not sides.noise:
        covariance = covariance + sides.error_covariance
    count = len(sides.noise[0]) if sides.noise else BLURS
    size = count, len(rows)
    white = rng.multivariate_normal(np.zeros(sum(widths)), covariance, size, method="eigh")
    noises = [np.split(draw, widths[:1], axis=1) for draw in white]
    for side, drawn in enumerate(sides.noise):
        for own, each in zip(noises, drawn, strict=True):
            own[side] += each[rows]

    def neighbours(factor: float, noise: Sequence[np.ndarray]) -> float:
        moved = [a + math.sqrt(factor) * b for a, b in zip(pair, noise, strict=True)]
        x, y = (data.Transform.fit(side).normal_scores(side) for side in moved)
        return float(ksg_terms(x, y).mean())

    plain = neighbours(0.0, noises[0])
    return {
        factor: plain - float(np.mean([neighbours(factor, noise) for noise in noises]))
        for factor in (1.0, BIASED)
    }


def _canonical(sides: Sides) -> tuple[np.ndarray, np.ndarray]:
    """Return what is known of the pairs of canonical directions of x and y.

    Returns:
        Their shares in the MI of a normal dependence, and the covariances of the errors of x and y
        along them.
    """
    (left, own_x), (right, own_y) = (
        np.linalg.qr(side - side.mean(axis=0)) for side in (sides.x, sides.y)
    )
    first, correlations, second = np.linalg.svd(left.T @ right, full_matrices=False)
    found = -np.log1p(-(correlations**2).clip(1e-12, 1 - 1e-12))
    p, n = sides.x.shape[1], len(sides.x)
    along_x, along_y = (
        np.linalg.lstsq(own, turned, rcond=None)[0] * math.sqrt(n)
        for own, turned in ((own_x, first), (own_y, second.T))
    )
    shared = sides.error_covariance[:p, p:]
    return found / found.sum(), np.einsum("pk,pq,qk->k", along_x, shared, along_y)


def _is_class(rows: np.ndarray) -> bool:
    """Return whether all columns take few values."""
    return bool(are_classes(rows).all())


def _pair(x: np.ndarray, y: np.ndarray, layout: data.Layout) -> data.Pair:
    """Return a pair of arrays, with names of columns."""
    names = [tuple(f"{s}[{k}]" for k in range(v.shape[1])) for s, v in (("x", x), ("y", y))]
    sides = np.ascontiguousarray(x), np.ascontiguousarray(y)
    return data.Pair(*sides, names[0], names[1], groups=layout.groups)
