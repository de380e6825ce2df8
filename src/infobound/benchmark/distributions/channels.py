"""Channels with one input and one output: noise, labels, counts and non-invertible functions.

Pairs of single columns (x (n, 1), y (n, 1)), one of which is a noisy function of the other. Each
`mi` is a closed form or quadrature over one or two variables, in nats. The values of a discrete
side are whole numbers in float64, and its log ratio uses probabilities.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from infobound.benchmark.distributions.joint import at_least_one, positive
from infobound.errors import InputError

__all__ = ["FUNCTIONS", "Labels", "NoisyFunction", "Poissonised", "UniformNoise", "UniformSteps"]


def _uniform(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, 1, generator=generator, dtype=torch.float64)


def _rule(*edges: float, points: int) -> tuple[Tensor, Tensor]:
    """Return Gauss-Legendre nodes and weights between every two neighbouring edges."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    halves = [((b - a) / 2, (a + b) / 2) for a, b in itertools.pairwise(edges)]
    return (
        torch.from_numpy(np.concatenate([middle + half * nodes for half, middle in halves])),
        torch.from_numpy(np.concatenate([half * weights for half, _ in halves])),
    )


class _Single:
    """A task with one column on each side and an exact MI."""

    dim_x: ClassVar[int] = 1
    dim_y: ClassVar[int] = 1
    mi_error: ClassVar[float] = 0.0


@dataclass(frozen=True)
class UniformNoise(_Single):
    """x uniform on (0, 1), y = x plus noise uniform on (-epsilon, epsilon).

    The support has a sharp edge, which smooth critics cannot represent.

    Args:
        epsilon: the half-width of the noise.
        name: the name in tables.

    Source: Czyż et al. 2023, https://arxiv.org/abs/2306.11078.

    Example:
        >>> round(UniformNoise(epsilon=0.75).mi, 4)
        0.3333
    """

    epsilon: float = 0.1
    name: str = "uniform_noise"

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        positive(epsilon=self.epsilon)

    @property
    def mi(self) -> float:
        """The MI in nats: epsilon - log(2 epsilon), or 1 / (4 epsilon) beyond epsilon = 1/2."""
        if self.epsilon > 0.5:
            return 0.25 / self.epsilon
        return self.epsilon - math.log(2 * self.epsilon)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x and y, (n, 1) each."""
        x = _uniform(n, generator)
        return x, x + self.epsilon * (2 * _uniform(n, generator) - 1)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats: -inf beyond the noise."""
        overlap = (y + self.epsilon).clamp(max=1) - (y - self.epsilon).clamp(min=0)
        inside = (x - y.T).abs() <= self.epsilon
        return torch.where(inside, -overlap.T.log(), -math.inf)


@dataclass(frozen=True)
class UniformSteps(_Single):
    """x one of 0 to m - 1, y uniform on (x, x + 2).

    One side is discrete, the other continuous.

    Args:
        m: the number of values of x.
        name: the name in tables.

    Source: Gao et al. 2017, https://arxiv.org/abs/1709.06212.

    Example:
        >>> round(UniformSteps(m=5).mi, 4)
        1.0549
    """

    m: int = 5
    name: str = "uniform_steps"

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        at_least_one(m=self.m)

    @property
    def mi(self) -> float:
        """The mutual information log m - (m - 1) / m log 2, in nats."""
        return math.log(self.m) - (self.m - 1) / self.m * math.log(2)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x and y, (n, 1) each."""
        x = torch.randint(self.m, (n, 1), generator=generator).double()
        return x, x + 2 * _uniform(n, generator)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats: -inf outside of the step."""
        steps = y.floor().clamp(max=self.m - 1) - (y - 2).ceil().clamp(min=0) + 1
        gap = y.T - x
        return torch.where((gap >= 0) & (gap <= 2), math.log(self.m) - steps.T.log(), -math.inf)


@dataclass(frozen=True)
class Labels(_Single):
    """y one of n labels, x = spacing y plus noise.

    The labels 0 to n - 1 are equally frequent; the noise is normal or Laplace with scale 1.

    Args:
        n: the number of labels.
        spacing: the distance between the means of x of neighbouring labels.
        law: the distribution of the noise, "normal" or "laplace".
        name: the name in tables.

    Raises:
        InputError: If the law is not "normal" or "laplace", or a parameter is out of range.

    Example:
        >>> round(Labels(n=2, spacing=20.0).mi, 4)  # the labels do not overlap: log 2
        0.6931
    """

    n: int = 5
    spacing: float = 2.0
    law: str = "normal"
    name: str = "labels"

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        at_least_one(n=self.n)
        positive(spacing=self.spacing)
        if self.law not in ("normal", "laplace"):
            raise InputError(f"Expected law 'normal' or 'laplace'; got {self.law!r}.")

    def _log_noise(self, t: Tensor) -> Tensor:
        if self.law == "normal":
            return -0.5 * t**2 - 0.5 * math.log(2 * math.pi)
        return -t.abs() - math.log(2)

    def _log_marginal(self, x: Tensor) -> Tensor:
        """Return the log density of x (n,)."""
        centres = self.spacing * torch.arange(self.n).to(x)
        return self._log_noise(x[:, None] - centres).logsumexp(1) - math.log(self.n)

    @cached_property
    def mi(self) -> float:
        """The MI in nats, by quadrature between the centres, where the density may have kinks."""
        centres = [self.spacing * k for k in range(self.n)]
        x, weights = _rule(centres[0] - 40, *centres, centres[-1] + 40, points=200)
        own = self._log_noise(x[:, None] - torch.tensor(centres, dtype=torch.float64))
        terms = own.exp() * (own - self._log_marginal(x)[:, None])
        return float(weights @ terms.sum(1)) / self.n

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x (n, 1), continuous, and y (n, 1), the labels."""
        y = torch.randint(self.n, (n, 1), generator=generator).double()
        if self.law == "normal":
            noise = torch.randn(n, 1, generator=generator, dtype=torch.float64)
        else:
            u = 2 * _uniform(n, generator) - 1
            noise = -u.sign() * torch.log1p(-u.abs())
        return self.spacing * y + noise, y

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats."""
        return self._log_noise(x - self.spacing * y.T) - self._log_marginal(x[:, 0])[:, None]


