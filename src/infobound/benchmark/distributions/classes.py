"""Classes and categories: pairs in which one side, both, or a hidden cause is one of k classes.

A discrete side is one column of codes 0 to k - 1 in float64. The attribute `categorical` of a task
names these sides, and a study declares them, so that estimators of this package see categories and
not quantities. The log ratio of a discrete side uses probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from infobound.benchmark.distributions.joint import at_least_one, positive
from infobound.errors import InputError

__all__ = ["LAWS", "Alphabet", "GaussianClasses", "LabelNoise", "SharedClass"]

INFORMATIVE_COLUMNS = 2  # largest number of informative columns for quadrature on a grid
STEP, REACH = 0.1, 9.0  # step and half-width of that grid, in standard deviations
MONTE_CARLO = 100_000  # rows for the MI of Gaussian classes beyond the grid
SYMBOLS_AT_ONCE = 10_000  # of them at a time
LARGEST_ALPHABET = 1000  # largest alphabet; the table of all pairs is kept in memory


def _codes(column: Tensor) -> Tensor:
    """Return the codes (n,) of a discrete side (n, 1) as indices."""
    return column[:, 0].long()


def _draw(n: int, k: int, generator: torch.Generator) -> Tensor:
    """Draw n equally frequent codes (n,) below k."""
    return torch.randint(k, (n,), generator=generator)


@dataclass(frozen=True)
class GaussianClasses:
    """y one of k classes, x normal with the mean of its class.

    The classes are equally frequent. Their means are normal, about sqrt(2) `separation` standard
    deviations apart, whatever d is. With `spread`, each class also has its own scale in each
    column, the exponential of a normal with this standard deviation.

    Without `spread`, x is informative only in the span of the differences of the means. If this has
    at most two dimensions, or x has at most two columns, `mi` is quadrature on a grid; otherwise it
    is a Monte Carlo mean over 100,000 rows.

    Args:
        k: the number of classes.
        d: the number of columns of x.
        separation: the standard deviation of the means, times sqrt(d).
        spread: the standard deviation of the logarithms of the scales.
        seed: the seed of means and scales.
        name: the name in tables.

    Raises:
        InputError: If a parameter is out of range.

    Example:
        >>> task = GaussianClasses(k=2, d=100)
        >>> 0 < task.mi < math.log(2), task.mi_error
        (True, 0.0)
    """

    k: int = 5
    d: int = 10
    separation: float = 2.5
    spread: float = 0.0
    seed: int = 0
    name: str = "gaussian_classes"
    dim_y: ClassVar[int] = 1
    categorical: ClassVar[tuple[str, ...]] = ("y",)

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        at_least_one(k=self.k, d=self.d)
        positive(separation=self.separation)
        if not 0 <= self.spread < math.inf:
            raise InputError(f"Expected spread of zero or more; got {self.spread}.")

    @property
    def dim_x(self) -> int:
        """The number of columns of x."""
        return self.d

    @cached_property
    def _laws(self) -> tuple[Tensor, Tensor]:
        """Means and scales (k, d) of the classes."""
        means, logs = np.random.default_rng(self.seed).normal(size=(2, self.k, self.d))
        means *= self.separation / math.sqrt(self.d)
        return torch.from_numpy(means), torch.from_numpy(np.exp(self.spread * logs))

    @cached_property
    def _truth(self) -> tuple[float, float]:
        """The MI and its standard error."""
        means, scales = self._laws
        if not self.spread:
            centred = means - means.mean(0)
            axes = torch.linalg.svd(centred, full_matrices=False).Vh[: max(self.k - 1, 1)]
            means, scales = centred @ axes.T, means.new_ones(self.k, len(axes))
        columns = means.shape[1]
        if columns <= INFORMATIVE_COLUMNS:
            return _by_grid(means, scales), 0.0
        generator = torch.Generator().manual_seed(0)
        values = []
        for start in range(0, MONTE_CARLO, SYMBOLS_AT_ONCE):
            classes = torch.arange(start, start + SYMBOLS_AT_ONCE) % self.k  # equally many of each
            noise = torch.randn(SYMBOLS_AT_ONCE, columns, generator=generator, dtype=torch.float64)
            ratios = _log_ratios(means[classes] + scales[classes] * noise, means, scales)
            values.append((ratios.exp() * ratios).mean(1))  # over classes given x: less variance
        drawn = torch.cat(values)
        return float(drawn.mean()), float(drawn.std()) / math.sqrt(MONTE_CARLO)

    @property
    def mi(self) -> float:
        """The mutual information by quadrature or Monte Carlo, in nats."""
        return self._truth[0]

    @property
    def mi_error(self) -> float:
        """The standard error of `mi`, in nats; zero for quadrature."""
        return self._truth[1]

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x (n, d) and y (n, 1), the class."""
        classes = _draw(n, self.k, generator)
        noise = torch.randn(n, self.d, generator=generator, dtype=torch.float64)
        means, scales = self._laws
        return means[classes] + scales[classes] * noise, classes[:, None].double()

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats: of the class's density and the mixture's."""
        means, scales = (part.to(x) for part in self._laws)
        return _log_ratios(x, means, scales)[:, _codes(y)]


def _log_ratios(x: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Return log p(x | class) / p(x), (n, k), of equally frequent normal classes."""
    precisions = scales**-2
    form = x**2 @ precisions.T - 2 * x @ (means * precisions).T + (means**2 * precisions).sum(1)
    logs = -0.5 * form - scales.log().sum(1)
    return logs.log_softmax(1) + math.log(len(means))


