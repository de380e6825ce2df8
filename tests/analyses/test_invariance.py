"""Checks on the user's rows: quiet where the estimate is right, loud where it is made wrong."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from infobound.analyses.invariance import CHECKS, check
from infobound.cli import main
from infobound.config import Config
from infobound.data import as_pair
from infobound.errors import InputError
from infobound.estimation.estimate import estimate

BASE = Config(critic="none", base="gaussian,table", certify=False)


def rows(kind, seed, n=300):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4))
    return {
        "independent": (z[:, :2], z[:, 2:] ** 3),
        "normal": (z[:, :2], z[:, :1] + z[:, 2:3]),
        "tails": (np.exp(2 * z[:, :1]), np.exp(2 * z[:, :1] + z[:, 1:2])),
        "near": (z[:, :1], z[:, :1] + 0.4 * z[:, 1:2]),
        "labels": (z[:, :2], (z[:, :1] + z[:, 3:] > 0).astype(int)),
        "counts": (rng.poisson(3, (n, 1)), rng.poisson(3, (n, 2))),
    }[kind]


def test_a_sound_estimate_passes():
    # 1 % of the comparisons may fail where the intervals are right; six of them, five samples.
    failed = []
    for seed, kind in enumerate(["independent", "normal", "tails", "labels", "counts"]):
        pair, config = as_pair(*rows(kind, seed)), BASE.with_(seed=seed)
        _, found = check(pair, config=config)
        assert [c.name for c in found] == [*CHECKS]
        failed += [(kind, c.name, c.difference, c.allowed) for c in found if not c.passed]
    assert len(failed) <= 1, failed


def changed(estimator):
    """An estimator whose value is another function of the rows; its interval keeps its width."""

    def faulty(pair, *, config, **hooks):
        result = estimate(pair, config=config, **hooks)
        value = estimator(pair, result)
        half = (result.interval[1] - result.interval[0]) / 2
        return dataclasses.replace(result, mi=value, interval=(value - half, value + half))

    return faulty


def first_column(pair, result):
    """Not symmetric: of x it reads one column, of y all."""
    narrow = as_pair(pair.x[:, :1], pair.y)
    return estimate(narrow, config=BASE).mi


def raw_correlation(pair, result):
    """Not invariant: correlations of the values as they are."""
    r = np.corrcoef(pair.x[:, 0], pair.y[:, 0])[0, 1]
    return -0.5 * np.log1p(-(r**2))


def memorised(pair, result):
    """What a critic that knows its rows by heart shows: log n, whatever the truth."""
    critic = Config(base="none", folds=2, n_iters=50, eval_every=50, patience=0, lr=1e-2, ema=0.0)
    critic = critic.with_(certify=False)
    return estimate(pair, config=critic).training


FAULTS = {
    "shuffled": ("normal", memorised),
    "reordered": ("normal", lambda pair, result: result.mi + abs(pair.x[0, 0] - pair.x[1, 0])),
    "swapped": ("swap", first_column),
    "bent": ("near", raw_correlation),
    "noise": ("normal", lambda pair, result: result.mi + 0.2 * pair.x.shape[1]),
    "coarse": ("normal", lambda pair, result: result.mi + 2 / pair.x.shape[1]),
}


@pytest.mark.parametrize("name", CHECKS)
def test_each_check_fails_where_its_law_is_broken(name, monkeypatch):
    kind, estimator = FAULTS[name]
    x, y = rows("normal" if kind == "swap" else kind, 0, n=200)
    pair = as_pair(y, x[:, ::-1].copy()) if kind == "swap" else as_pair(x, y)
    monkeypatch.setattr("infobound.analyses.invariance.CHECKS", {name: CHECKS[name]})
    _, sound = check(pair, config=BASE)
    assert [c.passed for c in sound] == [True]
    faulty = changed(estimator)
    own, (found,) = check(pair, config=BASE, by=faulty)
    assert check(pair, config=BASE, result=own, by=faulty) == (own, (found,))
    assert not found.passed
    assert found.message
    assert abs(found.difference) > found.allowed > 0


def test_the_changes_are_what_they_say():
    pair, rng = as_pair(*rows("normal", 1)), np.random.default_rng(0)
    by = {name: rule.change(pair, rng) for name, rule in CHECKS.items()}
    assert np.array_equal(by["shuffled"].x, pair.x)
    assert sorted(by["shuffled"].y[:, 0]) == sorted(pair.y[:, 0])
    assert np.array_equal(by["swapped"].x, pair.y)
    both = np.concatenate([by["reordered"].x, by["reordered"].y], axis=1)
    assert sorted(map(tuple, both)) == sorted(map(tuple, np.concatenate([pair.x, pair.y], axis=1)))
    for side in ("x", "y"):  # the same order in every column
        old, new = getattr(pair, side), getattr(by["bent"], side)
        assert np.array_equal(np.argsort(old, axis=0), np.argsort(new, axis=0))
    assert by["noise"].x.shape == (300, 4)
    assert by["coarse"].x.shape == (300, 1)
    narrow = CHECKS["coarse"].change(as_pair(pair.x[:, 0], pair.y), rng)
    assert [*np.unique(narrow.x, return_counts=True)[1]] == [38, 37, 38, 37, 37, 38, 37, 38]


def test_from_python_and_as_plain_values():
    result, found = check(*rows("normal", 2), critic="none", base="gaussian,table", folds=2)
    assert result.mi == estimate(as_pair(*rows("normal", 2)), config=BASE.with_(folds=2)).mi
    plain = json.loads(json.dumps([each.as_dict("bits") for each in found]))
    assert plain[1]["value"] == pytest.approx(found[1].value / np.log(2))
    with pytest.raises(InputError, match="got critics"):
        check([1.0], [2.0], critics="none")


@pytest.mark.usefixtures("no_pictures")
def test_the_command_prints_keeps_and_gives_them(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    x, y = rows("normal", 3)
    pd.DataFrame({"a": x[:, 0], "b": y[:, 0]}).to_csv(tmp_path / "t.csv", index=False)
    words = ["estimate", str(tmp_path / "t.csv"), "--x", "a", "--y", "b"]
    words += ["--estimator", "gaussian", "--no-certify"]
    main.main([*words, "--check", "--run", str(tmp_path / "run")])
    out = capsys.readouterr().out
    assert out.count(" pass") == len(CHECKS)
    assert all(rule.title in out for rule in CHECKS.values())
    assert "infobound rehearse" in out
    main.main([*words, "--check", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["checks"] == json.loads((tmp_path / "run" / "checks.json").read_text())
    main.main(words)
    out = capsys.readouterr().out
    assert "--check" in out
    assert "Checks" not in out


def test_checks_know_what_columns_are():
    rng = np.random.default_rng(0)
    codes, doses = rng.integers(4, size=(2, 200))
    y = rng.normal(size=4)[codes] + 0.3 * doses + rng.normal(size=200)
    table = pd.DataFrame({"code": codes, "dose": doses.astype(str)})
    result, found = check(table, y, categorical=["code"], numeric=["dose"], config=BASE)
    assert result.dim_x == 5
    assert [each.name for each in found] == [*CHECKS]