@dataclass(frozen=True)
class Poissonised(_Single):
    """y Poisson with mean x, with additional zeros.

    x is exponential with mean 1; y is 0 with probability `zeros` and a count otherwise.

    Gao et al. give (1 - zeros) (2 log 2 - gamma - sum_k log(k) / 2^k). That is the MI of x with y
    and the indicator of additional zeros. The MI of x and y alone is smaller, since additional
    zeros cannot be distinguished from others. Here `mi` is that of x and y, by quadrature; both
    agree at zeros = 0.

    Args:
        zeros: the probability of an additional zero, in [0, 1).
        name: the name in tables.

    Source: Gao et al. 2017, https://arxiv.org/abs/1709.06212.

    Raises:
        InputError: If the probability is outside [0, 1).

    Example:
        >>> round(Poissonised(zeros=0.0).mi, 4)
        0.3012
    """

    zeros: float = 0.15
    name: str = "poissonised"

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        if not 0 <= self.zeros < 1:
            raise InputError(f"Expected zeros of at least 0 and below 1; got {self.zeros}.")

    def _ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log p(y | x) / p(y) for tensors that broadcast."""
        kept = 1 - self.zeros
        counted = y * x.log() - x - torch.lgamma(y + 1) + (y + 1) * math.log(2)
        zero = (self.zeros + kept * (-x).exp()).log() - math.log(self.zeros + kept / 2)
        return torch.where(y == 0, zero, counted)

    @cached_property
    def mi(self) -> float:
        """The mutual information by quadrature over x and summation over y, in nats."""
        root, weights = _rule(0.0, 2.0, 7.0, points=300)  # in sqrt(x), since log x is singular at 0
        x, weights = root[:, None] ** 2, weights * 2 * root
        y = torch.arange(200, dtype=torch.float64)
        ratio = self._ratio(x, y)
        marginal = (1 - self.zeros) * 0.5 ** (y + 1)
        marginal[0] += self.zeros
        return float(weights @ ((ratio.exp() * ratio * marginal).sum(1) * (-x[:, 0]).exp()))

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x (n, 1), continuous, and y (n, 1), counts."""
        x = -torch.log1p(-_uniform(n, generator))
        counts = torch.poisson(x, generator=generator)
        return x, torch.where(_uniform(n, generator) < self.zeros, 0.0, counts)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats."""
        return self._ratio(x, y.T)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "square": torch.square,
    "absolute": torch.abs,
    "sine": torch.sin,
}


@dataclass(frozen=True)
class NoisyFunction(_Single):
    """x normal, y = f(k x) plus normal noise; f is not invertible.

    f is the square, the absolute value or the sine. With the first two, x and y are uncorrelated.

    Args:
        function: a key of `FUNCTIONS`.
        k: the factor of x.
        noise: the standard deviation of the noise.
        name: the name in tables.

    Raises:
        InputError: If the function is unknown, or a parameter is not positive.

    Example:
        >>> round(NoisyFunction(function="square", noise=0.5).mi, 4)
        0.8027
    """

    function: str = "square"
    k: float = 1.0
    noise: float = 0.5
    name: str = "noisy_function"

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        positive(k=self.k, noise=self.noise)
        if self.function not in FUNCTIONS:
            raise InputError(f"Expected one of {', '.join(FUNCTIONS)}; got {self.function!r}.")

    def _mean(self, x: Tensor) -> Tensor:
        return FUNCTIONS[self.function](self.k * x)

    def _log_noise(self, t: Tensor) -> Tensor:
        return -0.5 * (t / self.noise) ** 2 - math.log(self.noise * math.sqrt(2 * math.pi))

    @cached_property
    def _nodes(self) -> tuple[Tensor, Tensor]:
        """Values of f at the nodes of x and their log probabilities; split at the kink at zero."""
        x, weights = _rule(-8.5, 0.0, 8.5, points=600)
        return self._mean(x), weights.log() - 0.5 * x**2 - 0.5 * math.log(2 * math.pi)

    def _log_marginal(self, y: Tensor) -> Tensor:
        """Return the log density of y (m,)."""
        means, logs = (part.to(y) for part in self._nodes)
        return (self._log_noise(y[:, None] - means) + logs).logsumexp(1)

    @cached_property
    def mi(self) -> float:
        """The MI in nats: the entropy of y, by the trapezoidal rule, minus that of the noise."""
        means, _ = self._nodes
        low, high = float(means.min()) - 9 * self.noise, float(means.max()) + 9 * self.noise
        step = self.noise / 4
        y = torch.arange(low, high, step, dtype=torch.float64)
        logs = torch.cat([self._log_marginal(part) for part in y.split(1024)])
        entropy = -float((logs.exp() * logs).sum()) * step
        return entropy - 0.5 * math.log(2 * math.pi * math.e * self.noise**2)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x and y, (n, 1) each."""
        x, noise = (torch.randn(n, 1, generator=generator, dtype=torch.float64) for _ in range(2))
        return x, self._mean(x) + self.noise * noise

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats, by quadrature for the density of y."""
        return self._log_noise(y.T - self._mean(x)) - self._log_marginal(y[:, 0])
