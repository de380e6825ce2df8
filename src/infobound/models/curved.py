"""A Gaussian copula in which smooth functions of one side take the place of its columns."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from infobound.critics.contract import Product, Rows
from infobound.models.copulas import GaussianCopula
from infobound.regression.features import Bumps
from infobound.regression.smoothers import Design, Regression

__all__ = ["CurvedCopula"]

TEST_ROWS = 2_000  # rows on which functions are compared with lines
FOLDS = 5  # of these rows: each is predicted from those of the other folds
ROWS = 5  # of these rows for each function, at least
RIDGE = 1e-3  # penalty on squared slopes in the comparison, per row
LEAST = 0.02  # nats that functions must add


class CurvedCopula(Product):
    """The Gaussian copula of one side and of regressions of its normal scores on the other side.

    The ratio of a normal density whose mean is a curve to a normal one needs no density of the
    side that is read. The correlations are those of predictions of rows that were not fitted, so
    that overfitted curves count less. Regressions are fitted only if smooth functions of the
    columns of a side explain clearly more of the other side than lines do.

    Args:
        copula: the copula of predictions and scores.
        regression: the regressions of the scores of one side.
        of_y: whether they are those of y.

    Source: additive functions, Hastie and Tibshirani 1986, https://doi.org/10.1214/ss/1177013604.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> x, noise = torch.randn(2, 1000, 3, generator=rng)
        >>> y = torch.cat([x[:, :1], x[:, 1:] + torch.sin(3 * x[:, :2])], 1) + 0.3 * noise
        >>> model = CurvedCopula.fit(x, y)
        >>> bool(model(x, y).diagonal().mean() > GaussianCopula.fit(x, y).mi + 0.5)
        True
    """

    def __init__(self, copula: GaussianCopula, regression: Regression, *, of_y: bool) -> None:
        super().__init__()
        self.copula = copula
        self.regression = regression
        self.of_y = of_y

    @classmethod
    def fit(
        cls, x: Tensor, y: Tensor, *, start: CurvedCopula | GaussianCopula | None = None
    ) -> CurvedCopula | GaussianCopula:
        """Fit to normal scores x (n, dim_x) and y (n, dim_y), in float64.

        Args:
            x: (n, dim_x).
            y: (n, dim_y).
            start: a model of other rows, which lends its side and its directions; if it has no
                regression, none is fitted.

        Returns:
            The model; the Gaussian copula if lines are as good as curves.
        """
        if isinstance(start, GaussianCopula):
            return GaussianCopula.fit(x, y)
        sides = [side.double().cpu().numpy() for side in (x, y)]
        if start is None:
            gains = [_gain(a[:TEST_ROWS], b[:TEST_ROWS]) for a, b in (sides, sides[::-1])]
            if max(gains) == 0:
                return GaussianCopula.fit(x, y)
            of_y = gains[0] >= gains[1]
        else:
            of_y = start.of_y
        read, wanted = sides if of_y else sides[::-1]
        earlier = None if start is None else start.regression
        regression = Regression.fit(Design(read), wanted, start=earlier, pursuit=False)
        curves = torch.from_numpy(regression.held_out).to(x)
        copula = GaussianCopula.fit(curves, y) if of_y else GaussianCopula.fit(x, curves)
        return cls(copula, regression, of_y=of_y)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """What the copula encodes of the predictions from one side, and of the other side."""
        read = x if self.of_y else y
        curves = torch.from_numpy(self.regression(read.double().cpu().numpy())).to(x)
        return self.copula.encode(curves, y) if self.of_y else self.copula.encode(x, curves)


def _gain(read: np.ndarray, wanted: np.ndarray) -> float:
    """The nats that functions of columns (n, p) add to lines in a regression of others (n, q).

    They are those of rows that were not fitted; zero if there are fewer than `LEAST`.
    """
    lines = np.column_stack([np.ones(len(read)), read])
    curves = np.hstack([lines, *(Bumps.of(column)(column) for column in read.T)])
    if ROWS * curves.shape[1] > len(read):
        return 0.0
    gain = 0.5 * (_unexplained(wanted, lines) - _unexplained(wanted, curves))
    return gain if gain > LEAST else 0.0


def _unexplained(wanted: np.ndarray, design: np.ndarray) -> float:
    """The log determinant of the covariance of what regressions on other rows leave of a row."""
    parts = [np.s_[k::FOLDS] for k in range(FOLDS)]
    grams = [design[part].T @ design[part] for part in parts]
    targets = [design[part].T @ wanted[part] for part in parts]
    left = np.empty_like(wanted)
    for part, own, target in zip(parts, grams, targets, strict=True):
        gram = sum(grams) - own
        gram[np.diag_indices_from(gram)] += RIDGE * len(design)
        slopes = np.linalg.solve(gram, sum(targets) - target)
        left[part] = wanted[part] - design[part] @ slopes
    return float(np.linalg.slogdet(left.T @ left / len(left))[1])
