"""Known dependence planted in the user's own rows: each row of x and of y is kept, only who stands
beside whom is drawn.

A side's rows are put in one order (`Side`), places in the order are coupled by a copula whose MI is
known (`KINDS`), and the rows follow their places (`Planted`). Nothing here estimates anything.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, owens_t
from scipy.stats import qmc
from torch import Tensor

from infobound.data import Pair, Transform
from infobound.errors import InputError

__all__ = ["KINDS", "Planted", "Side", "capacity", "plant"]

KINDS = {
    "monotone": "y rises with x",
    "folded": "y rises with how far x is from its middle, on either side: no correlation",
}
STRONGEST = 6.0  # nats that a coupling may carry; near that, places hardly differ
COARSE = 20  # times e^(2 mi) rows at least: with fewer, their order blurs the coupling by over 5 %


@dataclass(frozen=True, eq=False)
class Side:
    """The distinct rows (k, d) of one side in an order, and the shares of [0, 1] they take, (k+1,).

    The order is that of the first principal component of the columns' normal scores, the direction
    in which the rows differ most; ties in it are ordered by the columns.

    Example:
        >>> Side.of(np.array([[3.0], [1.0], [3.0], [2.0]])).edges.tolist()
        [0.0, 0.25, 0.5, 1.0]
    """

    rows: np.ndarray
    counts: np.ndarray
    edges: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Side:
        """The side of rows (n, d)."""
        rows, counts = np.unique(values, axis=0, return_counts=True)
        fitted = Transform.fit(values)
        scores = fitted.normal_scores(rows)
        _, vectors = np.linalg.eigh(np.atleast_2d(np.cov(scores.T, fweights=counts)))
        first = vectors[:, -1] * np.sign(vectors[np.abs(vectors[:, -1]).argmax(), -1])
        order = np.lexsort((*rows.T[::-1], scores @ first))
        edges = np.concatenate([[0], np.cumsum(counts[order])]) / len(values)
        return cls(rows[order], counts[order], edges)

    @cached_property
    def at(self) -> dict[bytes, int]:
        """Which row stands where."""
        return {row.tobytes(): k for k, row in enumerate(self.rows)}

    @property
    def n(self) -> int:
        """Rows, copies counted."""
        return int(self.counts.sum())

    def places(self, rows: np.ndarray) -> np.ndarray:
        """The middle of the share of each of these rows (m, d), (m,).

        Raises:
            InputError: a row that is none of the side's.
        """
        found = [self.at.get(row.tobytes()) for row in np.ascontiguousarray(rows)]
        if None in found:
            raise InputError("Expected rows that the pair was planted in; got another one.")
        index = np.array(found, dtype=int)
        return (self.edges[index] + self.edges[index + 1]) / 2

    def share(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ends of the share that holds each place, and whether it is a single row's."""
        index = np.searchsorted(self.edges, u, side="right").clip(1, len(self.rows)) - 1
        return self.edges[index], self.edges[index + 1], self.counts[index] == 1

    def drawn(self, ranks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The rows with these ranks (m,) among m of the n rows, each taken at most once."""
        taken = np.sort(rng.choice(self.n, len(ranks), replace=False))
        return self.rows[np.repeat(np.arange(len(self.rows)), self.counts)[taken[ranks]]]


@dataclass(frozen=True, eq=False)
class Planted:
    """A task (`distributions.joint`): the rows of x and of y, coupled with `strength` nats between
    places.

    Places (u, v) in the unit square follow a Gaussian copula, or one folded in u, of exactly
    `strength` nats. The row with the r-th smallest u stands at the r-th place of its side, so both
    margins are the user's rows, each used once where as many are drawn. Each place is its row's, so
    `mi` is `strength` where no row repeats; where rows repeat (few values), it is what their shares
    of the square still tell, an integral computed by quasi-Monte Carlo.

    Source: ranks of a sample have the same law whatever the margins, Sklar 1959; the mutual
    information is the copula's, Ma and Sun 2011, https://doi.org/10.1016/S1007-0214(11)70008-6.
    """

    kind: str
    strength: float
    x: Side
    y: Side

    @property
    def name(self) -> str:
        """What the tables call it."""
        return self.kind

    @property
    def dim_x(self) -> int:
        """Columns of x."""
        return self.x.rows.shape[1]

    @property
    def dim_y(self) -> int:
        """Columns of y."""
        return self.y.rows.shape[1]

    @property
    def mi(self) -> float:
        """The mutual information, nats."""
        return self._mi[0]

    @property
    def mi_error(self) -> float:
        """Its standard error, nats; 0.0 where no row repeats."""
        return self._mi[1]

    @property
    def digest(self) -> str:
        """A hash of the rows and of how they are coupled."""
        parts = (self.x.rows, self.x.counts, self.y.rows, self.y.counts)
        data = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
        return hashlib.sha256(data + f"{self.kind} {self.strength!r}".encode()).hexdigest()

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """n pairs, at most as many as there are rows: x (n, dim_x) and y (n, dim_y), float64.

        Raises:
            InputError: more pairs than rows.
        """
        if n > self.x.n:
            raise InputError(f"Expected at most {self.x.n:,} rows, all that there are; got {n:,}.")
        seed = torch.randint(2**62, (1,), generator=generator)
        rng = np.random.default_rng(int(seed))
        # As many places below the middle as above it: the fold stands where the rows have theirs.
        uniform = np.column_stack([rng.random((n, 2)), rng.permutation(n) / n])
        ranks = (np.argsort(np.argsort(places)) for places in self._couple(uniform))
        x, y = (side.drawn(r, rng) for side, r in zip((self.x, self.y), ranks, strict=True))
        return torch.from_numpy(x), torch.from_numpy(y)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """log p(x_i, y_j) / (p(x_i) p(y_j)), (n, m), for x (n, dim_x) and y (m, dim_y)."""
        u, v = self.x.places(x.numpy()), self.y.places(y.numpy())
        return torch.from_numpy(self._log_ratio(u[:, None], v[None, :]))

    @cached_property
    def _mi(self) -> tuple[float, float]:
        if self.strength == 0 or not self._repeats:
            return self.strength, 0.0
        values = [self._mean(12, seed) for seed in range(8)]
        return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))

    @property
    def _repeats(self) -> bool:
        return bool((self.x.counts > 1).any() or (self.y.counts > 1).any())

    def _mean(self, power: int, seed: int) -> float:
        """The mean log ratio over 2^power places of a scrambled Sobol sequence, nats."""
        uniform = qmc.Sobol(3, seed=seed).random_base2(power)
        return float(self._log_ratio(*self._couple(uniform)).mean())

    @property
    def _rho(self) -> float:
        return math.sqrt(-math.expm1(-2 * self.strength))

    def _couple(self, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places (n,) of x and of y from independent uniform numbers (n, 3)."""
        uniform = uniform.clip(1e-15, 1 - 1e-15)
        z, noise = ndtri(uniform[:, 0]), ndtri(uniform[:, 1])
        v = ndtr(self._rho * z + math.sqrt(1 - self._rho**2) * noise)
        if self.kind == "monotone":
            return uniform[:, 0], v
        return (1 + np.where(uniform[:, 2] < 0.5, -1, 1) * uniform[:, 0]) / 2, v

    def _log_ratio(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The log ratio of the rows at places u and v, nats: of points, or of whole shares."""
        (a, b, alone_x), (c, d, alone_y) = self.x.share(u), self.y.share(v)
        u, v, a, b, c, d, alone_x, alone_y = np.broadcast_arrays(u, v, a, b, c, d, alone_x, alone_y)
        found = np.empty(u.shape)
        at = alone_x & alone_y
        found[at] = self._log_density(u[at], v[at])
        at = alone_x & ~alone_y
        found[at] = np.log(self._y_between(c[at], d[at], u[at]) / (d - c)[at])
        at = ~alone_x & alone_y
        found[at] = np.log(self._x_between(a[at], b[at], v[at]) / (b - a)[at])
        at = ~alone_x & ~alone_y
        found[at] = self._shares(np.stack([a[at], b[at], c[at], d[at]]))
        return found

    def _shares(self, ends: np.ndarray) -> np.ndarray:
        """The log ratio of shares of both sides with these ends (4, m), each kind computed once."""
        (a, b, c, d), back = np.unique(ends, axis=1, return_inverse=True)
        inside = self._corner(b, d) - self._corner(a, d) - self._corner(b, c) + self._corner(a, c)
        return np.log(np.maximum(inside / ((b - a) * (d - c)), 1e-300))[back.ravel()]

    def _corner(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The copula's distribution function."""
        if self.kind == "monotone":
            return self._normal(u, v)
        return (v + np.sign(2 * u - 1) * self._normal(np.abs(2 * u - 1), v)) / 2

    def _normal(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The Gaussian copula's distribution function, by Owen's T."""
        h, k = (ndtri(side).clip(-38, 38) for side in (u, v))
        h, k = (np.where(np.abs(z) < 1e-9, 1e-9, z) for z in (h, k))
        rest = math.sqrt(1 - self._rho**2)
        tails = owens_t(h, (k / h - self._rho) / rest) + owens_t(k, (h / k - self._rho) / rest)
        return (ndtr(h) + ndtr(k)) / 2 - tails - np.where(h * k < 0, 0.5, 0)

    def _log_density(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The log density of the copula."""
        r, z, w = self._rho, ndtri(self._spread(u)), ndtri(v)
        return self.strength + (r * z * w - r**2 * (z**2 + w**2) / 2) / (1 - r**2)

    def _y_between(self, c: np.ndarray, d: np.ndarray, u: np.ndarray) -> np.ndarray:
        """P(c < v < d) given u."""
        z = ndtri(self._spread(u))
        return np.maximum(self._below(d, z) - self._below(c, z), 1e-300)

    def _x_between(self, a: np.ndarray, b: np.ndarray, v: np.ndarray) -> np.ndarray:
        """P(a < u < b) given v."""
        z = ndtri(v)
        if self.kind == "monotone":
            return np.maximum(self._below(b, z) - self._below(a, z), 1e-300)
        low, high = (
            (1 + np.sign(2 * end - 1) * self._below(np.abs(2 * end - 1), z)) / 2 for end in (a, b)
        )
        return np.maximum(high - low, 1e-300)

    def _below(self, end: np.ndarray, z: np.ndarray) -> np.ndarray:
        """P(place < end) given the other place's normal score."""
        return ndtr((ndtri(end) - self._rho * z) / math.sqrt(1 - self._rho**2))

    def _spread(self, u: np.ndarray) -> np.ndarray:
        """The place that v is coupled with."""
        return u if self.kind == "monotone" else np.abs(2 * u - 1).clip(1e-300, None)


def plant(pair: Pair, *, kind: str = "monotone", mi: float) -> Planted:
    """The pair's rows with `mi` nats planted between them, coupled in the manner of `KINDS`.

    Where rows repeat, the coupling is made so much stronger that its shares carry `mi`.

    Raises:
        InputError: an unknown kind, or more nats than the rows can carry (`capacity`).

    Example:
        >>> from infobound.data import as_pair
        >>> pair = as_pair(np.arange(300), np.arange(300) % 3)
        >>> round(plant(pair, kind="folded", mi=0.5).mi, 2)
        0.5
    """
    if kind not in KINDS:
        raise InputError(f"Expected a kind among {', '.join(KINDS)}; got {kind!r}.")
    sides = Side.of(pair.x), Side.of(pair.y)
    most = capacity(pair, kind=kind)
    if not 0 <= mi <= most:
        raise InputError(
            f"Expected between 0 and {most:.2f} nats, what {len(pair.x):,} rows of these columns "
            f"can carry; got {mi:g}. Leave it out of the ladder."
        )
    whole = Planted(kind, mi, *sides)
    if mi == 0 or not whole._repeats:
        return whole

    def misses(strength: float) -> float:
        return Planted(kind, strength, *sides)._mean(13, 0) - mi

    if misses(STRONGEST) <= 0:
        return Planted(kind, STRONGEST, *sides)
    return Planted(kind, float(brentq(misses, mi / 2, STRONGEST, rtol=1e-4)), *sides)


def capacity(pair: Pair, *, kind: str = "monotone") -> float:
    """The most that may be planted, nats: log(n / 20) / 2, and what repeated rows leave over.

    With more than that the order of n rows is too coarse for the coupling (docs/rehearse.md).

    Example:
        >>> from infobound.data import as_pair
        >>> round(capacity(as_pair(np.arange(300), np.arange(300) % 2)), 2)  # log 2
        0.69
    """
    limit = max(0.5 * math.log(len(pair.x) / COARSE), 0.0)
    whole = Planted(kind, STRONGEST, Side.of(pair.x), Side.of(pair.y))
    return min(limit, whole._mean(13, 0)) if whole._repeats else limit
