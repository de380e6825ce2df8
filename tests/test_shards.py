"""Shares of row groups: disjoint, complete, equal, and one global order whatever the ranks."""

import itertools

import numpy as np
import pandas as pd
import pytest

from infobound import parquet, tables
from infobound.errors import InputError
from infobound.shards import batches, inside, shards, span, whole_groups

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
@pytest.mark.parametrize("plan", [shards, whole_groups])
def test_every_row_is_read_by_one_rank(counts, plan):
    for ranks in RANKS:
        shares = [numbers(counts, plan(counts, rank, ranks)) for rank in range(ranks)]
        assert sorted(itertools.chain(*shares)) == list(range(sum(counts)))
        assert all(share == sorted(share) for share in shares)
        if plan is shards:
            assert [list(span(sum(counts), k, ranks)) for k in range(ranks)] == shares


@pytest.mark.parametrize("counts", COUNTS)
def test_shares_are_as_equal_as_can_be(counts):
    for ranks in RANKS:
        cut = [len(numbers(counts, shards(counts, k, ranks))) for k in range(ranks)]
        assert max(cut) - min(cut) <= 1
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


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [0, 1, 10, 103])
def test_the_order_is_the_same_whatever_the_number_of_ranks(n, seed):
    alone = list(batches(n, 8, seed=seed))
    assert sorted(np.concatenate([*alone, np.zeros(0, int)]).tolist()) == list(range(n))
    for ranks in RANKS:
        spans = [span(n, rank, ranks) for rank in range(ranks)]
        for batch in alone:
            found = [inside(batch, mine) + mine.start for mine in spans]
            assert sorted(np.concatenate(found).tolist()) == sorted(batch.tolist())
            assert all(
                np.array_equal(f, [k for k in batch if k in m])
                for f, m in zip(found, spans, strict=True)
            )


def test_orders_are_uniform_and_differ_by_seed():
    first = np.array([next(batches(4, 4, seed=seed)) for seed in range(4000)])
    for place in first.T:
        counts = np.bincount(place, minlength=4)
        assert np.abs(counts - 1000).max() < 4 * np.sqrt(4000 * 0.25 * 0.75)


def test_no_such_rank():
    for rank, ranks in ((2, 2), (-1, 2), (0, 0)):
        for plan in (shards, whole_groups):
            with pytest.raises(InputError, match=f"got rank {rank} of {ranks}"):
                plan([3], rank, ranks)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_shards_of_real_files_are_all_rows_once(tmp_path, monkeypatch, ranks):
    monkeypatch.setattr(parquet, "BATCH", 20)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(500, 3)), columns=list("abc"))
    frame["k"] = np.sort(rng.integers(0, 3, 500))
    frame.to_parquet(tmp_path / "t", partition_cols=["k"], row_group_size=70)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=70)
    np.save(tmp_path / "t.npy", frame.to_numpy())
    expected = frame[["a", "k"]].to_numpy()
    for name, x, y in (
        ("t", ["a", "k"], ["b"]),
        ("t.parquet", ["a", "k"], ["b"]),
        ("t.npy", ["0", "3"], ["1"]),
    ):
        shares = [
            tables.read_shard(tmp_path / name, x=x, y=y, rank=rank, ranks=ranks)
            for rank in range(ranks)
        ]
        assert [k for _, rows in shares for k in rows] == list(range(500))
        assert np.array_equal(np.concatenate([pair.x for pair, _ in shares]), expected)
        assert np.array_equal(np.concatenate([pair.y for pair, _ in shares]), frame[["b"]])
        assert np.array_equal(tables.read(tmp_path / name, x=x, y=y).x, expected)
        for batch in batches(500, 64, seed=1):
            for pair, rows in shares:
                here = [number for number in batch if number in rows]
                assert np.array_equal(pair.x[inside(batch, rows)], expected[here])


@pytest.mark.parametrize(("rank", "ranks"), [((1, 2), 2), (0, "2"), (0.0, 2), (-1, 2)])
def test_ranks_are_whole_numbers(tmp_path, rank, ranks):
    np.save(tmp_path / "rows.npy", np.eye(5))
    with pytest.raises(InputError, match=r"Expected ranks? to be"):
        tables.read_shard(tmp_path / "rows.npy", x=["0"], y=["1"], rank=rank, ranks=ranks)


@pytest.mark.parametrize("x", ["a", [0], 3, float("nan")])
def test_selectors_are_a_list_of_names(tmp_path, x):
    pd.DataFrame({"a": np.arange(9.0), "b": np.arange(9.0)}).to_csv(tmp_path / "t.csv")
    with pytest.raises(InputError, match="Expected x to be a list of strings"):
        tables.read(tmp_path / "t.csv", x=x, y=["b"])


def test_what_has_no_shards_is_said(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": ["u", "v"]})
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv")
    for name, x, ranks, fragment in (
        ("t.csv", "a", 2, "Parquet or npy, of which a part"),
        ("t.parquet", "c", 2, "numbers in the selected columns"),
        ("t.parquet", "a", 3, "a row for each of 3 ranks; got 2"),
    ):
        with pytest.raises(InputError, match=fragment):
            tables.read_shard(tmp_path / name, x=[x], y=["b"], rank=0, ranks=ranks)
