"""Which of two tells more: the difference, its interval, and what the pairing gains."""

import json

import numpy as np
import pytest

from infobound.analyses.compare import compare
from infobound.cli.main import main
from infobound.data import as_pair
from infobound.errors import InputError


def sensors(seed, n=500, noise=(0.5, 0.7)):
    """One source, and two sensors of it that share most of their noise."""
    rng = np.random.default_rng(seed)
    y, shared = rng.normal(size=(2, n))
    own = rng.normal(size=(2, n)) * 0.1
    return [y + sd * shared + e for sd, e in zip(noise, own, strict=True)], y


def truth(noise):
    return 0.5 * np.log(1 + 1 / (noise**2 + 0.01))


def test_the_interval_of_the_difference_covers_and_pairing_narrows_it():
    exact = truth(0.5) - truth(0.7)
    covered, narrower = [], []
    for seed in range(25):
        (x1, x2), y = sensors(seed)
        found = compare(x1, x2, y, seed=seed, folds=2, estimator="gaussian", certify=False)
        low, high = found.interval
        covered.append(low <= exact <= high)
        alone = np.hypot(*(one.interval[1] - one.mi for one in (found.first, found.second)))
        narrower.append((high - low) / 2 / alone)
        assert found.difference == pytest.approx(found.first.mi - found.second.mi)
    assert np.mean(covered) >= 0.95 - 2 * 0.044
    assert np.median(narrower) < 0.6


def test_p_values_are_large_where_both_tell_the_same():
    small = []
    for seed in range(25):
        (x1, x2), y = sensors(seed, n=200, noise=(0.5, 0.5))
        p = compare(x1, x2, y, seed=seed, folds=2, estimator="gaussian", certify=False).p_value
        small.append(p <= 0.05)
    assert np.mean(small) <= 0.05 + 2 * 0.044


def test_no_p_value_is_zero():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 4000))
    found = compare(x, noise, x + 0.1 * noise, estimator="gaussian", certify=False)
    assert 0 < found.p_value < 1e-30


def test_another_y_is_refused():
    x = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(InputError, match="same y"):
        compare(as_pair(x[:, 0], x[:, 1]), as_pair(x[:, 0], x[:, 0]))


def test_the_command_says_which_tells_more(tmp_path, capsys):
    (x1, x2), y = sensors(0, noise=(0.2, 2.0))
    np.savez(tmp_path / "rows.npz", a=x1, b=x2, y=y)
    words = ["compare", str(tmp_path / "rows.npz"), "--x1", "a", "--x2", "b", "--y", "y"]
    words += ["--estimator", "gaussian", "--no-certify", "--quiet"]
    main(words)
    assert "difference" in capsys.readouterr().out
    main([*words, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["difference"] > 1
    assert found["first"]["mi"] - found["second"]["mi"] == pytest.approx(found["difference"])


def test_names_say_which_sample_has_categories():
    rng = np.random.default_rng(0)
    codes, y = rng.integers(5, size=(200, 2)), rng.normal(size=200)
    both = ["x1[0]", "x2"]
    found = compare(codes, codes[:, 0], y, categorical=both, estimator="gaussian", certify=False)
    assert (found.first.dim_x, found.second.dim_x) == (6, 5)
    with pytest.raises(InputError, match=r"among x1\[0\], .*, or x1, x2 or y .*; got 'x'"):
        compare(codes, codes[:, 0], y, categorical=["x"])
