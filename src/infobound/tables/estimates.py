"""Mutual information of one column and another, for many pairs of columns.

Two columns of few values are estimated from their counts. For others, a network that was trained
once reads the histogram of ranks (`models.ranks`), nearest neighbours are found for some of the
rows, and both are combined (`tables.rank_combination`). This takes milliseconds. Where many pairs
are independent, a quick look finds them in a hundredth of the time (`tables.screen`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.special import ndtri, psi

from infobound._system.units import Nats, Result
from infobound.data.columns import Column
from infobound.estimation.counts import counted_codes, observed_entropy
from infobound.estimation.point import z_quantile
from infobound.models.ranks import RankCopula, Ranks, grid_of, log_ratios
from infobound.tables.rank_combination import Parts, combination
from infobound.tables.screen import ScreenColumn, is_quiet, look, may_be_screened, quiet_mi
from infobound.tables.strips import MIDDLE, STRIPS, histogram_values, in_strips, rough_sides

__all__ = [
    "FEWEST_ROWS",
    "ColumnEstimate",
    "estimates",
    "known_parts",
    "prepare_pair",
    "takes_few_values",
]

LEVEL = 0.95  # of the intervals
ROWS_PER_VALUE = 10  # rows a value, on average, of a column of few values
NEIGHBOURS = (3, 8)
NEIGHBOUR_ROWS = 3_000  # most rows whose neighbours are searched
FEWEST_ROWS = 10  # rows of a pair
BATCH_PAIRS = 16  # pairs that the network reads at once
BATCH_LOOKS = 512  # pairs that are looked at before progress is reported
HELD_OUT_FOLDS = 4  # for the held-out value
SCORED_ROWS = 2_000  # most rows of a fold that are scored against each other


@dataclass(frozen=True)
class ColumnEstimate(Result):
    """The estimated mutual information of two columns, in nats.

    Attributes:
        mi: the estimate.
        low: the lower end of its 95 % interval.
        high: the upper end.
        standard_error: its standard error.
        held_out: the Donsker-Varadhan bound on rows that the critic was not fitted to; None if not
            computed.
        n: the number of rows in which both columns have values.
        method: "counts" for two columns of few values, else "ranks", or "screen" after a quick
            look; "none" for too few rows.

    Example:
        >>> from infobound.data.columns import columns
        >>> x, y = columns(np.random.default_rng(0).normal(size=(500, 2)))
        >>> abs(estimates([(x, y)])[0].mi) < 0.1
        True
    """

    mi: Nats
    low: Nats
    high: Nats
    standard_error: Nats
    held_out: Nats | None
    n: int
    method: str


def estimates(
    pairs: Sequence[tuple[Column, Column]],
    seed: int = 0,
    *,
    quick: Sequence[bool] = (),
    held_out: bool = False,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[ColumnEstimate]:
    """Estimate the mutual information of pairs of columns.

    Rows in which either column of a pair has no value are left out for that pair.

    Args:
        pairs: the pairs, with equally many rows each.
        seed: draws the order of equal values for the search of neighbours.
        quick: for each pair, whether a quick look is enough if it shows no dependence; by default
            it is for none.
        held_out: whether the bound on held-out rows is computed; it takes four times as long.
        jobs: the number of threads.
        progress: called with the number of pairs that are done.

    Returns:
        The estimates, in the order of the pairs; nan where fewer than ten rows are left.

    Source: estimates by a network that is trained once, Hu et al. 2024,
    https://arxiv.org/abs/2402.10158; neighbours, Kraskov, Stoegbauer and Grassberger 2004,
    https://arxiv.org/abs/cond-mat/0305641.

    Example:
        >>> from infobound.data.columns import columns
        >>> x, y = columns({"a": [0, 1] * 50, "b": ["m", "f"] * 50})
        >>> round(estimates([(x, y)])[0].mi, 2)  # log 2
        0.69
    """
    ranked, screen, gaps = _RankedColumns(seed), _Screen(), _Gaps()
    kinds = [_Kind.of(x, y, gaps) for x, y in pairs]
    looks = [k for k in np.flatnonzero(quick).tolist() if kinds[k].method == "ranks"]
    looks = [k for k in looks if all(map(may_be_screened, pairs[k]))]

    def seen(places: list[int]) -> dict[int, ColumnEstimate]:
        found = screen([(kinds[place], *pairs[place]) for place in places])
        return {place: one for place, one in zip(places, found, strict=True) if one is not None}

    def known(places: list[int]) -> dict[int, ColumnEstimate]:
        some = [pairs[place] for place in places]
        return dict(zip(places, kinds[places[0]].estimates(some, ranked, held_out), strict=True))

    values: dict[int, ColumnEstimate] = {}
    pool = ThreadPoolExecutor(jobs)
    try:
        batches = [looks[k : k + BATCH_LOOKS] for k in range(0, len(looks), BATCH_LOOKS)]
        for way, tasks in ((seen, lambda: batches), (known, lambda: _alike(kinds, values))):
            for some in pool.map(way, tasks()):
                values.update(some)
                if progress is not None:
                    progress(len(values))
    finally:
        pool.shutdown(cancel_futures=True)
    return [values[place] for place in range(len(pairs))]


def _alike(kinds: Sequence[_Kind], done: Container[int]) -> list[list[int]]:
    """Divide the pairs that are not done into batches of one kind each."""
    waiting: dict[_Kind, list[int]] = {}
    batches = []
    for place, kind in enumerate(kinds):
        if place in done:
            continue
        queue = waiting.setdefault(kind, [])
        queue.append(place)
        if len(queue) == BATCH_PAIRS:
            batches.append(waiting.pop(kind))
    return [*batches, *waiting.values()]


def takes_few_values(column: Column, n: int) -> bool:
    """Return whether a column with values in n rows is one of categories or of repeated values.

    Example:
        >>> takes_few_values(Column("dose", np.arange(30) % 3, levels=3, categorical=False), n=30)
        True
    """
    return column.categorical or column.levels * ROWS_PER_VALUE <= n


class _Prepared(NamedTuple):
    """What is computed once for a column and its role in a pair."""

    ranks: Ranks
    scores: np.ndarray
    entropy: float


class _Pair(NamedTuple):
    x: _Prepared
    y: _Prepared


class _Gaps:
    """Whether columns have missing values, each computed once."""

    def __init__(self) -> None:
        self._found: dict[int, bool] = {}

    def __call__(self, column: Column) -> bool:
        if id(column) not in self._found:
            self._found[id(column)] = bool((column.codes < 0).any())
        return self._found[id(column)]


class _Kind(NamedTuple):
    """What pairs have in common that are estimated together."""

    method: str
    n: int  # rows in which both columns have values
    whole: bool  # whether these are all rows

    @classmethod
    def of(cls, x: Column, y: Column, gaps: _Gaps) -> _Kind:
        n = len(x.codes)
        if gaps(x) or gaps(y):
            n = int(np.count_nonzero((x.codes >= 0) & (y.codes >= 0)))
        few = all(takes_few_values(each, n) for each in (x, y))
        return cls(
            "none" if n < FEWEST_ROWS else "counts" if few else "ranks", n, n == len(x.codes)
        )

    def estimates(
        self, pairs: Sequence[tuple[Column, Column]], ranked: _RankedColumns, held_out: bool
    ) -> list[ColumnEstimate]:
        """Estimate pairs of this kind."""
        nan = math.nan
        if self.method == "none":
            return [ColumnEstimate(nan, nan, nan, nan, None, self.n, "none")] * len(pairs)
        pairs = [(x, y) if _comes_first(*self.codes(x, y)) else (y, x) for x, y in pairs]
        if self.method == "counts":
            return [_by_counts(*self.codes(x, y)) for x, y in pairs]
        if self.whole:
            return [*_by_ranks([_Pair(ranked(x, 0), ranked(y, 1)) for x, y in pairs], held_out)]
        own = [prepare_pair(*self.codes(x, y), seed=ranked.seed) for x, y in pairs]
        return [*_by_ranks(own, held_out)]

    def codes(self, x: Column, y: Column) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes of the rows in which both columns have values."""
        both = slice(None) if self.whole else (x.codes >= 0) & (y.codes >= 0)
        return x.codes[both], y.codes[both]


