"""Which of two tells more: I(X1;Y) - I(X2;Y) from the same rows.

Both estimates have the same folds, so what makes one row of y easy or hard to tell is in both and
leaves their difference: the interval is narrower than those of the two estimates would give.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from infobound import data
from infobound._system.units import Nats, Result
from infobound.config import Config, configured
from infobound.errors import InputError
from infobound.estimation.estimate import estimate
from infobound.estimation.point import standard_error, z_quantile
from infobound.estimation.result import Estimate
from infobound.training import loop

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison(Result):
    """`difference` is I(X1;Y) - I(X2;Y) in nats with its interval; `p_value` is two-sided.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(300, 2))
        >>> found = compare(x[:, 0], x[:, 1], x[:, 0] + 0.5 * x[:, 1], critic="none")
        >>> found.difference > 0
        True
    """

    difference: Nats
    interval: tuple[Nats, Nats]
    p_value: float
    first: Estimate
    second: Estimate

    def __str__(self) -> str:
        """One line, with the unit."""
        low, high = self.interval
        return (
            f"I(X1;Y) - I(X2;Y) = {self.difference:.3f} nats [{low:.3f}, {high:.3f}], "
            f"p = {self.p_value:.2g}, {self.first.n:,} rows"
        )


def compare(
    x1: Any,
    x2: Any,
    y: Any = None,
    *,
    config: Config | None = None,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> Comparison:
    """I(X1;Y) - I(X2;Y) in nats: does x1 tell more about y than x2 does?

    Args:
        x1: (n, p) or (n,), such as one sensor; row i belongs to row i of y. Or two pairs of the
            same y as `x1` and `x2`, such as `readers.read` gives, without y.
        x2: (n, q) or (n,), such as another one.
        y: (n, r) or (n,).
        config: settings; `Config()` if not given.
        watch: called with a `loop.Progress` after each evaluation.
        stop: asked between iterations; True raises `Interrupted`.
        **settings: any field of `Config`, by name.

    Raises:
        InputError: rows that cannot be used, or an unknown setting.

    Source: paired differences, Bland and Altman 1986,
    https://doi.org/10.1016/S0140-6736(86)90837-8.

    Example:
        >>> x = np.random.default_rng(0).normal(size=300)
        >>> compare(x, x, x + np.random.default_rng(1).normal(size=300), critic="none").difference
        0.0
    """
    config = configured(config, settings)
    first, second = (data.as_pair(x, y) for x in (x1, x2))
    if not np.array_equal(first.y, second.y):
        raise InputError(
            f"Expected two pairs with the same y; got others ({len(first.y)} and {len(second.y)} "
            "rows). Missing values must be left out of both at once."
        )
    asked = config.with_(pointwise=True)
    both = [estimate(pair, config=asked, watch=watch, stop=stop) for pair in (first, second)]
    values = [np.array(one.pointwise) for one in both]
    doubts = [_doubt(one, points, config) for one, points in zip(both, values, strict=True)]
    same = both[0].as_dict() == {**both[1].as_dict(), "seconds": both[0].seconds}
    error = 0.0 if same else math.hypot(_error(values[0] - values[1], config), *doubts)
    difference = both[0].mi - both[1].mi
    half = z_quantile(config.level) * error
    p_value = 2 * NormalDist().cdf(-abs(difference) / error) if error > 0 else 1.0
    short = [dataclasses.replace(one, pointwise=None) for one in both]
    return Comparison(difference, (difference - half, difference + half), p_value, *short)


def _error(values: np.ndarray, config: Config) -> float:
    return standard_error(values, np.arange(len(values)), config)


def _doubt(result: Estimate, values: np.ndarray, config: Config) -> float:
    """What the interval of an estimate allows for besides the sampling error, nats."""
    whole = result.half_width / z_quantile(config.level)
    return math.sqrt(max(0.0, whole**2 - _error(values, config) ** 2))
