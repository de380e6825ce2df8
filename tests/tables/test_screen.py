"""The quick look at two columns: what it finds quiet, and what it says of those."""

import numpy as np
import pandas as pd
import pytest

from infobound import pairwise
from infobound.data.columns import Column, columns
from infobound.tables import pairwise as module
from infobound.tables.estimates import estimates
from infobound.tables.screen import ScreenColumn, is_quiet, look, quiet_mi

KINDS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "zeros": lambda rng, n: np.where(rng.random(n) < 0.6, 0, rng.exponential(size=n)),
    "counts": lambda rng, n: rng.poisson(3, size=n),
    "binary": lambda rng, n: rng.integers(2, size=n),
    "rounded": lambda rng, n: np.round(4 * rng.normal(size=n)),
}


def coded(values):
    return ScreenColumn.of(np.unique(values, return_inverse=True)[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [200, 3000])
def test_deviates_of_independent_columns_are_standard_normal(kind, n):
    rng = np.random.default_rng(0)
    left, right = ([coded(KINDS[name](rng, n)) for _ in range(15)] for name in (kind, "normal"))
    found = np.array([look(x, y) for x in left for y in right])
    values = found[:, :-4]
    values = values[:, np.abs(values).max(axis=0) > 0]  # the others have no degree of freedom
    assert np.abs(values.mean(axis=0)).max() < 0.3
    assert values.std(axis=0).max() < 1.25
    assert is_quiet(found).mean() > 0.94


@pytest.mark.parametrize("turns", [0.25, 2, 6, 14])
def test_waves_are_not_quiet(turns):
    rng = np.random.default_rng(0)
    t = rng.random(4000)
    y = np.sin(2 * np.pi * turns * t) + 0.5 * rng.normal(size=4000)
    assert not is_quiet(look(coded(t), coded(y))[None])[0]


def test_units_are_groups_of_adjacent_values():
    rng = np.random.default_rng(0)
    codes = np.unique(np.maximum(rng.normal(size=5000), 0), return_inverse=True)[1]
    column = ScreenColumn.of(codes)
    order = np.argsort(codes, kind="stable")
    assert (np.diff(column.units[order]) >= 0).all()
    assert len(np.unique(column.units[codes == 0])) == 1
    assert column.shares.min() >= 1 / 128
    gram = column.functions.T @ (column.shares[:, None] * column.functions)
    assert np.allclose(gram, np.eye(16), atol=1e-8)
    assert np.allclose(column.shares @ column.functions, 0, atol=1e-8)
    assert coded(np.array([1, 1, 2])).functions.any(axis=0).sum() == 1


def test_quiet_pairs_are_near_zero_and_intervals_hold_weak_dependence():
    rng, n = np.random.default_rng(0), 2000
    mi, found = [], []
    for k in range(300):
        rho = np.sqrt((k % 3) / n)  # n times the MI is 0, .5 and 1
        x, noise = rng.normal(size=(2, n))
        seen = look(coded(x), coded(rho * x + np.sqrt(1 - rho**2) * noise))
        if is_quiet(seen[None])[0]:
            mi.append(-np.log1p(-(rho**2)) / 2)
            found.append(quiet_mi(seen[None])[0])
    mi, found = np.array(mi), np.array(found)
    assert len(mi) > 270
    value, error, high = found.T
    assert (error > 0).all()
    assert (value < high).all()
    assert (mi <= high).mean() > 0.95
    assert high.mean() < 40 / n  # and are no wider than that
    assert np.abs(value - mi).mean() < 1.5 / n
    assert value[mi == 0].mean() < value[mi > 0].mean()


def table(n=800, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 6)), columns=list("abcdef"))
    frame["b"] += frame["a"]
    frame["place"] = rng.integers(3, size=n)
    frame["town"] = [f"t{k}" for k in rng.integers(90, size=n)]
    frame.loc[:49, "c"] = np.nan
    return frame


def test_a_screened_table_says_which_pairs_were_estimated_how():
    quick, full = (pairwise(table(), permutations=99, screen=screen) for screen in (True, False))
    ways = quick.to_frame().set_index(["x", "y"])["method"]
    assert ways["a", "b"] == "ranks"  # found
    assert (ways[[("a", "town"), ("b", "town")]] == "ranks").all()  # too many categories
    count = (ways == "screen").sum()
    assert count >= 15
    assert any(note.startswith(f"{count} of {len(ways)} pairs show no") for note in quick.notes)
    exact = {(pair.x, pair.y): pair for pair in full.pairs}
    for pair in quick.pairs:
        other = exact[pair.x, pair.y]
        assert (pair.n, pair.p_value) == (other.n, other.p_value)
        if pair.method == "screen":
            assert pair.q_value > 0.05
            assert 0 == pair.low < pair.mi < pair.high < 0.05
            assert pair.mi == pytest.approx(other.mi, abs=0.02)
        else:
            assert pair.mi == pytest.approx(other.mi, abs=1e-4)
    assert not any("quick look" in note for note in full.notes)
    said = [" ".join(each.page().methods) for each in (quick, full)]
    assert ["64 x 64 groups" in text for text in said] == [True, False]


def test_screening_starts_with_many_pairs(monkeypatch):
    monkeypatch.setattr(module, "SCREENED_PAIRS", 20)
    assert "screen" in {pair.method for pair in pairwise(table(200), permutations=19).pairs}
    monkeypatch.setattr(module, "SCREENED_PAIRS", 40)
    assert "screen" not in {pair.method for pair in pairwise(table(200), permutations=19).pairs}


def test_parts_screen_alike_and_are_not_mixed_with_full_ones(tmp_path):
    ways = {"permutations": 99, "out": tmp_path}
    found = pairwise(table(), screen=True, **ways)
    assert found.pairs == pairwise(table(), permutations=99, screen=True).pairs
    with pytest.raises(module.InputError, match="got another screen"):
        pairwise(table(), screen=False, **ways)


def test_a_column_that_is_one_unit_is_not_quiet():
    rare = Column("x", (np.arange(2000) < 8).astype(np.int64), 2, categorical=False)
    other = columns({"y": np.random.default_rng(0).normal(size=2000)})[0]
    [found] = estimates([(rare, other)], quick=[True])
    assert found.method == "ranks"