def _comes_first(x: np.ndarray, y: np.ndarray) -> bool:
    """Return whether x is read before y: their values decide, so that (y, x) is the same pair."""
    u, v = (codes / max(codes.max(), 1) - 0.5 for codes in (x, y))
    one, other = float(u**3 @ v), float(v**3 @ u)
    return one < other or (one == other and x.tobytes() <= y.tobytes())


class _RankedColumns:
    """Ranks whole columns, each once: if it has ties, once for each role in a pair."""

    def __init__(self, seed: int):
        self.seed = seed
        self._done: dict[tuple[int, int], _Prepared] = {}

    def __call__(self, column: Column, role: int) -> _Prepared:
        key = (id(column), role if column.levels < len(column.codes) else 0)
        if key not in self._done:
            self._done[key] = _prepare(column.codes, self.seed + role)
        return self._done[key]


class _Screen:
    """Looks at pairs, and estimates those that are quiet."""

    def __init__(self) -> None:
        self._done: dict[int, ScreenColumn] = {}

    def __call__(
        self, pairs: Sequence[tuple[_Kind, Column, Column]]
    ) -> list[ColumnEstimate | None]:
        sides = [self._sides(*pair) for pair in pairs]
        features = np.stack([look(*each) for each in sides])
        found = zip(pairs, is_quiet(features), quiet_mi(features).tolist(), strict=True)
        return [
            ColumnEstimate(mi, 0.0, high, error, None, kind.n, "screen") if quiet else None
            for (kind, *_), quiet, (mi, error, high) in found
        ]

    def _sides(self, kind: _Kind, x: Column, y: Column) -> list[ScreenColumn]:
        if not kind.whole:
            return [ScreenColumn.of(codes) for codes in kind.codes(x, y)]
        for column in (x, y):
            if id(column) not in self._done:
                self._done[id(column)] = ScreenColumn.of(column.codes)
        return [self._done[id(column)] for column in (x, y)]


