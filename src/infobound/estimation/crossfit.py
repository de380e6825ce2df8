"""One fold of the cross-fitting: critics from its training rows, their report on its test rows.

What the folds say together is in `combine`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from infobound._system.memory import some
from infobound.critics import networks
from infobound.critics.closed_forms import BASES, WIDE
from infobound.critics.copulas import GaussianCopula
from infobound.errors import InputError
from infobound.estimation.point import standard_error
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
from infobound.training import loop

__all__ = ["Fold", "Mix", "Part", "fit_fold"]

TRAINED = 50_000  # training rows that are scored at most
RELIABLE = 0.08, 0.125  # relative standard errors of a mean e^f: taken at its word, and not at all
NORMALISED = 1.5, 2.5  # standard errors of its log: a base's e^f averages one, and does not
WORSE = 3.0, 5.0  # standard errors below zero, on test rows, at which a base is left out
HARM = 0.02  # nats below zero at least


class Mix(NamedTuple):
    """Which contributions make the point estimate, as weights that sum to one."""

    positives: float
    dv: float
    terms: float

    def points(self, scored: Scored) -> np.ndarray:
        """Per-row contributions (n,) to the point estimate, nats."""
        if 1.0 in self:  # one kind alone: as it is
            return (scored.positives, scored.dv, scored.terms)[self.index(1.0)]
        kinds = zip(self, (scored.positives, scored.dv, scored.terms), strict=True)
        return np.asarray(sum(weight * values for weight, values in kinds if weight))


@dataclass(frozen=True)
class Part:
    """What one critic of a fold reports: on its test rows and on rows that it was trained on.

    `closed` is a base's own MI, nats, where its bias is known, and `rehearsed` the terms that rows
    of the base itself would show. `seen` has the rows of `training` where those are a sample.
    """

    weight: float
    test: Scored
    training: Scored
    mix: Mix
    closed: float | None = None
    rehearsed: np.ndarray | None = None
    seen: np.ndarray | None = None

    def point(self) -> float:
        """The point estimate, nats: the mean of training and held-out value.

        The errors of those two cancel to first order. The base's own MI stands in for the
        positives, where it is known.
        """
        plain = float(self.mix.points(self.test).mean() + self.mix.points(self.training).mean()) / 2
        if self.closed is None or not self.mix.positives:
            return plain
        rest = float(self.test.positives.mean() + self.training.positives.mean()) / 2
        closed = self.closed
        return closed if self.mix.positives == 1 else plain + self.mix.positives * (closed - rest)

    def correction(self) -> float:
        """How far the point estimate is from the held-out value; 0 where that is known exactly."""
        found = self.point() - float(self.mix.points(self.test).mean())
        return found if self.closed is None else found * (1 - self.mix.positives)


@dataclass(frozen=True)
class Fold:
    """One fold's outcome; `rows` are its test rows, in the order in which they were scored.

    Where the weights of `parts` sum to less than one, the rest scores all pairs alike: it finds
    nothing. `blind` is how much MI may be missed by what finds nothing, nats; where columns are
    many for the rows (`is_wide`), also by critics that find little.
    """

    rows: np.ndarray
    parts: tuple[Part, ...]
    fit: loop.Fit | None
    base: str | None
    kept: bool
    blind: float
    is_wide: bool = False

    @property
    def rest(self) -> float:
        """The weight of scoring all pairs alike."""
        return max(0.0, 1 - sum(part.weight for part in self.parts))

    def terms(self) -> np.ndarray:
        """Contributions of the test rows to the held-out bound (n,)."""
        return self._averaged([part.test.terms for part in self.parts], len(self.rows))

    def points(self) -> np.ndarray:
        """Contributions of the test rows to the point estimate (n,)."""
        return self._averaged([p.mix.points(p.test) for p in self.parts], len(self.rows))

    def training(self) -> float:
        """The bound on training rows, nats; each critic has its own."""
        return sum(part.weight * float(part.training.terms.mean()) for part in self.parts)

    def point(self) -> float:
        """The point estimate, nats."""
        return sum(part.weight * part.point() for part in self.parts)

    def correction(self) -> float:
        """How far the point estimate may be from the truth besides its sampling error, nats."""
        known = sum(part.weight * part.correction() for part in self.parts)
        missed = self.blind if self.is_wide else self.rest * self.blind
        return math.hypot(known, missed) if missed else known

    def capped(self) -> bool:
        """Whether the point estimate is mostly the bound itself, with its ceiling."""
        return sum(part.weight * part.mix.terms for part in self.parts) >= 0.5

    def _averaged(self, values: list[np.ndarray], n: int) -> np.ndarray:
        if len(values) == 1 and self.parts[0].weight == 1:
            return values[0]
        total = np.zeros(n if not values else len(values[0]))
        for part, each in zip(self.parts, values, strict=True):
            total += part.weight * each
        return total


def fit_fold(
    job: Job, k: int, training: np.ndarray, test: np.ndarray, again: np.ndarray
) -> tuple[Fold, Ensemble]:
    """Fit to `training`, report on `test`.

    The training value is taken on the rows of `again` as far as they were fitted: another fold's
    test rows, so that over all folds it is made of the same rows as the held-out value. Where rows
    are so many that only some are fitted, it is taken on some of those, and `combine` compares it
    with the held-out values of the same rows.

    A base alone that does clearly worse on the test rows than scoring all pairs alike is left out.
    """
    seeds = [int(s) for s in np.random.SeedSequence([job.config.seed, k]).generate_state(3)]
    fitted = fit_critic(job, training, name=f"fold-{k + 1}", seeds=seeds)
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
        # Training and test rows are scored in blocks of the same size, hence with the same ceiling.
        if many:
            block = len(test) // -(-len(test) // job.config.eval_rows)
            most = max(block, TRAINED // block * block)
            known = shuffle(some(part.rows, most, seed=seeds[0]))
        else:
            rest = shuffle(np.setdiff1d(part.rows, again))
            known = shuffle(np.concatenate([np.intersect1d(again, part.rows), rest])[: len(test)])
        parts.append(_part(job, part, test, known, many=many, seed=seeds[0]))
    if len(parts) == 1 and not fitted.parts[0].kept:
        parts = _heard(job, parts[0], test)
    main = fitted.main
    dims = (min(side.shape[1], len(job.pair.x)) for side in (job.pair.x, job.pair.y))
    return Fold(
        rows=test,
        parts=tuple(parts),
        fit=fitted.fit,
        base=main.base if main is not None and parts else None,
        kept=main is not None and main.kept,
        blind=math.sqrt(math.prod(dims) / 2) / len(job.pair.x),
        is_wide=len(training) < WIDE * (job.pair.x.shape[1] + job.pair.y.shape[1]),
    ), fitted


def _part(
    job: Job, fitted: Fitted, test: np.ndarray, known: np.ndarray, *, many: bool, seed: int
) -> Part:
    """One critic's report on test rows and on rows that it knows."""
    scored, on_known = fitted.scored(test), fitted.scored(known)
    base, normalised = fitted.critic.base, not fitted.kept
    if normalised and fitted.base is not None:
        normalised = BASES[fitted.base].normalised
    mix = _mix(normalised, scored, on_known)
    own, closed = None, None
    if mix.positives and isinstance(base, GaussianCopula):
        own = _rehearsed(base, job, len(fitted.rows), min(len(test), TRAINED), seed)
        closed = None if many else base.mi
    return Part(fitted.weight, scored, on_known, mix, closed, own, known if many else None)


