"""The contract of a joint distribution whose mutual information is known.

What every task offers (`Task`), what an invertible map of one side offers (`Map`), and the two
things that follow from the contract alone: the log ratio of given pairs and the Monte Carlo check
of `mi`. The distributions are in the other modules of this package.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from infobound.errors import InputError

__all__ = ["Map", "Task", "at_least_one", "monte_carlo", "pointwise", "positive"]


class Task(Protocol):
    """What every task offers; all of them have a log ratio."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    @property
    def dim_x(self) -> int:
        """Columns of x."""

    @property
    def dim_y(self) -> int:
        """Columns of y."""

    @property
    def mi(self) -> float:
        """The mutual information, nats."""

    @property
    def mi_error(self) -> float:
        """Standard error of `mi`, nats: 0.0 for a closed form or quadrature, else Monte Carlo's."""

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n pairs: x (n, dim_x) and y (n, dim_y), float64, rows independent."""

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """log p(x_i, y_j) / (p(x_i) p(y_j)), (n, m), for x (n, dim_x) and y (m, dim_y).

        -inf where a pair cannot occur. A discrete side has probabilities instead of densities.
        """


class Map(Protocol):
    """An injective map of one side's rows, with its inverse on what it reaches."""

    def __call__(self, rows: Tensor) -> Tensor:
        """Rows (n, d) mapped, (n, width(d))."""

    def inverse(self, rows: Tensor) -> Tensor:
        """The rows (n, d) that lead to these (n, width(d))."""

    def width(self, d: int) -> int:
        """Columns after the map, for d columns before it."""


def at_least_one(**counts: int) -> None:
    """Check that these are counts of one or more.

    Raises:
        InputError: one of them is not.

    Example:
        >>> at_least_one(d=0)
        Traceback (most recent call last):
        infobound.errors.InputError: Expected d of 1 or more; got 0.
    """
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"Expected {name} of 1 or more; got {value}.")


def positive(**values: float) -> None:
    """Check that these numbers are finite and greater than zero.

    Raises:
        InputError: one of them is not.

    Example:
        >>> positive(noise=-1.0)
        Traceback (most recent call last):
        infobound.errors.InputError: Expected noise greater than zero; got -1.0.
    """
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise InputError(f"Expected {name} greater than zero; got {value}.")


def pointwise(task: Task, x: Tensor, y: Tensor, *, chunk: int = 64) -> Tensor:
    """The log ratio of the pairs (x_i, y_i), nats, (n,): the diagonal of `log_ratio`.

    Its mean over pairs drawn from the task estimates `task.mi`.

    Args:
        task: a task.
        x: (n, dim_x).
        y: (n, dim_y).
        chunk: pairs at a time; the memory is that of a (chunk, chunk) matrix.

    Example:
        >>> from infobound.benchmark.distributions.gaussian import Gaussian
        >>> pointwise(Gaussian(d=1, rho=0.0), torch.ones(3, 1), torch.ones(3, 1)).tolist()
        [0.0, 0.0, 0.0]
    """
    parts = zip(x.split(chunk), y.split(chunk), strict=True)
    return torch.cat([task.log_ratio(a, b).diagonal() for a, b in parts])


def monte_carlo(task: Task, *, n: int = 100_000, generator: torch.Generator) -> tuple[float, float]:
    """The mean log ratio of n fresh pairs and its standard error, nats.

    This recomputes any `mi`: by a way of its own where `mi` is a closed form or quadrature, and
    the same way where `mi_error` is not zero.

    Example:
        >>> from infobound.benchmark.distributions.gaussian import Gaussian
        >>> task = Gaussian(d=1, rho=0.5)
        >>> mean, error = monte_carlo(task, n=500, generator=torch.Generator().manual_seed(0))
        >>> abs(mean - task.mi) < 4 * error
        True
    """
    values = pointwise(task, *task.sample(n, generator))
    return float(values.mean()), float(values.std()) / math.sqrt(n)
