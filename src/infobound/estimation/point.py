"""What an estimator finds: the point estimate, its interval, and what they were made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from infobound import data
from infobound._system.memory import stretches, take
from infobound.config import Config

if TYPE_CHECKING:
    from infobound.estimation.crossfit import Fold

__all__ = [
    "NO_LIMIT",
    "PointEstimate",
    "entropy_limit",
    "inspected",
    "interval",
    "standard_error",
    "z_quantile",
]

LOOKED = 20_000_000  # values that are searched for what may be wrong with them
NO_LIMIT = data.Entropy(math.inf, 0.0, math.inf)


@dataclass(frozen=True, eq=False)
class PointEstimate:
    """What an estimator finds, in nats; None where it has no held-out rows.

    `unlimited` is the estimate and half of its interval before both end at an entropy. `pointwise`
    (n,) has each row's part, and `folds` is what cross-fitting leaves behind.
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
    p_value: float | None = None
    folds: tuple[Fold, ...] = ()


def interval(mi: float, error: float, doubt: float, config: Config) -> tuple[float, float]:
    """At `config.level`, from the sampling error and another doubt, nats."""
    half = z_quantile(config.level) * math.hypot(error, doubt)
    return mi - half, mi + half


def z_quantile(level: float) -> float:
    """How many standard errors half an interval at that level has.

    Example:
        >>> round(z_quantile(0.95), 2)
        1.96
    """
    return NormalDist().inv_cdf((1 + level) / 2)


def inspected(pair: data.Pair) -> tuple[np.ndarray, data.Pair]:
    """Evenly spaced rows, as many as are searched for faults, and their numbers."""
    rows = stretches(len(pair.x), LOOKED // (pair.x.shape[1] + pair.y.shape[1]))
    x, y = take(pair.x, rows), take(pair.y, rows)
    return rows, data.Pair(x, y, pair.x_names, pair.y_names, pair.notes)


def entropy_limit(pair: data.Pair) -> data.Entropy:
    """What no mutual information exceeds: the entropy of a side of few values, the smaller one."""
    found = [data.entropy(side) for side in (pair.x, pair.y)]
    return min((h for h in found if h is not None), default=NO_LIMIT)


def standard_error(values: np.ndarray, rows: np.ndarray, config: Config) -> float:
    """The standard error of the mean of per-row values (n,); `rows` are their places in time.

    Of a series it is that of the means of sqrt(n) stretches, which are nearly independent.
    """
    if config.series:
        parts = np.array_split(values[np.argsort(rows)], round(math.sqrt(len(values))))
        values = np.array([part.mean() for part in parts])
    return float(values.std()) / math.sqrt(len(values))
