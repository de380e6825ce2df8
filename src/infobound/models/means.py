"""A closed form for a side of few columns that varies around a function of the other side."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from infobound.critics import contract
from infobound.critics.contract import Critic, Rows
from infobound.models.copulas import GaussianCopula
from infobound.models.densities import FINE, MixtureModel
from infobound.models.margins import knots_of, normal_scores
from infobound.models.ranks import RankCopula
from infobound.models.regression import Design, Regression

__all__ = ["TARGETS", "MeanModel"]

TARGETS = 2  # most columns whose means are regressed
TRIAL_ROWS = 600  # rows on which it is tried whether means are more than linear
GAIN = 0.7  # nats of a column that they must add there, over sqrt(n): the most that noise added


class MeanModel(Critic):
    """The log ratio of the rows of one side and their conditional means given the other.

    The means are a regression on all columns of the other side, so they follow sums of curves,
    products of columns and curves along a few directions. Where the mean is all that the other side
    says about the rows, the MI with the means is all of the MI; it is never more. The density of a
    row and its mean is that of the rank network if the row has one column, else of a mixture of
    Gaussians. It is fitted to means of rows that the regression was not fitted to.

    Args:
        regression: maps rows of one side to the means of the other.
        inner: the model of means, in the place of x, and rows, in the place of y.
        of_y: whether the rows are those of y, and the means are regressed on x.

    Example:
        >>> x, noise = torch.randn(2, 1000, 2, generator=torch.Generator().manual_seed(0))
        >>> y = x[:, :1] * x[:, 1:] + 0.3 * noise[:, :1]  # 1.13 nats
        >>> model = MeanModel.fit(x, y)
        >>> model.of_y, bool(0.9 < model(x, y).diagonal().mean() < 1.2)
        (True, True)
    """

    def __init__(self, regression: Regression, inner: Inner, *, of_y: bool) -> None:
        super().__init__()
        self.regression = regression
        self.inner = inner
        self.width = contract.width(inner)
        self.of_y = of_y

    @classmethod
    def fit(
        cls, x: Tensor, y: Tensor, start: MeanModel | GaussianCopula | None = None
    ) -> MeanModel | GaussianCopula:
        """Fit to robustly scaled values x (n, dim_x) and y (n, dim_y).

        The side whose means are regressed is that with fewer columns; of two equal ones that which
        its means explain better.

        Args:
            x: (n, dim_x).
            y: (n, dim_y).
            start: a model of other rows; the regression keeps its smoothers and directions.

        Returns:
            The model; the Gaussian copula of all columns if means are not clearly more than linear.
        """
        if start is None:
            of_y = _way(x, y)
        else:
            of_y = None if isinstance(start, GaussianCopula) else start.of_y
        if of_y is None:
            return GaussianCopula.fit(x, y)
        own, other = (_values(side) for side in ((y, x) if of_y else (x, y)))
        before = start.regression if isinstance(start, MeanModel) else None
        regression = Regression.fit(Design(other), own, start=before)
        means = torch.from_numpy(regression.held_out).to(x)
        sides = means, y if of_y else x
        inner = RankCopula.fit(*sides) if own.shape[1] == 1 else MixtureModel.fit(*sides, FINE)
        return cls(regression, inner, of_y=of_y)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """What the inner model encodes of one side and of the means given the other."""
        means = torch.from_numpy(self.regression(_values(x if self.of_y else y))).to(x)
        first, second = contract.encode(self.inner, means, y if self.of_y else x)
        return (first, second) if self.of_y else (second, first)

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        return self.inner.pair(a, b) if self.of_y else self.inner.pair(b, a).T


Inner = RankCopula | MixtureModel


def _values(side: Tensor) -> np.ndarray:
    return side.double().cpu().numpy()


def _way(x: Tensor, y: Tensor) -> bool | None:
    """Whether means of y given x say most beyond straight lines, or of x given y (False).

    Normal scores of some rows are compared, on which a Gaussian copula is linear. Returns None if
    neither is clear.
    """
    few = [_scores(side[:TRIAL_ROWS]) for side in (x, y)]
    width = min(side.shape[1] for side in few)
    gains = {}
    for of_y in (True, False):
        other, own = few if of_y else few[::-1]
        if other.shape[1] > 1 and own.shape[1] == width <= TARGETS:
            design = Design(other)
            means = [
                design.linear(own),
                np.column_stack([design.stacked(k, None, None)[0] for k in own.T]),
            ]
            left = [np.log(((own - each) ** 2).mean(axis=0)).sum() for each in means]
            gains[of_y] = float(left[0] - left[1]) / 2
    best = max(gains, key=lambda of_y: gains[of_y], default=None)
    clear = GAIN * width / math.sqrt(len(few[0]))
    return best if best is not None and gains[best] > clear else None


def _scores(side: Tensor) -> np.ndarray:
    """Return the normal scores (n, d) of rows; equal values have about equal ones."""
    return normal_scores(side.double(), knots_of(side.double(), len(side))).cpu().numpy()
