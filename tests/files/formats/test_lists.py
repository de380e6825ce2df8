"""Columns of lists, tables of other libraries, and files of types: all with their names."""

import gzip
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse

from infobound.data import as_pair
from infobound.data.containers import as_rows
from infobound.errors import InputError
from infobound.files import readers
from infobound.files.read_options import ReadOptions

N = 60
Z = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
LABELS = ["uvw"[k % 3] for k in range(N)]
NAMES = ("z[0]", "z[1]", "z[2]")


def arrow(kind):
    flat = pa.array(Z.ravel())
    if kind == "fixed":
        z = pa.FixedSizeListArray.from_arrays(flat, 3)
    else:
        offsets = pa.array(
            np.arange(0, 3 * N + 1, 3), pa.int64() if kind == "large" else pa.int32()
        )
        lists = pa.LargeListArray if kind == "large" else pa.ListArray
        z = lists.from_arrays(offsets, flat)
    return pa.table({"k": range(N), "z": z, "label": LABELS})


def write(folder, form, kind="list"):
    table = arrow(kind)
    path = folder / f"t.{form}"
    if form == "parquet":
        pq.write_table(table, path, row_group_size=25)
    elif form == "feather":
        pa.feather.write_feather(table, str(path))
    elif form == "arrow":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
    else:
        rows = "".join(f"{json.dumps(row)}\n" for row in table.to_pylist()).encode()
        path.write_bytes(gzip.compress(rows) if form.endswith("gz") else rows)
    return path


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        *(("parquet", kind) for kind in ("list", "large", "fixed")),
        *((form, "list") for form in ("feather", "arrow", "jsonl", "ndjson.gz")),
    ],
)
def test_columns_of_lists_are_several_columns(tmp_path, form, kind):
    import pyarrow.feather  # noqa: F401

    path = write(tmp_path, form, kind)
    pair = readers.read(path, x=["z"], y=["k"])
    assert pair.x_names == NAMES
    assert np.array_equal(pair.x.astype(np.float32), Z)
    pair = readers.read(path, x=["z[2]", "z[0]"], y=["label"])
    assert np.array_equal(pair.x.astype(np.float32), Z[:, [2, 0]])
    assert pair.y_names == ("label=u", "label=v", "label=w")
    assert readers.read(path, x=["z[0]:z[1]"], y=["label"]).x_names == NAMES[:2]


def test_lists_in_a_directory_of_parquet_files(tmp_path):
    for k in range(2):
        (tmp_path / f"part={k}").mkdir()
        pq.write_table(arrow("list"), tmp_path / f"part={k}" / "t.parquet")
    pair = readers.read(tmp_path, x=["z"], y=["part"])
    assert np.array_equal(pair.x.astype(np.float32), np.r_[Z, Z])


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_lists_of_other_lengths_and_missing_lists(tmp_path, form):
    def write(z):
        path = tmp_path / f"t.{form}"
        if form == "parquet":
            pq.write_table(pa.table({"z": z, "k": range(len(z))}), path)
        else:
            rows = [json.dumps({"z": each, "k": k}) for k, each in enumerate(z)]
            path.write_text("\n".join(rows))
        return path

    path = write([[1.0, 2.0]] * 9 + [[1.0]])
    with pytest.raises(InputError, match=r"equal length in column z; got 2 and 1 elements.*Pad"):
        readers.read(path, x=["z"], y=["k"])
    path = write([None, [1.0, 2.0], [3.0, None]] + [[1.0, 2.0]] * 9)
    with pytest.raises(InputError, match=r"2 of 12 rows.*z\[0\] \(1\), z\[1\] \(2\)"):
        readers.read(path, x=["z"], y=["k"])
    assert readers.read(path, x=["z"], y=["k"], drop_missing=True).x.shape == (10, 2)


