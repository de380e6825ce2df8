"""Semi-synthetic samples: the user's own rows of x and y, paired with known mutual information.

The rows of each side are ordered (`Side`), positions in the two orders are coupled by a copula of
known MI (`KINDS`), and rows are paired by their positions (`Planted`). The margins stay those of
the user's rows. Rows of a group stay together: x keeps its groups, and the noise of y is shared
within groups as much as y is. Nothing else is estimated here.
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

__all__ = ["KINDS", "Grouped", "Planted", "Side", "capacity", "plant"]

KINDS = {
    "monotone": "y rises with x",
    "folded": "y rises with how far x is from its middle, on either side: no correlation",
}
MOST_MI = 6.0  # largest MI of a copula in nats; near it, positions of x and y hardly differ
FEWEST_PER_CELL = 20  # smallest n / e^(2 mi); below it the order of rows changes the MI by over 5 %


@dataclass(frozen=True, eq=False)
class Side:
    """The ordered distinct rows of one side, each with an interval of [0, 1].

    Rows are ordered by the first principal component of the columns' normal scores; ties are
    ordered by the columns.

    Attributes:
        rows: (k, d), the distinct rows in order.
        counts: (k,), how often each row occurs.
        edges: (k + 1,), the ends of the rows' intervals, whose lengths are the relative
            frequencies.

    Example:
        >>> Side.of(np.array([[3.0], [1.0], [3.0], [2.0]])).edges.tolist()
        [0.0, 0.25, 0.5, 1.0]
    """

    rows: np.ndarray
    counts: np.ndarray
    edges: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Side:
        """Build the side of rows (n, d)."""
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
        """The index of each distinct row by its bytes."""
        return {row.tobytes(): k for k, row in enumerate(self.rows)}

    @property
    def n(self) -> int:
        """The number of rows, including copies."""
        return int(self.counts.sum())

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Return the midpoints (m,) of the intervals of rows (m, d).

        Raises:
            InputError: If a row does not belong to this side.
        """
        found = [self.at.get(row.tobytes()) for row in np.ascontiguousarray(rows)]
        if None in found:
            raise InputError("Expected rows that the pair was planted in; got another one.")
        index = np.array(found, dtype=int)
        return (self.edges[index] + self.edges[index + 1]) / 2

    def share(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return both ends of the interval around each position, and whether its row is unique."""
        index = np.searchsorted(self.edges, u, side="right").clip(1, len(self.rows)) - 1
        return self.edges[index], self.edges[index + 1], self.counts[index] == 1

    def drawn(self, ranks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw m of the n rows without replacement, ordered so that they have the ranks (m,)."""
        taken = np.sort(rng.choice(self.n, len(ranks), replace=False))
        return self.rows[np.repeat(np.arange(len(self.rows)), self.counts)[taken[ranks]]]


@dataclass(frozen=True, eq=False)
class Grouped:
    """Rows in groups, and how much the rows of a group have in common.

    Attributes:
        x: (n, p), the rows of x in their order.
        ids: (n,), the group of each row as an id from 0.
        shared: the share of the variance of y's positions that is between groups.
    """

    x: np.ndarray
    ids: np.ndarray
    shared: float

    @classmethod
    def of(cls, pair: Pair, y: Side) -> Grouped | None:
        """Measure what the rows of a group have in common; None if rows are in no groups.

        It is the intraclass correlation of the normal scores of y's positions, from the mean
        squares between and within groups.

        Source: Donner 1986, International Statistical Review 54, 67-82.

        Example:
            >>> from infobound.data import as_pair
            >>> y = np.repeat(np.arange(10.0), 4)
            >>> pair = as_pair(np.arange(40.0), y, groups=y)
            >>> Grouped.of(pair, Side.of(pair.y)).shared
            1.0
        """
        ids = pair.groups
        if ids is None:
            return None
        scores = ndtri(y.places(pair.y))
        sizes = np.bincount(ids)
        means = np.bincount(ids, weights=scores) / sizes
        count, n = len(sizes), len(ids)
        within = float(((scores - means[ids]) ** 2).sum()) / max(n - count, 1)
        between = float(sizes @ (means - scores.mean()) ** 2) / max(count - 1, 1)
        size = (n - float((sizes**2).sum()) / n) / max(count - 1, 1)
        whole = between + (size - 1) * within
        shared = float(np.clip((between - within) / whole, 0, 1)) if whole > 0 else 0.0
        return cls(pair.x, ids, shared)


@dataclass(frozen=True, eq=False)
class Planted:
    """A task (`distributions.joint`) that pairs rows of x and of y by a copula of known MI.

    Positions (u, v) in the unit square follow a Gaussian copula, or one folded in u, with an MI of
    exactly `strength` nats. The r-th smallest u gets the r-th row of its side, so both margins are
    the user's rows, and each is used once if as many are drawn. If no row repeats, positions
    determine rows and `mi` is `strength`. If rows repeat (few values), it is the MI of the rows'
    intervals, an integral that is computed by quasi-Monte Carlo.

    Attributes:
        kind: a key of `KINDS`.
        strength: the MI of the copula, in nats.
        x: the rows of x.
        y: the rows of y.
        groups: the groups of the rows, if they are in groups.

    Source: the distribution of ranks does not depend on the margins, Sklar 1959; the mutual
    information is that of the copula, Ma and Sun 2011,
    https://doi.org/10.1016/S1007-0214(11)70008-6.
    """

    kind: str
    strength: float
    x: Side
    y: Side
    groups: Grouped | None = None

    @property
    def name(self) -> str:
        """The name in tables."""
        return self.kind

    @property
    def dim_x(self) -> int:
        """The number of columns of x."""
        return self.x.rows.shape[1]

    @property
    def dim_y(self) -> int:
        """The number of columns of y."""
        return self.y.rows.shape[1]

    @property
    def mi(self) -> float:
        """The mutual information, in nats."""
        return self._mi[0]

    @property
    def mi_error(self) -> float:
        """The standard error of `mi`, in nats; 0.0 if no row repeats."""
        return self._mi[1]

    @property
    def digest(self) -> str:
        """A hash of the rows and of their coupling."""
        parts = [self.x.rows, self.x.counts, self.y.rows, self.y.counts]
        if self.groups is not None:
            parts += [self.groups.x, self.groups.ids, np.array(self.groups.shared)]
        data = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
        return hashlib.sha256(data + f"{self.kind} {self.strength!r}".encode()).hexdigest()

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw n pairs: x (n, dim_x) and y (n, dim_y), float64.

        Raises:
            InputError: If n exceeds the number of rows.
        """
        if n > self.x.n:
            raise InputError(f"Expected at most {self.x.n:,} rows, all that there are; got {n:,}.")
        seed = torch.randint(2**62, (1,), generator=generator)
        rng = np.random.default_rng(int(seed))
        if self.groups is not None:
            return self._grouped(n, rng)
        # Equally many positions on either side, so that the fold is at the median of the rows.
        uniform = np.column_stack([rng.random((n, 2)), rng.permutation(n) / n])
        ranks = (np.argsort(np.argsort(places)) for places in self._couple(uniform))
        x, y = (side.drawn(r, rng) for side, r in zip((self.x, self.y), ranks, strict=True))
        return torch.from_numpy(x), torch.from_numpy(y)

    def _grouped(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Leave x in its place, and couple y whose noise is partly shared by the rows of a group.

        Raises:
            InputError: If n is not the number of rows.
        """
        assert self.groups is not None
        ids, shared = self.groups.ids, self.groups.shared
        if n != len(ids):
            raise InputError(f"Expected all {len(ids):,} rows, which are in groups; got {n:,}.")
        places = self.x.places(self.groups.x) + 0.5 * (rng.random(n) - 0.5) / n  # ties at random
        u = (np.argsort(np.argsort(places)) + 0.5) / n
        noise = math.sqrt(shared) * rng.normal(size=ids.max() + 1)[ids]
        noise += math.sqrt(1 - shared) * rng.normal(size=n)
        v = self._rho * ndtri(self._spread(u)) + math.sqrt(1 - self._rho**2) * noise
        y = self.y.drawn(np.argsort(np.argsort(v)), rng)
        return torch.from_numpy(np.array(self.groups.x)), torch.from_numpy(y)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log p(x_i, y_j) / (p(x_i) p(y_j)), (n, m), for x (n, dim_x) and y (m, dim_y)."""
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
        """Return the mean log ratio over 2^power points of a scrambled Sobol sequence, in nats."""
        uniform = qmc.Sobol(3, seed=seed).random_base2(power)
        return float(self._log_ratio(*self._couple(uniform)).mean())

    @property
    def _rho(self) -> float:
        return math.sqrt(-math.expm1(-2 * self.strength))

    def _couple(self, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map independent uniform numbers (n, 3) to positions (n,) of x and of y."""
        uniform = uniform.clip(1e-15, 1 - 1e-15)
        z, noise = ndtri(uniform[:, 0]), ndtri(uniform[:, 1])
        v = ndtr(self._rho * z + math.sqrt(1 - self._rho**2) * noise)
        if self.kind == "monotone":
            return uniform[:, 0], v
        return (1 + np.where(uniform[:, 2] < 0.5, -1, 1) * uniform[:, 0]) / 2, v

    def _log_ratio(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the log ratio of the rows at positions u and v, in nats.

        It is the log density for unique rows, and otherwise averaged over the rows' intervals.
        """
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
        """Return log ratios (m,) of intervals with ends (4, m), each distinct one computed once."""
        (a, b, c, d), back = np.unique(ends, axis=1, return_inverse=True)
        inside = self._corner(b, d) - self._corner(a, d) - self._corner(b, c) + self._corner(a, c)
        return np.log(np.maximum(inside / ((b - a) * (d - c)), 1e-300))[back.ravel()]

    def _corner(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the distribution function of the copula."""
        if self.kind == "monotone":
            return self._normal(u, v)
        return (v + np.sign(2 * u - 1) * self._normal(np.abs(2 * u - 1), v)) / 2

    def _normal(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the distribution function of the Gaussian copula, by Owen's T function."""
        h, k = (ndtri(side).clip(-38, 38) for side in (u, v))
        h, k = (np.where(np.abs(z) < 1e-9, 1e-9, z) for z in (h, k))
        rest = math.sqrt(1 - self._rho**2)
        tails = owens_t(h, (k / h - self._rho) / rest) + owens_t(k, (h / k - self._rho) / rest)
        return (ndtr(h) + ndtr(k)) / 2 - tails - np.where(h * k < 0, 0.5, 0)

    def _log_density(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the log density of the copula."""
        r, z, w = self._rho, ndtri(self._spread(u)), ndtri(v)
        return self.strength + (r * z * w - r**2 * (z**2 + w**2) / 2) / (1 - r**2)

    def _y_between(self, c: np.ndarray, d: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Return P(c < v < d) given u."""
        z = ndtri(self._spread(u))
        return np.maximum(self._below(d, z) - self._below(c, z), 1e-300)

    def _x_between(self, a: np.ndarray, b: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return P(a < u < b) given v."""
        z = ndtri(v)
        if self.kind == "monotone":
            return np.maximum(self._below(b, z) - self._below(a, z), 1e-300)
        low, high = (
            (1 + np.sign(2 * end - 1) * self._below(np.abs(2 * end - 1), z)) / 2 for end in (a, b)
        )
        return np.maximum(high - low, 1e-300)

    def _below(self, end: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return P(position < end) given the normal score of the other position."""
        return ndtr((ndtri(end) - self._rho * z) / math.sqrt(1 - self._rho**2))

    def _spread(self, u: np.ndarray) -> np.ndarray:
        """Return the position that v is coupled with by the Gaussian copula."""
        return u if self.kind == "monotone" else np.abs(2 * u - 1).clip(1e-300, None)


def plant(pair: Pair, *, kind: str = "monotone", mi: float) -> Planted:
    """Pair the rows of a sample anew, with known mutual information.

    If rows repeat, the copula is made stronger so that the MI of the rows is `mi`.

    Args:
        pair: the rows.
        kind: the form of the dependence, a key of `KINDS`.
        mi: the mutual information, in nats.

    Returns:
        A task to sample from.

    Raises:
        InputError: If the kind is unknown, or `mi` exceeds the `capacity` of the rows.

    Example:
        >>> from infobound.data import as_pair
        >>> pair = as_pair(np.arange(300), np.arange(300) % 3)
        >>> round(plant(pair, kind="folded", mi=0.5).mi, 2)
        0.5
    """
    if kind not in KINDS:
        raise InputError(f"Expected a kind among {', '.join(KINDS)}; got {kind!r}.")
    sides = Side.of(pair.x), Side.of(pair.y)
    groups = Grouped.of(pair, sides[1])
    most = capacity(pair, kind=kind)
    if not 0 <= mi <= most:
        raise InputError(
            f"Expected between 0 and {most:.2f} nats, what {len(pair.x):,} rows of these columns "
            f"can carry; got {mi:g}. Leave it out of the ladder."
        )
    whole = Planted(kind, mi, *sides, groups)
    if mi == 0 or not whole._repeats:
        return whole

    def misses(strength: float) -> float:
        return Planted(kind, strength, *sides)._mean(13, 0) - mi

    if misses(MOST_MI) <= 0:
        return Planted(kind, MOST_MI, *sides, groups)
    return Planted(kind, float(brentq(misses, mi / 2, MOST_MI, rtol=1e-4)), *sides, groups)


def capacity(pair: Pair, *, kind: str = "monotone") -> float:
    """Return the largest MI that `plant` accepts for these rows.

    It is log(n / 20) / 2 nats, because with a larger MI the order of n rows is too coarse for the
    copula (docs/rehearse.md), or less if rows repeat.

    Args:
        pair: the rows.
        kind: the form of the dependence, a key of `KINDS`.

    Returns:
        The MI in nats.

    Example:
        >>> from infobound.data import as_pair
        >>> round(capacity(as_pair(np.arange(300), np.arange(300) % 2)), 2)  # log 2
        0.69
    """
    limit = max(0.5 * math.log(len(pair.x) / FEWEST_PER_CELL), 0.0)
    whole = Planted(kind, MOST_MI, Side.of(pair.x), Side.of(pair.y))
    return min(limit, whole._mean(13, 0)) if whole._repeats else limit
