"""Pairs, folds and transforms: what goes in, and that training rows alone decide."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from infobound import data
from infobound.errors import InputError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 2))


@pytest.mark.parametrize(
    "x",
    [
        X,
        X.astype(np.float64).tolist(),
        torch.from_numpy(X),
        torch.from_numpy(X).requires_grad_(),
        pd.DataFrame(X, index=range(7, 57)),
        torch.from_numpy(X).to_sparse(),
        np.ma.array(X, mask=False),
    ],
)
def test_containers(x):
    pair = data.as_pair(x, pd.Series(X[:, 0], name="left", index=range(3, 53)))
    assert np.array_equal(pair.x, X)
    assert np.array_equal(pair.y[:, 0], X[:, 0])
    assert pair.y_names == ("left",)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, bool, torch.bfloat16, torch.int64])
def test_other_number_types(dtype):
    values = np.arange(50) % 2
    x = (
        torch.tensor(values, dtype=dtype)
        if isinstance(dtype, torch.dtype)
        else values.astype(dtype)
    )
    assert np.array_equal(data.as_pair(x, X).x[:, 0], values)


def test_images_are_flattened_and_said():
    pair = data.as_pair(np.zeros((50, 4, 4)), X)
    assert pair.x.shape == (50, 16)
    assert "flattened into 16 columns" in pair.notes[0]


def test_frames_with_categories():
    table = pd.DataFrame({"kind": pd.Categorical(list("uvw") * 10), "flag": [True, False] * 15})
    pair = data.as_pair(table, np.arange(30.0))
    assert pair.x_names == ("kind=u", "kind=v", "kind=w", "flag")
    assert pair.notes == ("x: kind has 3 categories, one-hot encoded into 3 columns.",)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, X[:49], "equal lengths for x and y; got 50 and 49"),
        (np.where(X > 2, np.nan, X), X, "missing values in the arrays; got"),
        (np.where(X > 1, np.inf, X), X, r"finite values in the arrays; got .* x\[0\]"),
        (X * 1j, X, "Expected real numbers in x; got complex"),
        (np.zeros((50, 0)), X, "at least one row and one column for x"),
        (3.0, X, "Expected numbers in x"),
        ([[1], [2, 3]], X, "ragged"),
        (pd.DataFrame({"t": pd.date_range("2026", periods=50)}), X, "column t; got times"),
        (pd.DataFrame({"t": [None, *range(49)]}), X, r"columns t \(1\)"),
        (np.ma.masked_greater(X, 1), X, "rows with missing values"),
        (pd.DataFrame(X, columns=["u", "u"]), X, "names in x; got u more than once"),
        (np.arange(50) + 2**60, X, r"float64 tells apart in column x\[0\]"),
        (X[:, :1].T, X[:, 0], r"x; got one row of 50 columns\. Transpose it: x\.T"),
        (X.T[:1], X.T[1:], r"x; got one row of 50 columns\. Transpose it: x\.T"),
        (X[:, 0], X.T[1:], r"y; got one row of 50 columns\. Transpose it: y\.T"),
        (np.zeros((0, 2, 2)), np.zeros(0), "at least one row and one column for x"),
    ],
)
def test_errors(x, y, message):
    with pytest.raises(InputError, match=message):
        data.as_pair(x, y)


@pytest.mark.parametrize(("n", "k"), [(40, 4), (43, 4), (1000, 7), (50, 5)])
def test_every_row_is_tested_once_and_never_trained_on_then(n, k):
    folds = data.split(n, k, seed=3)
    assert len(folds) == k
    tests = np.concatenate([test for _, test in folds])
    assert np.array_equal(np.sort(tests), np.arange(n))
    for training, test in folds:
        assert not set(training) & set(test)
        assert len(training) + len(test) == n
    rest, held = data.hold_out(folds[0][0], 0.2, seed=1)
    assert np.array_equal(np.sort(np.concatenate([rest, held])), folds[0][0])
    assert not np.array_equal(folds[0][1], data.split(n, k, seed=4)[0][1])


@pytest.mark.parametrize(
    ("n", "k", "message"), [(39, 4, "40 rows for 4"), (60, 9, "90 .*--folds 6")]
)
def test_too_few_rows(n, k, message):
    with pytest.raises(InputError, match=message):
        data.split(n, k, seed=0)


def test_a_part_of_the_rows_may_be_one_row_but_tells_no_categories():
    assert data.as_pair(X[:1], X[:1], part=True).x.shape == (1, 2)
    with pytest.raises(InputError, match=r"numbers in column x\[0\] of x; got text"):
        data.as_pair(["u", "v"], [1, 2], part=True)


HARD = {
    "normal": RNG.normal(size=500),
    "cauchy": RNG.standard_cauchy(size=500) * 1e6,
    "huge": np.r_[RNG.normal(size=499), 1e300],
    "ties": RNG.integers(0, 4, size=500).astype(float),
    "binary": (RNG.random(500) < 0.1).astype(float),
    "constant": np.full(500, 3.0),
    "skewed": np.exp(3 * RNG.normal(size=500)),
}


@pytest.mark.parametrize("name", HARD)
def test_transforms_are_finite_monotone_and_scaled(name):
    rows = HARD[name][:, None]
    fitted = data.Transform.fit(rows)
    scores, robust = fitted.normal_scores(rows), fitted.robust(rows)
    assert np.isfinite(scores).all()
    assert np.isfinite(robust).all()
    assert np.abs(robust).max() <= 20
    order = np.argsort(rows[:, 0], kind="stable")
    assert (np.diff(scores[order, 0]) >= 0).all()
    assert (np.diff(robust[order, 0]) >= 0).all()
    if name != "constant":
        assert scores.std() == pytest.approx(1, abs=0.02)
    beyond = fitted.normal_scores(np.array([[-1e301], [1e301]]))
    assert beyond[0, 0] == scores.min()
    assert beyond[1, 0] == scores.max()


TINY = 2.0**-1040  # times a normal number: subnormal, with a few digits left


def test_subnormal_columns_are_seen_as_their_scaled_version():
    rows = np.round(HARD["normal"], 6)[:, None]
    rare = np.where(RNG.random(500) < 0.1, HARD["normal"], 0)[:, None]  # no quartiles' range
    for values in (rows, rare):
        small = values * TINY
        known = data.Transform.fit(small[:250] / TINY).every(small / TINY)
        with np.errstate(all="raise", under="ignore"):
            found = data.Transform.fit(small[:250]).every(small)
        np.testing.assert_allclose(found, known, atol=1e-3)


def test_knots_too_close_for_a_slope_give_scores_between_theirs():
    rows = np.array([[0.0], [1e-310], [3e-310], [1.0], [2.0]])
    fitted = data.Transform.fit(rows)
    ours = fitted.normal_scores(rows)[:, 0]
    between = fitted.normal_scores(np.array([[2e-310]])).item()
    assert between == pytest.approx((ours[1] + ours[2]) / 2)


def test_normal_scores_ignore_monotone_maps():
    rows = HARD["normal"][:, None]
    mapped = np.exp(2 * rows)
    ours = data.Transform.fit(rows).normal_scores(rows)
    np.testing.assert_array_equal(ours, data.Transform.fit(mapped).normal_scores(mapped))


def test_equal_values_get_equal_middle_scores():
    scores = data.Transform.fit(HARD["ties"][:, None]).normal_scores(np.arange(4.0)[:, None])
    assert len(np.unique(scores)) == 4
    share = (HARD["ties"] == 0).mean()
    assert scores[0, 0] < 0 < scores[3, 0]
    assert 0.1 < share < 0.4


def test_the_entropy_of_few_values_is_unbiased_and_its_error_what_it_varies_by():
    shares = np.random.default_rng(0).dirichlet(np.ones(12))
    draws = [np.random.default_rng(seed).choice(12, size=(300, 1), p=shares) for seed in range(400)]
    found = [data.entropy(rows) for rows in draws]
    values = np.array([each.value for each in found])
    error = values.std() / math.sqrt(len(values))
    assert abs(values.mean() - stats.entropy(shares)) < 3 * error
    observed = [stats.entropy(np.bincount(rows[:, 0])) for rows in draws]
    assert stats.entropy(shares) - np.mean(observed) > 6 * error  # without the correction
    assert values.std() == pytest.approx(np.mean([each.error for each in found]), rel=0.15)


def test_a_column_as_wide_as_float64_is_scaled_without_overflow():
    """Was NaN: the distance between its quartiles is beyond the largest float64."""
    column = np.linspace(-1, 1, 40)[:, None]
    small, huge = (
        data.Transform.fit(size * column).robust(size * column) for size in (1.0, 1.7e308)
    )
    np.testing.assert_allclose(huge, small, rtol=1e-12)
