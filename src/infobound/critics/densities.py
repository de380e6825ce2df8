"""Closed-form densities of values; each is also a critic with an exact log ratio.

A mixture of Gaussians serves a few columns of numbers, a contingency table rows that take few
values, and a Gaussian per value data of which one side takes few values. Nothing here is trained by
gradients.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from infobound.critics import contract
from infobound.critics.contract import Critic, Rows

__all__ = [
    "COARSE",
    "FINE",
    "ClasswiseGaussian",
    "ContingencyTable",
    "MixtureModel",
    "components",
]

FINE, COARSE = (64, 10), (32, 20)  # largest number of components, smallest rows per parameter
LOWEST = -80.0  # smallest log ratio whose exponential is a normal number in float32


class ContingencyTable(Critic):
    """The observed frequency of each pair of values relative to independence.

    Frequencies are shrunk towards independence with the weight of one row, which keeps the margins:
    the ratio is (n_ij / (p_i q_j) + 1) / (n + 1), with p and q the observed frequencies of values
    of x and of y. A value that was not seen in the fit has ratio 1.

    Example:
        >>> x = torch.tensor([[0.0], [0.0], [1.0], [1.0]] * 50)
        >>> round(ContingencyTable.fit(x, x)(x, x).diagonal().mean().item(), 2)  # log 2
        0.69
    """

    log_ratios: Tensor
    x_values: Tensor
    y_values: Tensor

    def __init__(self, log_ratios: Tensor, x_values: Tensor, y_values: Tensor) -> None:
        super().__init__()
        self.register_buffer("log_ratios", log_ratios)
        self.register_buffer("x_values", x_values)
        self.register_buffer("y_values", y_values)

    @classmethod
    def fit(cls, x: Tensor, y: Tensor) -> ContingencyTable:
        """Fit to x (n, dim_x) and y (n, dim_y), each with few distinct rows."""
        x_values, i = torch.unique(x, dim=0, return_inverse=True)
        y_values, j = torch.unique(y, dim=0, return_inverse=True)
        n = len(x)
        counts = torch.zeros(len(x_values), len(y_values), dtype=torch.float64, device=x.device)
        counts.index_put_((i, j), counts.new_ones(n), accumulate=True)
        by_chance = counts.sum(1, keepdim=True) / n * counts.sum(0) / n
        log_ratios = ((counts / by_chance + 1) / (n + 1)).log()
        padded = torch.nn.functional.pad(log_ratios, (0, 1, 0, 1))  # the last: unseen values
        return cls(padded.to(x.dtype), x_values, y_values)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Look up the table's rows for x and the column indices of y."""
        return (self.log_ratios[_places(x, self.x_values)],), (_places(y, self.y_values),)

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        found: Tensor = a[0][:, b[0]]
        return found


def _places(rows: Tensor, values: Tensor) -> Tensor:
    """Return the index in values (k, d) of each row (n, d); k if there is none."""
    same = (rows[:, None] == values).all(2)
    return torch.where(same.any(1), same.int().argmax(1), len(values))