def _prepare(codes: np.ndarray, seed: int) -> _Prepared:
    """Rank a column; equal values get normal scores in random order, which keeps the MI."""
    n, counts = len(codes), np.bincount(codes)
    codes, counts = (np.cumsum(counts > 0) - 1)[codes], counts[counts > 0]
    places = codes
    if len(counts) < n:
        places, order = np.empty(n), np.random.default_rng(seed).permutation(n)
        places[order[np.argsort(codes[order], kind="stable")]] = np.arange(n)
    scores = ndtri((places + 0.5) / n)
    return _Prepared(Ranks.of(codes, grid_of(n)), scores, observed_entropy(counts))


def prepare_pair(x: np.ndarray, y: np.ndarray, seed: int = 0) -> _Pair:
    """Rank two columns (n,) of values without missing ones."""
    return _Pair(_prepare(x, seed), _prepare(y, seed + 1))


def _by_counts(x: np.ndarray, y: np.ndarray) -> ColumnEstimate:
    """Estimate from the contingency table of two columns of few values."""
    n = len(x)
    mi, extra, terms = counted_codes(x, y)
    error = math.hypot(float(terms.std()) / math.sqrt(n), extra)
    half = z_quantile(LEVEL) * error
    return ColumnEstimate(mi, mi - half, mi + half, error, None, n, "counts")


def _by_ranks(pairs: Sequence[_Pair], held_out: bool) -> Iterator[ColumnEstimate]:
    """Estimate pairs with equal numbers of rows."""
    found = combination()(known_parts(pairs))
    for pair, quantiles in zip(pairs, found.double().numpy(), strict=True):
        limit = min(pair.x.entropy, pair.y.entropy)
        low, below, mi, above, high = (min(float(value), limit) for value in quantiles)
        n = len(pair.x.scores)
        bound = _held_out(pair) if held_out else None
        yield ColumnEstimate(mi, low, high, (above - below) / 2, bound, n, "ranks")


