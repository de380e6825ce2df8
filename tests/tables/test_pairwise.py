"""Tables of pairs: what is estimated, in which order, and what a number may be used for."""

import json
import math

import numpy as np
import pandas as pd
import pytest

import infobound
from infobound import Config, pairwise
from infobound.errors import InputError
from infobound.files.tables import read_table
from infobound.report.listings import show_pairwise

FIRST = ["x", "y", "mi", "low", "high", "held_out", "p_value", "q_value", "n", "method"]


def table(n=300, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)})
    frame["c"] = frame["a"] + 0.5 * rng.normal(size=n)
    frame["kind"] = np.where(frame["b"] + 0.3 * rng.normal(size=n) > 0, "up", "down")
    frame["day"] = pd.Timestamp("2024-01-01")
    frame["name"] = [f"row {k}" for k in range(n)]
    frame["one"] = 1
    return frame


def test_all_pairs_come_strongest_first_and_the_rest_is_said():
    found = pairwise(table(), permutations=99)
    frame = found.to_frame()
    assert list(frame)[:10] == FIRST
    assert frame["held_out"].isna().all()
    assert len(frame) == math.comb(4, 2)
    assert frame["mi"].is_monotonic_decreasing
    assert {(row.x, row.y) for row in frame[:2].itertuples()} == {("a", "c"), ("b", "kind")}
    assert (frame["q_value"] <= 0.05).sum() == 2
    assert (frame[["p_value"]].to_numpy() <= frame[["q_value", "adjusted_p"]].to_numpy()).all()
    assert sorted(found.left_out) == ["day", "name", "one"]
    assert frame["normalised"].between(0, 1).all()
    assert "2 with q <= 0.05" in repr(found)


def test_a_target_is_named_by_its_number():
    rows = np.random.default_rng(0).normal(size=(40, 3))
    found = pairwise(rows, 2, permutations=19)
    assert found.targets == ("2",)
    assert found.pairs == pairwise(rows, ["2"], permutations=19).pairs


def test_targets_and_matrix():
    found = pairwise(table(), ["kind", "c"], permutations=99)
    assert found.matrix().shape == (2, 2)
    assert (
        found.matrix("q_value").loc["b", "kind"] < 0.05 < found.matrix("p_value").loc["a", "kind"]
    )
    square = pairwise(table(), permutations=99).matrix("normalised")
    assert np.array_equal(square, square.T, equal_nan=True)
    # Networks in float32 read other pairs at the same time, and machines differ in what they round.
    assert square.loc["a", "c"] == pytest.approx(found.matrix("normalised").loc["a", "c"], abs=1e-6)