def _by_grid(means: Tensor, scales: Tensor) -> float:
    """Compute the MI of normal classes in few columns by the trapezoidal rule.

    It converges fast, since the integrand is smooth and vanishes at the ends of the grid.
    """
    axis = torch.arange(-REACH, REACH + STEP / 2, STEP, dtype=torch.float64)
    noise = torch.cartesian_prod(*[axis] * means.shape[1]).reshape(-1, means.shape[1])
    mass = (-0.5 * (noise**2).sum(1)).exp() * (STEP / math.sqrt(2 * math.pi)) ** means.shape[1]
    own = (
        mass @ _log_ratios(mean + scale * noise, means, scales)[:, place]
        for place, (mean, scale) in enumerate(zip(means, scales, strict=True))
    )
    return max(float(sum(own)) / len(means), 0.0)


@dataclass(frozen=True)
class LabelNoise:
    """y a class that x determines, replaced by another at random.

    The classes are equally frequent. The largest of the first k columns of x is that of the class:
    2 is added to it, and each column has noise uniform on (-1/2, 1/2).

    Args:
        k: the number of classes.
        d: the number of columns of x, k or more.
        p: the probability of another class; all others are equally frequent.
        name: the name in tables.

    Raises:
        InputError: If there are fewer than two classes or fewer columns than classes, or p is no
            probability.

    Example:
        >>> round(LabelNoise(k=2, d=2, p=0.0).mi, 4)  # log 2
        0.6931
    """

    k: int = 10
    d: int = 20
    p: float = 0.2
    name: str = "label_noise"
    dim_y: ClassVar[int] = 1
    mi_error: ClassVar[float] = 0.0
    categorical: ClassVar[tuple[str, ...]] = ("y",)

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        _at_least_two(self.k)
        _probability(self.p)
        if self.d < self.k:
            raise InputError(f"Expected d of {self.k} or more, a column a class; got {self.d}.")

    @property
    def dim_x(self) -> int:
        """The number of columns of x."""
        return self.d

    @property
    def mi(self) -> float:
        """The mutual information log k - H(p) - p log(k - 1), in nats."""
        return math.log(self.k) - _binary_entropy(self.p) - self.p * math.log(self.k - 1)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x (n, d) and y (n, 1), the class or another."""
        classes = _draw(n, self.k, generator)
        flipped = torch.rand(n, generator=generator, dtype=torch.float64) < self.p
        y = (classes + flipped * (1 + _draw(n, self.k - 1, generator))) % self.k
        x = torch.rand(n, self.d, generator=generator, dtype=torch.float64) - 0.5
        x[torch.arange(n), classes] += 2
        return x, y[:, None].double()

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats: log k times the probability of y given x."""
        same = x[:, : self.k].argmax(1)[:, None] == _codes(y)
        given = torch.where(same, 1 - self.p, self.p / (self.k - 1)).to(x)
        return (self.k * given).log()


