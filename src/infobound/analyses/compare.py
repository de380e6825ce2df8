"""Comparison of two variables: the difference I(X1;Y) - I(X2;Y), estimated from the same rows.

Both estimates use the same folds, so their errors are correlated and partly cancel in the
difference: its interval is narrower than the intervals of the two estimates imply.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from infobound import data
from infobound._system.calls import Recorded, recorded
from infobound._system.units import Nats
from infobound.analyses import difference_page
from infobound.config import Config, configured
from infobound.errors import InputError
from infobound.estimation.estimate import estimate
from infobound.estimation.point import z_quantile
from infobound.inference.standard_errors import standard_error
from infobound.pages.numbers import p_value
from infobound.pages.page import Page
from infobound.pages.presentable import Presentable
from infobound.results.estimate import Estimate
from infobound.training import loop

__all__ = ["Comparison", "compare", "paired"]

TINY = 1e-300  # no p-value is smaller


@dataclass(frozen=True, repr=False)
class Comparison(Recorded, Presentable):
    """The difference of two mutual informations, in nats.

    Attributes:
        difference: I(X1;Y) - I(X2;Y), in nats.
        interval: its confidence interval, in nats.
        p_value: the two-sided p-value of no difference.
        first: the estimate of I(X1;Y).
        second: the estimate of I(X2;Y).

    Example:
        >>> x = np.random.default_rng(0).normal(size=(300, 2))
        >>> quick = {"estimator": "gaussian", "certify": False}
        >>> found = compare(x[:, 0], x[:, 1], x[:, 0] + 0.5 * x[:, 1], **quick)
        >>> found.difference > 0
        True
    """

    difference: Nats
    interval: tuple[Nats, Nats]
    p_value: float
    first: Estimate
    second: Estimate

    def __str__(self) -> str:
        """Format the difference as one line with its unit."""
        low, high = self.interval
        return (
            f"I(X1;Y) - I(X2;Y) = {self.difference:.3f} nats [{low:.3f}, {high:.3f}], "
            f"{p_value(self.p_value)}, {self.first.n:,} rows"
        )

    @property
    def estimates(self) -> dict[str, Estimate]:
        """Both estimates by their names."""
        return {"I(X1;Y)": self.first, "I(X2;Y)": self.second}

    def page(self, units: str = "nats") -> Page:
        """Describe the difference and both estimates.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        return difference_page.page_of(
            self.estimates,
            self.difference,
            self.interval,
            self.p_value,
            kind="Comparison of two mutual informations",
            name="I(X1;Y) - I(X2;Y)",
            meaning="positive: x1 is more informative about y",
            call=self.call,
            units=units,
        )

    def records(self, units: str = "nats") -> list[dict[str, Any]]:
        """Return a row for each estimate, and one for the difference."""
        return difference_page.difference_rows(
            self.estimates, self.difference, self.interval, self.p_value, units
        )


@recorded("x1", "x2", "y")
def compare(
    x1: Any,
    x2: Any,
    y: Any = None,
    *,
    groups: Any = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    config: Config | None = None,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> Comparison:
    """Estimate I(X1;Y) - I(X2;Y): whether x1 is more informative about y than x2.

    Args:
        x1: (n, p) or (n,), for example one sensor; row i belongs to row i of y. Or, without y, two
            pairs with the same y as `x1` and `x2`, as returned by `readers.read`.
        x2: (n, q) or (n,), for example another sensor.
        y: (n, r) or (n,).
        groups: (n,), a label for each row, if rows of a group are not independent, as in
            `estimate`.
        categorical: names of columns of x1, x2 or y that are categories, as in `estimate`; "x1",
            "x2" or "y" for all columns of a sample. Columns of arrays are called x1[0], x2[0], ...
        numeric: names of columns that are quantities, in the same way.
        config: the settings; `Config()` by default.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, `Interrupted` is raised.
        **settings: any field of `Config`, by name.

    Returns:
        The difference with its interval and p-value, and both estimates; in nats.

    Raises:
        InputError: If rows cannot be used, the pairs differ in y, or a setting is unknown.
        Interrupted: If `stop` returned True.

    Source: paired differences, Bland and Altman 1986,
    https://doi.org/10.1016/S0140-6736(86)90837-8.

    Example:
        >>> x = np.random.default_rng(0).normal(size=300)
        >>> y = x + np.random.default_rng(1).normal(size=300)
        >>> compare(x, x, y, estimator="gaussian", certify=False).difference
        0.0
    """
    config = configured(config, settings)
    first, second = data.as_pairs({"x1": x1, "x2": x2}, y, categorical=categorical, numeric=numeric)
    if not np.array_equal(first.y, second.y):
        raise InputError(
            f"Expected two pairs with the same y; got others ({len(first.y)} and {len(second.y)} "
            "rows). Missing values must be left out of both at once."
        )
    if groups is not None:
        first, second = (data.with_groups(pair, groups) for pair in (first, second))
    asked = config.with_(pointwise=True)
    both = [estimate(pair, config=asked, watch=watch, stop=stop) for pair in (first, second)]
    found = paired(both[0], both[1], config=config, groups=first.groups)
    difference, interval, p_value = found
    short = both if config.pointwise else [dataclasses.replace(e, pointwise=None) for e in both]
    return Comparison(difference, interval, p_value, *short)


def paired(
    first: Estimate, second: Estimate, *, config: Config, groups: np.ndarray | None = None
) -> tuple[float, tuple[float, float], float]:
    """Return the difference of two estimates that used the same rows and folds.

    The sampling error is that of the per-row differences; what else each interval allows for is
    added in quadrature.

    Args:
        first: an estimate with `pointwise`, in nats.
        second: another one.
        config: the settings of both.
        groups: (n,), the group of each row as an id, if rows are in groups.

    Returns:
        The difference and its confidence interval, in nats, and the two-sided p-value of none.

    Example:
        >>> x = np.random.default_rng(0).normal(size=200)
        >>> config = Config(estimator="gaussian", certify=False, pointwise=True)
        >>> found = estimate(x, x + 1 / (1 + x**2), config=config)
        >>> paired(found, found, config=config)
        (0.0, (0.0, 0.0), 1.0)
    """
    both = first, second
    values = [np.array(one.pointwise) for one in both]
    known = config, groups
    doubts = [_doubt(one, points, *known) for one, points in zip(both, values, strict=True)]
    same = len({(one.mi, one.interval, one.pointwise) for one in both}) == 1
    error = 0.0 if same else math.hypot(_error(values[0] - values[1], *known), *doubts)
    difference = first.mi - second.mi
    half = z_quantile(config.level) * error
    p_value = max(2 * float(ndtr(-abs(difference) / error)), TINY) if error > 0 else 1.0
    return difference, (difference - half, difference + half), p_value


def _error(values: np.ndarray, config: Config, groups: np.ndarray | None) -> float:
    return standard_error(values, np.arange(len(values)), config, groups=groups)


def _doubt(
    result: Estimate, values: np.ndarray, config: Config, groups: np.ndarray | None
) -> float:
    """Return the uncertainty in an estimate's interval besides the sampling error, in nats."""
    whole = result.half_width / z_quantile(config.level)
    return math.sqrt(max(0.0, whole**2 - _error(values, config, groups) ** 2))
