"""Copulas of two columns by the network that reads their ranks, and the histograms for it.

A value that many rows share covers the interval of their ranks, and is spread evenly over it: this
leaves the MI of ties, piles and classes as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from infobound.critics.contract import Critic, Rows
from infobound.models.rank_network import GRIDS, QUANTILES, RankNetwork

__all__ = ["RankCopula", "Ranks", "grid_of", "log_ratios", "median_mi", "network"]

FINE_FROM = 2_500  # rows from which histograms have the finer grid
HALF = 1e-6  # half of the width of a value between those of the fit
NETWORK_WEIGHTS = Path(__file__).with_name("rank_network.safetensors")

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@cache
def network() -> RankNetwork:
    """Return the trained network, on the CPU."""
    from safetensors.torch import load_file

    found = RankNetwork()
    found.load_state_dict(
        {name: value.float() for name, value in load_file(NETWORK_WEIGHTS).items()}
    )
    return found.eval().requires_grad_(False)


def grid_of(n: int) -> int:
    """Return the number of cells per side for n rows."""
    return GRIDS[0] if n >= FINE_FROM else GRIDS[1]


@dataclass(frozen=True, eq=False)
class Ranks:
    """How the values of a column cover the cells of a grid.

    Attributes:
        codes: (n,), the dense ranks of the column's values: 0, 1, ...; each of them occurs.
        cover: (levels, grid), the share of each value's ranks in each cell; rows sum to 1.
        ties: (grid,), the mean log2 of the number of rows that share a value, by cell.

    Example:
        >>> ranks = Ranks.of(np.array([1, 0, 0, 1]), grid=4)
        >>> ranks.cover.toarray()
        array([[0.5, 0.5, 0. , 0. ],
               [0. , 0. , 0.5, 0.5]])
    """

    codes: Codes
    cover: sparse.csr_array
    ties: Floats

    @classmethod
    def of(cls, codes: Codes, grid: int) -> Ranks:
        """Cover a grid by the values with these codes."""
        counts = np.bincount(codes)
        ends = counts.cumsum() * (grid / len(codes))
        ends[-1] = grid
        starts = np.concatenate([[0.0], ends[:-1]])
        first = np.minimum(starts.astype(np.int64), grid - 1)
        last = np.maximum(np.ceil(ends).astype(np.int64) - 1, first)
        pointers = np.concatenate([[0], (last - first + 1).cumsum()])
        level = np.repeat(np.arange(len(counts)), last - first + 1)
        cell = np.arange(pointers[-1]) - pointers[level] + first[level]
        inside = np.minimum(ends[level], cell + 1) - np.maximum(starts[level], cell)
        weight = inside / (ends - starts)[level]
        cover = sparse.csr_array((weight, cell, pointers), shape=(len(counts), grid))
        rows = weight * counts[level]
        tied = np.bincount(cell, rows * np.log2(counts)[level], grid)
        return cls(codes, cover, tied / np.bincount(cell, rows, grid))

    def shares(self, other: Ranks) -> Floats:
        """Return the shares of rows in the cells, (grid, grid); each line sums to 1 / grid."""
        n, shape = len(self.codes), (self.cover.shape[0], other.cover.shape[0])
        each = np.full(n, 1 / n)
        joint = sparse.coo_array((each, (self.codes, other.codes)), shape=shape).tocsr()
        return np.asarray((self.cover.T @ (joint @ other.cover)).toarray())


def log_ratios(pairs: Sequence[tuple[Ranks, Ranks]]) -> tuple[Tensor, Tensor, Tensor]:
    """Evaluate the network for pairs of columns with equal numbers of rows.

    Returns:
        The histograms' shares (b, g, g), log ratios (b, g, g) and quantiles of the MI (b, 5).
    """
    shares = np.stack([x.shares(y) for x, y in pairs])
    ties = (np.stack([pair[k].ties for pair in pairs]) for k in range(2))
    inputs = [torch.from_numpy(each).float() for each in (shares, *ties)]
    with torch.inference_mode():
        ratios, quantiles = network()(*inputs, n=len(pairs[0][0].codes))
    return inputs[0].clone(), ratios.clone(), quantiles.clone()


def median_mi(x: Floats, y: Floats) -> float:
    """Return the median of the MI given the ranks of two columns (n,), by the network, in nats.

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 1000))
        >>> abs(median_mi(x, 0.6 * x + 0.8 * noise) - 0.223) < 0.05  # -log(1 - 0.36) / 2
        True
    """
    grid = grid_of(len(x))
    sides = [Ranks.of(np.unique(column, return_inverse=True)[1], grid) for column in (x, y)]
    quantiles = log_ratios([(sides[0], sides[1])])[2][0]
    return float(quantiles[len(QUANTILES) // 2])


class RankCopula(Critic):
    """The copula of two columns as the network estimates it from the histogram of their ranks.

    Nothing is trained at run time: a fit takes milliseconds.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> x = torch.randn(2000, 1, generator=rng)
        >>> y = x**2 + 0.5 * torch.randn(2000, 1, generator=rng)
        >>> bool(RankCopula.fit(x, y)(x, y).diagonal().mean() > 0.6)
        True
    """

    values_x: Tensor
    values_y: Tensor
    edges_x: Tensor
    edges_y: Tensor
    density: Tensor

    def __init__(self, density: Tensor, ends: Sequence[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.register_buffer("density", density)
        for name, (values, edges) in zip("xy", ends, strict=True):
            self.register_buffer(f"values_{name}", values)
            self.register_buffer(f"edges_{name}", edges)

    @classmethod
    def fit(cls, x: Tensor, y: Tensor) -> RankCopula:
        """Fit to x (n, 1) and y (n, 1), in any increasing transform."""
        grid, ranks, ends = grid_of(len(x)), [], []
        for rows in (x, y):
            values, codes, counts = rows[:, 0].cpu().unique(return_inverse=True, return_counts=True)
            ranks.append(Ranks.of(codes.numpy(), grid))
            edges = torch.cat(
                [torch.zeros(1, dtype=torch.float64), counts.double().cumsum(0) / len(rows)]
            )
            ends.append((values.to(x.device), edges.to(x.device)))
        _, ratios, _ = log_ratios([(ranks[0], ranks[1])])
        return cls(ratios[0].double().exp().to(x.device), ends)

    def _cover(self, rows: Tensor, values: Tensor, edges: Tensor) -> Tensor:
        """Return the shares of each row's ranks in the cells, (n, grid)."""
        column = rows[:, 0].contiguous()
        low = edges[torch.searchsorted(values, column)]
        high = edges[torch.searchsorted(values, column, right=True)]
        middle = (low + high) / 2
        half = ((high - low) / 2).clamp_min(HALF)
        low, high = (middle - half).clamp_min(0.0), (middle + half).clamp_max(1.0)
        cells = torch.arange(len(self.density) + 1, dtype=edges.dtype, device=edges.device)
        below = (cells / len(self.density) - low[:, None]) / (high - low)[:, None]
        return below.clamp_(0, 1).diff(dim=1)

    def encode(self, x: Tensor, y: Tensor) -> tuple[Rows, Rows]:
        """Return the densities along the rows at x, and the cells of y."""
        at_x = self._cover(x, self.values_x, self.edges_x) @ self.density
        at_y = self._cover(y, self.values_y, self.edges_y)
        return (at_x.to(x.dtype),), (at_y.to(x.dtype),)

    def pair(self, a: Rows, b: Rows) -> Tensor:
        """Log ratios (n, m), nats."""
        found: Tensor = (a[0] @ b[0].T).log_()
        return found
