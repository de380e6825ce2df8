"""Whatever holds rows: the same numbers from every container, or one sentence."""

import decimal
import re
import warnings

import hypothesis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import strategies as st
from scipy import sparse

from infobound import data
from infobound.data import containers
from infobound.errors import InputError
from infobound.files import readers

RNG = np.random.default_rng(0)
N = 12
X = RNG.normal(size=(N, 2))
LABELS = ["up", "down", "up"] * (N // 3)


class Foreign:
    """An array of another library: all that is known of it is `__array__`."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values.copy(), dtype=dtype)


class Table:
    """A table of another library, which pandas can take; not if it has three dimensions."""

    def __init__(self, values):
        self.values = values

    def to_pandas(self):
        return pd.DataFrame(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


class Broken:
    """An array that cannot be converted, as those on a device may be."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("values are\non a device")


def grad(values):
    return torch.tensor(values, requires_grad=True)


NUMBERS = {
    "Foreign": Foreign(X),
    "Table": Table(X),
    "big-endian": X.astype(">f8"),
    "csc": sparse.csc_matrix(X),
    "coo": sparse.coo_array(X),
    "dict": {"a": list(X[:, 0]), "b": grad(X[:, 1])},
    "generator made a list": [(a, b) for a, b in X],
    "list of arrays": list(X),
    "list of frames' rows": [row for _, row in pd.DataFrame(X).iterrows()],
    "list of lists of tensors": [[grad(a), float(b)] for a, b in X],
    "list of tensors": [torch.tensor(row) for row in X],
    "list of tensors with gradients": [grad(row) for row in X],
    "masked": np.ma.array(X, mask=False),
    "longdouble": X.astype(np.longdouble),
    "matrix": np.asmatrix(X),
    "memoryview": memoryview(X),
    "negative view": torch.complex(torch.tensor(X), torch.tensor(-X)).conj().imag,
    "nullable": pd.DataFrame(X).convert_dtypes(),
    "object": X.astype(object),
    "decimals": [[decimal.Decimal(float(v)) for v in row] for row in X],
    "pyarrow": pa.table({"a": X[:, 0], "b": X[:, 1]}),
    "sparse frame": pd.DataFrame(X).astype(pd.SparseDtype(float, 0)),
    "structured": np.array(list(map(tuple, X)), dtype=[("a", float), ("b", float)]),
    "multiindex": pd.MultiIndex.from_arrays(X.T),
    "three dimensions": X[:, :, None],
}


@pytest.mark.parametrize("name", NUMBERS)
def test_every_container_gives_the_same_numbers(name):
    pair = data.as_pair(NUMBERS[name], X)
    assert pair.x.dtype == np.float64
    assert np.array_equal(pair.x, X)


def polars(values, kind="String"):
    library = pytest.importorskip("polars")
    return library.Series("x", values).cast(getattr(library, kind))


DIGITS = ["7", "7.5", "7"] * (N // 3)
WRITTEN = {
    "list": list,
    "tuple": tuple,
    "bytes": lambda cells: [cell.encode() for cell in cells],
    "array": np.array,
    "array of bytes": lambda cells: np.array(cells, dtype="S"),
    "array of NumPy's strings": lambda cells: np.array(cells, dtype=np.dtypes.StringDType()),
    "array of objects": lambda cells: np.array(cells, dtype=object),
    "column of an array": lambda cells: np.array(cells)[:, None],
    "object": lambda cells: pd.Series(cells, dtype=object),
    "string": lambda cells: pd.Series(cells, dtype="string"),
    "string of Arrow": lambda cells: pd.Series(cells, dtype="string[pyarrow]"),
    "category": lambda cells: pd.Series(cells, dtype="category"),
    "category of numbers": lambda cells: pd.Series(map(float, cells), dtype="category"),
    "frame": lambda cells: pd.DataFrame({"x": cells}),
    "table of another library": lambda cells: Table({"x": cells}),
    "dict": lambda cells: {"x": cells},
    "pyarrow": pa.array,
    "polars": polars,
    "categories of polars": lambda cells: polars(cells, "Categorical"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_text_stays_text_unless_it_is_named_as_numbers(name):
    cells = WRITTEN[name](DIGITS)
    pair = data.as_pair(cells, X)
    assert pair.x_names[0].endswith("=7.5")
    assert pair.x[:, 0].tolist() == [0, 1, 0] * (N // 3)
    typed = "category" in name or "categories" in name  # then the user has said what it is
    assert ("name quantities in numeric=" in pair.notes[0]) == (not typed)
    found = data.as_pair(cells, X, numeric=["x"])
    assert found.x[:, 0].tolist() == [7, 7.5, 7] * (N // 3)
    assert found.x_names[0] in ("x", "x[0]")
    assert found.notes == ()


def test_flags_are_numbers_where_they_are_named():
    for flags in (np.array([True, False] * 6, dtype=object), pd.Categorical([True, False] * 6)):
        assert data.as_pair(flags, X).x_names[0].endswith("=True")
        found = data.as_pair(flags, X, numeric=["x"])
        assert found.x[:, 0].tolist() == [1, 0] * 6
        assert "=" not in found.x_names[0]


def test_numbers_beside_text_in_a_list_stay_numbers():
    pair = data.as_pair([[label, 1.5 * k] for k, label in enumerate(LABELS)], X)
    assert pair.x_names == ("x[0]=up", "x[1]")
    assert pair.x[:, 1].tolist() == [1.5 * k for k in range(N)]


ONE = {
    "Index": pd.Index(X[:, 0]),
    "Arrow": pd.Series(X[:, 0], dtype="double[pyarrow]").values,
    "nullable": pd.array(X[:, 0], dtype="Float64"),
    "sparse": pd.arrays.SparseArray(X[:, 0]),
    "pyarrow": pa.chunked_array([X[:, 0]]),
    "scalar tensors": [grad(v) for v in X[:, 0]],
    "range": range(N),
    "memoryview": memoryview(bytes(range(N))),
    "big-endian integers": np.arange(N, dtype=">i8"),
    "float16": torch.arange(N).half(),
    "nullable integers": pd.array(range(N), dtype="UInt64"),
    "decimals of Arrow": pd.array(range(N), dtype=pd.ArrowDtype(pa.decimal128(20, 2))),
}


@pytest.mark.parametrize("name", ONE)
def test_every_column_gives_the_same_numbers(name):
    found = data.as_pair(ONE[name], X).x[:, 0]
    assert np.array_equal(found, X[:, 0]) or np.array_equal(found, np.arange(N))


@pytest.mark.parametrize(
    "labels",
    [
        pd.Categorical(LABELS),
        pd.Series(LABELS).values,
        pd.Series(LABELS, dtype="category").values,
        pd.array(LABELS, dtype="string"),
        pd.array(LABELS, dtype="string[pyarrow]"),
        pd.Index(LABELS),
        np.array(LABELS),
        np.array(LABELS, dtype=object),
        np.array(LABELS, dtype="S"),
        [label.encode() for label in LABELS],
        np.ma.array(LABELS, mask=False),
        pa.array(LABELS),
    ],
)
def test_every_container_gives_the_same_categories(labels):
    pair = data.as_pair(labels, X)
    assert pair.x[:, 0].tolist() == [1, 0, 1] * (N // 3)
    assert pair.x_names[0].endswith("=up")


@pytest.mark.parametrize("name", [pd.NA, None, "", float("nan")])
def test_a_series_without_a_name_is_named_by_its_side(name):
    assert data.as_pair(pd.Series(X[:, 0], name=name), X).x_names == ("x",)
    index = pd.MultiIndex.from_arrays(X.T, names=[name, "b"])
    assert data.as_pair(index, X).x_names == ("x[0]", "b")


def test_intervals_of_cut_are_categories():
    pair = data.as_pair(pd.cut(X[:, 0], 3), X)
    assert pair.x.shape == (N, 3)
    assert (pair.x.sum(axis=1) == 1).all()


MISSING = {
    "integers beyond 2^53": np.ma.array(np.arange(N) + 2**60, mask=X[:, 0] > 0),
    "text": np.ma.array(LABELS, mask=X[:, 0] > 0),
    "a list of masked rows": [np.ma.array(row, mask=row > 5) for row in X + 5 * (X[:, :1] > 0)],
    "masked scalars": [np.ma.masked if v > 0 else v for v in X[:, 0]],
    "fields": np.ma.array(
        [(v, 0) for v in X[:, 0]],
        dtype=[("a", float), ("b", int)],
        mask=[(v > 0, False) for v in X[:, 0]],
    ),
    "nullable": pd.array([None if v > 0 else 1 for v in X[:, 0]], dtype="Int64"),
    "None": [None if v > 0 else v for v in X[:, 0]],
}


@pytest.mark.parametrize("name", MISSING)
def test_masked_and_missing_values_are_missing_in_every_container(name):
    count = (X[:, 0] > 0).sum()
    with pytest.raises(InputError, match=rf"{count} of {N} rows with missing values"):
        data.as_pair(MISSING[name], X)


LARGE = [10**18 + k for k in range(N)]


@pytest.mark.parametrize(
    "values",
    [
        LARGE,
        [0.5, *LARGE[1:]],
        np.array(LARGE, dtype=object),
        np.array(LARGE, dtype=np.uint64),
        np.array(LARGE, dtype=np.longdouble),
        pd.array(LARGE, dtype="Int64"),
        pd.array(LARGE, dtype="int64[pyarrow]"),
        [decimal.Decimal(k) for k in LARGE],
        [[2**53, 1.5], [2**53 + 1, 2.5]] * (N // 2),
    ],
)
def test_integers_beyond_2_53_never_merge_silently(values):
    with pytest.raises(InputError, match=r"float64 distinguishes in column x.*beyond 2\^53"):
        data.as_pair(values, X)


@pytest.mark.parametrize("form", ["{}", "{}.0", "{:,}"])
def test_integers_beyond_2_53_as_text_are_told_apart(form):
    values = [form.format(k) for k in LARGE]
    assert data.as_pair(values, X).x.shape == (N, N)
    for named in (values, [value.encode() for value in values]):
        with pytest.raises(InputError, match=r"float64 distinguishes in column x.*beyond 2\^53"):
            data.as_pair(named, X, numeric=["x"])
    assert data.as_pair(LARGE, X, categorical=["x"]).x.shape == (N, N)  # codes need no float64


def test_large_numbers_that_float64_tells_apart_are_taken():
    for values in (
        2.0**60 * X[:, 0],
        list(1e300 * X[:, 0]),
        list(1e300 * X),
        [grad(v) for v in 1e300 * X[:, 0]],
        [2**60 * k for k in range(N)],
        [f"{k}e17" for k in range(N)],
    ):
        assert len(np.unique(data.as_pair(values, X, numeric=["x"]).x[:, 0])) == N


ENDLESS: list = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (Broken(), "got Broken, which cannot be converted (values are on a device)"),
        (iter(X), "Make a list of it"),
        ((v for v in X[:, 0]), "got generator. Make a list of it"),
        ({1.0, 2.0}, "got set. Make a list of it"),
        ({"a": 1, "b": 2}, "got dict, which cannot be converted"),
        ([[grad([1.0])], [grad([1.0, 2.0])]], "ragged"),
        (ENDLESS, "got list, which cannot be converted"),
        (torch.zeros(N, device="meta"), "got Tensor, which cannot be converted"),
        (torch.zeros(N, dtype=torch.complex64).conj(), "real numbers in x; got complex"),
        (sparse.csr_array((N, 10**12)), "shape (12, 1000000000000). Select or project its columns"),
        (pd.date_range("2026", periods=N), "column x; got times"),
        (pd.period_range("2026", periods=N, freq="D"), "column x; got times"),
        (pd.to_timedelta(range(N), unit="s"), "column x; got times"),
        ([pd.Timestamp(0)] * N, "column x[0]; got times"),
        (np.arange(N).astype("M8[D]"), "in x; got times"),
        (
            pd.Series([[1, 2], [3]] * (N // 2)),
            "cells of type list. Give each element a column of its",
        ),
        ([{"a": 1}] * N, "cells of type dict"),
        ([1, 1j] * (N // 2), "real numbers in x; got complex"),
        (np.array([1, 1j] * (N // 2), dtype=object), "real numbers in column x[0]; got complex"),
        (np.full(N, b"\xff"), "text in UTF-8 in x"),
        (np.array([b"\xff"] * N, dtype=object), "text in UTF-8 in column x[0]"),
        (np.zeros(N, dtype="V4"), "got |V4 of shape (12,)"),
        (np.zeros(N, dtype=[("a", float, 2)]), "must each be 1-dimensional"),
        ("text", "got str. Convert it"),
        (None, "got NoneType"),
        (pd.Series(pd.arrays.SparseArray(np.zeros(N, "f8,i4"))), "cells of type"),
        (np.longdouble("1e400") * np.ones(N), "beyond 1.8e308, the largest of float64) in columns"),
        ([10**400] * N, "beyond 1.8e308"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_table_of_numbers_is_one_sentence(x, message):
    with pytest.raises(InputError) as caught:
        data.as_pair(x, X)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_half_a_surrogate_pair_is_a_category_like_any_text():
    assert data.as_pair(["\ud800", "b"] * (N // 2), X).x[:, 0].tolist() == [1, 0] * (N // 2)


def test_scores_in_any_container():
    for scores in (X, X.astype(np.float32), grad(X), pd.DataFrame(X), X.tolist(), Foreign(X)):
        assert np.allclose(containers.as_array("scores", scores), X)
    assert (
        np.isnan(containers.as_array("scores", np.ma.array(X, mask=X > 0))).sum() == (X > 0).sum()
    )
    for scores in (1j * X, ["a"], [{}], Broken(), [[1], [2, 3]]):
        with pytest.raises(InputError, match=r"Expected .*scores"):
            containers.as_array("scores", scores)


DTYPES = (
    *("?", "i1", "u2", "i4", "i8", "u8", "f2", "f4", "f8", ">f4", ">i8", "g"),
    *("c16", "U3", "S3", "O", "M8[s]", "m8[D]"),
)
SHAPES = ((), (0,), (1,), (9,), (9, 1), (9, 3), (1, 9), (0, 2, 2), (9, 0), (9, 2, 2), (3, 0, 2))
CONTAINERS = (
    lambda a: a,
    lambda a: a.tolist(),
    lambda a: list(a),
    lambda a: tuple(a),
    lambda a: [list(row) if row.ndim else row for row in a],
    lambda a: np.ma.array(a, mask=np.arange(a.size).reshape(a.shape) == 1),
    lambda a: [np.ma.array(row, mask=False) for row in a],
    lambda a: torch.as_tensor(a),
    lambda a: torch.as_tensor(a).to_sparse(),
    lambda a: [torch.as_tensor(row).requires_grad_() for row in a],
    lambda a: torch.as_tensor(a).to(torch.complex64).conj().imag,
    lambda a: sparse.csr_matrix(a),
    lambda a: pd.Series(a),
    lambda a: pd.Series(a).values,
    lambda a: pd.Series(a).convert_dtypes().array,
    lambda a: pd.Series(a, dtype=pd.ArrowDtype(pa.from_numpy_dtype(a.dtype))),
    lambda a: pd.Series(a).astype("category").values,
    lambda a: pd.cut(a, 3),
    lambda a: pd.cut(a, 3).categories,
    lambda a: pd.Index(a),
    lambda a: pd.DataFrame(a),
    lambda a: pd.DataFrame(a).convert_dtypes(),
    lambda a: pd.DataFrame(a).astype(object),
    lambda a: pd.arrays.SparseArray(a),
    lambda a: {"a": a, "b": a},
    lambda a: np.array(list(zip(a, a, strict=True)), dtype=[("a", a.dtype), ("b", a.dtype)]),
    lambda a: memoryview(a),
    lambda a: iter(a),
    lambda a: set(a.tolist()),
    lambda a: {"a": {"b": a}},
    lambda a: [a, a.T],
    Foreign,
    Table,
    pa.array,
)


@st.composite
def contained(draw):
    """Values of a type and a shape in a container, where that container can be made of them."""
    dtype, shape = np.dtype(draw(st.sampled_from(DTYPES))), draw(st.sampled_from(SHAPES))
    cells = st.integers(0, 9) if draw(st.booleans()) else st.integers(-(2**70), 2**70)
    values = draw(st.lists(cells, min_size=1, max_size=4))
    plain = np.resize(np.array(values, dtype=object), shape)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return draw(st.sampled_from(CONTAINERS))(plain.astype(dtype))
    except Exception:  # no such container
        hypothesis.reject()


SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text()),
    *(st.binary(), st.dates(), st.datetimes(), st.timedeltas(), st.decimals(allow_nan=False)),
    *(st.fractions(), st.just(pd.NA), st.just(np.ma.masked), st.just(pd.Interval(0, 1))),
    *(st.just(torch.tensor(1.5, requires_grad=True)), st.just(np.float32(2))),
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        *(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=3)),
        *(st.tuples(inner, inner), st.lists(inner, min_size=3, max_size=3).map(pd.Series)),
        *(st.lists(inner, min_size=3, max_size=3).map(lambda v: pd.DataFrame({"a": v})),),
    ),
    max_leaves=12,
)


@hypothesis.settings(max_examples=120, deadline=None, derandomize=True, database=None)
@hypothesis.given(st.one_of(contained(), NESTED), st.one_of(contained(), st.just(np.arange(9.0))))
def test_any_container_is_rows_of_numbers_or_one_sentence(x, y):
    try:
        pair = data.as_pair(x, y)
    except InputError as error:
        said = str(error)
        pair = None
    if pair is None:
        assert re.fullmatch(r"Expected .*; got .*\.", said)
        return
    for side in (pair.x, pair.y):
        assert side.dtype == np.float64
        assert side.ndim == 2
        assert np.isfinite(side).all()
    assert len(pair.x) == len(pair.y)


def test_text_that_is_no_unicode_is_said(tmp_path):
    """Was an exception of Arrow's: a damaged npy file of text holds numbers of no character."""
    cells = np.array([["a", "b"]] * 60)
    cells.view(np.uint32)[3, 0] = 0x7FFFFFFF
    np.save(tmp_path / "rows.npy", cells)
    np.savez(tmp_path / "rows.npz", x=cells, y=np.arange(60.0))
    for read in (
        lambda: data.as_pair(cells, range(60)),
        lambda: readers.read(tmp_path / "rows.npy", x=["0"], y=["1"]),
        lambda: readers.read(tmp_path / "rows.npz", x=["x"], y=["y"]),
    ):
        with pytest.raises(InputError, match="Expected text in Unicode in"):
            read()
