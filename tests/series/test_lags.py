"""Curves of lags: what is estimated where, bands, intervals, gaps, groups, files."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

import infobound
from infobound import lagged_pairs, lags
from infobound.errors import InputError

FIRST = ["lag", "mi", "low", "high", "p_value", "adjusted_p", "n", "effective_n"]


def pair(n=400, phi=0.0, lag=3, share=0.8, seed=0):
    """Return x and y, which is correlated with x `lag` rows before."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, n + 500 + lag))
    x, rest = lfilter([1], [1, -phi], noise)[:, 500:] * math.sqrt(1 - phi**2)
    return x[lag:], share * x[:n] + math.sqrt(1 - share**2) * rest[:n]


def test_the_peak_is_at_the_lag_and_near_the_truth():
    found = lags(*pair(2_000), max_lag=8, refine=False)
    assert found.peak.lag == 3
    assert found.found == (3,)
    assert found.peak.mi == pytest.approx(-math.log(0.6), abs=0.08)
    frame = found.to_frame()
    assert list(frame) == FIRST
    assert frame["lag"].tolist() == [*range(-8, 9)]
    assert frame["n"].tolist() == [2_000 - abs(lag) for lag in range(-8, 9)]
    assert (frame["mi"][frame["lag"] != 3] < found.band).all()
    assert found.to_frame("bits")["mi"].to_numpy() == pytest.approx(frame["mi"] / math.log(2))
    assert "x leads" in repr(found)
    assert "y leads" in repr(lags(*pair(600)[::-1], max_lag=5, refine=False)).replace("x", "y")


def test_the_refined_peak_holds_for_all_lags():
    config = infobound.Config(critic="none", base="gaussian", certify=False)
    found = lags(*pair(), max_lag=4, config=config)
    assert found.refined.config["level"] == pytest.approx(1 - 0.05 / 9)
    assert found.refined.config["series"]
    assert found.refined.n == 397
    assert found.refined.interval[0] < -math.log(0.6) < found.refined.interval[1]


def test_intervals_of_slow_series_are_wider_and_cover(monkeypatch):
    monkeypatch.setattr("infobound.series.lags.SHIFTS", 10)
    truth, inside, widths = -0.5 * math.log(1 - 0.36), [], []
    for seed in range(12):
        peak = lags(*pair(800, 0.9, share=0.6, seed=seed), max_lag=3, refine=False).curve[6]
        inside.append(peak.low <= truth <= peak.high)
        widths.append(peak.high - peak.low)
        assert peak.lag == 3
        assert peak.effective_n < 400
    assert np.mean(inside) > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 12)
    fast = lags(*pair(800, 0.0, share=0.6), max_lag=3, refine=False).curve[6]
    assert fast.high - fast.low < 0.6 * np.median(widths)
    assert fast.effective_n > 600


def test_independent_curves_stay_in_the_band_and_dependent_ones_do_not(monkeypatch):
    monkeypatch.setattr("infobound.series.lags.SHIFTS", 30)
    runs, above = 8, {0.0: [], 0.8: []}
    for seed in range(runs):
        for share, leaves in above.items():
            found = lags(*pair(300, 0.9, share=share, seed=seed), max_lag=3, refine=False)
            leaves.append(max(each.mi for each in found.curve) > found.band)
    assert np.mean(above[0.0]) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert np.mean(above[0.8]) > 0.7


def test_gaps_are_left_out_pair_by_pair():
    x, y = pair(500)
    x[100:140], y[300] = np.nan, np.nan
    frame = lags(x, y, max_lag=5, refine=False).to_frame().set_index("lag")
    assert frame.loc[0, "n"] == 500 - 41
    assert frame.loc[3, "n"] == 497 - 41
    assert frame["adjusted_p"].idxmin() == 3


