"""A quick look at two columns: whether a dependence shows, and how much may be hidden if none does.

Each column is divided once into at most 64 units of adjacent values. A pair is the table of its
units: the squared correlations of smooth functions of the units are summed over bands of their
frequencies, and chi-square compares all cells with those of independent columns. If none of these
is larger than by chance, the pair is quiet: its mutual information (MI) is near 0, and a small
network that was trained once (`tools/train_screen.py`) says what it may be. Other pairs need more
than this.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from infobound.data.columns import Column

__all__ = ["ScreenColumn", "ScreenNetwork", "is_quiet", "look", "may_be_screened", "quiet_mi"]

SCREEN_WEIGHTS = Path(__file__).with_name("screen.safetensors")
UNITS = 64  # units of a column
SMALLEST_UNIT = 2 * UNITS  # a unit has at least 1 / 128 of the rows
FUNCTIONS = 16  # smooth functions of a column
BANDS = (1, 2, 4, 8, 16)  # the last function of each band
FEATURES = len(BANDS) * (len(BANDS) + 1) // 2 + 5  # of a pair
LOUD = 3.0  # standard normal deviate above which dependence shows: one in 740 by chance
HIDDEN = 32  # width of the network's layers
QUANTILES = (0.16, 0.5, 0.84, 0.975)  # of the MI of a quiet pair
SCALE = 4.0  # of n times the MI, nats
WIDENING = 1.5  # of upper ends: they also hold at the values of the MI that are missed most often


class ScreenColumn(NamedTuple):
    """A column, divided into u units.

    Attributes:
        units: (n,), int64, the unit of each row.
        functions: (u, 16), orthonormal over the rows: cosines of the mid-ranks of the units; 0 from
            the u-th on.
        shares: (u,), the shares of rows in the units.
    """

    units: np.ndarray
    functions: np.ndarray
    shares: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray) -> ScreenColumn:
        """Divide a column (n,) of dense ranks or categories, at least two of which occur.

        Example:
            >>> ScreenColumn.of(np.array([0, 3, 3, 1])).units
            array([0, 2, 2, 1])
        """
        n, counts = len(codes), np.bincount(codes)
        middle = (np.cumsum(counts) - counts / 2) / n
        seen = counts > 0
        few = seen.sum() <= UNITS
        cells = np.cumsum(seen) - 1 if few else (middle * UNITS).astype(np.int64)
        sizes = np.bincount(cells, counts)
        unit_of, current, size = np.zeros(len(sizes), dtype=np.int64), 0, 0.0
        for cell, own in enumerate(sizes):
            unit_of[cell] = current
            size += own
            if size * SMALLEST_UNIT >= n:
                current, size = current + 1, 0.0
        if size:  # too small: it joins the one before
            unit_of[unit_of == current] = max(current - 1, 0)
        units = unit_of[cells][codes]
        shares = np.bincount(units) / n
        middle = np.cumsum(shares) - shares / 2
        order = np.arange(1, min(FUNCTIONS, len(shares) - 1) + 1)
        root = np.sqrt(shares)[:, None]
        cosines = np.column_stack([np.ones(len(shares)), np.cos(np.pi * np.outer(middle, order))])
        functions = np.zeros((len(shares), FUNCTIONS))
        functions[:, : len(order)] = (np.linalg.qr(root * cosines)[0] / root)[:, 1:]
        return cls(units, functions, shares)

    @property
    def degrees(self) -> np.ndarray:
        """Degrees of freedom (16,) of the functions: 1 or 0."""
        return (np.arange(1, FUNCTIONS + 1) < len(self.shares)).astype(np.float64)


def may_be_screened(column: Column) -> bool:
    """Return whether units can show what a column has: many categories have no adjacent ones."""
    return not column.categorical or column.levels <= FUNCTIONS + 1


@cache
def _bands() -> np.ndarray:
    """Return which pairs of functions belong to each pair of bands, (b, 16 * 16)."""
    band = np.searchsorted(BANDS, np.arange(1, FUNCTIONS + 1))
    low, high = (how.outer(band, band).ravel() for how in (np.minimum, np.maximum))
    pairs = zip(*np.triu_indices(len(BANDS)), strict=True)
    return np.array([(low == i) & (high == j) for i, j in pairs], dtype=np.float64)


def look(x: ScreenColumn, y: ScreenColumn) -> np.ndarray:
    """Return how large the sums of a pair are for independent columns, and what they depend on.

    Returns:
        (f,): standard normal deviates of the bands and of chi-square, all but the last four; those
        are the logarithm of the number of rows, and how many functions there are.

    Source: chi-square to normal, Wilson and Hilferty 1931, https://doi.org/10.1073/pnas.17.12.684.

    Example:
        >>> x, y = (ScreenColumn.of(np.random.default_rng(k).permutation(9000)) for k in range(2))
        >>> bool(look(x, y)[:-4].max() < 3 < look(x, x)[:-4].max())
        True
    """
    n, (p, q) = len(x.units), (len(x.shares), len(y.shares))
    table = np.bincount(x.units * q + y.units, minlength=p * q).reshape(p, q) / n
    energy = (n - 1) * np.square(x.functions.T @ table @ y.functions)
    chi_square = (n - 1) * ((1 / x.shares) @ np.square(table) @ (1 / y.shares) - 1)
    values = np.append(_bands() @ energy.ravel(), chi_square)
    freedom = np.append(_bands() @ np.outer(x.degrees, y.degrees).ravel(), (p - 1) * (q - 1))
    own = [min(each - 1, FUNCTIONS) / FUNCTIONS for each in (p, q)]
    known = [np.log(n), np.log(max(freedom[-1], 0.5)) / 5, sum(own), abs(own[0] - own[1])]
    return np.append(_deviates(values, freedom), known)


def _deviates(values: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Return the standard normal deviates of chi-squares; 0 if there is no degree of freedom."""
    some = np.maximum(freedom, 1)
    spread = 2 / (9 * some)
    found = (np.cbrt(np.maximum(values, 0) / some) - (1 - spread)) / np.sqrt(spread)
    return np.where(freedom > 0, found, 0.0)


