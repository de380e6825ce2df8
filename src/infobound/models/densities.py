"""Closed-form densities of values; each is also a critic with an exact log ratio.

A mixture of Gaussians serves a few columns of numbers, a contingency table rows that take few
values, and a Gaussian per value data of which one side takes few values. Nothing here is trained by
gradients.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from infobound.critics.contract import Critic, Rows
from infobound.data.clusters import clusters
from infobound.models.copulas import GaussianCopula

__all__ = [
    "A_FEW",
    "COARSE",
    "FINE",
    "FINEST",
    "ClasswiseGaussian",
    "ContingencyTable",
    "MixtureModel",
    "OfClasses",
    "codes",
    "components",
]

# Largest number of components, and smallest number of rows per parameter.
FINEST, FINE, COARSE = (128, 5), (64, 10), (32, 20)
ROUNDS, SETTLED = 60, 1e-3  # of EM: the most, and the gain per row in nats at which it ends
A_FEW = (4, 1)  # the same for mixtures of a few Gaussians in many columns
STARTS, SHORT = 6, 8  # random starts of these, and the iterations of EM from each
SHRINK_STEPS = 50  # iterations of EM for the weight of independence in a table
START_ROWS = 1_000  # rows on which the starts are compared
SHRINKAGE = 0.1  # times parameters of a mean per row: added to their variances, in white columns
VARIANCE_FLOOR = 1e-4  # added to the variances of a mixture's components
TABULATED = 16  # components from which a table takes less time than they do
NODE_STEP = 0.1  # distance of a table's nodes in conditional standard deviations of the components
NODE_REACH = 4.5  # standard deviations of each component that the inner nodes cover
MATTERS = 1e-3  # share of a component in the density at a value from which it counts there
CANDIDATES = 4_000  # values at which the distance of the nodes is determined
NODES = 800  # the most nodes of a column; finer dependence is computed without a table
LOWEST_RATIO = -80.0  # smallest log ratio whose exponential is a normal number in float32


class ContingencyTable(Critic):
    """The observed frequency of each pair of values relative to independence.

    Frequencies are shrunk towards independence, which keeps the margins: the ratio is
    (1 - w) n_ij / (n p_i q_j) + w, with p and q the observed frequencies of values of x and of y.
    The weight w maximises the likelihood of each row under the table of all others, and is at least
    1 / (n + 1). A value that was not seen in the fit has ratio 1.

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
        rows, columns = counts.sum(1, keepdim=True), counts.sum(0)
        # The table without one row has a count less in that row's cell and in its two margins.
        others = (rows[i, 0] - 1).clamp_min(1) * (columns[j] - 1).clamp_min(1)
        left_out = (counts[i, j] - 1) * (n - 1) / others
        weight = torch.tensor(0.5, dtype=counts.dtype, device=x.device)
        for _ in range(SHRINK_STEPS):  # EM
            weight = (weight / (weight + (1 - weight) * left_out)).mean()
        weight = weight.clamp(1 / (n + 1), 1)
        log_ratios = ((1 - weight) * counts * n / (rows * columns) + weight).log()
        padded = torch.nn.functional.pad(log_ratios, (0, 1, 0, 1))  # the last: unseen values
        return cls(padded.to(x.dtype), x_values, y_values)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Look up the table's rows for x and the column indices of y."""
        return (self.log_ratios[codes(x, self.x_values)],), (codes(y, self.y_values),)

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        found: Tensor = a[0][:, b[0]]
        return found


def codes(rows: Tensor, values: Tensor) -> Tensor:
    """Return the index in distinct values (k, d) of each row (n, d); k if there is none.

    Example:
        >>> codes(torch.tensor([[2.0], [5.0]]), torch.tensor([[1.0], [2.0]]))
        tensor([1, 2])
    """
    _, group = torch.unique(torch.cat([values, rows]), dim=0, return_inverse=True)
    index = torch.full_like(group, len(values))
    index[group[: len(values)]] = torch.arange(len(values), device=rows.device)
    return index[group[len(values) :]]