class ClasswiseGaussian(Critic):
    """A discrete side, and a Gaussian of the other side for each of its values.

    The log ratio is log N(v; m_k, S) - log sum_j p_j N(v; m_j, S), with k the value of the discrete
    side and v the other side. S is the pooled covariance within values. The means are shrunk
    towards the common mean by empirical Bayes, so that values with few rows do no harm. A value
    that was not seen in the fit has ratio 1.

    Source: Efron and Morris 1973, https://doi.org/10.1080/01621459.1973.10481350 (the shrinkage).

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> x = torch.randint(4, (2000, 1), generator=rng).float()
        >>> y = torch.tensor([3.0, -3.0, 1.0, -1.0])[x.long()] + torch.randn(2000, 1, generator=rng)
        >>> bool(ClasswiseGaussian.fit(x, y)(x, y).diagonal().mean() > 0.8)
        True
    """

    values: Tensor
    shares: Tensor
    means: Tensor
    whitener: Tensor

    def __init__(
        self, values: Tensor, shares: Tensor, means: Tensor, whitener: Tensor, *, of_x: bool
    ) -> None:
        super().__init__()
        self.of_x = of_x
        self.register_buffer("values", values)
        self.register_buffer("shares", shares)
        self.register_buffer("means", means)
        self.register_buffer("whitener", whitener)

    @classmethod
    def fit(cls, x: Tensor, y: Tensor) -> ClasswiseGaussian:
        """Fit to x (n, dim_x) and y (n, dim_y); the side with fewer distinct rows is discrete."""
        found = [torch.unique(side, dim=0, return_inverse=True) for side in (x, y)]
        of_x = len(found[0][0]) <= len(found[1][0])
        values, which = found[0] if of_x else found[1]
        other = (y if of_x else x).double()
        count = torch.bincount(which, minlength=len(values)).double()
        means = torch.zeros(len(values), other.shape[1], dtype=torch.float64, device=x.device)
        means = means.index_add_(0, which, other) / count[:, None]
        rest = other - means[which]
        within = rest.T @ rest / max(1, len(other) - len(values))
        spectrum, vectors = torch.linalg.eigh(within)
        floor = 1e-6 * spectrum.max().clamp_min(1e-12)
        whitener = vectors / spectrum.clamp_min(floor).sqrt()
        common = other.mean(0)
        # In whitened coordinates, the mean of n_k rows has sampling variance 1 / n_k.
        away = (means - common) @ whitener
        noise = 1 / count[:, None]
        weights = count[:, None] / count.sum()
        between = ((weights * (away**2 - noise)).sum(0)).clamp_min(0)
        shrunk = away * between / (between + noise)
        parts = values, count / count.sum(), shrunk + common @ whitener, whitener
        return cls(*(part.to(x.dtype) for part in parts), of_x=of_x)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Return the value index of one side's rows, and the other's log ratios with each value."""
        side, other = (x, y) if self.of_x else (y, x)
        square = torch.cdist(other @ self.whitener, self.means) ** 2
        logs = self.shares.log() - 0.5 * square
        ratios = -0.5 * square - logs.logsumexp(1, keepdim=True)
        ratios = torch.nn.functional.pad(ratios, (0, 1))  # the last: unseen values
        place = _places(side, self.values)
        return ((place,), (ratios,)) if self.of_x else ((ratios,), (place,))

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        found: Tensor = b[0].T[a[0]] if self.of_x else a[0][:, b[0]]
        return found


class MixtureModel(Critic):
    """A mixture of Gaussians on (x, y); its margins are mixtures too, so the ratio is closed form.

    It is fitted by scikit-learn, with as many components as the number of rows supports.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> x = torch.randn(2000, 1, generator=rng)
        >>> y = x**2 + 0.5 * torch.randn(2000, 1, generator=rng)
        >>> bool(MixtureModel.fit(x, y, COARSE)(x, y).diagonal().mean() > 0.6)
        True
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor

    def __init__(self, weights: Tensor, means: Tensor, covariances: Tensor, dim_x: int) -> None:
        super().__init__()
        self.dim_x = dim_x
        self.register_buffer("weights", weights)
        self.register_buffer("means", means)
        self.register_buffer("covariances", covariances)

    @classmethod
    def fit(cls, x: Tensor, y: Tensor, size: tuple[int, int]) -> MixtureModel:
        """Fit to robustly scaled values x (n, dim_x) and y (n, dim_y).

        `size` has the largest number of components and the smallest number of rows for each of
        their parameters, as for `components`.
        """
        import warnings

        from sklearn.mixture import GaussianMixture

        rows = torch.cat([x, y], dim=1).double().cpu().numpy()
        model = GaussianMixture(
            components(len(rows), rows.shape[1], size),
            init_params="k-means++",
            reg_covar=1e-4,
            max_iter=60,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # incomplete convergence does no harm here
            model.fit(rows)
        weights, means = torch.from_numpy(model.weights_), torch.from_numpy(model.means_)
        return cls(weights, means, torch.from_numpy(model.covariances_), x.shape[1]).to(x.device)

    def _log_parts(self, rows: Tensor, start: int, stop: int) -> Tensor:
        """Return log w_k N_k of the columns from start to stop, (n, components)."""
        centred = rows.double()[:, None] - self.means[:, start:stop]
        factor = torch.linalg.cholesky(self.covariances[:, start:stop, start:stop])
        solved = torch.linalg.solve_triangular(factor, centred.permute(1, 2, 0), upper=False)
        log_det = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        dim = stop - start
        log_norm = self.weights.log() - log_det - 0.5 * dim * math.log(2 * math.pi)
        found: Tensor = log_norm - 0.5 * (solved**2).sum(1).T
        return found

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Compute one product's vectors per component, (n, components, k) and (m, components, k).

        log N(y | x, k) = constant - |L^-1 (y - m - B (x - m))|^2 / 2.
        """
        p, d, kind = self.dim_x, self.means.shape[1], x.dtype
        log_x, log_y = self._log_parts(x, 0, p), self._log_parts(y, p, d)
        alone_x, alone_y = log_x.logsumexp(1), log_y.logsumexp(1)
        a = x.double()[:, None] - self.means[:, :p]
        c_xx, c_yx = self.covariances[:, :p, :p], self.covariances[:, p:, :p]
        slope = torch.linalg.solve(c_xx, c_yx.transpose(1, 2)).transpose(1, 2)
        rest = self.covariances[:, p:, p:] - slope @ c_yx.transpose(1, 2)
        factor = torch.linalg.cholesky(rest)
        log_det = factor.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = -log_det - 0.5 * (d - p) * math.log(2 * math.pi)
        left, right = [], []
        for k in range(len(self.weights)):
            mean = self.means[k, p:] + a[:, k] @ slope[k].T
            whiten = torch.linalg.inv(factor[k]).T
            u, v = mean @ whiten, y.double() @ whiten
            own_x = log_x[:, k] - alone_x - 0.5 * (u**2).sum(1) + constant[k]
            own_y = -0.5 * (v**2).sum(1) - alone_y
            (one,), (other,) = contract.product(u, v, own_x, own_y)
            left.append(one.to(kind))
            right.append(other.to(kind))
        return (torch.stack(left, 1),), (torch.stack(right, 1),)

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        total = a[0].new_zeros(len(a[0]), len(b[0]))
        for left, right in zip(a[0].unbind(1), b[0].unbind(1), strict=True):
            log_part = left @ right.T
            total += log_part.clamp_(LOWEST, -LOWEST).exp_()  # avoids slow denormal numbers
        found: Tensor = total.clamp_min_(math.exp(LOWEST)).log_()
        return found


def components(n: int, dim: int, size: tuple[int, int]) -> int:
    """Return how many mixture components n rows of `dim` columns support.

    Args:
        n: the number of rows.
        dim: the number of columns of x and y together.
        size: the largest number of components, and the smallest number of rows per parameter.

    Returns:
        The number of components; 0 if there are too few rows for one.

    Example:
        >>> components(7500, 2, COARSE), components(750, 3, FINE), components(750, 50, FINE)
        (32, 7, 0)
    """
    most, rows = size
    return min(most, n // (rows * (1 + dim + dim * (dim + 1) // 2)))