def is_quiet(features: np.ndarray) -> np.ndarray:
    """Return for which pairs (b, f) no dependence shows, although it could."""
    return np.asarray((features[:, :-4].max(axis=1) <= LOUD) & (features[:, -3] >= 0))


class ScreenNetwork(nn.Module):
    """Quantiles of the MI of quiet pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, len(QUANTILES)),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return `QUANTILES` (b, 4) of the MI in nats, for what `look` returns of b pairs."""
        log_n = features[:, -4:-3]
        inputs = torch.cat([features[:, :-4], (log_n - 8) / 2, features[:, -3:]], 1)
        return SCALE * functional.softplus(self.layers(inputs)).cumsum(1) / log_n.exp()


@cache
def _network() -> ScreenNetwork:
    """Return the trained network."""
    from safetensors.torch import load_file

    found = ScreenNetwork()
    found.load_state_dict(load_file(SCREEN_WEIGHTS))
    return found.eval().requires_grad_(False)


def quiet_mi(features: np.ndarray) -> np.ndarray:
    """Return the MI of quiet pairs, for what `look` returned (b, f).

    Returns:
        (b, 3): the estimate, its standard error, and the upper end of a 95 % interval from 0; nats.

    Example:
        >>> x, y = (ScreenColumn.of(np.random.default_rng(k).permutation(9000)) for k in range(2))
        >>> bool(quiet_mi(look(x, y)[None])[0, -1] < 0.005)
        True
    """
    with torch.inference_mode():
        found = _network()(torch.from_numpy(features).float()).double().numpy()
    below, middle, above, high = found.T
    return np.stack([(below + middle + above) / 3, (above - below) / 2, WIDENING * high], axis=1)