class OfClasses(Critic):
    """A critic of a discrete side: the log ratios of a row of the other side with each value.

    A value that was not seen in the fit has ratio 1.

    Attributes:
        values: (K, d), the values of the discrete side.
        of_x: whether that side is x.
    """

    values: Tensor

    def __init__(self, values: Tensor, of_x: bool) -> None:
        super().__init__()
        self.of_x = of_x
        self.register_buffer("values", values)

    def log_ratios(self, rows: Tensor) -> Tensor:
        """Return the log ratios (n, K), nats, of rows (n, k) of the other side with each value."""
        raise NotImplementedError

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Return the value index of one side's rows, and the other's log ratios with each value."""
        side, other = (x, y) if self.of_x else (y, x)
        # The last column is that of unseen values.
        ratios = torch.nn.functional.pad(self.log_ratios(other), (0, 1))
        place = codes(side, self.values)
        return ((place,), (ratios,)) if self.of_x else ((ratios,), (place,))

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        found: Tensor = b[0].T[a[0]] if self.of_x else a[0][:, b[0]]
        return found


class ClasswiseGaussian(OfClasses):
    """A discrete side, and a Gaussian of the other side for each of its values.

    The log ratio is log N(v; m_k, S) - log sum_j p_j N(v; m_j, S), with k the value of the discrete
    side and v the other side. S is the pooled covariance within values. The means are shrunk
    towards the common mean by empirical Bayes, so that values with few rows do no harm.

    Source: Efron and Morris 1973, https://doi.org/10.1080/01621459.1973.10481350 (the shrinkage).

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> x = torch.randint(4, (2000, 1), generator=rng).float()
        >>> y = torch.tensor([3.0, -3.0, 1.0, -1.0])[x.long()] + torch.randn(2000, 1, generator=rng)
        >>> bool(ClasswiseGaussian.fit(x, y)(x, y).diagonal().mean() > 0.8)
        True
    """

    shares: Tensor
    means: Tensor
    whitener: Tensor

    def __init__(
        self, values: Tensor, shares: Tensor, means: Tensor, whitener: Tensor, *, of_x: bool
    ) -> None:
        super().__init__(values, of_x)
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

    def log_ratios(self, rows: Tensor) -> Tensor:
        """Return the log ratios (n, K), nats, of rows (n, k) of the other side with each value."""
        square = torch.cdist(rows @ self.whitener, self.means) ** 2
        logs = self.shares.log() - 0.5 * square
        return -0.5 * square - logs.logsumexp(1, keepdim=True)


class MixtureModel(Critic):
    """A mixture of Gaussians on (x, y); its margins are mixtures too, so the ratio is closed form.

    It is fitted by expectation-maximisation (EM) with as many components as the number of rows
    supports. With one column on each side and many components, the log ratio is tabulated on a grid
    and interpolated, because an exponential for each pair and component takes much longer.

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
    maps_x: Tensor
    maps_y: Tensor
    starts_x: Tensor
    starts_y: Tensor
    constants: Tensor
    nodes_x: Tensor
    nodes_y: Tensor
    table: Tensor

    def __init__(self, weights: Tensor, means: Tensor, covariances: Tensor, dim_x: int) -> None:
        super().__init__()
        self.dim_x = dim_x
        self.register_buffer("weights", weights)
        self.register_buffer("means", means)
        self.register_buffer("covariances", covariances)
        self._prepare()

    def _prepare(self) -> None:
        """Compute the linear maps of `encode` for all components, float64, in whitened units.

        With N(y | x, k) = N(y; m + B x, C), rows x are mapped to L^-1 (m + B x) and to the whitened
        x, and rows y to L^-1 y and to the whitened y, where L L' = C.
        """
        p, weights, means = self.dim_x, self.weights, self.means
        c_xx, c_yy = self.covariances[:, :p, :p], self.covariances[:, p:, p:]
        c_yx = self.covariances[:, p:, :p]
        slope = torch.linalg.solve(c_xx, c_yx.transpose(1, 2))  # (K, p, q)
        factors = [torch.linalg.cholesky(c) for c in (c_xx, c_yy, c_yy - c_yx @ slope)]
        whiten_x, whiten_y, whiten = (torch.linalg.inv(f).transpose(1, 2) for f in factors)
        norms = [
            -0.5 * f.shape[1] * math.log(2 * math.pi) - f.diagonal(dim1=1, dim2=2).log().sum(1)
            for f in factors
        ]
        mean_x, mean_y = means[:, None, :p], means[:, None, p:]
        ahead = slope @ whiten
        share = weights.log()
        buffers = {
            "maps_x": torch.cat([ahead, whiten_x], 2),
            "starts_x": torch.cat([mean_y @ whiten - mean_x @ ahead, -mean_x @ whiten_x], 2),
            "maps_y": torch.cat([whiten, whiten_y], 2),
            "starts_y": torch.cat([torch.zeros_like(mean_y), -mean_y @ whiten_y], 2),
            "constants": torch.stack([share + norms[0], share + norms[1], norms[2]]),
        }
        for name, values in buffers.items():
            self.register_buffer(name, values, persistent=False)
        self.is_tabulated = means.shape[1] == 2 and len(means) >= TABULATED and self._tabulate()

    @classmethod
    def fit(cls, x: Tensor, y: Tensor, size: tuple[int, int]) -> MixtureModel:
        """Fit to robustly scaled values x (n, dim_x) and y (n, dim_y).

        `size` has the largest number of components and the smallest number of rows for each of
        their parameters, as for `components`.
        """
        rows = torch.cat([x, y], dim=1).double()
        start = clustered(rows, components(len(rows), rows.shape[1], size))
        return cls(*em(rows, start)[:3], x.shape[1])

    @classmethod
    def fit_few(
        cls, x: Tensor, y: Tensor, start: MixtureModel | GaussianCopula | None = None
    ) -> MixtureModel | GaussianCopula:
        """Fit a few Gaussians to x (n, dim_x) and y (n, dim_y), as many as BIC prefers.

        EM starts from the best of several short runs: from the centres of k-means++, and from
        random quadratic forms, which separate populations with equal means.

        Args:
            x: (n, dim_x).
            y: (n, dim_y).
            start: a model of other rows; the new one has as many Gaussians, and EM starts there.

        Returns:
            The mixture, or the Gaussian copula if one Gaussian is best.

        Source: Schwarz 1978, https://doi.org/10.1214/aos/1176344136 (BIC).

        Example:
            >>> rng = torch.Generator().manual_seed(0)
            >>> x, noise = torch.randn(2, 1000, 3, generator=rng)
            >>> sign = torch.randint(2, (1000, 1), generator=rng) * 2 - 1
            >>> len(MixtureModel.fit_few(x, sign * (0.8 * x + 0.6 * noise)).weights)
            2
        """
        if isinstance(start, GaussianCopula):
            return GaussianCopula.fit(x, y)
        rows = torch.cat([x, y], dim=1).double()
        n, d = rows.shape
        mean = rows.mean(0)
        spectrum, vectors = torch.linalg.eigh(torch.cov(rows.T, correction=0))
        roots = spectrum.clamp_min(1e-9 * spectrum.max()).sqrt()
        # Symmetric roots, because devices give eigenvectors different signs and starts are random.
        whiten, back = (vectors / roots) @ vectors.T, (vectors * roots) @ vectors.T
        white = (rows - mean) @ whiten
        price = 0.5 * math.log(n) / n * (1 + d + d * (d + 1) / 2)
        best, found = -0.5 * d * (1 + math.log(2 * math.pi)) - price, None
        counts = range(2, components(n, d, A_FEW) + 1)
        if start is not None:
            counts, best = range(len(start.weights), len(start.weights) + 1), -math.inf
        for count in counts:
            belongs = _started(rows, white, count) if start is None else membership(start, rows)
            fitted = em(white, belongs, floor=SHRINKAGE * count * d / n)
            shown = float(fitted.likelihood) - count * price
            if shown <= best:
                break
            best, found = shown, fitted
        if found is None:
            return GaussianCopula.fit(x, y)
        means, covariances = mean + found.means @ back.T, back @ found.covariances @ back.T
        return cls(found.weights, means, covariances, x.shape[1])

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Look up the rows of the table at x and the places of y in it, or `_products`."""
        if not self.is_tabulated:
            return self._products(x, y)
        low, share = _place(x[:, 0].double(), self.nodes_x)
        (index, part), kind = _place(y[:, 0].double(), self.nodes_y), x.dtype
        rows = torch.lerp(self.table[low], self.table[low + 1], share[:, None])
        return (rows.to(kind),), (index, part.to(kind))

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        if not self.is_tabulated:
            return self._summed(a, b)
        index, part = b
        return torch.lerp(a[0].index_select(1, index), a[0].index_select(1, index + 1), part)

    def _products(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Compute one product's vectors per component, (n, components, k) and (m, components, k).

        Their product is log2 of the component's share of the density ratio, from
        log N(y | x, k) = constant - |L^-1 (y - m - B x)|^2 / 2. In bits, because CPUs take three
        times as long for e^z as for 2^z.
        """
        kind, q = x.dtype, y.shape[1]
        of_x, of_y, constant = self.constants[:, :, None]
        ahead, white_x = _mapped(x, self.maps_x, self.starts_x).tensor_split([q], 2)
        behind, white_y = _mapped(y, self.maps_y, self.starts_y).tensor_split([q], 2)
        log_x = of_x - 0.5 * (white_x**2).sum(2)
        log_y = of_y - 0.5 * (white_y**2).sum(2)
        own_x = log_x - log_x.logsumexp(0) - 0.5 * (ahead**2).sum(2) + constant
        own_y = -0.5 * (behind**2).sum(2) - log_y.logsumexp(0)
        ones = torch.ones_like(own_x), torch.ones_like(own_y)
        left = torch.cat([ahead, torch.stack([own_x, ones[0]], 2)], 2) / math.log(2)
        right = torch.cat([behind, torch.stack([ones[1], own_y], 2)], 2)
        return (left.transpose(0, 1).to(kind),), (right.transpose(0, 1).to(kind),)

    def _summed(self, a: Rows, b: Rows) -> Tensor:
        """Sum the components' shares of the density ratio, and return its log (n, m), nats."""
        total = a[0].new_zeros(len(a[0]), len(b[0]))
        part, limit = torch.empty_like(total), -LOWEST_RATIO / math.log(2)
        for left, right in zip(a[0].unbind(1), b[0].unbind(1), strict=True):
            torch.mm(left, right.T, out=part)
            total += part.clamp_(-limit, limit).exp2_()  # avoids slow denormal numbers
        found: Tensor = total.clamp_min_(math.exp(LOWEST_RATIO)).log_()
        return found

    def _tabulate(self) -> bool:
        """Compute the table of a mixture of one column on each side, unless its grid is too fine.

        The error of the interpolation is about `NODE_STEP`**2 / 8 nats.
        """
        variances = self.covariances.diagonal(dim1=1, dim2=2)  # (K, 2)
        rest = 1 - self.covariances[:, 0, 1] ** 2 / variances.prod(1)
        grids = [
            nodes
            for mean, variance in zip(self.means.T, variances.T, strict=True)
            if (nodes := _nodes(self.weights, mean, variance.sqrt(), (rest * variance).sqrt()))
            is not None
        ]
        if len(grids) < 2:
            return False
        table = self._summed(*self._products(*(nodes[:, None] for nodes in grids)))
        for name, values in zip(("nodes_x", "nodes_y", "table"), (*grids, table), strict=True):
            self.register_buffer(name, values, persistent=False)
        return True