def _rehearsed(base: GaussianCopula, job: Job, fitted: int, tested: int, seed: int) -> np.ndarray:
    """The terms that as many rows would show if the model were true."""
    x, y, again = base.rehearse(fitted, tested, seed)
    return score(networks.Composite(again, None), job.bound, (x, y), job.config.eval_rows).terms


def _mix(normalised: bool, test: Scored, training: Scored) -> Mix:
    """Which contributions make the point estimate; see "How the estimate is made" in the docs.

    The bound itself has a ceiling; Donsker-Varadhan has none, but needs the mean of e^f over the
    negatives; a base alone is normalised in closed form, unless the data say otherwise.
    """
    log_z, doubt = test.normaliser()
    unknown = ramp(doubt, *RELIABLE)
    positives = 0.0
    if normalised:
        off = ramp(abs(log_z) / doubt, *NORMALISED) if doubt > 0 else 1.0
        positives = max(unknown, 1 - off)
    higher = training.dv.mean() > training.terms.mean()
    dv = (1 - positives) * (1 - unknown) if higher else 0.0
    return Mix(positives, dv, 1 - positives - dv)


def _heard(job: Job, part: Part, rows: np.ndarray) -> list[Part]:
    """The report of a base alone, its weight by how far it is below zero on the test rows."""
    below, error = -float(part.test.terms.mean()), standard_error(part.test.terms, rows, job.config)
    low = max(WORSE[0] * error, HARM)
    weight = 1 - ramp(below, low, low * WORSE[1] / WORSE[0])
    return [replace(part, weight=weight * part.weight)] if weight else []
