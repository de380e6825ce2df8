"""Columns of whole numbers as categories: near the truth, and near what an estimate finds."""

import re

import numpy as np
import pandas as pd
import pytest

from infobound.data import as_pair
from infobound.estimation.estimate import estimate
from infobound.estimation.recoded import mi_as_categories

SETTINGS = {"critic": "none", "certify": False}


def byte_and_weight(n=3000):
    """A byte, and its noisy Hamming weight beside noise: .549 nats."""
    rng = np.random.default_rng(8)
    byte = rng.integers(0, 256, n)
    weight = np.unpackbits(byte.astype(np.uint8)[:, None], axis=1).sum(1)
    return byte, np.column_stack([weight + rng.normal(size=n), rng.normal(size=(n, 5))])


def normal_means(seed, spread, n=1000):
    """Forty codes, and normal rows around a mean for each; noise beside the code."""
    rng = np.random.default_rng(seed)
    means = np.random.default_rng(0).normal(size=40)
    codes = rng.integers(40, size=n)
    y = spread * (means - means.mean())[codes] / means.std() + rng.normal(size=n)
    return np.c_[codes, rng.normal(size=n)], y


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_values_are_those_of_many_rows_on_average_and_zero_without_dependence(spread):
    found = [mi_as_categories(as_pair(*normal_means(s, spread)), ["x[0]"]) for s in range(30)]
    many = as_pair(*normal_means(99, spread, n=10_000))
    truth = mi_as_categories(many, ["x[0]"]) if spread else 0.0
    assert abs(np.mean(found) - truth) < 3 * np.std(found) / np.sqrt(30) + 0.01 * (spread > 0)
    as_numbers = mi_as_categories(many, [])
    assert abs(as_numbers) < 0.05  # the codes have no order


def test_sides_of_few_values_are_counted_and_many_categories_are_left():
    rng = np.random.default_rng(0)
    codes = rng.integers(30, size=2000)
    pair = as_pair(codes, 7 * codes % 3)
    assert mi_as_categories(pair, ["x[0]"]) == pytest.approx(np.log(3), abs=0.01)
    wide = as_pair(np.arange(2000) // 1.5, rng.normal(size=2000))
    assert mi_as_categories(wide, ["x[0]"]) is None


def test_what_the_finding_announces_is_what_an_estimate_of_the_categories_finds():
    byte, y = byte_and_weight()
    plain = estimate(byte, y, base="gaussian,student", **SETTINGS)
    said = next(f.message for f in plain.findings if f.code == "unordered_codes")
    announced, now = map(float, re.search(r"about ([\d.]+) nats \(now ([\d.]+)\)", said).groups())
    assert "(--categorical x[0])" in said
    assert now == pytest.approx(plain.mi, abs=0.006)
    named = estimate(byte, y, categorical=["x[0]"], base="gaussian", **SETTINGS)
    assert announced == pytest.approx(named.mi, abs=0.03)
    assert announced == pytest.approx(0.549, abs=0.04)
    assert now < 0.25


def test_ages_are_quantities(monkeypatch):
    """Sixty-one ages, linear in y: nothing is said, and nothing is computed for it."""
    rng = np.random.default_rng(0)
    age = rng.integers(20, 81, size=2000)
    y = age / 18 + rng.normal(size=2000)
    asked = []
    monkeypatch.setattr(
        "infobound.estimation.outcome.mi_as_categories", lambda *given: asked.append(given)
    )
    found = estimate(age, y, base="gaussian_raw", **SETTINGS)
    assert "unordered_codes" not in {f.code for f in found.findings}
    assert asked == []
    assert mi_as_categories(as_pair(age, y), ["x[0]"]) < found.mi + found.half_width


def test_a_column_of_a_frame_is_named_as_it_is_called():
    rng = np.random.default_rng(0)
    codes, means = rng.integers(40, size=1600), rng.normal(size=40)
    table = pd.DataFrame({"shop": codes, "size": rng.normal(size=1600)})
    y = means[codes] + table["size"] + rng.normal(size=1600)
    plain = estimate(table, y, base="gaussian", **SETTINGS)
    said = next(f.message for f in plain.findings if f.code == "unordered_codes")
    assert "(--categorical shop)" in said
    announced = float(re.search(r"about ([\d.]+) nats", said).group(1))
    named = estimate(table, y, categorical=["shop"], base="gaussian", **SETTINGS)
    assert announced == pytest.approx(named.mi, abs=0.03)
    assert announced > plain.mi + 0.2


def test_given_columns_have_no_quick_answer():
    x, y = np.random.default_rng(0).integers(5, size=(2, 200))
    assert mi_as_categories(as_pair(x, y, given=x), ["x[0]"]) is None
    assert mi_as_categories(as_pair(x, y), ["x[0]"]) is not None


def test_no_quick_answer_exceeds_an_entropy():
    x = np.random.default_rng(0).integers(12, size=(300, 10))
    y = x[:, 0] % 3  # whose copula with 110 encoded columns would have 6.3 nats
    assert mi_as_categories(as_pair(x, y), [f"x[{k}]" for k in range(10)]) is None
