"""Normal and Student-t pairs, defined by one matrix for the columns of x and of y.

The matrix is the covariance (for Student-t: the dispersion) of the columns of x, then of y. `dense`
and `sparse` return the matrices of the BMI benchmark. Both classes have `mi` in closed form, in
nats, and an exact log ratio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from scipy.special import digamma, gammaln
from torch import Tensor

from infobound.benchmark.distributions.joint import at_least_one
from infobound.errors import InputError

__all__ = ["Normal", "Student", "dense", "sparse"]


def dense(d: int, *, rho: float = 0.5) -> Tensor:
    """Return the (d, d) matrix with ones on the diagonal and rho everywhere else.

    Example:
        >>> dense(2, rho=0.5).tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    return (1 - rho) * torch.eye(d, dtype=torch.float64) + rho


def sparse(dim_x: int, dim_y: int, *, pairs: int = 2, strength: float = 2.0) -> Tensor:
    """Return the correlation matrix in which only the first `pairs` columns of x and y correlate.

    Column i of x and column i of y share a normal variable of standard deviation `strength`, added
    to their own of standard deviation 1, so their correlation is strength^2 / (1 + strength^2).

    Args:
        dim_x: the number of columns of x.
        dim_y: the number of columns of y.
        pairs: the number of correlated pairs of columns.
        strength: the standard deviation of the shared variable.

    Returns:
        (dim_x + dim_y, dim_x + dim_y).

    Raises:
        InputError: If there are more pairs than columns.

    Source: Czyż et al. 2023, https://arxiv.org/abs/2306.11078.

    Example:
        >>> sparse(1, 1, pairs=1, strength=2.0).tolist()
        [[1.0, 0.8], [0.8, 1.0]]
    """
    if not 0 <= pairs <= min(dim_x, dim_y):
        raise InputError(
            f"Expected pairs between 0 and {min(dim_x, dim_y)}, the columns of the narrower side; "
            f"got {pairs}."
        )
    matrix = torch.eye(dim_x + dim_y, dtype=torch.float64)
    rho = strength**2 / (1 + strength**2)
    for i in range(pairs):
        matrix[i, dim_x + i] = matrix[dim_x + i, i] = rho
    return matrix


def _check(matrix: Tensor, dim_x: int) -> None:
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    if not square or not torch.allclose(matrix, matrix.T):
        raise InputError(f"Expected a symmetric matrix; got one of shape {tuple(matrix.shape)}.")
    if not 0 < dim_x < len(matrix):
        raise InputError(
            f"Expected dim_x between 1 and {len(matrix) - 1}, so that both sides have columns; "
            f"got {dim_x}."
        )
    if torch.linalg.cholesky_ex(matrix).info > 0:
        raise InputError(
            "Expected a positive definite matrix; got one that is not. At a correlation of 1 the "
            "MI is infinite."
        )