def test_values_are_near_the_truth_and_normalised():
    rng, n = np.random.default_rng(1), 4_000
    x, label = rng.normal(size=(2, n)), rng.integers(4, size=n)
    frame = {"x": x[0], "y": 0.8 * x[0] + 0.6 * x[1], "u": label, "v": label // 2}
    found = pairwise(frame, permutations=99)
    mi, share = found.matrix(), found.matrix("normalised")
    assert mi.loc["x", "y"] == pytest.approx(-math.log(0.6), abs=0.06)
    assert share.loc["x", "y"] == pytest.approx(0.8, abs=0.03)
    assert found.matrix(units="bits").loc["u", "v"] == pytest.approx(1, abs=0.01)
    assert share.loc["u", "v"] == pytest.approx(1, abs=0.01)


def test_false_discoveries_are_rare_among_independent_columns():
    wrong = [
        (pairwise(np.random.default_rng(k).normal(size=(60, 6)), permutations=99).top(1))["q_value"]
        for k in range(20)
    ]
    assert np.mean(np.array(wrong) <= 0.1) < 0.1 + 3 * math.sqrt(0.09 / 20)


def test_missing_values_by_choice():
    frame = table()[["a", "b", "c"]]
    frame.loc[:49, "a"] = np.nan
    frame.loc[40:89, "b"] = np.nan
    counts = pairwise(frame, permutations=19).matrix("n")
    assert (counts.loc["a", "b"], counts.loc["a", "c"], counts.loc["b", "c"]) == (210, 250, 250)
    rows = pairwise(frame, missing="rows", permutations=19)
    assert {pair.n for pair in rows.pairs} == {210}
    assert rows.notes == ("Dropped 90 of 300 rows with missing values.",)
    with pytest.raises(InputError, match="got some in a, b"):
        pairwise(frame, missing="refuse")
    frame.loc[95:, "b"] = np.nan
    left = pairwise(frame, permutations=19)
    assert len(left.pairs) == 2
    assert any("1 pairs with fewer than 10 rows" in note for note in left.notes)


def test_the_strongest_pairs_are_estimated_again_with_simultaneous_intervals():
    settings = infobound.Config(estimator="gaussian", certify=False)
    found = pairwise(table(), refine=1, permutations=19, config=settings)
    [one] = found.refined
    assert (one.x, one.y) == (found.pairs[0].x, found.pairs[0].y)
    assert one.estimate.config["level"] == pytest.approx(1 - 0.05 / 6)
    frame = found.to_frame("bits")
    assert frame["refined"].notna().tolist() == [True] + [False] * 5
    assert frame["refined"][0] == pytest.approx(one.estimate.mi / math.log(2))
    assert frame["refined_low"][0] < frame["refined"][0] < frame["refined_high"][0]
    assert frame["held_out"].notna().tolist() == [True] + [False] * 5
    assert frame["held_out"][0] == pytest.approx(one.estimate.held_out / math.log(2))


@pytest.mark.parametrize("ending", ["json", "csv", "parquet"])
def test_files_hold_the_pairs(tmp_path, ending):
    found, path = pairwise(table(), permutations=19), tmp_path / f"t.{ending}"
    found.save(path, units="bits")
    if ending == "json":
        values = json.loads(path.read_text())
        assert values["unit"] == "bits"
        pairs = pd.DataFrame(values["pairs"])
    else:
        pairs = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
    assert np.allclose(pairs["mi"], found.to_frame("bits")["mi"])
    assert pairs["x"].tolist() == found.to_frame()["x"].tolist()


def test_the_same_seed_gives_the_same_values_and_threads_do_not_matter():
    one, two, other = (
        pairwise(table(), permutations=19, seed=seed, jobs=jobs).to_frame()
        for seed, jobs in ((1, 1), (1, 2), (2, 1))
    )
    pd.testing.assert_frame_equal(one, two)
    assert not one["p_value"].equals(other["p_value"])


def test_the_order_of_the_columns_does_not_matter():
    frame = table().assign(d=lambda one: np.round(one["a"] ** 2), e=lambda one: -one["c"])
    frame.loc[:20, "b"] = np.nan
    one, other = (
        pairwise(each, permutations=19).matrix() for each in (frame, frame[[*frame][::-1]])
    )
    other = other.loc[one.index, one.columns]
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_table_of_a_file_may_be_given(tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    found = pairwise(read_table(tmp_path / "t.csv"), "kind", permutations=19)
    assert found.columns == ("a", "b", "c")
    assert sorted(found.left_out) == ["day", "name", "one"]


def test_copies_and_progress_are_said():
    said = []
    rows = np.random.default_rng(2).normal(size=(40, 2))
    frame = {"a": rows[:, 0], "b": rows[:, 1], "c": np.exp(rows[:, 0])}
    found = pairwise(frame, permutations=19, progress=lambda *step: said.append(step))
    assert found.notes[0].startswith("a, c are copies")
    assert said[-1] == ("estimating", 3, 3)
    assert ("testing", 20, 20) in said


def test_columns_that_determine_each_other_are_copies():
    rng = np.random.default_rng(3)
    x, grade = rng.normal(size=60), rng.integers(3, size=60)
    frame = {"a": x, "less": -x, "falls": np.exp(-x), "other": x**2}
    frame["gap"] = np.where(np.arange(60) < 5, np.nan, -x)
    frame |= {"grade": grade, "name": np.array(["low", "mid", "top"])[grade], "high": grade > 1}
    notes = pairwise(frame, permutations=19).notes
    assert [note.split(" are copies")[0] for note in notes] == ["a, less, falls", "grade, name"]


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        ({"target": "nothing"}, "known column"),
        ({"target": "day"}, "got times"),
        ({"target": "one"}, "got one value"),
        ({"missing": "some"}, "missing to be one of"),
        ({"categorical": ["name"]}, "categories that repeat"),
        ({"refine": -1}, "refine"),
        ({"jobs": 0}, "jobs"),
    ],
)
def test_errors(words, fragment):
    with pytest.raises(InputError, match=fragment):
        pairwise(table(), **words)


def test_too_little_and_unknown_endings_are_said(tmp_path):
    with pytest.raises(InputError, match="two usable columns"):
        pairwise(table()[["a", "day"]])
    with pytest.raises(InputError, match="at least 10 rows"):
        pairwise(table(n=8))
    found = pairwise(table(), permutations=19)
    with pytest.raises(InputError, match="ending in"):
        found.save(tmp_path / "t.xlsx")
    with pytest.raises(InputError, match="value to be one of"):
        found.matrix("method")


