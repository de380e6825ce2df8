"""The output of an estimator: point estimate, interval, and the values they are made from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from infobound import data
from infobound.config import Config

if TYPE_CHECKING:
    from infobound.estimation.crossfit import Fold

__all__ = [
    "NO_LIMIT",
    "PointEstimate",
    "interval",
    "z_quantile",
]

NO_LIMIT = data.Entropy(math.inf, 0.0, math.inf)


@dataclass(frozen=True, eq=False)
class PointEstimate:
    """The output of an estimator, in nats; what it does not compute is None.

    Attributes:
        mi: the point estimate.
        interval: its confidence interval.
        unlimited: the estimate and half of the interval's width before an entropy limits them.
        method: "critic", "base", "table" or "ksg".
        pointwise: (n,), the contribution of each row.
        held_out: the bound on held-out rows.
        held_out_error: the standard error of `held_out`.
        training: the bound on training rows.
        ksg: the estimate of nearest neighbours.
        certified: the certified lower bound.
        upper: the upper bound of a side of few values.
        p_value: the p-value of independence; of conditional independence, if something is given.
        projection_p: that of the test which assumes good regressions, if something is given.
        exchanged: the held-out value with x and y exchanged, if something is given.
        left: the parts of the variances of x and y that what is given does not explain.
        effective_n: how many independent rows would be worth as much, if rows are not independent.
        test: how `p_value` was computed, a key of `dependent_rows.TESTS`; None by permuting rows.
        smallest_p: the smallest p-value that this test can give on so many rows.
        folds: the folds of cross-fitting.
    """

    mi: float
    interval: tuple[float, float]
    unlimited: tuple[float, float]
    method: str
    pointwise: np.ndarray
    held_out: float | None = None
    held_out_error: float | None = None
    training: float | None = None
    ksg: float | None = None
    certified: float | None = None
    upper: float | None = None
    p_value: float | None = None
    projection_p: float | None = None
    exchanged: float | None = None
    left: tuple[float, float] | None = None
    effective_n: float | None = None
    test: str | None = None
    smallest_p: float | None = None
    folds: tuple[Fold, ...] = ()


def interval(mi: float, error: float, extra_error: float, config: Config) -> tuple[float, float]:
    """Return a confidence interval at `config.level`, in nats.

    Args:
        mi: the centre of the interval, in nats.
        error: the sampling standard error, in nats.
        extra_error: another uncertainty as a standard error, in nats; both are added in quadrature.
        config: the settings.
    """
    half = z_quantile(config.level) * math.hypot(error, extra_error)
    return mi - half, mi + half


def z_quantile(level: float) -> float:
    """Return the half-width of a two-sided normal interval at a level, in standard errors.

    Example:
        >>> round(z_quantile(0.95), 2)
        1.96
    """
    return NormalDist().inv_cdf((1 + level) / 2)
