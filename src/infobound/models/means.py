"""A closed form for one column that varies around a function of the columns of the other side."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from infobound.critics.contract import Critic, Rows
from infobound.models.copulas import GaussianCopula
from infobound.models.margins import knots_of, normal_scores
from infobound.models.ranks import RankCopula
from infobound.regression.smoothers import Design, Regression

__all__ = ["MeanModel"]

TRIAL_ROWS = 600  # rows on which it is tried whether means are more than linear
GAIN = 0.7  # nats that they must add there, over sqrt(n): the most that they added in noise


class MeanModel(Critic):
    """The log ratio of one column and its conditional mean given the other side.

    The mean is a regression on all columns of the other side, so it follows sums of curves,
    products of columns and curves along a few directions. Where it is all that the other side says
    about the column, the MI with it is all of the MI; it is never more. The density of the column
    and its mean is that of the rank network, for means of rows that the regression was not fitted
    to.

    Args:
        regression: maps rows of one side to the mean of the other.
        inner: the model of means, in the place of x, and the column, in the place of y.
        of_y: whether the column is y, and its mean is regressed on x.

    Example:
        >>> x, noise = torch.randn(2, 1000, 2, generator=torch.Generator().manual_seed(0))
        >>> y = x[:, :1] * x[:, 1:] + 0.3 * noise[:, :1]  # 1.13 nats
        >>> model = MeanModel.fit(x, y)
        >>> bool(0.9 < model(x, y).diagonal().mean() < 1.2)
        True
    """

    def __init__(self, regression: Regression, inner: RankCopula, *, of_y: bool) -> None:
        super().__init__()
        self.regression = regression
        self.inner = inner
        self.width = inner.width
        self.of_y = of_y

    @classmethod
    def fit(
        cls, x: Tensor, y: Tensor, start: MeanModel | GaussianCopula | None = None
    ) -> MeanModel | GaussianCopula:
        """Fit to robustly scaled values x (n, dim_x) and y (n, dim_y); one has a single column.

        Args:
            x: (n, dim_x).
            y: (n, dim_y).
            start: a model of other rows; the regression keeps its smoothers and directions.

        Returns:
            The model; the Gaussian copula of all columns if the mean is not clearly more than
            linear.
        """
        of_y = y.shape[1] == 1
        own, other = (y, x) if of_y else (x, y)
        curved = isinstance(start, MeanModel) if start is not None else _is_curved(own, other)
        if not curved:
            return GaussianCopula.fit(x, y)
        before = start.regression if isinstance(start, MeanModel) else None
        regression = Regression.fit(Design(_values(other)), _values(own), start=before)
        means = torch.from_numpy(regression.held_out).to(x)
        return cls(regression, RankCopula.fit(means, own), of_y=of_y)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """What the inner model encodes of the column and of its means."""
        own, other = (y, x) if self.of_y else (x, y)
        means = torch.from_numpy(self.regression(_values(other))).to(x)
        first, second = self.inner.encode(means, own)
        return (first, second) if self.of_y else (second, first)

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        return self.inner.pair(a, b) if self.of_y else self.inner.pair(b, a).T


def _values(side: Tensor) -> np.ndarray:
    return side.double().cpu().numpy()


def _is_curved(own: Tensor, other: Tensor) -> bool:
    """Whether the mean of a column (n, 1) given others (n, d) is clearly more than linear.

    Normal scores of some rows are compared, on which a Gaussian copula is linear.
    """
    column, read = (_scores(side[:TRIAL_ROWS]) for side in (own, other))
    design = Design(read)
    line, curve = design.linear(column)[:, 0], design.stacked(column[:, 0], None, None)[0]
    left = [float(((column[:, 0] - mean) ** 2).mean()) for mean in (line, curve)]
    return 0.5 * math.log(left[0] / left[1]) > GAIN / math.sqrt(len(column))


def _scores(side: Tensor) -> np.ndarray:
    """Return the normal scores (n, d) of rows; equal values have about equal ones."""
    return normal_scores(side.double(), knots_of(side.double(), len(side))).cpu().numpy()