@pytest.mark.parametrize("refine", [0, 1])
@pytest.mark.parametrize("width", [60, 80])
def test_names_are_on_screens_of_all_widths(refine, width, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    table = {"first": rng.normal(size=60), "second": rng.normal(size=60)}
    config = Config(estimator="gaussian", certify=False)
    found = pairwise(table, refine=refine, config=config)
    monkeypatch.setenv("COLUMNS", str(width))
    show_pairwise(found, units="nats", title="table", top=1)
    shown = capsys.readouterr().out
    assert "first" in shown
    assert "second" in shown


@pytest.mark.parametrize("width", [76, 80, 100])
def test_numbers_of_rows_are_on_screens_whole_and_left_out_columns_have_reasons(
    width, monkeypatch, capsys
):
    frame = table(n=2400)
    frame.loc[:99, "a"] = np.nan
    found = pairwise(frame, permutations=19)
    monkeypatch.setenv("COLUMNS", str(width))
    show_pairwise(found, units="nats", title="table", top=9)
    shown = capsys.readouterr().out
    counts = [f"{pair.n:,}" for pair in found.pairs]
    lines = shown.splitlines()
    assert [line.split()[-1] for line in lines[4 : 4 + len(counts)]] == counts
    said = " ".join(shown.split())
    assert "day (times); name (2,400 different texts in 2,400 rows" in said.replace("got ", "")
    assert "one (one value). --json has the remedies." in said


QUICK = Config(critic="none", base="gaussian", folds=2, permutations=199)


def confounded(n=300, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"z": rng.normal(size=n), "place": rng.integers(3, size=n)})
    for name in "ab":
        frame[name] = frame["z"] + frame["place"] + 0.5 * rng.normal(size=n)
    frame["c"] = frame["a"] + 0.5 * rng.normal(size=n)
    frame.loc[:4, "b"] = np.nan
    return frame


def test_a_common_cause_explains_a_pair_and_leaves_the_direct_one():
    found = pairwise(confounded(), given=["z", "place"], categorical=["place"], config=QUICK)
    assert found.given == ("z", "place")
    assert found.columns == ("a", "b", "c")
    assert "given z, place" in repr(found)
    p = found.matrix("adjusted_p")
    assert p.loc["a", "c"] <= 0.05 < min(p.loc["a", "b"], p.loc["b", "c"])
    assert pairwise(confounded()[["a", "b"]]).pairs[0].p_value < 0.01  # without what is given
    first = found.pairs[0]
    assert (first.x, first.y, first.method) == ("a", "c", "given")
    # c = a + noise: with z and place known, a has a variance of .25, and so has the noise
    assert first.low < math.log(2) / 2 < first.high
    assert {pair.n for pair in found.pairs} == {295, 300}


def test_given_columns_with_a_target():
    found = pairwise(confounded(), "c", given="z", config=QUICK)
    assert found.matrix().shape == (3, 1)
    with pytest.raises(InputError, match=r"in target or in given; got z in both"):
        pairwise(confounded(), "z", given="z")
    with pytest.raises(InputError, match="neither refine nor permutations nor screen with given"):
        pairwise(confounded(), given="z", refine=1)
    with pytest.raises(InputError, match="column"):
        pairwise(confounded(), given="age")
    codes = pd.DataFrame(np.random.default_rng(0).integers(12, size=(60, 4))).add_prefix("code ")
    frame = pd.concat([confounded(60), codes.astype(float)], axis=1)
    with pytest.raises(InputError, match="there is no test of independence"):
        pairwise(frame, "c", given=list(codes), config=QUICK)


def test_finished_pairs_are_not_computed_again(tmp_path):
    frame = table()
    found = pairwise(frame, permutations=99, out=tmp_path / "o", jobs=1)
    assert found.pairs == pairwise(frame, permutations=99).pairs
    (cell,) = (tmp_path / "o" / "cells").glob("pairs_0_*.json")
    before = cell.stat().st_mtime_ns
    assert pairwise(frame, permutations=99, out=tmp_path / "o").pairs == found.pairs
    assert cell.stat().st_mtime_ns == before
    frame.loc[0, "a"] += 9
    with pytest.raises(InputError, match=r"another rows there. Name another --out"):
        pairwise(frame, permutations=99, out=tmp_path / "o")
    pairwise(frame, permutations=99, out=tmp_path / "o", overwrite=True)
    with pytest.raises(InputError, match="Expected overwrite only with out"):
        pairwise(frame, overwrite=True)


def test_conditional_pairs_resume_where_they_stopped(tmp_path):
    frame, stages = confounded(80).drop(columns="place"), []

    def stop(what, done, total):
        stages.append((what, done, total))
        if done == 2:
            raise KeyboardInterrupt

    ways = {"given": "z", "config": QUICK, "out": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        pairwise(frame, progress=stop, **ways)
    stages.clear()
    again = pairwise(frame, progress=lambda *stage: stages.append(stage), **ways)
    assert stages[0] == ("estimating", 2, 3)
    assert again.pairs == pairwise(frame, given="z", config=QUICK).pairs


def test_too_few_rows_together_are_an_error():
    frame = pd.DataFrame({"a": np.arange(30.0), "b": np.arange(30.0)})
    frame.loc[:11, "a"] = frame.loc[18:, "b"] = np.nan
    with pytest.raises(InputError, match=r"values in the same 10 rows or more; got none"):
        pairwise(frame)
