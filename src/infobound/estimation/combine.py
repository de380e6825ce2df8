"""The point estimate and its interval: what the folds say together, and the second opinion.

In a few columns nearest neighbours (KSG) are asked too. Where they find clearly more than the
critic the estimate is theirs: both err low on sharp dependence, so the higher is the nearer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from infobound import data
from infobound.config import Config
from infobound.estimation.crossfit import Fold, Mix, Part
from infobound.estimation.ksg import neighbour_terms
from infobound.estimation.point import NO_LIMIT, PointEstimate, interval, standard_error, z_quantile
from infobound.estimation.selection import ramp

__all__ = ["combine_folds", "downgrade_implausible_copulas"]

FEW_COLUMNS = 4  # of x and y together, up to which nearest neighbours may overrule the critic
MANY_ROWS = 200_000  # from which on they take longer than the rest
SURE = 4.0  # standard errors by which they must find more: their terms are correlated
AROUND = 0.75, 1.25  # shares of a threshold between which both sides of a choice count
DOUBTFUL = 0.1  # nats by which a copula may fall short of what it predicts of itself
CLEAR = 0.05  # nats besides: their own bias can be some hundredths


def downgrade_implausible_copulas(folds: Sequence[Fold]) -> list[Fold]:
    """The folds; on the bound alone where a closed form falls short of what it says of itself.

    Where rows drawn from the fitted copulas would show clearly more on the bound than the test rows
    do, the rows are not what the copulas say, and the copulas' own MI means nothing.
    """
    unsure = [part for fold in folds for part in fold.parts if part.rehearsed is not None]
    if not unsure:
        return list(folds)
    shown = np.concatenate([part.test.terms for part in unsure])
    said = np.concatenate([part.rehearsed for part in unsure if part.rehearsed is not None])
    error = math.hypot(*(v.std() / math.sqrt(len(v)) for v in (shown, said)))
    limit = DOUBTFUL + SURE * error
    doubt = ramp(float(said.mean() - shown.mean()) / limit, *AROUND)
    return [
        replace(fold, parts=tuple(_doubted(part, doubt) for part in fold.parts)) for fold in folds
    ]


def _doubted(part: Part, doubt: float) -> Part:
    """A part whose positives count less by a share `doubt`, and the bound itself more."""
    positives, dv, terms = part.mix
    moved = doubt * positives
    return replace(part, mix=Mix(positives - moved, dv, terms + moved)) if moved else part


def combine_folds(
    pair: data.Pair,
    folds: Sequence[Fold],
    config: Config,
    limit: data.Entropy = NO_LIMIT,
) -> PointEstimate:
    """The numbers that all folds make, in nats; docs/method.md says why.

    `limit` is what no mutual information exceeds, the entropy of a side of few values: the estimate
    is at most its value, and no end of the interval exceeds that of the entropy's. `unlimited` has
    the estimate and half of the interval without it.
    """
    rows = np.concatenate([fold.rows for fold in folds])
    terms = np.concatenate([fold.terms() for fold in folds])
    points = np.concatenate([fold.points() for fold in folds])
    found, corrections = _corrected(folds, rows)
    mi = float(np.average(found, weights=[len(fold.rows) for fold in folds]))
    # What doubt there is besides the sampling error: the whole correction, but for a closed form
    # whose bias is known exactly, and half of what the second opinion differs by.
    doubt, spread = float(np.mean(corrections)), points
    method = "critic" if any(fold.kept for fold in folds) else "base"
    others = _second_opinion(pair, config)
    if others is not None:
        others = others[rows]
        error = standard_error(others - points, rows, config)
        differs = float(others.mean()) - mi
        doubt = math.hypot(doubt, differs / 2)
        weight = ramp(differs / max(SURE * error, CLEAR), *AROUND)
        if weight:
            mi, spread = mi + weight * differs, (1 - weight) * points + weight * others
            method = "ksg" if weight >= 0.5 else method
    low, high = interval(mi, standard_error(spread, rows, config), doubt, config)
    held_out = float(terms.mean()) + 0.0  # no negative zero
    # More than an entropy is wrong by as much, at most by what the held-out value is short of it.
    excess = max(0.0, min(mi - limit.value, limit.value - held_out))
    ends = limit.interval(z_quantile(config.level), excess)
    return PointEstimate(
        mi=min(mi, limit.value) + 0.0,
        interval=(min(low, ends[0]), min(high, ends[1])),
        unlimited=(mi, high - mi),
        method=method,
        pointwise=spread[np.argsort(rows)],
        held_out=held_out,
        held_out_error=standard_error(terms, rows, config),
        training=float(np.mean([fold.training() for fold in folds])) + 0.0,
        ksg=None if others is None else float(others.mean()),
        folds=tuple(folds),
    )


def _corrected(folds: Sequence[Fold], rows: np.ndarray) -> tuple[list[float], list[float]]:
    """Each fold's point estimate, and how far it is from the held-out value, nats.

    Training values of some rows only would bring in the noise of which rows those are; so they are
    held against what the other folds' critics, which did not see them, say of the same rows.
    """
    held, found, corrections = np.empty(len(rows)), [], []
    for fold in folds:
        correction, point = fold.correction(), fold.point()
        sampled = [part for part in fold.parts if part.seen is not None]
        if sampled:
            held[rows] = np.concatenate([other.points() for other in folds])
            share = sum(part.weight for part in sampled)  # what else there is finds nothing
            correction = sum(
                float((part.weight * part.mix.points(part.training)).mean()) / 2
                - part.weight / share * float(held[part.seen].mean()) / 2
                for part in sampled
            )
            point = float(fold.points().mean()) + correction
        found.append(point)
        corrections.append(correction)
    return found, corrections


def _second_opinion(pair: data.Pair, config: Config) -> np.ndarray | None:
    """The neighbours' per-row contributions (n,) where they are to be trusted, in few columns."""
    few = pair.x.shape[1] + pair.y.shape[1] <= FEW_COLUMNS and len(pair.x) <= MANY_ROWS
    if config.estimator != "default" or not few or data.has_ties(pair):
        return None
    return neighbour_terms(pair)
