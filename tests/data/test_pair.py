"""Pairs, folds and transforms: what goes in, and that training rows alone decide."""

import numpy as np
import pandas as pd
import pytest
import torch

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


def test_frames_with_kinds():
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
        (np.arange(50) + 2**60, X, r"float64 distinguishes in column x\[0\]"),
        (X[:, :1].T, X[:, 0], r"x; got one row of 50 columns\. Transpose it: x\.T"),
        (X.T[:1], X.T[1:], r"x; got one row of 50 columns\. Transpose it: x\.T"),
        (X[:, 0], X.T[1:], r"y; got one row of 50 columns\. Transpose it: y\.T"),
        (np.zeros((0, 2, 2)), np.zeros(0), "at least one row and one column for x"),
    ],
)
def test_errors(x, y, message):
    with pytest.raises(InputError, match=message):
        data.as_pair(x, y)


def test_a_part_of_the_rows_may_be_one_row_but_tells_no_categories():
    assert data.as_pair(X[:1], X[:1], part=True).x.shape == (1, 2)
    with pytest.raises(InputError, match=r"numbers in column x\[0\] of x; got text"):
        data.as_pair(["u", "v"], [1, 2], part=True)


def test_named_columns_are_categories_and_others_stay():
    rng = np.random.default_rng(0)
    x, y = rng.integers(3, size=(60, 2)), rng.integers(2, size=60) / 2
    pair = data.as_pair(np.c_[x, rng.normal(size=60)], y)
    found = data.as_pair(pair, categorical=["x[1]", "y"])
    assert found.x_names == ("x[0]", "x[1]=0", "x[1]=1", "x[1]=2", "x[2]")
    assert found.y_names == ("y[0]=0.5",)
    np.testing.assert_array_equal(found.x[:, [0, 4]], pair.x[:, [0, 2]])
    np.testing.assert_array_equal(found.x[:, 1:4], x[:, [1]] == np.arange(3))
    assert found.notes == (
        "x: x[1] has 3 categories, one-hot encoded into 3 columns.",
        "y: y[0] has 2 categories, one-hot encoded into 1 column.",
    )
    assert data.as_pair(found, categorical=["y"]).y_names == found.y_names  # a category stays one
    with pytest.raises(InputError, match=r"categorical columns among x\[0\], .*; got 'z'"):
        data.as_pair(pair, categorical=["z"])
    with pytest.raises(InputError, match=r"categories that repeat in column x\[2\]"):
        data.as_pair(pair, categorical=["x[2]"])
    with pytest.raises(InputError, match=r"not encoded as categories yet .* got x\[1\]"):
        data.as_pair(found, numeric=["x[1]"])
    with pytest.raises(InputError, match=r"in categorical or in numeric; got y in both"):
        data.as_pair(pair, categorical=["y"], numeric=["x", "y"])


def test_a_side_stands_for_its_columns_unless_a_column_has_its_name():
    codes = np.arange(60).reshape(30, 2) % 3
    left, right = pd.DataFrame(codes), pd.DataFrame({"0": codes[:, 0], "x": codes[:, 1]})
    found = data.as_pair(left, codes, categorical=["x"])
    assert (found.x.shape[1], found.y.shape[1]) == (6, 2)
    found = data.as_pair(left, right, categorical=["x"])
    assert found.x_names == ("0", "1")
    assert found.y_names == ("0", "x=0", "x=1", "x=2")
    first, second = data.as_pairs(
        {"x1": codes, "x2": codes}, codes[:, 0], categorical=["x1", "x2[0]"]
    )
    assert first.x_names == tuple(f"x1[{k}]={c}" for k in range(2) for c in range(3))
    assert second.x_names == ("x2[0]=0", "x2[0]=1", "x2[0]=2", "x2[1]")
    assert first.y_names == second.y_names == ("y[0]",)


def test_what_is_given_is_a_third_side():
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=50), rng.normal(size=(50, 2)), rng.integers(3, size=50)
    pair = data.as_pair(x, y, given=z, categorical=["given"])
    assert pair.given_names == ("given[0]=0", "given[0]=1", "given[0]=2")
    assert pair.columns == 6
    assert pair.sample[1].given.tobytes() == pair.given.tobytes()
    text = data.as_pair(x, y, given=np.array(["a", "b"])[z.clip(max=1)])
    assert text.given_names == ("given[0]=b",)
    with pytest.raises(InputError, match=r"lengths for x and given; got 50 and 49\. Row i of x"):
        data.as_pair(x, y, given=z[1:])
    with pytest.raises(InputError, match=r"as_pair\(x, y, given=z\)"):
        data.as_pair(pair, given=z)
    with pytest.raises(InputError, match=r"missing values in the arrays.*given"):
        data.as_pair(x, y, given=np.where(z == 0, np.nan, z))


def test_missing_values_of_a_series_beside_itself_are_named_once():
    series = pd.Series([1.0, None, 3.0], name="rate")
    with pytest.raises(
        InputError, match=r"columns rate \(1\)\. Fill them; or, if rows are no time"
    ):
        data.as_pair(series, series)


def test_different_indexes_are_said_with_the_remedy():
    x = pd.Series([1.0, 2.0, 3.0], index=[5, 6, 7])
    (note,) = data.as_pair(x, x.iloc[::-1]).notes
    assert note.endswith("by position, not by index. To pair them by index, give y.loc[x.index].")
    assert data.as_pair(x, x.iloc[::-1].loc[x.index]).notes == ()
