"""Which rows of a data set each of several processes reads.

Pure functions of counts and seeds, so that every process finds the same without asking another.
Rows have global numbers: their place when all row groups stand one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from infobound.errors import InputError

__all__ = ["Stretch", "span", "whole_groups"]


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


def _expect_rank(rank: int, ranks: int) -> None:
    if not 0 <= rank < ranks:
        raise InputError(
            f"Expected a rank from 0 to ranks - 1; got rank {rank} of {ranks}. Ranks count from 0."
        )
