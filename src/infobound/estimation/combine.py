"""The point estimate and its interval, from all folds and the second opinion.

With few columns, nearest neighbours (KSG) give a second opinion. If they find clearly more than the
critic, their value becomes the estimate: both err low on sharp dependence, so the higher one is
closer to the truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from infobound import data
from infobound._system.memory import subsample, take_rows
from infobound.config import Config
from infobound.estimation.counts import counted
from infobound.estimation.crossfit import GAUSSIAN, Fold, Part, PointWeights
from infobound.estimation.ksg import neighbour_terms
from infobound.estimation.point import NO_LIMIT, PointEstimate, interval, z_quantile
from infobound.estimation.selection import ramp
from infobound.inference.standard_errors import effective_size, standard_error
from infobound.models.ranks import median_mi
from infobound.models.unwinding import TEST_ROWS, suspected_mi

__all__ = [
    "FEW_COLUMNS",
    "MANY_ROWS",
    "Combined",
    "combine_folds",
    "downgrade_implausible_copulas",
    "finish",
]

FEW_COLUMNS = 4  # largest number of columns of x and y together for the second opinion
RANKED = 32_000  # largest number of rows that the rank network was trained on
MANY_ROWS = 200_000  # rows above which neighbours would take longer than everything else
SURE = 4.0  # standard errors by which neighbours must find more; their terms are correlated
AROUND = 0.75, 1.25  # fractions of a threshold between which both options are averaged
DOUBTFUL = 0.1  # nats by which test rows may fall short of rows simulated from the copula
SUSPECTED = 16  # most columns of both sides; with more, the test errs by as much as it would find
CLEAR_FOLDS = 0.25, 0.75  # shares of folds in which a test is clear: counts not at all, and in all
CLEAR = 0.05  # nats by which neighbours must find more; their bias can be a few hundredths


def downgrade_implausible_copulas(
    folds: Sequence[Fold], config: Config, groups: np.ndarray | None = None
) -> list[Fold]:
    """Use the bound alone for folds whose test rows contradict the fitted copula.

    If rows simulated from the fitted copulas score clearly higher on the bound than the test rows,
    the copulas do not describe the data, and their own MI is meaningless.

    Args:
        folds: the folds.
        config: the settings.
        groups: the group of each row, if rows are in groups.

    Returns:
        The folds, with the weight of the copulas' own MI reduced or removed.
    """
    pairs = [
        (part, fold.rows) for fold in folds for part in fold.parts if part.simulated is not None
    ]
    unsure = [part for part, _ in pairs]
    if not unsure:
        return list(folds)
    shown = np.concatenate([part.test.terms for part in unsure])
    said = np.concatenate([part.simulated for part in unsure if part.simulated is not None])
    rows = np.concatenate([rows for _, rows in pairs])
    error = standard_error(shown, rows, config, groups=groups)
    error = math.hypot(error, said.std() / math.sqrt(len(said)))
    limit = DOUBTFUL + SURE * error
    share = ramp(float(said.mean() - shown.mean()) / limit, *AROUND)
    return [
        replace(fold, parts=tuple(_without_positives(part, share) for part in fold.parts))
        for fold in folds
    ]


def _without_positives(part: Part, share: float) -> Part:
    """Move the fraction `share` of the weight of the positives to the bound itself."""
    positives, dv, terms = part.mix
    moved = share * positives
    return replace(part, mix=PointWeights(positives - moved, dv, terms + moved)) if moved else part


@dataclass(frozen=True, eq=False)
class Combined:
    """The combined results of all folds, in nats.

    Attributes:
        mi: the corrected mean.
        extra_error: its uncertainty besides the sampling error: the whole correction, except for a
            closed form whose bias is known exactly.
        method: "critic", "base" or "table".
        rows: (n,), the indices of the rows in the order of the folds.
        terms: (n,), the contributions of these rows to the held-out bound.
        points: (n,), their contributions to the point estimate.
        training: the bound on training rows.
    """

    mi: float
    extra_error: float
    method: str
    rows: np.ndarray
    terms: np.ndarray
    points: np.ndarray
    training: float

    @classmethod
    def of(cls, pair: data.Pair, folds: Sequence[Fold]) -> Combined:
        """Combine the folds of the rows of a pair."""
        rows = np.concatenate([fold.rows for fold in folds])
        points = np.concatenate([fold.points() for fold in folds])
        found, corrections = _corrected(folds, rows)
        mi = float(np.average(found, weights=[len(fold.rows) for fold in folds])) + _evened(folds)
        extra_error = float(np.mean(corrections))
        method = "critic" if any(fold.kept for fold in folds) else "base"
        share = float(np.mean([fold.weight_of("table") for fold in folds]))
        if share:
            counts = counted(pair)
            mi += share * (counts.mi - mi)
            points = (1 - share) * points + share * counts.terms[rows]
            extra_error = math.hypot((1 - share) * extra_error, share * counts.error)
            method = "table" if share >= 0.5 else method
        return cls(
            mi=mi,
            extra_error=extra_error,
            method=method,
            rows=rows,
            terms=np.concatenate([fold.terms() for fold in folds]),
            points=points,
            training=float(np.mean([fold.training() for fold in folds])),
        )

    def less(self, other: Combined, *, shared: float = 0.0) -> Combined:
        """Return the difference to another MI from folds with the same test rows.

        Args:
            other: the combined results of the other folds.
            shared: the weight of critics here that are a sum with the other's critics. What is not
                known of these cancels.
        """
        place = np.argsort(other.rows)[np.searchsorted(np.sort(other.rows), self.rows)]
        first, second = self.extra_error, other.extra_error
        variance = first**2 + second**2 - 2 * shared * first * second
        return replace(
            self,
            mi=self.mi - other.mi,
            extra_error=math.sqrt(max(0.0, variance)),
            method="critic" if "critic" in (self.method, other.method) else self.method,
            terms=self.terms - other.terms[place],
            points=self.points - other.points[place],
            training=self.training - other.training,
        )


def combine_folds(
    pair: data.Pair,
    folds: Sequence[Fold],
    config: Config,
    limit: data.Entropy = NO_LIMIT,
) -> PointEstimate:
    """Combine the folds to a point estimate with its interval; docs/method.md explains why.

    Args:
        pair: the rows.
        folds: the folds.
        config: the settings.
        limit: the entropy of a side of few values, which no mutual information exceeds. The
            estimate is at most its value, and the ends of the interval are at most those of its
            interval.

    Returns:
        The point estimate, in nats; its `unlimited` has the estimate and half of the interval's
        width without the limit.
    """
    others = _second_opinion(pair, config)
    found = _by_ranks(Combined.of(pair, folds), pair, folds, config)
    found = _by_tested(found, pair, folds, config)
    return finish(found, folds, config, limit, others, groups=pair.groups)


def _by_ranks(found: Combined, pair: data.Pair, folds: Sequence[Fold], config: Config) -> Combined:
    """Move the estimate of folds whose base is the rank network to its median of the MI.

    The densities that it finds are smoother than the true ones, on training rows too; its median,
    which it was trained for, allows for that. The whole difference is doubt, like the correction.
    """
    share = float(np.mean([fold.weight_of("ranks") for fold in folds]))
    if not share or len(pair.x) > RANKED or not data.Layout.of(pair, config).independent:
        return found
    sides = (take_rows(side, np.arange(len(side)))[:, 0] for side in (pair.x, pair.y))
    differs = share * (median_mi(*sides) - found.mi)
    extra_error = math.hypot(found.extra_error, differs)
    return replace(found, mi=found.mi + differs, extra_error=extra_error)


def _by_tested(found: Combined, pair: data.Pair, folds: Sequence[Fold], config: Config) -> Combined:
    """Move the estimate of folds that left out a base which a test found to be needed to its own.

    Held-out rows prefer simpler bases where rows are few: what a base with many parameters loses on
    them, it gains on training rows, and the mean of both is hardly biased. Simpler bases miss what
    the test found on both. Training rows overlap, so a fold's test errs for one fold in a dozen
    samples, but hardly ever for most folds: the estimate moves for a share of the folds without the
    base that is none if the test is clear in one fold of four, and all in three. The difference is
    doubt, at least that of the folds where the test is clear. Otherwise what the test suspects in
    all rows is doubt.
    """
    left_out = [(fold, fold.overlooked) for fold in folds if fold.overlooked is not None]
    clear = float(np.mean([fold.tested is not None for fold in folds]))
    moved = ramp(clear, *CLEAR_FOLDS)
    sizes = [len(fold.rows) for fold in folds]
    doubt = 0.0
    if left_out:
        gain = max(0.0, float(np.mean([fold.gain(base) for fold, base in left_out])))
        without = [float(not f.tested or f.overlooked is not None) for f in folds]
        share = float(np.average(without, weights=sizes))
        found = replace(found, mi=found.mi + moved * share * gain)
        doubt = max(moved * share, len(left_out) / len(folds)) * gain
    plain = [0.0 if f.tested else sum(map(f.weight_of, GAUSSIAN)) for f in folds]
    share = (1 - moved) * float(np.average(plain, weights=sizes))
    if share and config.estimator == "default" and config.base == "auto":
        doubt = math.hypot(doubt, share * _suspected(pair, config))
    return replace(found, extra_error=math.hypot(found.extra_error, doubt)) if doubt else found


def _suspected(pair: data.Pair, config: Config) -> float:
    """Return the MI in nats that rotations may add to a Gaussian copula, by their test."""
    columns = pair.x.shape[1] + pair.y.shape[1]
    if (
        not 2 < columns <= SUSPECTED
        or data.has_ties(pair)
        or not data.Layout.of(pair, config).independent
    ):
        return 0.0
    rows = subsample(np.arange(len(pair.x)), TEST_ROWS, seed=config.seed)
    sides = (take_rows(side, rows) for side in (pair.x, pair.y))
    robust = (data.Transform.fit(side).robust(side) for side in sides)
    return suspected_mi(*map(torch.from_numpy, robust))


def finish(
    found: Combined,
    folds: Sequence[Fold],
    config: Config,
    limit: data.Entropy,
    others: np.ndarray | None,
    *,
    groups: np.ndarray | None = None,
) -> PointEstimate:
    """Compare the result of the folds with a second opinion, and add the interval.

    Args:
        found: the combined result of the folds.
        folds: the folds.
        config: the settings.
        limit: the entropy that the estimate does not exceed; see `combine_folds`.
        others: the per-row contributions (n,) of the second opinion, if there is one.
        groups: (n,), the group of each row, if rows are in groups.

    Returns:
        The point estimate, in nats.
    """
    mi, rows, spread, method = found.mi, found.rows, found.points, found.method
    held_out = float(found.terms.mean()) + 0.0  # no negative zero
    # Uncertainty besides the sampling error: the correction, and half of the difference to the
    # second opinion.
    extra_error = found.extra_error
    if others is not None:
        others = others[rows]
        error = standard_error(others - spread, rows, config, groups=groups)
        differs = float(others.mean()) - mi
        # Neighbours err low on sharp dependence, so a value below the held-out bound is no doubt.
        doubt = max(differs, min(0.0, held_out - mi))
        extra_error = math.hypot(extra_error, doubt / 2)
        weight = ramp(differs / max(SURE * error, CLEAR), *AROUND)
        if weight:
            mi, spread = mi + weight * differs, (1 - weight) * spread + weight * others
            method = "ksg" if weight >= 0.5 else method
    error = standard_error(spread, rows, config, groups=groups)
    # No MI is negative: what is more than a standard error below zero is an error of the critics.
    below = max(0.0, -mi - error) / max(error, 1e-12)
    share = 1 / (1 + below**2)
    extra_error = math.hypot(extra_error, (1 - share) * mi / 2)
    mi, spread = share * mi, share * spread
    low, high = interval(mi, error, extra_error, config)
    if limit.value == 0:  # a side is constant, so there is nothing to estimate
        mi = low = high = 0.0
    # An estimate above an entropy is too high by at least its excess, so that widens the interval,
    # but by no more than the held-out value is below the entropy.
    excess = max(0.0, min(mi - limit.value, limit.value - held_out))
    ends = limit.interval(z_quantile(config.level), excess)
    return PointEstimate(
        mi=min(mi, limit.value) + 0.0,
        interval=(min(low, ends[0]), min(max(high, 0.0), ends[1])),  # no MI is negative
        unlimited=(mi, high - mi),
        method=method,
        pointwise=spread[np.argsort(rows)],
        held_out=held_out,
        held_out_error=standard_error(found.terms, rows, config, groups=groups),
        training=found.training + 0.0,
        ksg=None if others is None else float(others.mean()),
        effective_n=effective_size(spread, rows, config, groups=groups),
        folds=tuple(folds),
    )


def _corrected(folds: Sequence[Fold], rows: np.ndarray) -> tuple[list[float], list[float]]:
    """Return the point estimate of each fold and its difference from the held-out value, in nats.

    Training values of a sample of rows would add the noise of the sample. So they are compared with
    the values that the other folds' critics, which did not see these rows, give for the same rows.
    """
    held, found, corrections = np.empty(len(rows)), [], []
    for fold in folds:
        correction, point = fold.correction(), fold.point()
        sampled = [part for part in fold.parts if part.seen is not None]
        if sampled:
            held[rows] = np.concatenate([other.points() for other in folds])
            share = sum(part.weight for part in sampled)  # the remaining weight scores zero
            correction = sum(
                float((part.weight * part.mix.points(part.training)).mean()) / 2
                - part.weight / share * float(held[part.seen].mean()) / 2
                for part in sampled
            )
            point = float(fold.points().mean()) + correction
        found.append(point)
        corrections.append(correction)
    return found, corrections


def _evened(folds: Sequence[Fold]) -> float:
    """Return what the estimate needs so that each row counts alike, in nats.

    A closed form's own MI is one of the other folds' rows, other values are of the rows of a fold
    and the next one. If all folds are of one kind, each row counts alike. Otherwise, the held-out
    values of the folds show how much their rows differ.
    """
    sizes = np.array([len(fold.rows) for fold in folds])
    own, every = np.array([(fold.closed, 1 - fold.rest) for fold in folds]).T
    if own.max() == 0 or len(folds) == 1:
        return 0.0
    excess = own - every * (sizes @ own) / (sizes @ every)
    means = np.array([fold.points().mean() for fold in folds])
    others = (sizes @ means - sizes * means) / (sizes.sum() - sizes)
    pairs = (means + np.roll(means, -1)) / 2
    return float(sizes @ (excess * (pairs - others)) / sizes.sum())


def _second_opinion(pair: data.Pair, config: Config) -> np.ndarray | None:
    """Return the neighbours' per-row contributions (n,), or None where they are not reliable."""
    few = pair.x.shape[1] + pair.y.shape[1] <= FEW_COLUMNS and len(pair.x) <= MANY_ROWS
    if config.estimator != "default" or not few or data.has_ties(pair):
        return None
    return neighbour_terms(pair, config)
