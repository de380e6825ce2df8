"""The columns of a file: types, counts, and what an estimate reads."""

import json

import numpy as np
import pandas as pd
import pytest

from infobound.cli.main import main
from infobound.errors import InputError
from infobound.files import readers
from infobound.files.description import describe

N = 60
LONG = "a_rather_long_name_of_a_column_in_words"


def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            LONG: np.r_[np.nan, rng.normal(size=N - 1)],
            "born": pd.date_range("2024-01-01", periods=N),
            "sex": list("fmf") * (N // 3),
            "ok": [True, False] * (N // 2),
            "id": [f"patient {k}" for k in range(N)],
            "count": np.arange(N) % 9,
            "same": 7,
            "none": np.nan,
            "z": [[k, 1.5] for k in range(N)],
        }
    )


KINDS = {  # kind, missing, distinct, use
    LONG: ("number", 1, N - 1, "number"),
    "born": ("date", 0, N, "refused"),
    "sex": ("category", 0, 2, "2 categories"),
    "ok": ("flag", 0, 2, "number"),
    "id": ("text", 0, N, "refused"),
    "count": ("whole number", 0, 9, "number"),
    "same": ("constant", 0, 1, "number"),
    "none": ("empty", N, 0, "refused"),
}


def write(folder, name):
    frame = table()
    if name == "t.csv":
        frame.drop(columns="z").to_csv(folder / name, index=False)
    else:
        frame.to_parquet(folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_every_kind_of_column(tmp_path, name):
    found = describe(write(tmp_path, name))
    assert found.rows == N
    columns = {each.name: each for each in found.columns}
    for column, expected in KINDS.items():
        each = columns[column]
        assert (each.kind, each.missing, each.distinct, each.use) == expected
        assert (each.reason is not None) == (each.use == "refused")
    assert (columns["count"].low, columns["count"].high) == (0, 8)
    assert columns["sex"].examples == ("f", "m")
    if name == "t.parquet":
        assert columns["z[0]"].kind == "whole number"


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_what_is_described_is_what_is_read(tmp_path, name):
    path = write(tmp_path, name)
    for each in describe(path).columns:
        other = "sex" if each.name != "sex" else "count"
        if each.reason is None:
            pair = readers.read(path, x=[each.name], y=[other], drop_missing=True)
            count = 1 if each.use == "number" else int(each.use.split()[0])
            assert pair.x.shape[1] == (1 if count == 2 else count)
        else:
            with pytest.raises(InputError):
                readers.read(path, x=[each.name], y=[other], drop_missing=True)


def test_what_columns_are_can_be_named(tmp_path):
    path = write(tmp_path, "t.csv")
    selected = {"columns": ["born", "count"], "numeric": ["born"], "categorical": ["count"]}
    born, count = describe(path, **selected).columns
    assert (born.kind, born.low, born.high, born.use) == ("date", 0, N - 1, "number")
    assert (count.kind, count.use) == ("category", "9 categories")


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_the_listing_keeps_names_in_every_terminal(tmp_path, monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    main(["describe", str(write(tmp_path, "t.csv"))])
    out = capsys.readouterr().out
    assert all(name in out for name in KINDS)
    assert "whole number" in out
    assert "Name the" in out
    assert max(map(len, out.splitlines())) <= columns


def test_the_listing_as_json(tmp_path, capsys):
    path = write(tmp_path, "t.csv")
    main(["describe", str(path), "--json", "--columns", "count", "sex"])
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(json.dumps(describe(path, columns=["count", "sex"]).as_dict()))
    assert [each["name"] for each in found["columns"]] == ["count", "sex"]


def test_the_error_about_missing_columns_names_the_listing(tmp_path):
    path = write(tmp_path, "t.csv")
    with pytest.raises(InputError, match="infobound describe FILE"):
        readers.read(path, x=[], y=["sex"])
