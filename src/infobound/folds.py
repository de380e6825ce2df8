"""One fold of the cross-fitting: a critic from its training rows, its report on its test rows.

What the folds say together is in `points`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infobound import critics, train
from infobound.copulas import GaussianCopula
from infobound.errors import InputError
from infobound.fitting import Fitted, Job, Scored, fit_critic, most_rows, score
from infobound.storage import some

__all__ = ["Fold", "fit_fold"]

TRAINED = 50_000  # training rows that are scored at most
RELIABLE = 0.1  # relative standard error up to which an average of e^f is taken at its word


@dataclass(frozen=True)
class Fold:
    """One fold's outcome; `rows` are its test rows, in the order in which they were scored."""

    rows: np.ndarray
    fit: train.Fit | None
    base: str | None
    kept: bool
    closed: float | None  # the base's own MI, nats, where its bias is known and it stands alone
    test: Scored
    training: Scored
    mode: str  # which contributions make the point estimate: positives, dv or terms
    rehearsed: np.ndarray | None  # the terms that rows of the base itself would show
    seen: np.ndarray | None = None  # rows of `training`, where only some of many are looked at

    def point(self) -> float:
        """The base's own MI, or the mean of the training and the held-out value.

        The errors of those two cancel to first order.
        """
        if self.closed is not None and self.mode == "positives":
            return self.closed
        return (
            float(getattr(self.test, self.mode).mean() + getattr(self.training, self.mode).mean())
            / 2
        )

    def correction(self) -> float:
        """How far the point estimate is from the held-out value; 0 if that is known exactly."""
        if self.closed is not None and self.mode == "positives":
            return 0.0
        return self.point() - float(getattr(self.test, self.mode).mean())


def fit_fold(
    job: Job, k: int, training: np.ndarray, test: np.ndarray, again: np.ndarray
) -> tuple[Fold, Fitted]:
    """Fit to `training`, report on `test`.

    The training value is taken on the rows of `again` as far as they were fitted: another fold's
    test rows, so that over all folds it is made of the same rows as the held-out value. Where rows
    are so many that only some are fitted, it is taken on some of those, and `points` compares it
    with the held-out values of the same rows.
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
    scored = fitted.scored(test)
    kept, rows, base = fitted.kept, fitted.rows, fitted.critic.base
    many = len(training) > most_rows(job.config) or len(test) > TRAINED
    # Training and test rows are scored in blocks of the same size, hence with the same ceiling.
    if many:
        block = len(test) // -(-len(test) // job.config.eval_rows)
        seen = shuffle(some(rows, max(block, TRAINED // block * block), seed=seeds[0]))
    else:
        seen = np.concatenate([np.intersect1d(again, rows), shuffle(np.setdiff1d(rows, again))])
        seen = shuffle(seen[: len(test)])
    on_training = fitted.scored(seen)
    mode = _mode(kept, scored, on_training)
    own = None
    if mode == "positives" and isinstance(base, GaussianCopula):
        own = _rehearsed(base, job, len(rows), min(len(test), TRAINED), seeds[0])
    closed = None if kept or many else getattr(base, "mi", None)
    return Fold(
        rows=test,
        fit=fitted.fit,
        base=fitted.base,
        kept=kept,
        closed=closed,
        test=scored,
        training=on_training,
        mode=mode,
        rehearsed=own,
        seen=seen if many else None,
    ), fitted


def _rehearsed(base: GaussianCopula, job: Job, fitted: int, tested: int, seed: int) -> np.ndarray:
    """The terms that as many rows would show if the model were true."""
    x, y, again = base.rehearse(fitted, tested, seed)
    return score(critics.Composite(again, None), job.bound, (x, y), job.config.eval_rows).terms


def _mode(kept: bool, test: Scored, training: Scored) -> str:
    """Which contributions make the point estimate; see "How the estimate is made" in the docs.

    The bound itself has a ceiling; Donsker-Varadhan has none, but needs the mean of e^f over the
    negatives; a base alone is normalised in closed form, unless the data say otherwise.
    """
    log_z, doubt = test.normaliser()
    if not kept and (doubt > RELIABLE or abs(log_z) < 2 * doubt):
        return "positives"
    higher = training.dv.mean() > training.terms.mean()
    return "dv" if higher and doubt <= RELIABLE else "terms"
