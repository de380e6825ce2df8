"""Estimates of rows in time and in groups: folds, intervals, tests, certificates, runs."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

import infobound
from infobound import compare, estimate, interaction
from infobound.cli.main import main
from infobound.config import Config
from infobound.data import Layout, as_pair
from infobound.errors import InputError
from infobound.estimation import crossfit, selection
from infobound.estimation.ksg import ksg_terms
from infobound.files import readers

FAST = {"estimator": "gaussian", "certify": False}


def walk(rng, n, phi):
    noise = rng.normal(size=n)
    noise[1:] *= math.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise)


def subjects(rng, count, rows, share=0.6, rho=0.0):
    """Effects of subjects make up a share of the variances; I(X;Y) = -log(1 - rho^2) / 2."""
    own, sides = np.repeat(np.arange(count), rows), np.zeros((2, count * rows))
    for part, index in ((share, own), (1 - share, np.arange(count * rows))):
        left, right = math.sqrt(part) * rng.normal(size=(2, index.max() + 1))
        sides += np.stack([left, rho * left + math.sqrt(1 - rho**2) * right])[:, index]
    return *sides, own


def fitted_and_held(monkeypatch):
    """The training, fitted and validation rows of each fit, and the test rows of each fold."""
    fits, tests = [], []
    hold_out, fit_fold = Layout.hold_out, crossfit.fit_fold

    def hold(self, rows, share, *, seed):
        found = hold_out(self, rows, share, seed=seed)
        fits.append((rows, *found))
        return found

    def fold(job, k, training, test, again, **more):
        tests.append((training, test))
        return fit_fold(job, k, training, test, again, **more)

    monkeypatch.setattr(Layout, "hold_out", hold)
    for module in ("estimators", "conditional"):
        monkeypatch.setattr(f"infobound.estimation.{module}.fit_fold", fold)
    return fits, tests


@pytest.mark.parametrize("given", [False, True])
def test_neighbours_in_time_are_on_one_side_only(monkeypatch, given):
    rng = np.random.default_rng(0)
    x, y, z = (walk(rng, 400, 0.9) for _ in range(3))
    fits, tests = fitted_and_held(monkeypatch)
    estimate(
        x,
        y,
        given=z if given else None,
        series=True,
        critic="none",
        base="gaussian,student",
        certify=False,
    )
    gap = Layout.of(as_pair(x, y), Config(series=True)).gap
    assert 5 <= gap <= 10
    assert len(tests) == (8 if given else 4)
    for training, test in tests:
        assert np.abs(training[:, None] - test).min() > gap
        assert len(test) == 100
        assert len(training) >= 300 - 2 * 10
    for rows, rest, held in fits:
        assert np.abs(rest[:, None] - held).min() > gap
        assert set(rest) | set(held) <= set(rows)


@pytest.mark.parametrize("given", [False, True])
def test_groups_are_on_one_side_only(monkeypatch, given):
    rng = np.random.default_rng(1)
    x, y, own = subjects(rng, 20, 15)
    fits, tests = fitted_and_held(monkeypatch)
    z = rng.normal(size=300) if given else None
    estimate(x, y, given=z, groups=own, critic="none", base="gaussian,student")
    assert len(tests) >= 4
    for rows, other in [*tests, *((rest, held) for _, rest, held in fits)]:
        assert not set(own[rows]) & set(own[other])
    plain, _ = fitted_and_held(monkeypatch)
    estimate(x, y, critic="none", base="gaussian,student", certify=False)  # negative control
    assert any(set(own[rest]) & set(own[held]) for _, rest, held in plain)


def test_intervals_of_series_cover_and_those_of_independent_rows_do_not():
    truth, found = -math.log(1 - 0.25) / 2, {True: [], False: []}
    for seed in range(16):
        rng = np.random.default_rng(seed)
        x = walk(rng, 1000, 0.9)
        y = 0.5 * x + math.sqrt(0.75) * walk(rng, 1000, 0.9)
        for series in (True, False) if seed < 10 else (True,):
            low, high = estimate(x, y, series=series, **FAST).interval
            found[series].append(low <= truth <= high)
    assert np.mean(found[True]) >= 0.9 - 2 * 0.075
    assert np.mean(found[False]) < 0.8


def test_intervals_of_groups_cover_and_those_of_independent_rows_do_not():
    truth, found = -math.log(1 - 0.25) / 2, {True: [], False: []}
    for seed in range(16):
        x, y, own = subjects(np.random.default_rng(seed), 30, 20, share=0.8, rho=0.5)
        for grouped in (True, False) if seed < 10 else (True,):
            low, high = estimate(x, y, groups=own if grouped else None, **FAST).interval
            found[grouped].append(low <= truth <= high)
    assert np.mean(found[True]) >= 0.9 - 2 * 0.075
    assert np.mean(found[False]) < 0.8


def test_neighbours_in_time_are_no_evidence():
    rng, plain, apart = np.random.default_rng(2), [], []
    for _ in range(10):
        x, y = (walk(rng, 400, 0.95)[:, None] for _ in range(2))
        plain.append(ksg_terms(x, y).mean())
        layout = Layout.of(as_pair(x, y), Config(series=True))
        apart.append(ksg_terms(x, y, apart=layout.apart(400)).mean())
    assert np.mean(plain) > 0.08
    assert np.mean(apart) < 0.03


def test_what_a_result_says_of_dependent_rows():
    rng = np.random.default_rng(3)
    x, y, own = subjects(rng, 50, 8)
    found = estimate(x, y, groups=own, permutations=199, critic="none", base="gaussian")
    assert (found.group_count, found.test) == (50, "whole_groups")
    assert found.effective_n < 350
    assert found.smallest_p == 1 / 200
    assert found.certified is not None
    assert infobound.Estimate.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    few = estimate(x, y, groups=own % 20, critic="none", base="gaussian")
    assert (few.certified, few.upper) == (None, None)
    plain = estimate(x, y, critic="none", base="gaussian")
    assert (plain.effective_n, plain.group_count, plain.test, plain.smallest_p) == (None,) * 4


def test_groups_are_certified_from_one_row_of_each():
    too_high = []
    for seed in range(6):
        x, y, own = subjects(np.random.default_rng([7, seed]), 60, 4, share=0.9, rho=0.6)
        found = estimate(x, y, groups=own, critic="none", base="gaussian", permutations=19)
        too_high.append(found.certified > -math.log(1 - 0.36) / 2)
        assert found.certified >= 0
    assert not any(too_high)
    x, y, own = subjects(np.random.default_rng(8), 400, 2, rho=0.9)
    settings = {"critic": "none", "base": "gaussian", "permutations": 19}
    assert estimate(x, y, groups=own, **settings).certified > 0.1


def test_the_remedy_of_grouped_rows_helps():
    rng = np.random.default_rng(4)
    own = np.repeat(np.arange(60), 6)
    x, effect = rng.normal(size=(2, 60))[:, own]
    y = effect + 0.5 * rng.normal(size=360)
    settings = {"critic": "none", "base": "gaussian,ranks", "permutations": 199}
    before, after = estimate(x, y, **settings), estimate(x, y, groups=own, **settings)
    message = {f.code: f.message for f in before.findings}["grouped_rows"]
    assert "--group" in message
    assert "grouped_rows" not in {f.code for f in after.findings}
    assert after.effective_n < 200
    assert after.held_out_error > 1.5 * before.held_out_error or after.held_out < 0.02
    assert after.p_value > 0.05


def test_labels_that_cannot_be_groups_are_refused_and_useless_ones_noted():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 100))
    plain = estimate(x, y, **FAST)
    for labels, said in ((np.ones(100), "one group"), (np.arange(100), "a group of its own")):
        found = estimate(x, y, groups=labels, **FAST)
        assert found.mi == plain.mi
        assert any(said in note for note in found.notes)
        assert found.group_count is None
    with pytest.raises(InputError, match="3 of 100 rows without a label"):
        estimate(x, y, groups=[None, None, None, *"ab" * 48, "c"], **FAST)
    with pytest.raises(InputError, match="got 99 labels"):
        estimate(x, y, groups=np.arange(99), **FAST)
    with pytest.raises(InputError, match=r"at least 4 groups for 4 folds; got 2.*--folds 2"):
        estimate(x, y, groups=np.arange(100) % 2, **FAST)
    with pytest.raises(InputError, match="one group of 97 of 100 rows"):
        estimate(x, y, groups=(np.arange(100) - 96).clip(0), **FAST)


def test_compare_and_interaction_allow_for_groups():
    x, y, own = subjects(np.random.default_rng(6), 30, 10, share=0.8, rho=0.5)
    other = np.random.default_rng(7).normal(size=300)
    for ask in (compare, interaction):
        settings = FAST if ask is compare else {**FAST, "critic": "none"}
        plain, grouped = (ask(x, other, y, groups=g, **settings) for g in (None, own))
        wide, narrow = (np.diff(found.interval)[0] for found in (grouped, plain))
        if ask is compare:
            assert wide > 1.2 * narrow
            assert grouped.first.group_count == 30


def test_surrogates_are_the_null_and_are_checked():
    rng = np.random.default_rng(8)
    x, y = walk(rng, 200, 0.9), walk(rng, 200, 0.9)
    rows = np.stack([walk(rng, 200, 0.9) for _ in range(39)])
    found = estimate(x, y, surrogates=rows, series=True, **FAST)
    assert (found.test, found.smallest_p) == ("surrogates", 1 / 40)
    drawn = estimate(x, x + y, surrogates=lambda g: walk(g, 200, 0.9), permutations=49, **FAST)
    assert drawn.p_value == 1 / 50
    few = estimate(x, y, surrogates=rows[:9], **FAST)
    assert "few_moves" in {f.code for f in few.findings}
    for wrong, message in (
        (rows[:, :-1], r"shape \(200, 1\), one row for each of y; got shape \(199, 1\)"),
        (rows[0], r"shape \(k, 200, 1\), or a function"),
        (lambda g: np.full(200, np.nan), "got NaN or inf"),
    ):
        with pytest.raises(InputError, match=message):
            estimate(x, y, surrogates=wrong, **FAST)
    with pytest.raises(InputError, match="surrogates without given"):
        estimate(x, y, given=x, surrogates=rows, **FAST)


def test_a_run_keeps_its_groups_and_asks_for_surrogates(tmp_path):
    x, y, own = subjects(np.random.default_rng(9), 12, 10)
    settings = {"groups": own, "critic": "none", "base": "gaussian", "permutations": 99}
    whole = estimate(x, y, run=tmp_path / "a", **settings)
    (tmp_path / "a" / "result.json").unlink()
    assert infobound.resume(tmp_path / "a") == whole
    assert whole.group_count == 12
    rows = np.random.default_rng(10).normal(size=(19, 120))
    known = estimate(x, y, run=tmp_path / "b", surrogates=rows, **settings)
    with pytest.raises(InputError, match="surrogates that"):
        infobound.resume(tmp_path / "b")
    assert infobound.resume(tmp_path / "b", surrogates=rows) == known


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_groups_of_a_file(tmp_path, capsys, ending):
    x, y, own = subjects(np.random.default_rng(11), 20, 6)
    labels = np.array([f"s{k}" for k in own], dtype=object)
    table = pd.DataFrame({"x": x, "y": y, "who": labels, "day": np.arange(120) % 6})
    file = tmp_path / f"t.{ending}"
    write = {"csv": lambda t: t.to_csv(file, index=False), "parquet": lambda t: t.to_parquet(file)}
    write[ending](table)
    words = ["estimate", str(file), "--x", "x", "--y", "y", "--estimator", "gaussian"]
    main([*words, "--group", "who", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["group_count"] == 20
    assert found["mi"] == estimate(x, y, groups=own, estimator="gaussian").mi
    main([*words, "--group", "who", "day"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "Each row is a group of its own" in printed
    table.loc[[3, 4], "who"] = None
    table.loc[7, "x"] = np.nan
    write[ending](table)
    with pytest.raises(InputError, match=r"x \(1\), of the groups \(2\)"):
        readers.read(file, x=["x"], y=["y"], group=["who"])
    pair = readers.read(file, x=["x"], y=["y"], group=["who"], drop_missing=True)
    assert len(pair.x) == len(pair.groups) == 117
    np.testing.assert_array_equal(pair.x[:, 0], np.delete(x, [3, 4, 7]))
    assert np.array_equal(pair.groups, np.delete(own, [3, 4, 7]))
    npz = tmp_path / "t.npz"
    np.savez(npz, x=x, y=y, who=own)
    found = readers.read(npz, x=["x"], y=["y"], group=["who"])
    assert np.array_equal(found.groups, own)


def test_the_screen_says_what_rows_are_worth(tmp_path, capsys):
    rng = np.random.default_rng(12)
    pd.DataFrame({"x": walk(rng, 400, 0.9), "y": walk(rng, 400, 0.9)}).to_csv(
        tmp_path / "t.csv", index=False
    )
    words = ["estimate", str(tmp_path / "t.csv"), "--x", "x", "--y", "y", "--series"]
    main([*words, "--critic", "none", "--base", "gaussian"])
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "400 rows, about " in printed
    assert "moving y in time; p is at least 0.015" in printed
    assert "Certified - needs independent rows" in printed


def test_weights_of_networks_use_the_errors_of_the_layout(monkeypatch):
    asked = []
    error = selection.standard_error

    def spied(values, rows, config, *, groups=None):
        asked.append((config.series, groups is not None))
        return error(values, rows, config, groups=groups)

    monkeypatch.setattr(selection, "standard_error", spied)
    x, y, own = subjects(np.random.default_rng(13), 10, 10)
    settings = {"base": "gaussian", "n_iters": 5, "hidden_dim": 8, "certify": False}
    estimate(x, y, groups=own, **settings)
    estimate(x, y, series=True, **settings)
    assert set(asked) == {(False, True), (True, False)}
