"""The estimators that `Config.estimator` names, in one table.

Cross-fitting scores every row exactly once, by a critic whose transform, closed form, weights and
selection do not depend on that row.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from torch import nn

from infobound import data
from infobound.config import Config
from infobound.estimation import combine, ksg
from infobound.estimation.crossfit import Fold, fit_fold
from infobound.estimation.guarantees import Guarantees, guarantees
from infobound.estimation.point import NO_LIMIT, PointEstimate
from infobound.estimation.selection import Job, configure_bound
from infobound.training import loop

__all__ = ["ESTIMATORS", "Estimator", "cross_fitted", "nearest_neighbours"]


class Estimator(Protocol):
    """Maps rows and settings to a point estimate in nats."""

    def __call__(
        self, pair: data.Pair, config: Config, hooks: loop.Hooks, module: nn.Module | None = None
    ) -> PointEstimate:
        """Estimate the mutual information.

        Args:
            pair: the rows.
            config: the settings.
            hooks: connect the estimate to its run directory and to the caller.
            module: the user's own critic, if there is one.

        Returns:
            The point estimate, in nats.

        Raises:
            InputError: If the estimator cannot use the rows.
        """


def cross_fitted(
    pair: data.Pair, config: Config, hooks: loop.Hooks, module: nn.Module | None = None
) -> PointEstimate:
    """Estimate by cross-fitting: fit critics to training rows and evaluate them on test rows."""
    job = Job(pair, config, configure_bound(config), module, hooks)
    parts = job.layout.folds(len(pair.x), config.folds, seed=config.seed)
    folds: list[Fold] = []
    for k, (training, test) in enumerate(parts):
        fold, last = fit_fold(job, k, training, test, parts[(k + 1) % len(parts)][1])
        folds.append(fold)
        if hooks.run is not None:
            hooks.run.write_metrics(_metrics(folds))
    sure = Guarantees()
    if config.certify:
        sure = guarantees(job, [test for _, test in parts], last)
    plausible = combine.downgrade_implausible_copulas(folds, config, pair.groups)
    limit = pair.sample[1].limit
    found = combine.combine_folds(pair, plausible, config, limit[1] if limit else NO_LIMIT)
    return replace(
        found,
        certified=sure.certified,
        upper=sure.upper,
        p_value=sure.p_value,
        test=sure.test,
        smallest_p=sure.smallest_p,
    )


def nearest_neighbours(
    pair: data.Pair, config: Config, hooks: loop.Hooks, module: nn.Module | None = None
) -> PointEstimate:
    """Estimate by Kraskov's nearest neighbours alone, without training and held-out rows."""
    return ksg.estimate_ksg(pair, config)


# "gaussian" and "student" cross-fit these closed forms alone: `selection.candidates`.
ESTIMATORS: dict[str, Estimator] = {
    "default": cross_fitted,
    "ksg": nearest_neighbours,
    "gaussian": cross_fitted,
    "student": cross_fitted,
}


def _metrics(folds: list[Fold]) -> list[dict[str, Any]]:
    """Return the training histories as rows of a table."""
    rows = []
    for k, fold in enumerate(folds, start=1):
        if fold.fit is not None:
            for record in zip(*(fold.fit.history[c] for c in loop.LOG_COLUMNS), strict=True):
                rows.append({"fold": k, **dict(zip(loop.LOG_COLUMNS, record, strict=True))})
    return rows
