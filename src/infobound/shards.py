"""Which rows of a data set each of several processes reads, and in which order all use them.

Pure functions of counts and seeds, so that every process finds the same without asking another.
Rows have global numbers: their place when all row groups stand one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from infobound.errors import InputError

__all__ = ["Stretch", "batches", "inside", "shards", "span", "whole_groups"]


class Stretch(NamedTuple):
    """Rows start to stop of a row group; `first` is the global number of row start."""

    group: int
    start: int
    stop: int
    first: int


def span(n: int, rank: int, ranks: int) -> range:
    """The global numbers of a rank's rows: consecutive, as many as another's or one more or less.

    Example:
        >>> [span(7, rank, 2) for rank in range(2)]
        [range(0, 3), range(3, 7)]
    """
    _expect_rank(rank, ranks)
    return range(n * rank // ranks, n * (rank + 1) // ranks)


def shards(counts: Sequence[int], rank: int, ranks: int) -> list[Stretch]:
    """What a rank reads where all are to have equally many rows: its `span`, in order.

    A row group on a border is read in part by two ranks, or by more if it is large.

    Args:
        counts: the rows of each row group.
        rank: this process, from 0.
        ranks: how many there are.

    Raises:
        InputError: no such rank.

    Example:
        >>> shards([4, 3], 1, 2)
        [Stretch(group=0, start=3, stop=4, first=3), Stretch(group=1, start=0, stop=3, first=4)]
    """
    ends = np.cumsum(counts, dtype=np.int64).tolist()
    mine = span(ends[-1] if ends else 0, rank, ranks)
    found = []
    for group, (count, end) in enumerate(zip(counts, ends, strict=True)):
        first, last = max(mine.start, end - count), min(mine.stop, end)
        if first < last:
            found.append(Stretch(group, first - (end - count), last - (end - count), first))
    return found


def whole_groups(counts: Sequence[int], rank: int, ranks: int) -> list[Stretch]:
    """What a rank reads where no row group is to be fetched twice, in order.

    The largest group left goes to the rank with the fewest rows: no rank then has more than 4/3 of
    the least that is possible (Graham 1969, https://doi.org/10.1137/0117039), and any two differ by
    the largest group at most.

    Args:
        counts: the rows of each row group.
        rank: this process, from 0.
        ranks: how many there are.

    Raises:
        InputError: no such rank.

    Example:
        >>> [[s.group for s in whole_groups([2, 5, 3], rank, 2)] for rank in range(2)]
        [[1], [0, 2]]
    """
    _expect_rank(rank, ranks)
    loads = [0] * ranks
    mine = []
    for group in sorted(range(len(counts)), key=lambda group: -counts[group]):
        least = loads.index(min(loads))
        loads[least] += counts[group]
        if least == rank and counts[group]:
            mine.append(group)
    firsts = np.cumsum([0, *counts], dtype=np.int64).tolist()
    return [Stretch(group, 0, counts[group], firsts[group]) for group in sorted(mine)]


def batches(n: int, size: int, *, seed: int) -> Iterator[np.ndarray]:
    """Global numbers of n rows in random order, `size` at a time; the seed alone decides.

    Every row once, so the last batch may be smaller; for another pass take another seed.

    Example:
        >>> sorted(np.concatenate(list(batches(5, 2, seed=0))).tolist())
        [0, 1, 2, 3, 4]
    """
    order = np.random.default_rng(seed).permutation(n)
    return (order[start : start + size] for start in range(0, n, size))


def inside(batch: np.ndarray, mine: range) -> np.ndarray:
    """Those of a batch that a rank's `span` holds, counted from the first of the span, in order.

    Example:
        >>> inside(np.array([6, 0, 3]), range(3, 7))
        array([3, 0])
    """
    return batch[(batch >= mine.start) & (batch < mine.stop)] - mine.start


def _expect_rank(rank: int, ranks: int) -> None:
    if not 0 <= rank < ranks:
        raise InputError(
            f"Expected a rank from 0 to ranks - 1; got rank {rank} of {ranks}. Ranks count from 0."
        )