def known_parts(pairs: Sequence[_Pair]) -> Parts:
    """Evaluate the rank network and nearest neighbours for pairs with equal numbers of rows."""
    n, ranks = len(pairs[0].x.scores), [(pair.x.ranks, pair.y.ranks) for pair in pairs]
    shares, ratios, quantiles = log_ratios(ranks)
    values = histogram_values(shares, ratios, quantiles)
    variance = (shares * ratios.square()).sum((1, 2)) - values[:, -1].square()
    near = [_near(pair.x.scores, pair.y.scores) for pair in pairs]
    ties = torch.tensor(
        [[side.ranks.ties.mean() for side in pair] for pair in pairs], dtype=torch.float32
    )
    step = torch.zeros(len(pairs), dtype=torch.float32)
    for k, side in enumerate(rough_sides(ratios, ties, n)):
        if side is not None:
            order, whole = np.argsort(pairs[k][side].scores), values[k].clone()
            values[k] = in_strips(ranks[k], order, ratios[k], whole, side=side)
            step[k] = (values[k] - whole)[MIDDLE] / STRIPS
    return Parts(
        quantiles=values[:, :-2],
        implied=values[:, -2],
        observed=values[:, -1],
        spread=variance.clamp_min(0).sqrt(),
        near=torch.tensor(near, dtype=torch.float32),
        log_n=torch.full((len(pairs),), math.log(n), dtype=torch.float32),
        ties=ties,
        step=step,
    )


def _near(x: np.ndarray, y: np.ndarray) -> list[float]:
    """Return the MI of scores (n,) by 3 and by 8 nearest neighbours of at most 3,000 rows."""
    n = len(x)
    order = np.argsort(x)
    rows = np.stack([x, y], 1)[order]
    some = (
        rows
        if n <= NEIGHBOUR_ROWS
        else rows[np.linspace(0, n - 1, NEIGHBOUR_ROWS).round().astype(int)]
    )
    tree = cKDTree(rows, balanced_tree=False, compact_nodes=False)
    most = min(NEIGHBOURS[-1], n - 1)
    ranked = [min(k, most) for k in NEIGHBOURS]
    reached = np.nextafter(tree.query(some, k=[k + 1 for k in ranked], p=np.inf)[0], 0)
    table = _digammas(n)
    columns = [rows[:, 0], np.sort(rows[:, 1])]
    found = []
    for k, radius in zip(ranked, reached.T, strict=True):
        inside = [
            np.searchsorted(column, at + radius, "right") - np.searchsorted(column, at - radius)
            for column, at in zip(columns, some.T, strict=True)
        ]
        found.append(table[k] + table[n] - float(sum(table[each].mean() for each in inside)))
    return found


@lru_cache(maxsize=8)
def _digammas(n: int) -> np.ndarray:
    """Return the digamma function of 0 to n, with 0 for 0."""
    return np.concatenate([[0.0], psi(np.arange(1, n + 1))])


def _held_out(pair: _Pair) -> float:
    """Return the Donsker-Varadhan bound, each row scored by a copula of the other folds' rows."""
    n = len(pair.x.scores)
    fold = np.random.default_rng(0).permutation(n) % HELD_OUT_FOLDS
    x, y = (torch.from_numpy(side.ranks.codes).double()[:, None] for side in pair)
    values = []
    for k in range(HELD_OUT_FOLDS):
        test, train = (torch.from_numpy(np.flatnonzero(each)) for each in (fold == k, fold != k))
        critic = RankCopula.fit(x[train], y[train])
        scores = critic(x[test[:SCORED_ROWS]], y[test[:SCORED_ROWS]])
        positives = scores.diagonal().double()
        off = scores.double().exp()
        negatives = (off.sum() - off.diagonal().sum()) / (len(off) * (len(off) - 1))
        values.append(float(positives.mean() - negatives.log()))
    return float(np.mean(values))
