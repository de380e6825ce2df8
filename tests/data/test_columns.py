"""Columns as codes: what is a quantity, what a category, and what is left out."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from infobound.data.columns import as_table, columns
from infobound.errors import InputError
from infobound.files.tables import read_table

FRAME = pd.DataFrame(
    {
        "dose": [7.5, np.nan, 2.5, 7.5, 3.0, 2.5],
        "count": [3, 1, 2, 3, 1, 2],
        "city": ["Ulm", "Bonn", None, "Ulm", "Bonn", "Bonn"],
        "ill": [True, False, True, True, False, False],
        "grade": pd.Categorical(["b", "a", "b", "b", "c", "a"]),
    }
)
CODES = {
    "dose": ([2, -1, 0, 2, 1, 0], 3, False),
    "count": ([2, 0, 1, 2, 0, 1], 3, False),
    "city": ([0, 1, -1, 0, 1, 1], 2, True),
    "ill": ([0, 1, 0, 0, 1, 1], 2, True),
    "grade": ([0, 1, 0, 0, 2, 1], 3, True),
}


def coded(found):
    assert all(each.codes.dtype == np.int64 for each in found)
    return {each.name: (each.codes.tolist(), each.levels, each.categorical) for each in found}


def polars(frame):
    return pytest.importorskip("polars").from_pandas(frame)


CONTAINERS = {
    "pandas": lambda frame: frame,
    "arrow": pa.Table.from_pandas,
    "polars": polars,
    "dict": lambda frame: {name: frame[name] for name in frame},
    "nullable": lambda frame: frame.convert_dtypes(),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_all_containers_give_the_same_codes(container):
    assert coded(columns(CONTAINERS[container](FRAME))) == CODES


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_give_the_same_codes(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    FRAME.to_csv(path, index=False) if ending == "csv" else FRAME.to_parquet(path)
    assert coded(read_table(path).columns) == CODES


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_arrays_in_files_are_read_in_blocks(tmp_path, ending):
    rows = np.random.default_rng(0).integers(5, size=(20, 70)).astype(float)
    path = tmp_path / f"t.{ending}"
    np.save(path, rows) if ending == "npy" else np.savez(path, x=rows, seed=3)
    found = read_table(path).columns
    names = [str(k) if ending == "npy" else f"x[{k}]" for k in range(70)]
    assert [each.name for each in found] == names
    assert [each.codes.tolist() for each in found] == [e.codes.tolist() for e in columns(rows)]


def test_an_array_of_numbers_has_columns_that_count_from_zero():
    found = columns(np.array([[3, np.nan], [1, 2]]))
    assert coded(found) == {"0": ([1, 0], 2, False), "1": ([-1, 0], 1, False)}


def test_declared_kinds_are_kept():
    x, y = columns(
        {"a": [3, 1, 3, 2], "b": ["2", "10", "2", "1"]}, categorical=["a"], numeric=["b"]
    )
    assert coded([x, y]) == {"a": ([0, 1, 0, 2], 3, True), "b": ([1, 2, 1, 0], 3, False)}


UNUSABLE = {
    "times": pd.date_range("2024-01-01", periods=50),
    "lists": [[1, 2], [3]] * 25,
    "names": [f"Person {k}" for k in range(50)],
    "absent": [np.nan] * 50,
    "infinite": [np.inf] * 50,
    "complex": [1j] * 50,
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_columns_that_cannot_be_used_are_left_out_with_a_sentence(kind):
    frame = pd.DataFrame({"fine": range(50), kind: UNUSABLE[kind]})
    table = as_table(frame)
    assert [each.name for each in table.columns] == ["fine"]
    assert table.left_out[kind].startswith("Expected ")
    assert kind in table.left_out[kind]
    with pytest.raises(InputError, match=kind):
        columns(frame)
    with pytest.raises(InputError, match=kind):
        table.column(kind)
    if kind not in ("infinite", "times"):
        with pytest.raises(InputError):
            as_table(frame, numeric=[kind])


@pytest.mark.parametrize(
    ("frame", "more", "fragment"),
    [
        (np.zeros((0, 3)), {}, "rows and columns"),
        ({"a": [1, 2]}, {"categorical": ["b"]}, "known column"),
        ({"a": [1, 2]}, {"categorical": ["a"], "numeric": ["a"]}, "in both"),
        ({"a": [1, 2]}, {"categorical": "a"}, "list of strings"),
        (3.0, {}, "Expected numbers in table"),
    ],
)
def test_errors_of_tables(frame, more, fragment):
    with pytest.raises(InputError, match=fragment):
        as_table(frame, **more)


def test_numbers_as_text_are_parsed_in_csv_with_a_note(tmp_path):
    (tmp_path / "t.csv").write_text("price;kind\n$1,000;a\n$20;b\n;a\n$3;b\n")
    table = read_table(tmp_path / "t.csv")
    assert coded(table.columns)["price"] == ([2, 1, -1, 0], 3, False)
    assert any("price read as numbers" in note for note in table.notes)


def test_selected_columns_only_are_read(tmp_path):
    FRAME.assign(born=pd.Timestamp("2000-01-01")).to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet", columns=["c*", "born"], categorical=["count"])
    assert [(e.name, e.categorical) for e in table.columns] == [("count", True), ("city", True)]
    assert [*table.left_out] == ["born"]
    assert "born" in [e.name for e in read_table(tmp_path / "t.parquet", numeric=["born"]).columns]