def _at_least_two(k: int) -> None:
    """Check a number of classes.

    Raises:
        InputError: If there are fewer than two.
    """
    if k < 2:
        raise InputError(f"Expected k of 2 or more; got {k}.")


def _probability(p: float) -> None:
    """Check a probability.

    Raises:
        InputError: If it is none.
    """
    if not 0 <= p <= 1:
        raise InputError(f"Expected p between 0 and 1; got {p}.")


def _binary_entropy(p: float) -> float:
    """Return the entropy of a coin with probability p, in nats."""
    return float(torch.special.entr(torch.tensor([p, 1 - p], dtype=torch.float64)).sum())


@cache
def _digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return two disjoint halves of scikit-learn's images of zeros and of ones.

    They are (zeros, ones) of x and of y, each (k, 64) with pixels from 0 to 16.
    """
    from sklearn.datasets import load_digits

    images, digits = (torch.from_numpy(part) for part in load_digits(n_class=2, return_X_y=True))
    zeros, ones = images[digits == 0], images[digits == 1]
    return (zeros[::2], ones[::2]), (zeros[1::2], ones[1::2])


@dataclass(frozen=True)
class SharedClass:
    """d pairs of images of a 0 or a 1; their digits often agree.

    In each of d slots, x and y have an image of 8 x 8 pixels each. The digit of x is 0 or 1 with
    equal probability, and that of y is another with probability p (a binary symmetric channel). The
    images are drawn, with replacement, from scikit-learn's images of the digit, those of x and of y
    from disjoint halves.

    An image determines its digit, and given the digits the images are independent, so the MI is
    that of the digits.

    Args:
        d: the number of pairs of images.
        p: the probability that their digits differ.
        name: the name in tables.

    Source: Lee and Rhee 2024, https://arxiv.org/abs/2410.10924.

    Raises:
        InputError: If there is no image, or p is no probability.

    Example:
        >>> task = SharedClass(d=2, p=0.0)
        >>> round(task.mi / math.log(2), 4)  # bits
        2.0
    """

    d: int = 2
    p: float = 0.1
    name: str = "shared_class"
    mi_error: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        at_least_one(d=self.d)
        _probability(self.p)

    @property
    def dim_x(self) -> int:
        """The number of pixels of the images of x."""
        return 64 * self.d

    @property
    def dim_y(self) -> int:
        """The number of pixels of the images of y."""
        return 64 * self.d

    @property
    def mi(self) -> float:
        """The mutual information d (log 2 - H(p)), in nats."""
        return self.d * (math.log(2) - _binary_entropy(self.p))

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x and y, (n, 64 d) each."""
        of_x = torch.randint(2, (n, self.d), generator=generator)
        differ = torch.rand(n, self.d, generator=generator, dtype=torch.float64) < self.p
        sides = []
        for pools, digits in zip(_digits(), (of_x, of_x ^ differ), strict=True):
            rows = torch.empty(n, self.d, 64, dtype=torch.float64)
            for digit, pool in enumerate(pools):
                chosen = digits == digit
                rows[chosen] = pool[_draw(int(chosen.sum()), len(pool), generator)]
            sides.append(rows.flatten(1))
        return sides[0], sides[1]

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats, from the digits that the images show."""
        a, b = (self._signs(rows, side) for side, rows in enumerate((x, y)))
        equal = (self.d + a @ b.T) / 2
        chances = torch.tensor([1 - self.p, self.p], dtype=torch.float64).to(x)
        return torch.xlogy(equal, 2 * chances[0]) + torch.xlogy(self.d - equal, 2 * chances[1])

    def _signs(self, rows: Tensor, side: int) -> Tensor:
        """Return -1 for a zero and 1 for a one, (n, d): the digit of the nearest image."""
        zeros, ones = (pool.to(rows) for pool in _digits()[side])
        of_one, of_zero = (
            # squared distances to the images, up to that of the row to zero
            ((pool**2).sum(1) - 2 * rows.reshape(-1, 64) @ pool.T).amin(1)
            for pool in (ones, zeros)
        )
        return torch.where(of_one < of_zero, 1.0, -1.0).to(rows).reshape(-1, self.d)


def _zipf(k: int) -> np.ndarray:
    """Return the probabilities (k,) of Zipf's law."""
    shares = 1 / np.arange(1, k + 1)
    return np.asarray(shares / shares.sum())


