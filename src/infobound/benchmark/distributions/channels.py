"""One number in, one out: noise, labels, counts and maps that cannot be inverted.

Pairs of single columns (x (n, 1), y (n, 1)) defined by what happens to one of them on its way to
the other. Each `mi` is closed form or quadrature over one or two variables, nats. Where a side is
discrete, its values are whole numbers in float64 and the log ratio uses their probabilities.
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
    """Gauss-Legendre nodes and weights between every two neighbouring edges."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    halves = [((b - a) / 2, (a + b) / 2) for a, b in itertools.pairwise(edges)]
    return (
        torch.from_numpy(np.concatenate([middle + half * nodes for half, middle in halves])),
        torch.from_numpy(np.concatenate([half * weights for half, _ in halves])),
    )


class _Single:
    """One column on each side, and no Monte Carlo in the truth."""

    dim_x: ClassVar[int] = 1
    dim_y: ClassVar[int] = 1
    mi_error: ClassVar[float] = 0.0


@dataclass(frozen=True)
class UniformNoise(_Single):
    """x uniform on (0, 1), y = x plus noise uniform on (-epsilon, epsilon).

    The support has a hard edge, which smooth critics cannot follow.

    Source: Czyż et al. 2023, https://arxiv.org/abs/2306.11078.

    Example:
        >>> round(UniformNoise(epsilon=0.75).mi, 4)
        0.3333
    """

    epsilon: float = 0.1
    name: str = "uniform_noise"

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        positive(epsilon=self.epsilon)

    @property
    def mi(self) -> float:
        """epsilon - log(2 epsilon), and 1 / (4 epsilon) beyond epsilon = 1/2, nats."""
        if self.epsilon > 0.5:
            return 0.25 / self.epsilon
        return self.epsilon - math.log(2 * self.epsilon)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x and y (n, 1)."""
        x = _uniform(n, generator)
        return x, x + self.epsilon * (2 * _uniform(n, generator) - 1)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Exact log ratio (n, m): -inf beyond the noise."""
        overlap = (y + self.epsilon).clamp(max=1) - (y - self.epsilon).clamp(min=0)
        inside = (x - y.T).abs() <= self.epsilon
        return torch.where(inside, -overlap.T.log(), -math.inf)


@dataclass(frozen=True)
class UniformSteps(_Single):
    """x one of 0 to m - 1, y uniform on (x, x + 2).

    One side is discrete, the other continuous.

    Source: Gao et al. 2017, https://arxiv.org/abs/1709.06212.

    Example:
        >>> round(UniformSteps(m=5).mi, 4)
        1.0549
    """

    m: int = 5
    name: str = "uniform_steps"

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        at_least_one(m=self.m)

    @property
    def mi(self) -> float:
        """log m - (m - 1) / m log 2, nats."""
        return math.log(self.m) - (self.m - 1) / self.m * math.log(2)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x and y (n, 1)."""
        x = torch.randint(self.m, (n, 1), generator=generator).double()
        return x, x + 2 * _uniform(n, generator)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Exact log ratio (n, m): -inf outside of the step."""
        steps = y.floor().clamp(max=self.m - 1) - (y - 2).ceil().clamp(min=0) + 1
        gap = y.T - x
        return torch.where((gap >= 0) & (gap <= 2), math.log(self.m) - steps.T.log(), -math.inf)


@dataclass(frozen=True)
class Labels(_Single):
    """y one of n labels, x = spacing y plus noise.

    The labels 0 to n - 1 are equally frequent; the noise is normal or Laplace with scale 1.

    Raises:
        InputError: a law other than "normal" and "laplace", or a parameter out of range.

    Example:
        >>> round(Labels(n=2, spacing=20.0).mi, 4)  # the labels can be told apart: log 2
        0.6931
    """

    n: int = 5
    spacing: float = 2.0
    law: str = "normal"
    name: str = "labels"

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        at_least_one(n=self.n)
        positive(spacing=self.spacing)
        if self.law not in ("normal", "laplace"):
            raise InputError(f"Expected law 'normal' or 'laplace'; got {self.law!r}.")

    def _log_noise(self, t: Tensor) -> Tensor:
        if self.law == "normal":
            return -0.5 * t**2 - 0.5 * math.log(2 * math.pi)
        return -t.abs() - math.log(2)

    def _log_marginal(self, x: Tensor) -> Tensor:
        """Log density of x (n,)."""
        centres = self.spacing * torch.arange(self.n).to(x)
        return self._log_noise(x[:, None] - centres).logsumexp(1) - math.log(self.n)

    @cached_property
    def mi(self) -> float:
        """By quadrature between the centres, where the density may have kinks, nats."""
        centres = [self.spacing * k for k in range(self.n)]
        x, weights = _rule(centres[0] - 40, *centres, centres[-1] + 40, points=200)
        own = self._log_noise(x[:, None] - torch.tensor(centres, dtype=torch.float64))
        terms = own.exp() * (own - self._log_marginal(x)[:, None])
        return float(weights @ terms.sum(1)) / self.n

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x (n, 1), continuous, and y (n, 1), the labels."""
        y = torch.randint(self.n, (n, 1), generator=generator).double()
        if self.law == "normal":
            noise = torch.randn(n, 1, generator=generator, dtype=torch.float64)
        else:
            u = 2 * _uniform(n, generator) - 1
            noise = -u.sign() * torch.log1p(-u.abs())
        return self.spacing * y + noise, y

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Exact log ratio (n, m)."""
        return self._log_noise(x - self.spacing * y.T) - self._log_marginal(x[:, 0])[:, None]


