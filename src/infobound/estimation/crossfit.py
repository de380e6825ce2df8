"""One fold of cross-fitting: critics are fitted to training rows and evaluated on test rows.

The folds are combined in `combine`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from infobound._system.memory import subsample
from infobound.critics import networks
from infobound.errors import InputError
from infobound.estimation.selection import (
    Ensemble,
    Fitted,
    Job,
    Scored,
    fit_critic,
    most_rows,
    ramp,
    score,
)
from infobound.inference.standard_errors import standard_error
from infobound.models.closed_forms import WIDE_ROWS, stem
from infobound.models.copulas import GaussianCopula
from infobound.models.posteriors import ClassPosterior
from infobound.models.unwinding import UnwoundCopula
from infobound.training import loop

__all__ = ["GAUSSIAN", "Fold", "Part", "PointWeights", "fit_fold"]

TRAINED = 50_000  # largest number of training rows that are scored
# Pairs of thresholds: yes up to the first, no from the second on, and a weight in between (`ramp`).
RELIABLE = 0.08, 0.125  # is the mean of e^f reliable? by its relative standard error
NORMALISED = 1.5, 2.5  # does e^f of a base average one? by the log mean in standard errors
WORSE = 3.0, 5.0  # is a base kept? by how many standard errors it is below zero on test rows
SHOWN = 0.0, 2.0  # if wide, does the estimate count a critic? by how many of them it is above zero
UNSEEN = 0.95  # the largest squared correlation that so few rows are said to hide: 1.5 nats
GAUSSIAN = "gaussian", "gaussian_raw"  # bases that miss all that a base with a test may find
HARM = 0.02  # the first threshold of `WORSE` is at least this, in nats


class PointWeights(NamedTuple):
    """Weights of the contributions that make up the point estimate.

    They sum to one at most; the rest is the weight of a constant critic, whose MI is zero.
    """

    positives: float  # of the positives' scores, if e^f is normalised
    dv: float  # of the Donsker-Varadhan bound
    terms: float  # of the bound itself

    def points(self, scored: Scored) -> np.ndarray:
        """Return the per-row contributions (n,) to the point estimate, in nats."""
        if 1.0 in self:  # a single kind is returned without rounding
            return (scored.positives, scored.dv, scored.terms)[self.index(1.0)]
        kinds = zip(self, (scored.positives, scored.dv, scored.terms), strict=True)
        found = (weight * values for weight, values in kinds if weight)
        return sum(found, start=np.zeros(len(scored.terms)))


@dataclass(frozen=True)
class Part:
    """The evaluation of one critic of a fold on test rows and on training rows.

    Attributes:
        weight: the weight of the critic in the fold.
        test: contributions of the test rows.
        training: contributions of training rows.
        mix: how contributions are combined to the point estimate.
        base: the name of the base, if no network was added to it.
        closed: the MI of a base itself, in nats, if its bias is known.
        rehearsed: the terms (m,) of rows simulated from the base, in nats.
        seen: the indices of the rows of `training`, if these are a sample.
        missed: the MI that the base is known to miss, roughly, in nats.
    """

    weight: float
    test: Scored
    training: Scored
    mix: PointWeights
    base: str | None = None
    closed: float | None = None
    simulated: np.ndarray | None = None
    seen: np.ndarray | None = None
    missed: float = 0.0

    def point(self) -> float:
        """Return the point estimate in nats: the mean of the training and the held-out value.

        The errors of the two cancel to first order. The MI of the base itself, if known, replaces
        the positives' scores.
        """
        plain = self.plain()
        if self.closed is None or not self.mix.positives:
            return plain
        rest = float(self.test.positives.mean() + self.training.positives.mean()) / 2
        closed = self.closed
        return closed if self.mix.positives == 1 else plain + self.mix.positives * (closed - rest)

    def plain(self) -> float:
        """Return the mean of the training and the held-out value in nats, of the rows of both."""
        return float(self.mix.points(self.test).mean() + self.mix.points(self.training).mean()) / 2

    def correction(self) -> float:
        """Return point estimate minus held-out value, in nats; 0 if that bias is known exactly."""
        found = self.point() - float(self.mix.points(self.test).mean())
        return found if self.closed is None else found * (1 - self.mix.positives)


@dataclass(frozen=True)
class Fold:
    """The outcome of one fold.

    Attributes:
        rows: the indices of the test rows, in the order in which they were scored.
        parts: the evaluated critics. If their weights sum to less than one, the rest of the weight
            belongs to a constant critic, whose MI is zero.
        fit: the training of the network, if there was one.
        base: the name of the base, if there is one.
        kept: whether a network was kept.
        blind: the MI in nats that a constant critic may miss; with many columns (`is_wide`), also
            the MI that other critics may miss.
        is_wide: whether there are many columns relative to rows.
        tested: the name of the base that a test found to be needed.
        overlooked: the evaluation of that base, if held-out rows preferred a Gaussian copula.
    """

    rows: np.ndarray
    parts: tuple[Part, ...]
    fit: loop.Fit | None
    base: str | None
    kept: bool
    blind: float
    is_wide: bool = False
    tested: str | None = None
    overlooked: Part | None = None

    @property
    def rest(self) -> float:
        """The weight of the constant critic."""
        return max(0.0, 1 - sum(part.weight for part in self.parts))

    @property
    def closed(self) -> float:
        """The weight of closed forms that are their own estimate, of their training rows."""
        return sum(p.weight * p.mix.positives for p in self.parts if p.closed is not None)

    def weight_of(self, base: str) -> float:
        """Return the weight of a base alone, by its name; it may read what is given, or not."""
        return sum(
            part.weight for part in self.parts if part.base is not None and stem(part.base) == base
        )

    def terms(self) -> np.ndarray:
        """Return the contributions (n,) of the test rows to the held-out bound, in nats."""
        return self._averaged([part.test.terms for part in self.parts], len(self.rows))

    def points(self) -> np.ndarray:
        """Return the contributions (n,) of the test rows to the point estimate, in nats."""
        return self._averaged([p.mix.points(p.test) for p in self.parts], len(self.rows))

    def training(self) -> float:
        """Return the bound on training rows in nats; each critic has its own training rows."""
        return sum(part.weight * float(part.training.terms.mean()) for part in self.parts)

    def point(self) -> float:
        """Return the point estimate in nats."""
        return sum(part.weight * part.point() for part in self.parts)

    def correction(self) -> float:
        """Return the uncertainty of the point estimate besides its sampling error, in nats."""
        known = sum(part.weight * part.correction() for part in self.parts)
        missed = self.blind if self.is_wide else self.rest * self.blind
        missed = math.hypot(missed, sum(part.weight * part.missed for part in self.parts))
        return math.hypot(known, missed) if missed else known

    def gain(self, base: Part) -> float:
        """Return by how many nats another base exceeds the critics, on the same rows."""
        return base.plain() - sum(part.weight * part.plain() for part in self.parts)

    def capped(self) -> bool:
        """Return whether the point estimate is mostly the bound itself, with its ceiling."""
        return sum(part.weight * part.mix.terms for part in self.parts) >= 0.5

    def _averaged(self, values: list[np.ndarray], n: int) -> np.ndarray:
        if len(values) == 1 and self.parts[0].weight == 1:
            return values[0]
        total = np.zeros(n if not values else len(values[0]))
        for part, each in zip(self.parts, values, strict=True):
            total += part.weight * each
        return total


def fit_fold(
    job: Job,
    k: int,
    training: np.ndarray,
    test: np.ndarray,
    again: np.ndarray,
    *,
    name: str = "fold",
) -> tuple[Fold, Ensemble]:
    """Fit critics to the training rows of a fold and evaluate them on its test rows.

    The training value is computed on the rows of `again` that were fitted, so that over all folds
    it uses the same rows as the held-out value. If only a sample of the training rows is fitted, it
    is computed on fitted rows, and `combine` compares it with the held-out values of the same rows.

    A base alone that is clearly worse on the test rows than a constant critic is left out. With
    many columns relative to rows, the estimate counts only critics that are clearly better:
    training rows, which count as much, may show several nats where there is no dependence.

    Args:
        job: the rows and settings of the estimate.
        k: the index of the fold.
        training: the indices of the training rows.
        test: the indices of the test rows.
        again: the indices of another fold's test rows.
        name: the name of checkpoints and progress bars, which the number of the fold follows.

    Returns:
        The outcome of the fold, and the critics fitted to its training rows.

    Raises:
        InputError: If the settings allow no critic for so few rows.
    """
    seeds = [int(s) for s in np.random.SeedSequence([job.config.seed, k]).generate_state(3)]
    fitted = fit_critic(job, training, name=f"{name}-{k + 1}", seeds=seeds)
    if fitted is None:
        raise InputError(
            f"Expected a critic or a base that {len(training)} rows can fit; got --critic "
            f"{job.config.critic} with --base {job.config.base}. Use --base auto, or more rows."
        )
    shuffle = np.random.default_rng(seeds[0]).permutation  # blocks must not follow the row order
    test = shuffle(test)
    many = len(training) > most_rows(job.config) or len(test) > TRAINED
    parts: list[Part] = []
    for part in fitted.parts:
        # Blocks of training and test rows have the same size, so both values have the same ceiling.
        if many:
            block = len(test) // -(-len(test) // job.config.eval_rows)
            most = max(block, TRAINED // block * block)
            known = shuffle(subsample(part.rows, most, seed=seeds[0]))
        else:
            rest = shuffle(np.setdiff1d(part.rows, again))
            known = shuffle(np.concatenate([np.intersect1d(again, part.rows), rest])[: len(test)])
        parts.append(_part(job, part, test, known, many=many, seed=seeds[0]))
    overlooked, bases = None, [part.base for part in fitted.parts]
    if fitted.tested and bases and set(bases) <= set(GAUSSIAN) and not job.given:
        other = fitted.parts[0].instead(fitted.tested, training)
        overlooked = _part(job, other, test, known, many=many, seed=seeds[0])
    if not any(part.kept for part in fitted.parts):
        parts = [weighted for part in parts for weighted in _weighted_by_test(job, part, test)]
    is_wide = len(training) < WIDE_ROWS * (job.pair.x.shape[1] + job.pair.y.shape[1])
    if is_wide:
        parts = [_counted_if_shown(job, part, test) for part in parts]
    main = fitted.main
    return Fold(
        rows=test,
        parts=tuple(parts),
        fit=fitted.fit,
        base=main.base if main is not None and parts else None,
        kept=main is not None and main.kept,
        blind=_blind(
            job.pair.x.shape[1],
            job.pair.y.shape[1],
            len(job.pair.x),
            round((1 - job.config.validation) * len(training)),
        ),
        is_wide=is_wide,
        tested=fitted.tested,
        overlooked=overlooked,
    ), fitted


def _part(
    job: Job, fitted: Fitted, test: np.ndarray, known: np.ndarray, *, many: bool, seed: int
) -> Part:
    """Evaluate one critic on test rows and on rows that it was fitted to."""
    scored, on_known = fitted.scored(test), fitted.scored(known)
    base, normalised = fitted.critic.base, not fitted.kept
    if isinstance(base, ClassPosterior) and normalised:
        scored, on_known = (
            _without_negatives(job, fitted, base, each, rows)
            for each, rows in ((scored, test), (on_known, known))
        )
    if normalised and fitted.form is not None:
        normalised = fitted.form.normalised
    mix = _mix(normalised, scored, on_known)
    own, closed = None, None
    if mix.positives and isinstance(base, GaussianCopula):
        own = _simulated_terms(base, job, len(fitted.rows), min(len(test), TRAINED), seed)
        # Its bias is known for independent rows only.
        closed = base.mi if not many and job.layout.independent else None
    name, missed = None if fitted.kept else fitted.base, 0.0
    if isinstance(base, UnwoundCopula) and not fitted.kept:
        missed = base.missed(*fitted.columns(fitted.rows))
    seen = known if many else None
    return Part(fitted.weight, scored, on_known, mix, name, closed, own, seen, missed)


def _without_negatives(
    job: Job, fitted: Fitted, base: ClassPosterior, scored: Scored, rows: np.ndarray
) -> Scored:
    """Return the contributions to the bound of Barber and Agakov in the place of that of the job.

    It is the entropy of the classes less the cross-entropy of log q. With the classes' frequencies
    among all rows, which have an entropy that is too low on average, it is a lower bound. It has no
    ceiling of log n.

    Source: Barber and Agakov's bound, in https://arxiv.org/abs/1905.06922.
    """
    values = job.pair.x_ids if base.of_x else job.pair.y_ids
    frequency = np.bincount(values)[values[rows]] / len(values)
    log_share = base.log_share(*fitted.columns(rows)).double().cpu().numpy()
    return replace(scored, terms=scored.positives + log_share - np.log(frequency))


def _simulated_terms(
    base: GaussianCopula, job: Job, fitted: int, tested: int, seed: int
) -> np.ndarray:
    """Return the terms of rows simulated from the base, for samples of the same sizes."""
    x, y, again = base.simulate(fitted, tested, seed)
    return score(networks.Composite(again, None), job.bound, (x, y), job.config.eval_rows).terms


def _mix(normalised: bool, test: Scored, training: Scored) -> PointWeights:
    """Choose the contributions that make up the point estimate; see "Point estimate" in method.md.

    The bound itself has a ceiling. Donsker-Varadhan has none, but it needs a reliable mean of e^f
    over the negatives. A base alone is normalised in closed form, unless that mean contradicts it.
    """
    log_z, log_z_error = test.normaliser()
    unknown = ramp(log_z_error, *RELIABLE)
    positives = 0.0
    if normalised:
        off = ramp(abs(log_z) / log_z_error, *NORMALISED) if log_z_error > 0 else 1.0
        positives = max(unknown, 1 - off)
    higher = training.dv.mean() > training.terms.mean()
    dv = (1 - positives) * (1 - unknown) if higher else 0.0
    return PointWeights(positives, dv, 1 - positives - dv)


def _weighted_by_test(job: Job, part: Part, rows: np.ndarray) -> list[Part]:
    """Weight a base alone by how far it is below zero on the test rows; drop it if clearly so."""
    below = -float(part.test.terms.mean())
    error = standard_error(part.test.terms, rows, job.config, groups=job.layout.groups)
    low = max(WORSE[0] * error, HARM)
    weight = 1 - ramp(below, low, low * WORSE[1] / WORSE[0])
    return [replace(part, weight=weight * part.weight)] if weight else []


def _counted_if_shown(job: Job, part: Part, rows: np.ndarray) -> Part:
    """Let the estimate count a critic as far as the test rows show that it is above zero.

    What is not counted is doubt. The held-out value stays as it is: a weight that depends on it
    would raise it on average.
    """
    error = standard_error(part.test.terms, rows, job.config, groups=job.layout.groups)
    above = float(part.test.terms.mean())
    share = ramp(above / error, *SHOWN) if error > 0 else float(above > 0)
    return replace(
        part,
        mix=PointWeights(*(share * weight for weight in part.mix)),
        missed=math.hypot(part.missed, (1 - share) * max(0.0, part.point())),
    )


def _blind(p: int, q: int, n: int, fitted: int) -> float:
    """The MI in nats that n rows of p and q columns may hide, as a standard error.

    It is that of the MI of independent Gaussians, sqrt(p q / 2) / n, and two of it are at least the
    MI of a pair of directions with a squared correlation of `_unseen` in the fitted rows.
    """
    hidden = -0.5 * math.log1p(-_unseen(p / fitted, q / fitted))
    return max(math.sqrt(min(p, n) * min(q, n) / 2) / n, hidden / 2)


def _unseen(a: float, b: float) -> float:
    """The squared correlation that the largest canonical correlation of a sample does not show.

    It is at most `UNSEEN`.

    Source: Bao, Hu, Pan and Zhou 2019, https://arxiv.org/abs/1704.02408.

    Args:
        a: the columns of x for each row.
        b: the columns of y for each row.
    """
    if max(a, b) >= 1:
        return UNSEEN
    return min(math.sqrt(a * b / ((1 - a) * (1 - b))), UNSEEN)