def test_groups_are_not_crossed():
    x, y = pair(600)
    names = np.repeat(["ann", "bob", "cy"], 200)
    found = lags(x, y, max_lag=4, groups=names, refine=False)
    assert found.groups == 3
    assert found.to_frame()["n"].tolist() == [600 - 3 * abs(lag) for lag in range(-4, 5)]
    assert found.rows_for_counting is None
    order = np.argsort(np.arange(600) % 200, kind="stable")  # the rows of the groups in turn
    mixed = lags(x[order], y[order], max_lag=4, groups=names[order], refine=False)
    assert mixed.to_frame()["mi"].tolist() == found.to_frame()["mi"].tolist()


def test_categories_and_numbers():
    rng = np.random.default_rng(3)
    kind = np.array(["up", "down", "flat"])[rng.integers(3, size=600)]
    y = np.roll(kind == "flat", 2) + 0.3 * rng.normal(size=600)
    found = lags(pd.Series(kind, name="wind"), y, max_lag=4, refine=False)
    assert (found.x, found.y, found.peak.lag) == ("wind", "y", 2)
    codes = rng.integers(3, size=600)
    found = lags(codes, np.roll(codes, -1) == 1, max_lag=4, categorical=["x"], refine=False)
    assert found.peak.lag == -1


def test_surrogates_as_rows_and_as_a_function():
    x, y = pair(300)
    rng = np.random.default_rng(0)
    given = lags(x, y, 4, surrogates=rng.permuted(np.tile(y, (19, 1)), axis=1), refine=False)
    drawn = lags(x, y, 4, surrogates=lambda rng: rng.permutation(y), permutations=39, refine=False)
    assert (given.surrogates, given.smallest_p, given.peak.adjusted_p) == (19, 0.05, 0.05)
    assert (drawn.surrogates, drawn.smallest_p, drawn.peak.adjusted_p) == (39, 1 / 40, 1 / 40)
    assert drawn.rows_for_counting is None


def test_files_and_figure(tmp_path):
    found = lags(*pair(200), max_lag=4, refine=False)
    found.save(tmp_path / "curve.csv", units="bits")
    found.save(tmp_path / "curve.parquet")
    found.save(tmp_path / "all.json")
    assert list(pd.read_csv(tmp_path / "curve.csv")) == FIRST
    assert len(pd.read_parquet(tmp_path / "curve.parquet")) == 9
    values = json.loads((tmp_path / "all.json").read_text())
    assert values["peak"]["lag"] == 3
    assert values["unit"] == "nats"
    assert len(values["curve"]) == 9
    found.save_figure(tmp_path / "curve.png", units="bits")
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(InputError, match="ending in"):
        found.save(tmp_path / "curve.txt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y": np.zeros(100)}, "differ"),
        ({"y": np.arange(99.0)}, "equal lengths for x and y; got 100 and 99"),
        ({"x": np.ones((100, 2))}, "one column in x; got 2"),
        ({"max_lag": 30}, "max_lag of at most 20 for 100 rows; got 30"),
        ({"max_lag": 0}, "max_lag to be a positive number"),
        ({"x": np.full(100, np.nan)}, "all are missing"),
        (
            {"x": np.where(np.arange(100) < 50, 0.5 + np.arange(100) % 7, np.nan)}
            | {"y": np.where(np.arange(100) >= 50, np.arange(100) % 5, np.nan)},
            "at least 10 pairs of rows .* got 0 at lag -5",
        ),
        ({"groups": np.zeros(99)}, "a group for each of the 100 rows"),
        ({"groups": [None] + ["a"] * 99}, "1 of 100 rows without a label"),
        ({"surrogates": np.zeros((5, 100))}, "at least 19 surrogates"),
        ({"surrogates": np.zeros((19, 99))}, "surrogates of y with 100 rows"),
        ({"categorical": ["z"]}, "one of"),
        ({"permutations": 5}, "19 or more"),
    ],
)
def test_what_is_wrong_is_said(change, words):
    rng = np.random.default_rng(0)
    given = {"x": rng.normal(size=100), "y": rng.normal(size=100), "max_lag": 5} | change
    with pytest.raises(InputError, match=words):
        lags(refine=False, **given)