class _Mixture(NamedTuple):
    """Weights (K,), means (K, d), covariances (K, d, d) and the mean log likelihood in nats.

    Several mixtures have these along a first dimension.
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor
    likelihood: Tensor

    def at(self, index: int) -> _Mixture:
        """Return one of several mixtures."""
        return _Mixture(*(part[index] for part in self))


def clustered(rows: Tensor, count: int) -> Tensor:
    """Return `clusters` (count, n) of rows (n, d)."""
    return torch.from_numpy(clusters(rows.cpu().numpy(), count)).to(rows)


def _started(rows: Tensor, white: Tensor, count: int) -> Tensor:
    """Assign rows (n, d) to the components (count, n) of the best of several short runs of EM.

    The runs use the `white` rows, in which clusters may overlap, so centres are sought in the rows.
    """
    generator = torch.Generator().manual_seed(0)
    few, d = white[:START_ROWS], rows.shape[1]
    starts = [clustered(rows[:START_ROWS], count)]
    for _ in range(STARTS):
        forms = torch.randn(count, d, d, generator=generator, dtype=rows.dtype).to(rows.device)
        values = ((few @ forms) * few).sum(2)
        values = values - values.mean(1, keepdim=True)
        starts.append((2 * values / values.std()).softmax(0))
    floor = SHRINKAGE * count * d / len(few)
    tried = em(few, torch.stack(starts), floor, SHORT)
    return membership(tried.at(int(tried.likelihood.argmax())), white)


def membership(model: _Mixture | MixtureModel, rows: Tensor) -> Tensor:
    """The probabilities (K, n) of the components for rows (n, d)."""
    factors = torch.linalg.cholesky(model.covariances)
    away = rows.T - model.means[:, :, None]
    squares = torch.linalg.solve_triangular(factors, away, upper=False).square().sum(1)
    dets = factors.diagonal(dim1=1, dim2=2).log().sum(1)
    found: Tensor = ((model.weights.log() - dets)[:, None] - 0.5 * squares).softmax(0)
    return found


def em(
    rows: Tensor, belongs: Tensor, floor: float = VARIANCE_FLOOR, rounds: int = ROUNDS
) -> _Mixture:
    """Fit a mixture of K Gaussians to rows (n, d), float64, by EM.

    Args:
        rows: (n, d).
        belongs: (K, n), the probabilities of the components at which it starts; or (s, K, n), and s
            mixtures are fitted, until the last of them has settled.
        floor: added to all variances.
        rounds: the largest number of iterations.

    Source: Dempster, Laird and Rubin 1977, https://doi.org/10.1111/j.2517-6161.1977.tb01600.x.
    """
    d = rows.shape[1]
    # Log densities are linear in these, and means and covariances are weighted means of them.
    products = (rows[:, :, None] * rows[:, None]).flatten(1)
    features = torch.cat([torch.ones_like(rows[:, :1]), rows, products], 1).T.contiguous()
    ridge = floor * torch.eye(d, dtype=rows.dtype, device=rows.device)
    shown: Tensor | None = None
    for _ in range(rounds):
        moments = belongs @ features.T
        mass = moments[..., :1].clamp_min(1e-12)
        _, means, squares = (moments / mass).split([1, d, d * d], -1)
        outer = means[..., :, None] * means[..., None, :]
        covariances = squares.unflatten(-1, (d, d)) - outer + ridge
        factors = torch.linalg.cholesky(covariances)
        precisions = torch.cholesky_inverse(factors)
        pull = (precisions @ means[..., None]).squeeze(-1)
        shares = mass[..., 0] / mass.sum((-2, -1))[..., None]
        constants = shares.log() - 0.5 * (pull * means).sum(-1)
        constants -= factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        slopes = torch.cat([constants[..., None], pull, -0.5 * precisions.flatten(-2)], -1)
        logs = slopes @ features
        peak = logs.amax(-2, keepdim=True)
        belongs = (logs - peak).exp_()
        total = belongs.sum(-2, keepdim=True)
        belongs /= total
        earlier, shown = shown, (peak + total.log()).mean((-2, -1))
        if earlier is not None and bool((shown - earlier < SETTLED).all()):
            break
    assert shown is not None
    return _Mixture(shares, means, covariances, shown - 0.5 * d * math.log(2 * math.pi))


def _nodes(weights: Tensor, means: Tensor, spreads: Tensor, fine: Tensor) -> Tensor | None:
    """Place the nodes of a column as densely as the components that matter there need.

    Args:
        weights: (K,), of the components.
        means: (K,), their means.
        spreads: (K,), their marginal standard deviations.
        fine: (K,), their standard deviations given the other column.

    Returns:
        The nodes in ascending order, the outermost far away; None if more than `NODES` are needed.
    """
    ends = (means - NODE_REACH * spreads).min(), (means + NODE_REACH * spreads).max()
    share = torch.linspace(0, 1, CANDIDATES, dtype=means.dtype, device=means.device)
    at = torch.lerp(ends[0], ends[1], share)
    logs = (weights / spreads).log() - 0.5 * ((at[:, None] - means) / spreads) ** 2
    density = ((logs.softmax(1) > MATTERS) / (NODE_STEP * fine)).amax(1)
    places = (density * (ends[1] - ends[0]) / (CANDIDATES - 1)).cumsum(0)
    count = math.ceil(float(places[-1] - places[0]))
    if count > NODES:
        return None
    wanted = torch.linspace(float(places[0]), float(places[-1]), count + 1, dtype=at.dtype)
    inner = torch.from_numpy(np.interp(wanted.numpy(), places.cpu().numpy(), at.cpu().numpy()))
    far = (inner[-1] - inner[0]) * torch.logspace(-3, 4, 60, dtype=at.dtype)
    return torch.cat([inner[0] - far.flip(0), inner, inner[-1] + far]).to(means.device)


def _place(values: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the index of the node below each value (n,), and the fraction of the way to the next.

    Beyond the outermost nodes the fraction is 0 or 1.
    """
    index = (torch.searchsorted(nodes, values, right=True) - 1).clamp(0, len(nodes) - 2)
    return index, ((values - nodes[index]) / (nodes[index + 1] - nodes[index])).clamp(0, 1)


def _mapped(rows: Tensor, maps: Tensor, starts: Tensor) -> Tensor:
    """Map rows (n, d) by each of K affine maps: (K, n, k), float64."""
    found: Tensor = rows.double() @ maps + starts
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
