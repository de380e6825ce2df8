"""Regression of columns on given columns, without a model chosen in advance.

Four kinds of smoothers are compared on rows that they were not fitted to and averaged by
non-negative weights: additive splines, products of two columns, kernel ridge regression, and
projection pursuit.

Source: stacking, Breiman 1996, https://doi.org/10.1007/BF00117832.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import nnls

from infobound.data import Layout
from infobound.regression.features import Features, feature_maps
from infobound.regression.pursuit import pursue
from infobound.regression.ridge import PENALTIES, Lines, Spectrum, Sums

__all__ = ["Design", "Known", "Regression"]

DOUBTED = 2  # folds whose rows show the errors of regressions
LEAST_SPREAD = 1e-12  # part of the variance of a combination of columns below which it is constant


class Known:
    """Rows of given columns and their features under each map, computed once and when needed.

    Args:
        z: (n, r).
        maps: the maps of features.
    """

    def __init__(self, z: np.ndarray, maps: Sequence[Features]) -> None:
        self.z = z
        self.maps = maps
        self._features: dict[int, np.ndarray] = {}

    def __getitem__(self, j: int) -> np.ndarray:
        """Return the features (n, k) under map j."""
        if j not in self._features:
            self._features[j] = self.maps[j](self.z)
        return self._features[j]


class Design:
    """Given columns (n, r), standardised, with their folds and the features of each smoother.

    Sums of products of features are computed once for each block of rows, half of a fold. Those of
    the other folds are differences of these, so that no regression passes over the rows again.

    Args:
        z: (n, r).
        seed: the seed of folds and searches.
        folds: the number of folds.
        layout: how rows depend on each other.
    """

    def __init__(
        self, z: np.ndarray, *, seed: int = 0, folds: int = 3, layout: Layout | None = None
    ) -> None:
        self.seed = seed
        self.maps = feature_maps(z, seed)
        self.blocks = (layout or Layout()).halves(len(z), folds, seed=seed)
        self.order = np.concatenate(self.blocks)
        self.known = Known(z[self.order], self.maps)
        self._plain: dict[int, tuple[Sums, Spectrum]] = {}

    @property
    def z(self) -> np.ndarray:
        """The rows (n, r) in the order of the blocks."""
        return self.known.z

    @cached_property
    def parts(self) -> list[tuple[np.ndarray, slice]]:
        """The other rows and the rows of each fold, as places in the order of the blocks."""
        ends = np.cumsum([0, *map(len, self.blocks)])[::2]
        places = np.arange(len(self.order))
        return [
            (np.delete(places, np.s_[start:end]), slice(start, end))
            for start, end in itertools.pairwise(map(int, ends))
        ]

    def linear(self, values: np.ndarray) -> np.ndarray:
        """Return predictions (n, k) of each fold's rows from the others by ridge regression.

        All columns have the same penalty, so that what a column is of others remains in what is
        left of them: errors of the regressions are then the same combination. A penalty large
        enough for each column by itself would leave more of z in their difference than there is of
        it. So generalised cross-validation compares determinants of what is left, which choose the
        same penalty for all linear combinations; with almost as many columns as rows, variances.
        """
        values = values[self.order]
        found = np.empty_like(values, dtype=np.float64)
        k = values.shape[1]
        for rest, own in self.parts:
            means, mean = self.z[rest].mean(axis=0), values[rest].mean(axis=0)
            design, target = self.z[rest] - means, values[rest] - mean
            sizes, vectors = np.linalg.eigh(design.T @ design)
            sizes = sizes.clip(min=0)
            projected = vectors.T @ (design.T @ target)
            gains = 1 / (sizes + PENALTIES[:, None] * max(sizes[-1], 1e-300))
            unit = np.sqrt((target**2).sum(axis=0)).clip(min=1e-150)
            known, share = projected / unit, gains * (2 - sizes * gains)
            left = (target / unit).T @ (target / unit) - (known.T * share[:, None]) @ known
            left[:, ~np.eye(k, dtype=bool)] *= 1 - min(k / len(rest), 1.0) ** 2
            spreads = np.linalg.eigvalsh(left).clip(min=LEAST_SPREAD)
            freedom = np.minimum((1 + (sizes * gains).sum(axis=1)) / len(rest), 0.99)
            best = np.argmin(np.log(spreads).mean(axis=1) - 2 * np.log(1 - freedom))
            slopes = vectors @ (gains[best][:, None] * projected)
            found[own] = mean + (self.z[own] - means) @ slopes
        return self.restored(found)

    def restored(self, rows: np.ndarray) -> np.ndarray:
        """Return rows (n, ...) in the order of the blocks in their own order."""
        found = np.empty_like(rows)
        found[self.order] = rows
        return found

    def lines(self, j: int, column: np.ndarray, weights: np.ndarray | None) -> Lines:
        """Return ridge regressions of a column, in the order of the blocks, on features j.

        Generalised cross-validation on all rows chooses the penalty of all of them.
        """
        known, sizes = self.known[j], list(map(len, self.blocks))
        if weights is not None:
            sums = Sums.of(known, weights, sizes)
            spectrum = Spectrum.of(sums)
        else:
            if j not in self._plain:
                sums = Sums.of(known, np.ones(len(column)), sizes)
                self._plain[j] = sums, Spectrum.of(sums)
            sums, spectrum = self._plain[j]
        return Lines.of(known, column, weights, sums, spectrum, sizes)

    def stacked(
        self,
        column: np.ndarray,
        weights: np.ndarray | None,
        starts: list[np.ndarray] | None,
        shares: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions (n,) of each fold's rows from the others, and the smoothers' shares.

        The arguments are those of `held_out`.
        """
        tried = self.held_out(column, weights, starts, shares)
        mean = np.average(column, weights=weights)
        shares = _shares(tried, column, weights) if shares is None else shares
        return np.asarray(mean + (tried - mean) @ shares), shares

    def held_out(
        self,
        column: np.ndarray,
        weights: np.ndarray | None,
        starts: list[np.ndarray] | None,
        shares: np.ndarray | None = None,
        lines: dict[int, Lines] | None = None,
    ) -> np.ndarray:
        """Return the predictions (n, smoothers) of each fold's rows from the others.

        Args:
            column: (n,), what is predicted.
            weights: (n,), of the rows; equal if None.
            starts: directions from which projection pursuit starts; those that it finds are added
                if there are none. With None there is no such smoother.
            shares: the weights of the smoothers, if known; those of zero are left out.
            lines: receives the ridge regressions by their map.
        """
        count = len(self.maps) + (starts is not None)
        found = np.zeros((len(column), count))
        wanted = np.ones(count, dtype=bool) if shares is None else shares > 0
        column = column[self.order]
        weights = None if weights is None else weights[self.order]
        for j in np.flatnonzero(wanted[: len(self.maps)]):
            fitted = self.lines(int(j), column, weights)
            for k, (_, own) in enumerate(self.parts):
                line = fitted.without(range(2 * k, 2 * k + 2))
                found[own, j] = line.at(self.known[int(j)][own])
            if lines is not None:
                lines[int(j)] = fitted
        if starts is not None and wanted[-1]:
            for rest, own in self.parts:
                some = None if weights is None else weights[rest]
                pursued = pursue(self.z[rest], column[rest], some, starts, self.seed)
                found[own, -1] = pursued(self.z[own])
        return self.restored(found)

    def disagreement(
        self,
        column: np.ndarray,
        weights: np.ndarray | None,
        starts: list[np.ndarray] | None,
        shares: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows (m,) and by how much predictions of them from two halves of others differ.

        The arguments are those of `held_out`. A quarter of the mean square is the variance of
        predictions from both halves. The rows are those of the first `DOUBTED` folds.
        """
        column = column[self.order]
        weights = None if weights is None else weights[self.order]
        lines = {int(j): self.lines(int(j), column, weights) for j in np.flatnonzero(shares[:-1])}
        if starts is None and shares[-1]:
            lines[len(shares) - 1] = self.lines(len(shares) - 1, column, weights)
        ends = np.cumsum([0, *map(len, self.blocks)])
        rows, found = [], []
        for k in range(min(DOUBTED, len(self.parts))):
            own = self.parts[k][1]
            rows.append(self.order[own])
            difference = np.zeros(own.stop - own.start)
            for sign, half in ((1, 0), (-1, 1)):
                left_out = {2 * k, 2 * k + 1, *range(1 - half, len(self.blocks), 2)}
                for j, fitted in lines.items():
                    line = fitted.without(sorted(left_out))
                    difference += sign * shares[j] * line.at(self.known[j][own])
                if starts is not None and shares[-1]:
                    blocks = [b for b in range(len(self.blocks)) if b not in left_out]
                    rest = np.concatenate([np.arange(ends[b], ends[b + 1]) for b in blocks])
                    some = None if weights is None else weights[rest]
                    pursued = pursue(self.z[rest], column[rest], some, starts, self.seed)
                    difference += sign * shares[-1] * pursued(self.z[own])
            found.append(difference)
        return np.concatenate(rows), np.concatenate(found)


@dataclass(frozen=True)
class Regression:
    """A fitted regression: the weighted average of its smoothers.

    Attributes:
        maps: the maps of features of the ridge regressions.
        constants: (k,), what is added to the smoothers' slopes.
        shares: the weights of the smoothers of each column; the last one is that of projection
            pursuit, if it is used. The mean of the column takes the weight that is missing to one.
        starts: the directions that were found for each column.
        slopes: the slopes (features, k) of maps, times the weights.
        pursuits: by column, the result of projection pursuit if its weight is not zero.
        held_out: (n, k), predictions of each row by smoothers that were not fitted to it.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(500, 3))
        >>> fitted = Regression.fit(Design(z), np.sin(z[:, :1]))
        >>> bool(np.abs(fitted(z) - np.sin(z[:, :1])).mean() < 0.05)
        True
    """

    maps: Sequence[Features]
    constants: np.ndarray
    shares: tuple[np.ndarray, ...]
    starts: tuple[list[np.ndarray], ...]
    slopes: Mapping[int, np.ndarray]
    pursuits: Mapping[int, Features]
    held_out: np.ndarray

    @classmethod
    def fit(
        cls,
        design: Design,
        values: np.ndarray,
        *,
        weights: np.ndarray | None = None,
        start: Regression | None = None,
        pursuit: bool = True,
    ) -> Regression:
        """Fit columns to given columns.

        Args:
            design: the given columns (n, r).
            values: (n, k).
            weights: (n, k), of the rows; equal by default.
            start: an earlier fit to similar rows, whose weights and directions are kept.
            pursuit: whether directions are looked for, which takes most of the time.
        """
        constants = np.average(values, axis=0, weights=weights)
        every: list[np.ndarray] = []
        ways: list[list[np.ndarray]] = []
        slopes: dict[int, np.ndarray] = {}
        pursuits: dict[int, Features] = {}
        held_out = np.empty_like(values)
        for k, (column, mean) in enumerate(zip(values.T, constants.copy(), strict=True)):
            some = None if weights is None else weights[:, k]
            found = [] if start is None else start.starts[k]
            known = None if start is None else start.shares[k]
            lines: dict[int, Lines] = {}
            tried = design.held_out(column, some, found if pursuit else None, known, lines)
            shares = _shares(tried, column, some) if known is None else known
            held_out[:, k] = mean + (tried - mean) @ shares
            for j in np.flatnonzero(shares[: len(design.maps)]):
                line = lines[int(j)].whole
                if int(j) not in slopes:
                    slopes[int(j)] = np.zeros((len(line.slopes), values.shape[1]))
                slopes[int(j)][:, k] = shares[j] * line.slopes
                constants[k] += shares[j] * (line.constant - mean)
            if pursuit and shares[-1] > 0:
                rows, order = design.z, design.order
                part = None if some is None else some[order]
                pursuits[k] = pursue(rows, column[order], part, found, design.seed)
                constants[k] -= shares[-1] * mean
            every.append(shares)
            ways.append(found)
        return cls(design.maps, constants, tuple(every), tuple(ways), slopes, pursuits, held_out)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Return predictions (m, k) for z (m, r)."""
        return self.at(Known(z, self.maps))

    def at(self, known: Known) -> np.ndarray:
        """Return predictions (m, k) for rows whose features other regressions may share."""
        found = np.tile(self.constants, (len(known.z), 1))
        for j, slopes in self.slopes.items():
            found += known[j] @ slopes
        for k, pursuit in self.pursuits.items():
            found[:, k] += self.shares[k][-1] * pursuit(known.z)
        return found


def _shares(tried: np.ndarray, column: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return non-negative weights of the smoothers, which sum to at most one."""
    root = np.ones(len(column)) if weights is None else np.sqrt(weights)
    mean = np.average(column, weights=weights)
    shares = nnls((tried - mean) * root[:, None], (column - mean) * root)[0]
    return np.asarray(shares / max(1.0, shares.sum()))