def channels(seed=0, phi=0.8):
    """Return five channels, of which b follows a, and d follows the square of c."""
    noise = np.random.default_rng(seed).normal(size=(700, 5))
    table = lfilter([1], [1, -phi], noise, axis=0)[200:] * math.sqrt(1 - phi**2)
    table[4:, 1] += table[:-4, 0]
    table[:-6, 3] += table[6:, 2] ** 2
    return pd.DataFrame(table, columns=[*"abcde"])


def test_pairs_of_channels_are_found_at_their_lags():
    table = channels().assign(one=1.0, day=pd.Timestamp("2024-01-01"))
    found = lagged_pairs(table, max_lag=8)
    frame = found.to_frame()
    assert len(frame) == math.comb(5, 2)
    assert {(row.x, row.y, row.lag) for row in frame[:2].itertuples()} == {
        ("a", "b", 4),
        ("c", "d", -6),
    }
    assert (frame["q_value"] <= 0.05).sum() == 2
    assert (frame["q_value"] >= frame["adjusted_p"]).all()
    assert sorted(found.left_out) == ["day", "one"]
    assert "2 with q <= 0.05" in repr(found)
    table = found.matrix("lag")
    assert (table.loc["a", "b"], table.loc["b", "a"]) == (4, -4)
    assert found.matrix().loc["d", "c"] == frame["mi"][frame["x"] == "c"].max()


def test_a_pair_of_channels_has_the_tests_of_lags(tmp_path):
    table = channels(1)[["a", "b"]]
    found, alone = lagged_pairs(table, max_lag=6), lags(table["a"], table["b"], 6, refine=False)
    assert found.pairs[0].adjusted_p == alone.peak.adjusted_p
    assert found.pairs[0].mi == pytest.approx(alone.peak.mi + alone.chance)
    found.save(tmp_path / "pairs.csv")
    assert len(pd.read_csv(tmp_path / "pairs.csv")) == 1


def test_pairs_of_channels_are_continued_and_extended(tmp_path):
    table, seen, out = channels(1), [], tmp_path / "pairs"
    whole = lagged_pairs(table[["a", "b", "c"]], max_lag=6)

    def progress(what, done, total):
        seen.append((done, total))

    part = lagged_pairs(table[["a", "b"]], max_lag=6, out=out, progress=progress)
    assert seen == [(0, 1), (1, 1)]
    assert part.pairs[0].mi == whole.pairs[0].mi
    seen.clear()
    again = lagged_pairs(table[["a", "b", "c"]], max_lag=6, out=out, progress=progress)
    assert seen[0] == (1, 3)
    assert again == whole
    with pytest.raises(InputError, match="got others for a and b"):
        lagged_pairs(table[["a", "b"]], max_lag=5, out=out)
    assert lagged_pairs(table[["a", "b"]], max_lag=5, out=out, overwrite=True).max_lag == 5


def test_channels_are_drawn_with_their_lags():
    found = lagged_pairs(channels(1)[["a", "b", "c"]], max_lag=6)
    count = sum(pair.q_value <= 0.05 for pair in found.pairs)
    assert count == 1
    network = found.figure("network").axes[0]
    assert [text.get_text() for text in network.texts if text.get_text().isdigit()] == ["4"]
    assert len(network.patches) == count
    cells = found.figure("matrix", units="bits").axes[0]
    assert len(cells.patches) == 2 * count
    assert {"4", "-4"} <= {text.get_text() for text in cells.texts}
    with pytest.raises(InputError, match="Expected kind"):
        found.figure("tree")


def test_too_few_channels_are_refused():
    with pytest.raises(InputError, match="two usable columns; got 1"):
        lagged_pairs({"a": np.arange(100.0), "b": np.ones(100)}, max_lag=5)