class _Blocks:
    """The common part of both classes: the matrix, its blocks and their quadratic forms."""

    def __init__(self, matrix: Tensor, dim_x: int) -> None:
        self.matrix = matrix.to(torch.float64)
        self.dim_x = dim_x
        self.root = torch.linalg.cholesky(self.matrix)
        self.joint = torch.linalg.inv(self.matrix)
        self.x = torch.linalg.inv(self.matrix[:dim_x, :dim_x])
        self.y = torch.linalg.inv(self.matrix[dim_x:, dim_x:])
        logdet = torch.linalg.slogdet
        sides = logdet(self.x).logabsdet + logdet(self.y).logabsdet
        self.mi = 0.5 * float(logdet(self.joint).logabsdet - sides)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(n, len(self.matrix), generator=generator, dtype=torch.float64)
        return noise @ self.root.T

    def forms(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return squared Mahalanobis distances: of x (n, 1), of y (m,) and of all pairs (n, m)."""
        k = self.dim_x
        own_x, own_y = ((rows @ m.to(rows) * rows).sum(1) for rows, m in ((x, self.x), (y, self.y)))
        joint = self.joint.to(x)
        left = (x @ joint[:k, :k] * x).sum(1)[:, None]
        right = (y @ joint[k:, k:] * y).sum(1)
        return own_x[:, None], own_y, left + right + 2 * (x @ joint[:k, k:] @ y.T)


@dataclass(frozen=True, eq=False)
class Normal:
    """A multivariate normal with mean zero and this covariance.

    The MI is half of log det(Sigma_x) det(Sigma_y) / det(Sigma).

    Raises:
        InputError: If the matrix is no covariance, or a side has no columns.

    Example:
        >>> round(Normal(covariance=dense(2, rho=0.75), dim_x=1).mi, 4)
        0.4133
    """

    mi_error: ClassVar[float] = 0.0
    covariance: Tensor = field(repr=False)
    dim_x: int
    name: str = "normal"

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        _check(self.covariance, self.dim_x)

    @cached_property
    def _blocks(self) -> _Blocks:
        return _Blocks(self.covariance, self.dim_x)

    @property
    def dim_y(self) -> int:
        """The number of columns of y."""
        return len(self.covariance) - self.dim_x

    @property
    def mi(self) -> float:
        """The mutual information in closed form, in nats."""
        return self._blocks.mi

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x (n, dim_x) and y (n, dim_y)."""
        rows = self._blocks.draw(n, generator)
        return rows[:, : self.dim_x], rows[:, self.dim_x :]

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats."""
        of_x, of_y, of_both = self._blocks.forms(x, y)
        return 0.5 * (of_x + of_y - of_both) + self._blocks.mi


@dataclass(frozen=True, eq=False)
class Student:
    """A multivariate Student-t with this dispersion and integer degrees of freedom.

    Columns are dependent even if the dispersion is diagonal, because they share one scale. With at
    most two degrees of freedom the variance is infinite; with one the mean does not exist.

    Source: Arellano-Valle, Contreras-Reyes and Genton 2013,
    https://doi.org/10.1111/j.1467-9469.2011.00774.x.

    Raises:
        InputError: If the matrix is no dispersion, a side has no columns, or `df` is less than one.

    Example:
        >>> round(Student(dispersion=torch.eye(2), dim_x=1, df=1).mi, 4)
        0.2242
    """

    mi_error: ClassVar[float] = 0.0
    dispersion: Tensor = field(repr=False)
    dim_x: int
    df: int
    name: str = "student"

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        _check(self.dispersion, self.dim_x)
        at_least_one(df=self.df)

    @cached_property
    def _blocks(self) -> _Blocks:
        return _Blocks(self.dispersion, self.dim_x)

    @property
    def dim_y(self) -> int:
        """The number of columns of y."""
        return len(self.dispersion) - self.dim_x

    def _log_constant(self, d: int) -> float:
        """Return the log density of d dimensions at the centre, for the identity matrix."""
        half = 0.5 * (self.df + d)
        return float(gammaln(half) - gammaln(0.5 * self.df) - 0.5 * d * math.log(self.df * math.pi))

    @property
    def mi(self) -> float:
        """The MI of a normal with this matrix plus that of the shared scale, in nats."""

        def entropy(d: int) -> float:
            half = 0.5 * (self.df + d)
            return half * float(digamma(half) - digamma(0.5 * self.df)) - self._log_constant(d)

        both = self.dim_x + self.dim_y
        return self._blocks.mi + entropy(self.dim_x) + entropy(self.dim_y) - entropy(both)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x (n, dim_x) and y (n, dim_y)."""
        normal = self._blocks.draw(n, generator)
        shared = torch.randn(n, self.df, generator=generator, dtype=torch.float64)
        rows = normal / shared.square().mean(1, keepdim=True).sqrt()
        return rows[:, : self.dim_x], rows[:, self.dim_x :]

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats."""

        def log_density(form: Tensor, d: int) -> Tensor:
            return self._log_constant(d) - 0.5 * (self.df + d) * torch.log1p(form / self.df)

        of_x, of_y, of_both = self._blocks.forms(x, y)
        sides = log_density(of_x, self.dim_x) + log_density(of_y, self.dim_y)
        return log_density(of_both, self.dim_x + self.dim_y) - sides + self._blocks.mi