def test_nested_objects_and_types_of_json_lines(tmp_path):
    rows = [{"a": {"b": k, "c": str(k % 2)}, "t": f"2024-01-0{k + 1}"} for k in range(9)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pair = readers.read(tmp_path / "t.jsonl", x=["a.b"], y=["a.c", "t"], numeric=["t"])
    assert pair.x[:, 0].tolist() == list(range(9))
    assert pair.y_names == ("a.c=1", "t")
    assert pair.y[:, 1].tolist() == list(range(9))


@pytest.mark.parametrize(
    "values",
    [
        pd.DataFrame({"z": list(Z)}),
        pd.DataFrame({"z": Z.tolist()}),
        {"z": Z},
        pd.Series(list(Z), name="z"),
    ],
)
def test_lists_in_python_are_several_columns(values):
    pair = as_pair(values, LABELS)
    assert pair.x_names == NAMES
    assert np.array_equal(pair.x.astype(np.float32), Z)


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_array"])
def test_sparse_matrices_are_rows(kind):
    pair = as_pair(getattr(scipy.sparse, kind)(np.maximum(Z, 0)), LABELS)
    assert np.array_equal(pair.x.astype(np.float32), np.maximum(Z, 0))


def test_tables_of_polars_keep_their_names():
    polars = pytest.importorskip("polars", reason="polars is not installed")
    table = polars.DataFrame({"z": Z.tolist(), "age": range(N), "sex": LABELS})
    for each in (table, table.lazy()):
        pair = as_pair(each, np.arange(N))
        assert pair.x_names == (*NAMES, "age", "sex=u", "sex=v", "sex=w")
        assert np.array_equal(pair.x[:, :3].astype(np.float32), Z)
    assert as_pair(table["age"], np.arange(N)).x_names == ("age",)


def test_arrays_of_xarray_keep_their_names():
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    level = xarray.DataArray(Z, dims=("time", "level"), coords={"level": [1, 2, 3]}, name="wind")
    site = level.assign_coords(level=["a", "b", "c"])
    both = xarray.Dataset({"wind": level, "rain": ("time", Z[:, 0])})
    cube = xarray.DataArray(np.zeros((N, 2, 2)), dims=("time", "a", "b"))
    for values, names in (
        (level, ("wind[1]", "wind[2]", "wind[3]")),
        (site, ("a", "b", "c")),
        (level[:, 0], ("wind",)),
        (both, ("wind[1]", "wind[2]", "wind[3]", "rain")),
    ):
        pair = as_pair(values, np.arange(N))
        assert pair.x_names == names
        assert np.array_equal(pair.x[:, 0].astype(np.float32), Z[:, 0])
    assert as_rows("x", cube)[0].shape == (N, 4)


def test_excel_files(tmp_path):
    pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    table = pd.DataFrame({"a": Z[:, 0].astype(float), "k": range(N), "label": LABELS})
    table["day"] = pd.date_range("2024-01-01", periods=N)
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        table.to_excel(book, sheet_name="first", index=False)
        table.to_excel(book, sheet_name="bare", index=False, header=False)
        table.to_excel(book, sheet_name="title", index=False, startrow=2)
        pd.DataFrame([["cm", "kg"], [1, 2], [3, 4]], columns=["a", "k"]).to_excel(
            book, sheet_name="units", index=False
        )
    path = tmp_path / "t.xlsx"
    pair = readers.read(path, x=["a", "day"], y=["label"], numeric=["day"])
    assert np.allclose(pair.x[:, 0], Z[:, 0])
    assert pair.x[:, 1].tolist() == list(range(N))
    bare = readers.read(path, x=["1"], y=["2"], options=ReadOptions(sheet="bare", header=False))
    assert bare.x[:, 0].tolist() == list(range(N))
    for sheet, message in (
        ("bare", "looks like a row of data"),
        ("units", "--skip-lines 2"),
        ("none", "Sheets: first, bare, title, units"),
    ):
        with pytest.raises(InputError, match=message):
            readers.opened(path, options=ReadOptions(sheet=sheet))
    title = readers.read(path, x=["k"], y=["label"], options=ReadOptions(sheet="title"))
    assert title.x[:, 0].tolist() == list(range(N))
    units = ReadOptions(sheet="units", skip_lines=(2,))
    assert readers.read(path, x=["a"], y=["k"], options=units).x[:, 0].tolist() == [1, 3]
