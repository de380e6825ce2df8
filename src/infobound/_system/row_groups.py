"""Division of the rows of a data set among ranks.

All functions are pure functions of counts, so that ranks agree without communication. The global
index of a row is its index in the concatenation of all row groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from infobound.errors import InputError

__all__ = ["RowRange", "span", "whole_groups"]


class RowRange(NamedTuple):
    """Rows start to stop of a row group; `first` is the global index of row start."""

    group: int
    start: int
    stop: int
    first: int


def span(n: int, rank: int, ranks: int) -> range:
    """Return the global indices of a rank's rows: contiguous, and equally many up to one.

    Example:
        >>> [span(7, rank, 2) for rank in range(2)]
        [range(0, 3), range(3, 7)]
    """
    _expect_rank(rank, ranks)
    return range(n * rank // ranks, n * (rank + 1) // ranks)


def whole_groups(counts: Sequence[int], rank: int, ranks: int) -> list[RowRange]:
    """Assign whole row groups to ranks, so that no group is fetched twice.

    The largest remaining group goes to the rank with the fewest rows. Then no rank has more than
    4/3 of the smallest possible maximum (Graham 1969, https://doi.org/10.1137/0117039), and any two
    ranks differ by at most the largest group.

    Args:
        counts: the number of rows of each row group.
        rank: the rank, from 0.
        ranks: the number of ranks.

    Returns:
        The row groups of the rank, in order.

    Raises:
        InputError: If there is no such rank.

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
    return [RowRange(group, 0, counts[group], firsts[group]) for group in sorted(mine)]


def _expect_rank(rank: int, ranks: int) -> None:
    if not 0 <= rank < ranks:
        raise InputError(
            f"Expected a rank from 0 to ranks - 1; got rank {rank} of {ranks}. Ranks count from 0."
        )
