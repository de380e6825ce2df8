"""The contract of joint distributions whose mutual information is known.

This module defines the interface of a task (`Task`), of a task with a third variable
(`ConditionalTask`) and of an invertible map of one side (`Map`), and two functions that need
nothing else: the log ratio of given rows and the Monte Carlo check of `mi`. The distributions are
in the other modules of this package.
"""

from __future__ import annotations

import math
from typing import Protocol, cast

import torch
from torch import Tensor

from infobound.errors import InputError

__all__ = [
    "AnyTask",
    "ConditionalTask",
    "Map",
    "Task",
    "at_least_one",
    "monte_carlo",
    "pointwise",
    "positive",
]


class Task(Protocol):
    """The interface of a task: a joint distribution with known MI and log ratio."""

    @property
    def name(self) -> str:
        """The name in tables."""

    @property
    def dim_x(self) -> int:
        """The number of columns of x."""

    @property
    def dim_y(self) -> int:
        """The number of columns of y."""

    @property
    def mi(self) -> float:
        """The mutual information, in nats."""

    @property
    def mi_error(self) -> float:
        """The standard error of `mi`, in nats; 0.0 unless `mi` is computed by Monte Carlo."""

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw n independent pairs: x (n, dim_x) and y (n, dim_y), float64."""

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log p(x_i, y_j) / (p(x_i) p(y_j)), (n, m), for x (n, dim_x) and y (m, dim_y).

        It is -inf for impossible pairs. A discrete side has probabilities instead of densities.
        """


class ConditionalTask(Protocol):
    """The interface of a task with a third variable z: `mi` is I(X;Y|Z)."""

    @property
    def name(self) -> str:
        """The name in tables."""

    @property
    def dim_x(self) -> int:
        """The number of columns of x."""

    @property
    def dim_y(self) -> int:
        """The number of columns of y."""

    @property
    def dim_given(self) -> int:
        """The number of columns of z."""

    @property
    def mi(self) -> float:
        """The conditional mutual information, in nats."""

    @property
    def mi_error(self) -> float:
        """The standard error of `mi`, in nats; 0.0 unless `mi` is computed by Monte Carlo."""

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw x (n, dim_x), y (n, dim_y) and z (n, dim_given), n independent rows, float64."""

    def log_ratio_of(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Return log p(x_i, y_i | z_i) / (p(x_i | z_i) p(y_i | z_i)), (n,), of given rows."""


AnyTask = Task | ConditionalTask


class Map(Protocol):
    """An injective map of the rows of one side, with its inverse on its range."""

    def __call__(self, rows: Tensor) -> Tensor:
        """Map rows (n, d) to (n, width(d))."""

    def inverse(self, rows: Tensor) -> Tensor:
        """Map rows (n, width(d)) back to (n, d)."""

    def width(self, d: int) -> int:
        """Return the number of columns after the map, for d columns before it."""


def at_least_one(**counts: int) -> None:
    """Check that counts are one or more.

    Raises:
        InputError: If a count is less than one.

    Example:
        >>> at_least_one(d=0)
        Traceback (most recent call last):
        infobound.errors.InputError: Expected d of 1 or more; got 0.
    """
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"Expected {name} of 1 or more; got {value}.")


def positive(**values: float) -> None:
    """Check that numbers are finite and greater than zero.

    Raises:
        InputError: If a number is not.

    Example:
        >>> positive(noise=-1.0)
        Traceback (most recent call last):
        infobound.errors.InputError: Expected noise greater than zero; got -1.0.
    """
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise InputError(f"Expected {name} greater than zero; got {value}.")


def pointwise(
    task: AnyTask, x: Tensor, y: Tensor, given: Tensor | None = None, *, chunk: int = 64
) -> Tensor:
    """Return the log ratios of the pairs (x_i, y_i), the diagonal of `log_ratio`.

    With a third variable they are the conditional log ratios, `log_ratio_of`. Their mean over rows
    drawn from the task estimates `task.mi`.

    Args:
        task: a task.
        x: (n, dim_x).
        y: (n, dim_y).
        given: (n, dim_given) for a `ConditionalTask`, otherwise None.
        chunk: the number of pairs at a time; memory is that of a (chunk, chunk) matrix.

    Returns:
        (n,), in nats.

    Example:
        >>> from infobound.benchmark.distributions.gaussian import Gaussian
        >>> pointwise(Gaussian(d=1, rho=0.0), torch.ones(3, 1), torch.ones(3, 1)).tolist()
        [0.0, 0.0, 0.0]
    """
    if given is not None:
        return cast(ConditionalTask, task).log_ratio_of(x, y, given)
    pair = cast(Task, task)
    parts = zip(x.split(chunk), y.split(chunk), strict=True)
    return torch.cat([pair.log_ratio(a, b).diagonal() for a, b in parts])


def monte_carlo(
    task: AnyTask, *, n: int = 100_000, generator: torch.Generator
) -> tuple[float, float]:
    """Estimate the MI of a task, or its conditional MI, as the mean log ratio of n new rows.

    It is an independent check of `mi` if that is a closed form or quadrature (`mi_error` is zero);
    otherwise `mi` was computed in the same way.

    Args:
        task: a task.
        n: the number of rows.
        generator: draws the rows.

    Returns:
        The mean and its standard error, in nats.

    Example:
        >>> from infobound.benchmark.distributions.gaussian import Gaussian
        >>> task = Gaussian(d=1, rho=0.5)
        >>> mean, error = monte_carlo(task, n=500, generator=torch.Generator().manual_seed(0))
        >>> abs(mean - task.mi) < 4 * error
        True
    """
    values = pointwise(task, *task.sample(n, generator))
    return float(values.mean()), float(values.std()) / math.sqrt(n)
