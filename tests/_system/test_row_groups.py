"""Shares of row groups: disjoint, complete and nearly equal."""

import itertools

import numpy as np
import pandas as pd
import pytest

from infobound._system.row_groups import span, whole_groups
from infobound.errors import InputError
from infobound.files import readers

COUNTS = [
    [],
    [1],
    [10],
    [0, 5, 0],
    [3, 3, 3, 3],
    [1000, 1, 1, 1],
    [7, 100, 13, 0, 64, 9],
    *(np.random.default_rng(seed).integers(0, 50, 12 + seed).tolist() for seed in range(8)),
]
RANKS = range(1, 8)


def numbers(counts, stretches):
    """The global numbers of stretches, in order, by another way than theirs."""
    rows = [(group, row) for group, count in enumerate(counts) for row in range(count)]
    place = {row: number for number, row in enumerate(rows)}
    found = [place[s.group, row] for s in stretches for row in range(s.start, s.stop)]
    assert all(place[s.group, s.start] == s.first for s in stretches)
    return found


@pytest.mark.parametrize("counts", COUNTS)
def test_every_row_is_read_by_one_rank(counts):
    for ranks in RANKS:
        shares = [numbers(counts, whole_groups(counts, rank, ranks)) for rank in range(ranks)]
        assert sorted(itertools.chain(*shares)) == list(range(sum(counts)))
        assert all(share == sorted(share) for share in shares)
        spans = [span(sum(counts), rank, ranks) for rank in range(ranks)]
        assert [row for each in spans for row in each] == list(range(sum(counts)))
        assert max(map(len, spans)) - min(map(len, spans)) <= 1


@pytest.mark.parametrize("counts", COUNTS)
def test_shares_are_as_equal_as_can_be(counts):
    for ranks in RANKS:
        whole = [whole_groups(counts, k, ranks) for k in range(ranks)]
        loads = [sum(s.stop - s.start for s in each) for each in whole]
        assert all(s.stop - s.start == counts[s.group] > 0 for each in whole for s in each)
        assert max(loads) - min(loads) <= max(counts, default=0)
        assert max(loads) <= 4 / 3 * max(
            sum(counts) / ranks, max(counts, default=0), best(counts, ranks)
        )


def best(counts, ranks):
    """A lower bound of the largest load: of the ranks + 1 largest groups two go together."""
    largest = sorted(counts, reverse=True)
    return sum(largest[ranks - 1 : ranks + 1]) if len(largest) > ranks else 0


def test_no_such_rank():
    for rank, ranks in ((2, 2), (-1, 2), (0, 0)):
        for plan in (span, whole_groups):
            with pytest.raises(InputError, match=f"got rank {rank} of {ranks}"):
                plan([3] if plan is whole_groups else 3, rank, ranks)


@pytest.mark.parametrize("x", ["a", [0], 3, float("nan")])
def test_selectors_are_a_list_of_names(tmp_path, x):
    pd.DataFrame({"a": np.arange(9.0), "b": np.arange(9.0)}).to_csv(tmp_path / "t.csv")
    with pytest.raises(InputError, match="Expected x to be a list of strings"):
        readers.read(tmp_path / "t.csv", x=x, y=["b"])
