"""A closed form for I(X;Y|Z): normal y whose location and scale are regressed on x and z.

It follows a dependence that changes with z, also in sign, and one that is nearly deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from infobound.critics.contract import Product, Rows, product
from infobound.regression.smoothers import Design, Known, Regression

__all__ = ["RegressionModel"]

FLOOR, CEILING = 1e-3, 10.0  # of the variance of y given x and z
SLOPE_COLUMNS = 4  # most columns of x that have slopes of their own
NO_SLOPE = 0.1  # a column of x this near its mean carries no information on a slope
SECOND_ROUND_GAIN = 0.002  # part of the variance that the first round must explain for a second one
BACKFITTING_ROUNDS = 2  # of what depends on z alone and of the slopes, which disturb each other


class RegressionModel(Product):
    """The log ratio of normal y given x and z to normal y, with independent columns of y.

    For each column, log N(y; m(x, z), s(x, z)^2) - log N(y; 0, 1). The location m is a sum of
    regressions, each of what those before it left: f(x), a(z), b_i(z) x_i, and g(x, z). The scale s
    is one of the squared residuals of rows that were not fitted.

    Args:
        given: the number of columns of z, the last ones of x.
        stages: the regressions that make up the location; None where one was not needed.
        scale: the regression of log squared residuals.
        factor: (q,), multiplies the squared scales so that standardised residuals have variance 1.

    Source: coefficients that vary with z, Hastie and Tibshirani 1993,
    https://doi.org/10.1111/j.2517-6161.1993.tb01939.x.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z, x, noise = rng.normal(size=(3, 2000, 1))
        >>> y = np.where(z > 0, 0.8, -0.8) * x + 0.6 * noise  # no correlation of x and y
        >>> rows = [torch.from_numpy(v).float() for v in (np.hstack([x, z]), y)]
        >>> scores = RegressionModel.fit(*rows, given=1)(*rows)
        >>> bool(0.4 < scores.diagonal().mean() < 0.6)  # -log(1 - 0.64) / 2 = 0.51
        True
    """

    def __init__(
        self,
        given: int,
        stages: tuple[Regression | None, ...],
        scale: Regression,
        factor: np.ndarray,
    ) -> None:
        super().__init__()
        self.given = given
        self.stages = stages
        self.scale = scale
        self.factor = factor

    @classmethod
    def fit(
        cls, x: Tensor, y: Tensor, *, given: int, start: RegressionModel | None = None
    ) -> RegressionModel:
        """Fit to normal scores of x with what is given, (n, p + r), and of y, (n, q).

        An earlier fit to similar rows, `start`, lends its weights and directions.
        """
        rows, left = x.double().cpu().numpy(), y.double().cpu().numpy()
        stages: list[Regression | None] = []
        designs: dict[str, Design] = {}
        unexplained = [np.mean(left**2)]  # after each stage
        for k, (name, columns, factor) in enumerate(_stages(rows, given)):
            if name not in designs:
                designs[name] = Design(columns)
            earlier = None if start is None else start.stages[k]
            after = 2 + _slopes(rows, given)  # stages of the first round
            if name == "z" and k >= after:
                found = unexplained[after] < (1 - SECOND_ROUND_GAIN) * unexplained[1]
                needed = found if start is None else earlier is not None
                if not needed:
                    stages.append(None)
                    continue
            wanted, weights = left, None
            if factor is not None:
                wanted, weights = left / factor, np.broadcast_to(factor**2, left.shape)
            stage = Regression.fit(designs[name], wanted, weights=weights, start=earlier)
            stages.append(stage)
            left = left - stage.held_out * (1 if factor is None else factor)
            unexplained.append(np.mean(left**2))
        logs = np.log(left**2 + 1e-3 * np.median(left**2, axis=0) + 1e-12)
        scale = Regression.fit(designs["x, z"], logs, start=None if start is None else start.scale)
        spread = (left**2 * np.exp(-scale.held_out)).mean(axis=0)
        return cls(given, tuple(stages), scale, spread)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Encode the location and scale at each row of x, and y with its square."""
        rows = x.double().cpu().numpy()
        location = np.zeros((len(rows), len(self.factor)))
        known: dict[str, Known] = {}
        every = _stages(rows, self.given)
        for stage, (name, columns, factor) in zip(self.stages, every, strict=True):
            if stage is None:
                continue
            if name not in known:
                known[name] = Known(columns, stage.maps)
            location += stage.at(known[name]) * (1 if factor is None else factor)
        variance = (np.exp(self.scale.at(known["x, z"])) * self.factor).clip(FLOOR, CEILING)
        g = np.concatenate([location / variance, 0.5 - 0.5 / variance], axis=1)
        constant = -0.5 * (location**2 / variance + np.log(variance)).sum(axis=1)
        left = [torch.from_numpy(v).to(x) for v in (g, constant)]
        return product(left[0], torch.cat([y, y**2], 1), left[1], torch.zeros_like(y[:, 0]))


def _slopes(rows: np.ndarray, given: int) -> int:
    """Return how many columns of x have slopes of their own."""
    own = rows.shape[1] - given
    return own if own <= SLOPE_COLUMNS else 0


def _stages(rows: np.ndarray, given: int) -> Iterator[tuple[str, np.ndarray, np.ndarray | None]]:
    """Yield each regression's columns with their name, and the column (n, 1) that multiplies it."""
    own, z = rows[:, :-given], rows[:, -given:]
    yield "x", own, None
    slopes = own.T[: _slopes(rows, given), :, None]
    for _ in range(BACKFITTING_ROUNDS):
        yield "z", z, None
        for column in slopes:
            yield "z", z, np.where(np.abs(column) < NO_SLOPE, np.copysign(NO_SLOPE, column), column)
    yield "x, z", rows, None