@dataclass(frozen=True)
class Poissonised(_Single):
    """y Poisson with mean x, with more zeros.

    x is exponential with mean 1; y is 0 with probability `zeros` and a count otherwise.

    Gao et al. give (1 - zeros) (2 log 2 - gamma - sum_k log(k) / 2^k). That is what y and the
    knowledge of which zeros were put in tell together. y alone tells less: a zero that was put in
    looks like any other. Here `mi` is that of the pair, by quadrature; both agree at zeros = 0.

    Source: Gao et al. 2017, https://arxiv.org/abs/1709.06212.

    Raises:
        InputError: a probability outside [0, 1).

    Example:
        >>> round(Poissonised(zeros=0.0).mi, 4)
        0.3012
    """

    zeros: float = 0.15
    name: str = "poissonised"

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        if not 0 <= self.zeros < 1:
            raise InputError(f"Expected zeros of at least 0 and below 1; got {self.zeros}.")

    def _ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """log p(y | x) / p(y) for tensors that broadcast."""
        kept = 1 - self.zeros
        counted = y * x.log() - x - torch.lgamma(y + 1) + (y + 1) * math.log(2)
        zero = (self.zeros + kept * (-x).exp()).log() - math.log(self.zeros + kept / 2)
        return torch.where(y == 0, zero, counted)

    @cached_property
    def mi(self) -> float:
        """By quadrature over x, summed over y, nats."""
        root, weights = _rule(0.0, 2.0, 7.0, points=300)  # in sqrt(x), so that log x does no harm
        x, weights = root[:, None] ** 2, weights * 2 * root
        y = torch.arange(200, dtype=torch.float64)
        ratio = self._ratio(x, y)
        marginal = (1 - self.zeros) * 0.5 ** (y + 1)
        marginal[0] += self.zeros
        return float(weights @ ((ratio.exp() * ratio * marginal).sum(1) * (-x[:, 0]).exp()))

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x (n, 1), continuous, and y (n, 1), counts."""
        x = -torch.log1p(-_uniform(n, generator))
        counts = torch.poisson(x, generator=generator)
        return x, torch.where(_uniform(n, generator) < self.zeros, 0.0, counts)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Exact log ratio (n, m)."""
        return self._ratio(x, y.T)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "square": torch.square,
    "absolute": torch.abs,
    "sine": torch.sin,
}


@dataclass(frozen=True)
class NoisyFunction(_Single):
    """x normal, y = f(k x) plus normal noise; f cannot be inverted.

    f is the square, the absolute value or the sine of k x. With the first two, x and y are
    uncorrelated.

    Raises:
        InputError: an unknown function, or a parameter that is not positive.

    Example:
        >>> round(NoisyFunction(function="square", noise=0.5).mi, 4)
        0.8027
    """

    function: str = "square"
    k: float = 1.0
    noise: float = 0.5
    name: str = "noisy_function"

    def __post_init__(self) -> None:
        """Hold the parameters against their ranges."""
        positive(k=self.k, noise=self.noise)
        if self.function not in FUNCTIONS:
            raise InputError(f"Expected one of {', '.join(FUNCTIONS)}; got {self.function!r}.")

    def _mean(self, x: Tensor) -> Tensor:
        return FUNCTIONS[self.function](self.k * x)

    def _log_noise(self, t: Tensor) -> Tensor:
        return -0.5 * (t / self.noise) ** 2 - math.log(self.noise * math.sqrt(2 * math.pi))

    @cached_property
    def _nodes(self) -> tuple[Tensor, Tensor]:
        """f at the nodes of x, and their log probabilities; two halves, for the kink at zero."""
        x, weights = _rule(-8.5, 0.0, 8.5, points=600)
        return self._mean(x), weights.log() - 0.5 * x**2 - 0.5 * math.log(2 * math.pi)

    def _log_marginal(self, y: Tensor) -> Tensor:
        """Log density of y (m,)."""
        means, logs = (part.to(y) for part in self._nodes)
        return (self._log_noise(y[:, None] - means) + logs).logsumexp(1)

    @cached_property
    def mi(self) -> float:
        """Entropy of y less that of the noise, by the trapezoidal rule, nats."""
        means, _ = self._nodes
        low, high = float(means.min()) - 9 * self.noise, float(means.max()) + 9 * self.noise
        step = self.noise / 4
        y = torch.arange(low, high, step, dtype=torch.float64)
        logs = torch.cat([self._log_marginal(part) for part in y.split(1024)])
        entropy = -float((logs.exp() * logs).sum()) * step
        return entropy - 0.5 * math.log(2 * math.pi * math.e * self.noise**2)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """x and y (n, 1)."""
        x, noise = (torch.randn(n, 1, generator=generator, dtype=torch.float64) for _ in range(2))
        return x, self._mean(x) + self.noise * noise

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Exact log ratio (n, m), by quadrature for the density of y."""
        return self._log_noise(y.T - self._mean(x)) - self._log_marginal(y[:, 0])
