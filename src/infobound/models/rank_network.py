"""The network that reads the ranks of two columns: from a histogram to log ratios and to their MI.

It is trained once, on random distributions (`tools/train_rank_network.py`), and its weights come
with the package. Nothing is trained at run time. `models.ranks` makes histograms from columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["GRIDS", "QUANTILES", "RankNetwork", "log_uniform_margins"]

GRIDS = (128, 64)  # cells per side of a histogram: the finer for many rows
CHANNELS = (16, 24, 48, 64)  # at 64, 32, 16 and 8 cells per side
QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)  # of the MI given the histogram
SINKHORN_STEPS = 6  # Sinkhorn iterations
SMALLEST_SHARE = 1e-12  # smallest entry of a table relative to its largest
HEAD = 64  # width of the layer before the quantiles
# Variance of a log ratio added before its standard error scales the quantiles
VARIANCE_FLOOR = 0.05


class RankNetwork(nn.Module):
    """A convolutional network (U-Net) from the histogram of two columns' ranks to log ratios.

    Histograms of 64 cells per side enter one level below those of 128, with the same weights from
    there on.

    Source: U-Net, Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; density ratios and MI
    by one network for all data sets ("amortised"), Hu et al. 2024, https://arxiv.org/abs/2402.10158.

    Example:
        >>> network = RankNetwork().eval()
        >>> shares = torch.full((1, 64, 64), 1 / 64**2, dtype=torch.float32)
        >>> single = torch.zeros(1, 64, dtype=torch.float32)  # no ties
        >>> log_ratios, quantiles = network(shares, single, single, n=1000)
        >>> log_ratios.shape, quantiles.shape
        (torch.Size([1, 64, 64]), torch.Size([1, 5]))
    """

    def __init__(self) -> None:
        super().__init__()
        levels = list(itertools.pairwise(CHANNELS))
        self.entries = nn.ModuleList(nn.Conv2d(10, c, 1) for c in CHANNELS[: len(GRIDS)])
        self.coarse = nn.ModuleList(nn.Conv2d(4, c, 1) for c in CHANNELS[1:])
        self.sizes = nn.ModuleList(_perceptron(2, 32, c) for c in CHANNELS)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in levels)
        self.encoders = nn.ModuleList(_Residual(c) for c in CHANNELS)
        self.up = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in levels)
        self.decoders = nn.ModuleList(_Residual(c) for c in CHANNELS[:-1])
        self.exits = nn.ModuleList(nn.Conv2d(c, 4, 1) for c in CHANNELS[: len(GRIDS)])
        self.head = _perceptron(2 * CHANNELS[-1] + 8, HEAD, 1 + len(QUANTILES))

    def forward(
        self, shares: Tensor, ties_x: Tensor, ties_y: Tensor, n: int | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute log ratios and quantiles of the MI.

        Args:
            shares: (b, g, g), the shares of rows in the cells; each row and column sums to 1 / g.
            ties_x: (b, g), log2 of the mean number of rows that share a value of x, by cell.
            ties_y: (b, g), the same for y.
            n: the number of rows; a scalar or (b,).

        Returns:
            Log ratios of the joint density to the product of the margins, (b, g, g), and
            `QUANTILES` of the MI given the histogram, (b, 5); in nats.
        """
        grid = shares.shape[-1]
        first = GRIDS.index(grid)
        rows = torch.as_tensor(n, dtype=shares.dtype, device=shares.device).expand(len(shares))
        size = torch.stack([(rows.log() - 7) / 3, torch.full_like(rows, first)], 1)
        ties = torch.stack(
            [ties_x[:, :, None].expand_as(shares), ties_y[:, None].expand_as(shares)], 1
        )
        counts = shares * rows[:, None, None]
        skipped = []
        hidden = shares.new_zeros(())
        for level in range(first, len(CHANNELS)):
            resolution = 64 >> level
            pooled = functional.avg_pool2d(ties / 8, grid // resolution)
            if level == first:
                local = functional.pixel_unshuffle(_features(counts), 2)
                hidden = self.entries[level](torch.cat([local, pooled], 1))
            else:
                local = _features(
                    functional.avg_pool2d(counts, grid // resolution, divisor_override=1)
                )
                hidden = self.down[level - 1](hidden) + self.coarse[level - 1](
                    torch.cat([local, pooled], 1)
                )
            hidden = self.encoders[level](hidden + self.sizes[level](size)[:, :, None, None])
            skipped.append(hidden)
        summary = torch.cat([hidden.mean((2, 3)), hidden.amax((2, 3))], 1)
        for level in range(len(CHANNELS) - 2, first - 1, -1):
            hidden = skipped[level - first] + functional.pixel_shuffle(self.up[level](hidden), 2)
            hidden = self.decoders[level](hidden)
        logits = functional.pixel_shuffle(self.exits[first](functional.relu(hidden)), 2)[:, 0]
        log_ratios = log_uniform_margins(logits.float())
        return log_ratios, self._quantiles(log_ratios.detach(), shares, summary.float(), size, ties)

    def _quantiles(
        self, log_ratios: Tensor, shares: Tensor, summary: Tensor, size: Tensor, ties: Tensor
    ) -> Tensor:
        """The quantiles of the MI: a correction of the values that the log ratios give."""
        implied = (log_ratios.exp() * log_ratios).mean((1, 2))
        mean = (shares * log_ratios).sum((1, 2))
        variance = (shares * log_ratios.square()).sum((1, 2)) - mean.square()
        error = ((variance.clamp(min=0) + VARIANCE_FLOOR) / (7 + 3 * size[:, 0]).exp()).sqrt()
        seen = torch.stack([implied, mean, error.log(), variance.clamp(min=0).sqrt()], 1)
        ties = ties.mean((2, 3)) / 8
        found = self.head(torch.cat([summary, seen, size, ties], 1)).float()
        below, above = len(QUANTILES) // 2, len(QUANTILES) // 2 + 1
        middle = implied + found[:, 0] * (mean - implied) + error * found[:, 1]
        steps = functional.softplus(found[:, 2:]) * error[:, None]
        lower = middle[:, None] - steps[:, :below].flip(1).cumsum(1).flip(1)
        upper = middle[:, None] + steps[:, above - 1 :].cumsum(1)
        return torch.cat([lower, middle[:, None], upper], 1)


class _Residual(nn.Module):
    """Two convolutions around which the input passes unchanged; they start at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, hidden: Tensor) -> Tensor:
        """Add the convolutions' output to their input."""
        inner = functional.relu(self.first(functional.relu(hidden)))
        found: Tensor = hidden + self.second(inner)
        return found


def log_uniform_margins(logits: Tensor) -> Tensor:
    """Scale a (b, g, g) table so that each row and column has mean 1; return its logarithm.

    Source: Sinkhorn 1967, https://doi.org/10.2307/2314570

    Example:
        >>> table = log_uniform_margins(torch.eye(4, dtype=torch.float64)[None]).exp()
        >>> table.mean(1).round(decimals=3).unique().tolist()
        [1.0]
    """
    table = (logits - logits.amax((1, 2), keepdim=True)).exp() + SMALLEST_SHARE
    columns = table.new_ones(len(table), 1, table.shape[2])
    for _ in range(SINKHORN_STEPS):
        rows = 1 / (table * columns).mean(2, keepdim=True)
        columns = 1 / (table * rows).mean(1, keepdim=True)
    return table.log() + rows.log() + columns.log()


def _features(counts: Tensor) -> Tensor:
    """Make (b, 2, g, g) inputs of counts: standardised deviations, and ratios to independence."""
    expected = counts.mean((1, 2), keepdim=True)
    deviation = (counts - expected) / (expected + 0.25).sqrt()
    return torch.stack([deviation.asinh(), (counts / expected).log1p()], 1)


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    layers: Sequence[nn.Module] = [nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)]
    return nn.Sequential(*layers)