def _band(k: int, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(np.exp(-0.5 * (np.subtract.outer(np.arange(k), np.arange(k)) / 1.5) ** 2))


def _blocks(k: int, rng: np.random.Generator) -> np.ndarray:
    block = np.arange(k) // 5
    return np.equal.outer(block, block).astype(float)


# Tables (k, k) of joint probabilities up to a factor.
LAWS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    # all tables are equally likely
    "dirichlet": lambda k, rng: rng.dirichlet(np.ones(k * k)).reshape(k, k),
    # most cells are nearly empty
    "sparse": lambda k, rng: rng.dirichlet(np.full(k * k, 0.2)).reshape(k, k),
    # both sides follow Zipf's law; y is x in half of the rows, and independent in the others
    "zipf": lambda k, rng: 0.5 * np.diag(_zipf(k)) + 0.5 * np.outer(_zipf(k), _zipf(k)),
    # x follows Zipf's law, and each of its values has a few values of y
    "long_tails": lambda k, rng: _zipf(k)[:, None] * rng.dirichlet(np.full(k, 0.3), size=k),
    # both sides are uniform; y is x in half of the rows
    "diagonal": lambda k, rng: 0.5 * np.eye(k) / k + 0.5 / k**2,
    # x and y differ little
    "band": _band,
    # groups of five values; x and y are of the same group
    "blocks": _blocks,
    "one_to_one": lambda k, rng: np.eye(k),
    "independent": lambda k, rng: np.outer(*rng.dirichlet(np.ones(k), size=2)),
}


@dataclass(frozen=True)
class Alphabet:
    """x and y one of k symbols each, with a given table.

    Args:
        k: the number of symbols of each side.
        law: a key of `LAWS`: "dirichlet" and "sparse" are tables of random probabilities; in "zipf"
            both sides follow Zipf's law, and y is x in half of the rows.
        seed: the seed of a random table.
        name: the name in tables.

    Raises:
        InputError: If the law is unknown, or k is not between 2 and 1,000.

    Example:
        >>> round(Alphabet(k=8, law="one_to_one").mi, 4)  # log 8
        2.0794
    """

    k: int = 30
    law: str = "dirichlet"
    seed: int = 0
    name: str = "alphabet"
    dim_x: ClassVar[int] = 1
    dim_y: ClassVar[int] = 1
    mi_error: ClassVar[float] = 0.0
    categorical: ClassVar[tuple[str, ...]] = ("x", "y")

    def __post_init__(self) -> None:
        """Check the ranges of the parameters."""
        _at_least_two(self.k)
        if self.k > LARGEST_ALPHABET:
            raise InputError(f"Expected k of at most {LARGEST_ALPHABET:,}; got {self.k:,}.")
        if self.law not in LAWS:
            raise InputError(f"Expected one of {', '.join(LAWS)}; got {self.law!r}.")

    @cached_property
    def _table(self) -> Tensor:
        """The probabilities (k, k) of x and y."""
        table = torch.from_numpy(LAWS[self.law](self.k, np.random.default_rng(self.seed)))
        return table / table.sum()

    @cached_property
    def _log_ratios(self) -> Tensor:
        table = self._table
        return table.log() - table.sum(1, keepdim=True).log() - table.sum(0).log()

    @cached_property
    def mi(self) -> float:
        """The mutual information, the sum over all pairs of symbols, in nats."""
        occurring = self._table > 0
        return max(float(self._table[occurring] @ self._log_ratios[occurring]), 0.0)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw x and y, (n, 1) each."""
        cells = torch.multinomial(
            self._table.flatten(), max(n, 1), replacement=True, generator=generator
        )[:n, None]
        return (cells // self.k).double(), (cells % self.k).double()

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the exact log ratio (n, m), in nats."""
        return self._log_ratios.to(x)[_codes(x)][:, _codes(y)]
