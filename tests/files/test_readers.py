"""Files: the same rows from every format, and one clear sentence for what is wrong."""

import gzip
import re
import zipfile

import numpy as np
import pandas as pd
import peaks
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infobound._system import memory
from infobound.data import Pair
from infobound.errors import InputError
from infobound.files import readers
from infobound.files.formats import parquet
from infobound.files.read_options import ReadOptions


def frame(n=60, seed=0):
    values = np.random.default_rng(seed).normal(size=(n, 4)) * [1, 1e-9, 1e9, np.pi]
    return pd.DataFrame(values, columns=["a1", "a2", "b", "c"])


def write(folder, table):
    """The same table in every format; the selectors that mean a1, a2 and b."""
    table.to_csv(folder / "t.csv", index=False)
    table.to_csv(folder / "t.tsv", index=False, sep="\t")
    table.to_csv(folder / "semicolon.csv", index=False, sep=";")
    table.to_csv(folder / "bom.csv", index=False, encoding="utf-8-sig")
    with gzip.open(folder / "t.csv.gz", "wt") as file:
        table.to_csv(file, index=False)
    table.to_parquet(folder / "t.parquet")
    np.savez(folder / "t.npz", a=table[["a1", "a2"]].to_numpy(), b=table["b"].to_numpy())
    np.save(folder / "t.npy", table.to_numpy())
    named = ["t.csv", "t.tsv", "semicolon.csv", "bom.csv", "t.csv.gz", "t.parquet"]
    return [(name, ["a1", "a2"], ["b"]) for name in named] + [
        ("t.npz", ["a"], ["b"]),
        ("t.npz", ["a[0]:a[1]"], ["b"]),
        ("t.npy", ["0:1"], ["2"]),
    ]


def test_every_format_gives_the_same_bits(tmp_path):
    table = frame()
    for name, x, y in write(tmp_path, table):
        pair = readers.read(tmp_path / name, x=x, y=y)
        assert pair.x.tobytes() == table[["a1", "a2"]].to_numpy().tobytes(), name
        assert pair.y.tobytes() == table[["b"]].to_numpy().tobytes(), name
        assert pair.x.flags["C_CONTIGUOUS"]
        assert pair.notes == ()


@pytest.mark.parametrize(
    ("selectors", "names"),
    [
        (["a1"], ("a1",)),
        (["a*"], ("a1", "a2")),
        (["a1:b"], ("a1", "a2", "b")),
        (["a2,a1"], ("a2", "a1")),
        (["a*", "a1"], ("a1", "a2")),
        (["a?", "c"], ("a1", "a2", "c")),
        (["odd, name"], ("odd, name",)),
    ],
)
def test_selectors(tmp_path, selectors, names):
    table = frame().assign(**{"odd, name": 1.5, "y": range(60)})
    table.to_csv(tmp_path / "t.csv", index=False)
    assert readers.read(tmp_path / "t.csv", x=selectors, y=["y"]).x_names == names


GOOD = "a,b,c\n" + "".join(f"{k},{k * k % 7},{'uvw'[k % 3]}\n" for k in range(60))


def lines(**changes):
    """GOOD with some lines replaced."""
    rows = GOOD.splitlines()
    for row, text in changes.items():
        rows[int(row[1:])] = text
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("text", "x", "y", "fragments"),
    [
        (GOOD, "a", "d", ["no 'd'", "Columns: a, b, c"]),
        (GOOD, "a", "bb", ["no 'bb'", "Nearest: b"]),
        (GOOD, "a", "a", ["different columns for x and y; got a"]),
        (GOOD, "z*", "b", ["matches none", "'z*'"]),
        (GOOD, "c:a", "b", ["order of the columns", "a:c"]),
        (GOOD, "a:z", "b", ["no 'z'"]),
        (GOOD, ",", "b", ["Expected columns for x, with --x NAMES; got none"]),
        (lines(r1=",1,u", r9=",,u"), "a", "b", ["2 of 60 rows", "a (2), b (1)", "--drop-missing"]),
        (lines(r5="inf,1,u"), "a", "b", ["finite", "a (1)"]),
        (lines(r5="4 kg,1,u"), "a", "b", ["column a", "'4 kg' in row 5", "1 of 60"]),
        ("a,b\n", "a", "b", ["header only"]),
        ("", "a", "b", ["empty"]),
        ("a,a,b\n" + "1,2,3\n" * 50, "a", "b", ["different column names", "a more than once"]),
        ("a,b\n" + "".join(f"id{k},{k}\n" for k in range(60)), "a", "b", ["identifier"]),
        ("a,b\n1,2\n1,2,3,4\n", "a", "b", ["cannot be read"]),
    ],
)
def test_what_is_wrong_with_a_csv_is_said(tmp_path, text, x, y, fragments):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        readers.read(path, x=[x], y=[y])
    for fragment in fragments:
        assert fragment in str(caught.value)
    assert "Expected" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "fragment"),
    [
        ("t.parquet", b"PAR1 and no more", "cannot be read"),
        ("t.npz", b"PK and no more", "cannot be read"),
        ("t.npy", b"\x93NUMPY", "cannot be read"),
        ("t.csv", b"\xff\xfe\x00\x01" * 9, "header only"),
        ("t.csv", b"a,b\n1,\xff\n", "cannot be read"),
        ("t.xlsx", b"x", "cannot be read"),
        ("t.feather", b"x", "cannot be read"),
        ("t.jsonl", b"x", "one JSON object on each line"),
        ("t.ods", b"x", ".parquet"),
        ("t", b"x", ".csv"),
    ],
)
def test_damaged_and_unknown_files(tmp_path, name, data, fragment):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=fragment):
        readers.read(tmp_path / name, x=["a"], y=["b"])


def test_missing_files_directories_and_pickles(tmp_path):
    frame().to_csv(tmp_path / "sensors.csv")
    with pytest.raises(InputError, match=r"does not exist\. Nearest in that folder: sensors.csv"):
        readers.read(tmp_path / "sensor.csv", x=["a"], y=["b"])
    with pytest.raises(InputError, match=r"Parquet files in .*; got sensors\.csv\. Name a file"):
        readers.read(tmp_path, x=["a"], y=["b"])
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        readers.read(tmp_path / "o.npy", x=["0"], y=["1"])
    np.savez(tmp_path / "o.npz", x=np.zeros(5), y=np.zeros(6))
    with pytest.raises(InputError, match="x 5, y 6"):
        readers.read(tmp_path / "o.npz", x=["x"], y=["y"])


def test_missing_rows_are_dropped_on_request_and_counted(tmp_path):
    (tmp_path / "t.csv").write_text(lines(r1=",1,u", r9=",,u"))
    pair = readers.read(tmp_path / "t.csv", x=["a"], y=["b"], drop_missing=True)
    assert isinstance(pair, Pair)
    assert len(pair.x) == len(pair.y) == 58
    assert pair.notes == ("Dropped 2 of 60 rows with missing values.",)


def test_only_the_selected_columns_are_judged(tmp_path):
    (tmp_path / "t.csv").write_text(lines(r1="0,0,"))
    assert readers.read(tmp_path / "t.csv", x=["a"], y=["b"]).notes == ()


def test_categories_are_one_hot_encoded_and_said(tmp_path):
    (tmp_path / "t.csv").write_text(GOOD)
    pair = readers.read(tmp_path / "t.csv", x=["a"], y=["c"])
    assert pair.y_names == ("c=u", "c=v", "c=w")
    assert np.array_equal(pair.y.sum(1), np.ones(60))
    assert pair.notes == ("y: c has 3 categories, one-hot encoded into 3 columns.",)


NAMELESS = "The first cell of each row has no name and was left out (row names)."


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("a;b;c\n1,5;2;3\n2,5;4;6\n", ("Commas read as decimal points (1,5 is 1.5).",)),
        ("a,b,c\n1.5,2,3,\n2.5,4,6,\n", ()),  # a separator at the end of each row
        ("a,b,c\nr1,1.5,2,3\nr2,2.5,4,6\n", (NAMELESS,)),  # row names, as R writes them
        ('"a";"b";"c, d"\n1.5;2;3\n2.5;4;6\n', ()),
        ("a b  c\n1.5  2 3\n2.5 4  6\n", ()),
    ],
)
def test_csv_as_spreadsheets_and_other_tools_write_it(tmp_path, text, notes):
    (tmp_path / "t.csv").write_text(text)
    pair = readers.read(tmp_path / "t.csv", x=["a"], y=["b"])
    assert pair.x.tolist() == [[1.5], [2.5]]
    assert pair.y.tolist() == [[2.0], [4.0]]
    assert pair.notes == notes


@pytest.mark.parametrize("cell", ["", " ", "NA", "nan"])
def test_a_blank_cell_is_missing_in_numbers_and_in_text(tmp_path, cell):
    (tmp_path / "t.csv").write_text(f"a,b,c\n1,u,1\n{cell},v,2\n3,{cell},3\n4,u,4\n5,v,5\n")
    with pytest.raises(InputError, match=r"2 of 5 rows .* a \(1\), b \(1\)"):
        readers.read(tmp_path / "t.csv", x=["a", "b"], y=["c"])
    pair = readers.read(tmp_path / "t.csv", x=["a", "b"], y=["c"], drop_missing=True)
    assert pair.x.tolist() == [[1, 0], [4, 0], [5, 1]]


def test_words_for_missing_in_text_are_named_with_the_way_to_keep_them(tmp_path):
    rows = [f"{('NA', 'None', '', 'DE')[k % 4]},{k},{'NA' if k % 9 == 0 else k}" for k in range(60)]
    (tmp_path / "t.csv").write_text("country,b,c\n" + "\n".join(rows))
    said = (
        r"Cells that say NA or None count as missing, also in text column country\. .*keep_default"
    )
    with pytest.raises(InputError, match=said):
        readers.read(tmp_path / "t.csv", x=["country"], y=["b"])
    dropped = readers.read(tmp_path / "t.csv", x=["country"], y=["b"], drop_missing=True).notes[0]
    assert dropped.startswith("Dropped 45 of 60 rows with missing values. Cells that say NA or")
    for x, y in (("c", "b"), ("b", "c")):  # not a word about columns of numbers
        with pytest.raises(InputError, match=r"dropna first\)\.$"):
            readers.read(tmp_path / "t.csv", x=[x], y=[y])


VALUES = np.random.default_rng(5).normal(size=(60, 3))
WHOLE = np.random.default_rng(5).integers(0, 4000, size=(60, 2))


@pytest.mark.parametrize(
    ("header", "rows", "shown"),
    [
        ("", [f"{a:.3f},{b:.3f},{c:.3f}" for a, b, c in VALUES], True),
        ("", [f"{a},{b}" for a, b in WHOLE + 7], True),
        ("", [f"{a:.3f},Iris-{'uvw'[k % 3]}" for k, (a, *_) in enumerate(VALUES)], True),
        ("", [f"{a:.3f};{b:.3f}" for a, b, _ in VALUES], True),
        ("2019,2020", [f"{a:.3f},{b:.3f}" for a, b, _ in VALUES], False),
        ("country,2019", [f"DE,{b:.3f}" for _, b, _ in VALUES], False),
        ("0,1,2", [f"{a:.3f},{b:.3f},{c:.3f}" for a, b, c in VALUES], False),
        ("1,2", [f"{a},{b}" for a, b in WHOLE], False),
        ("a,2019", [f"{a:.3f},{b:.3f}" for a, b, _ in VALUES], False),
        (",2018,2019", [f"{k},{a:.3f},{b:.3f}" for k, (a, b, _) in enumerate(VALUES)], False),
        ("350.5,351.0", [f"{a:.3f},{b:.3f}" for a, b, _ in VALUES], False),
    ],
)
def test_a_header_that_looks_like_a_row_is_reported_and_others_are_not(
    tmp_path, header, rows, shown
):
    text = "\n".join([header, *rows] if header else rows)
    (tmp_path / "t.csv").write_text(text)
    names = [name for name in re.split("[,;]", text.splitlines()[0]) if name]
    if shown:
        both = r"looks like a row of data.*--no-header \(header=False\).*--header \(header=True\)"
        with pytest.raises(InputError, match=both):
            readers.opened(tmp_path / "t.csv")
    else:
        pair = readers.read(tmp_path / "t.csv", x=[names[0]], y=[names[-1]])
        years = {"2019,2020", "350.5,351.0", ",2018,2019"}  # numbers, but not like those below
        assert any("--no-header" in note for note in pair.notes) == (header in years)
    named = readers.opened(tmp_path / "t.csv", options=ReadOptions(header=True))
    assert [name for name in named.names if "Unnamed" not in name] == names
    rows = readers.opened(tmp_path / "t.csv", options=ReadOptions(header=False))
    assert rows.names == [str(k) for k in range(len(re.split("[,;]", text.splitlines()[0])))]
    assert rows.frame(["0"]).shape == (len(text.splitlines()), 1)


LARGE = [10**18 + k for k in range(60)]


@pytest.mark.parametrize(
    "cells",
    [
        LARGE,
        ["", *LARGE[1:]],  # pandas reads floats beside a missing cell
        [f"{k}.0" for k in LARGE],
        [f"{k}00" for k in LARGE],  # beyond 64 bits
        [f'"{k:,}"' for k in LARGE],
    ],
)
def test_large_integers_in_text_files_do_not_merge(tmp_path, cells):
    text = "".join(f"{cell},{k}\n" for k, cell in enumerate(cells))
    (tmp_path / "t.csv").write_text("a,b\n" + text)
    with pytest.raises(InputError, match="float64 distinguishes in column a"):
        readers.read(tmp_path / "t.csv", x=["a"], y=["b"], drop_missing=True)


def test_large_integers_beside_a_missing_one_in_parquet_do_not_merge(tmp_path):
    table = pd.DataFrame({"a": pd.array([None, *LARGE[1:]], dtype="Int64"), "b": range(60)})
    table.assign(c=pd.array([None, *range(59)], dtype="Int64")).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="float64 distinguishes in column a"):
        readers.read(tmp_path / "t.parquet", x=["a"], y=["b"], drop_missing=True)
    pair = readers.read(tmp_path / "t.parquet", x=["c"], y=["b"], drop_missing=True)
    assert pair.x[:, 0].tolist() == list(range(59))


def test_far_numbers_that_float64_tells_apart_keep_their_bits(tmp_path):
    values = np.random.default_rng(0).normal(size=60) * 10.0 ** np.arange(60)
    (tmp_path / "t.csv").write_text(
        "a,b\n" + "".join(f"{v!r},{k}\n" for k, v in enumerate(values.tolist()))
    )
    assert readers.read(tmp_path / "t.csv", x=["a"], y=["b"]).x[:, 0].tolist() == values.tolist()


@pytest.mark.parametrize(("encoding", "said"), [("utf-16-le", "utf-16-le"), ("latin-1", "cp1252")])
def test_another_encoding_is_named_with_the_remedy(tmp_path, encoding, said):
    (tmp_path / "t.csv").write_text("größe,b\n1,2\n", encoding=encoding)
    with pytest.raises(InputError, match=f"--encoding {said}"):
        readers.read(tmp_path / "t.csv", x=["größe"], y=["b"])
    options = ReadOptions(encoding=encoding)
    assert readers.read(tmp_path / "t.csv", x=["größe"], y=["b"], options=options).y == [[2]]


def test_text_among_numbers_is_found_where_rows_have_names(tmp_path):
    table = pd.DataFrame({"a": ["1", "2", "bad"], "b": [1.0, 2.0, 3.0]}, index=["u", "v", "w"])
    table.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="'bad' in row 3"):
        readers.read(tmp_path / "t.parquet", x=["a"], y=["b"], numeric=["a"])


def test_what_columns_are_is_the_same_in_every_file(tmp_path):
    """A CSV file has no types, so its numbers are numbers; text with a type stays text."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"code": rng.integers(30, 40, 80), "y": rng.normal(size=80), "z": 0.5})
    table["code"] = table["code"].astype(str)
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    table.astype({"code": int}).to_parquet(tmp_path / "whole.parquet")
    np.savez(tmp_path / "t.npz", code=table["code"].to_numpy("U"), y=table["y"], z=table["z"])
    for name, is_text in (("t.csv", 0), ("t.parquet", 1), ("whole.parquet", 0), ("t.npz", 1)):
        plain, codes, numbers = (
            readers.read(tmp_path / name, x=["code"], y=["y"], **declared)
            for declared in ({}, {"categorical": ["code,z"]}, {"numeric": ["code,z"]})
        )
        assert plain.x_names == (codes if is_text else numbers).x_names
        assert codes.x_names == tuple(f"code={k}" for k in range(30, 40))
        assert numbers.x[:, 0].tolist() == [int(code) for code in table["code"]]
    with pytest.raises(InputError, match="--categorical or in --numeric; got code in both"):
        readers.read(tmp_path / "t.csv", x=["code"], y=["y"], categorical=["co*"], numeric=["code"])
    with pytest.raises(InputError, match="there is no 'price'"):
        readers.read(tmp_path / "t.csv", x=["code"], y=["y"], numeric=["price"])


def test_a_column_with_the_name_of_a_side_stands_for_itself(tmp_path):
    pd.DataFrame({"y": [1, 2, 1, 2], "z": [3, 4, 4, 3]}).to_csv(tmp_path / "t.csv", index=False)
    pair = readers.read(tmp_path / "t.csv", x=["y"], y=["z"], categorical=["y"])
    assert (pair.x_names, pair.y_names) == (("y=2",), ("z",))


def test_codes_beyond_2_53_are_told_apart_as_categories(tmp_path):
    table = pd.DataFrame({"code": 2**60 + np.arange(60) % 3, "b": np.arange(60) / 7})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(InputError, match="name a column of codes in categorical="):
            readers.read(tmp_path / name, x=["code"], y=["b"])
        pair = readers.read(tmp_path / name, x=["code"], y=["b"], categorical=["code"])
        assert pair.x_names == tuple(f"code={2**60 + k}" for k in range(3))


def test_the_way_out_of_a_refused_identifier_works_in_a_file(tmp_path):
    names = [f"n{k % 70}" for k in range(100)]
    pd.DataFrame({"name": names, "b": range(100)}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=r"got 70 different texts in 100 .*up to 50 .*--categor"):
        readers.read(tmp_path / "t.csv", x=["name"], y=["b"])
    pair = readers.read(tmp_path / "t.csv", x=["name"], y=["b"], categorical=["name"])
    assert pair.x.shape == (100, 70)


def test_a_single_number_in_an_npz_file_is_passed_over(tmp_path):
    rows = frame().to_numpy()
    np.savez(tmp_path / "t.npz", x=rows[:, :2], y=rows[:, 2], mi=0.5, seed=7)
    assert readers.read(tmp_path / "t.npz", x=["x"], y=["y"]).x.shape == (60, 2)
    np.savez(tmp_path / "t.npz", x=rows[:, :2], y=rows[:9, 2])
    with pytest.raises(InputError, match="got rows: x 60, y 9"):
        readers.read(tmp_path / "t.npz", x=["x"], y=["y"])


def test_arrays_that_are_not_selected_may_have_another_length(tmp_path):
    rows = frame().to_numpy()
    counts = np.arange(60) + 2**53  # what a way through float64 would merge
    more = {"weights": np.ones((200, 2)), "grid": np.arange(7), "none": np.zeros((0, 3))}
    np.savez(tmp_path / "t.npz", x=rows[:, :2], y=rows[:, 2], counts=counts, **more)
    pair = readers.read(tmp_path / "t.npz", x=["x"], y=["y"])
    assert pair.x.tobytes() == np.ascontiguousarray(rows[:, :2]).tobytes()
    assert len(pair.y) == 60
    with pytest.raises(InputError, match=r"got rows: x 60, weights 200\. Row i"):
        readers.read(tmp_path / "t.npz", x=["x"], y=["weights"])
    with pytest.raises(InputError, match="float64"):
        readers.read(tmp_path / "t.npz", x=["x"], y=["counts"])


def claiming(shape, kind="<f8", data=b"", version=b"\x01\x00"):
    """An npy file whose header says this, whatever is in it."""
    header = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-len(header) - 11 % 64 - 11) + b"\n"
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + data


HOSTILE = [
    (claiming((0, 10**12)), "columns"),
    (claiming((10**12, 0)), "no '0'"),
    (claiming((10**18, 0)), "no '0'"),
    (claiming((0, 0)), "header only"),
    (claiming((10**18,)), "bytes, and 0 are there"),
    (claiming((2**62, 8)), "bytes, and 0 are there"),
    (claiming((10**9, 10**9)), "bytes, and 0 are there"),
    (claiming((-1, 2)), "bytes, and 0 are there|negative|cannot be read"),
    (claiming((3, 2), data=b"12345678" * 5), "48 bytes, and 40 are there"),
    (claiming((3, 2), "|O", b"12345678" * 6), "Python objects"),
    (claiming((3, 2), [("a", "<f8")], b"12345678" * 6), "structures"),
    (claiming((0, 1), "|V1000000000"), "structures"),
    (claiming((3, 2), "<U100000000", b"12345678" * 6), "bytes, and 48 are there"),
    (claiming((3, 2), data=b"12345678" * 6, version=b"\x03\x00"), "version"),
    (claiming((3, 2), "<f8" * 10_000), "cannot be read"),
]


@pytest.mark.parametrize(("data", "fragment"), HOSTILE)
def test_a_header_is_held_against_what_is_there(tmp_path, data, fragment):
    (tmp_path / "t.npy").write_bytes(data)
    for _ in peaks.under(5e6):
        with pytest.raises(InputError, match=fragment):
            readers.read(tmp_path / "t.npy", x=["0"], y=["1"])
    rows = np.random.default_rng(0).normal(size=(60, 2))
    np.savez(tmp_path / "t.npz", x=rows[:, 0], y=rows[:, 1], single=3)
    with zipfile.ZipFile(tmp_path / "t.npz", "a") as archive:
        archive.writestr("z.npy", data)
    for _ in peaks.under(5e6):  # of what is not selected nothing is asked
        assert (
            readers.read(tmp_path / "t.npz", x=["x"], y=["y"]).x.tobytes() == rows[:, 0].tobytes()
        )
    for _ in peaks.under(5e6):
        with pytest.raises(InputError, match=r"Expected .*t\.npz|shape \(0, 1\)|no 'z'"):
            readers.read(tmp_path / "t.npz", x=["z"], y=["y"])


def test_only_the_selected_arrays_of_an_npz_file_are_unpacked(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 21))
    more = {"grid": np.zeros(3_000_000, dtype=bool), "wide": np.zeros((1, 3_000_000), dtype=bool)}
    more["objects"] = np.array([{}, None], dtype=object)
    np.savez_compressed(tmp_path / "t.npz", x=rows[:, :20], y=rows[:, 20], **more)
    assert (tmp_path / "t.npz").stat().st_size < 30_000
    readers.read(tmp_path / "t.npz", x=["x"], y=["y"])  # what is imported
    for _ in peaks.under(3e6):
        pair = readers.read(tmp_path / "t.npz", x=["x"], y=["y"])
    assert pair.x.tobytes() == np.ascontiguousarray(rows[:, :20]).tobytes()
    for name, fragment in [
        ("objects", r"array objects in .*t\.npz; it holds Python objects.*astype\(float\)"),
        ("wide", "at most 1,048,576 columns .* got 3,000,022"),
        ("grid", "rows: x 60, grid 3000000"),
    ]:
        for _ in peaks.under(3e6):
            with pytest.raises(InputError, match=fragment):
                readers.read(tmp_path / "t.npz", x=["x"], y=[name])


def test_a_damaged_array_spoils_only_itself(tmp_path):
    rows = np.random.default_rng(0).normal(size=(500, 3))
    np.savez(tmp_path / "t.npz", x=rows[:, 0], y=rows[:, 1], z=rows[:, 2])
    data = (tmp_path / "t.npz").read_bytes()
    at = data.index(rows[250:, 2].tobytes()[:64])
    (tmp_path / "t.npz").write_bytes(data[:at] + bytes(64) + data[at + 64 :])
    assert len(readers.read(tmp_path / "t.npz", x=["x"], y=["y"]).x) == 500
    with pytest.raises(InputError, match=r"cannot be read .*CRC"):
        readers.read(tmp_path / "t.npz", x=["x"], y=["z"])


def test_an_npz_file_has_the_bits_of_its_arrays_in_every_layout(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {
        "a": np.asfortranarray(rng.normal(size=(70, 3)).astype(np.float32)),
        "b": rng.normal(size=(70, 2, 2)).astype(">f8"),
        "c": rng.integers(0, 2, 70).astype(bool),
        "d": rng.integers(0, 9, (70, 2)).astype(np.uint16),
        "e": rng.integers(0, 9, 70).astype(">i8"),
        "f": np.array(["u", "v"])[rng.integers(0, 2, 70)],
    }
    np.savez_compressed(tmp_path / "t.npz", **arrays)
    flat = {name: array.reshape(70, -1).astype(float) for name, array in list(arrays.items())[:5]}
    monkeypatch.setattr(memory, "PIECE", 30)
    for x, y in [(["a", "b"], ["c", "d"]), (["b[3]", "a[1]"], ["d[1]"]), (["a", "e"], ["b"])]:
        pair = readers.read(tmp_path / "t.npz", x=x, y=y)
        for names, found in ((x, pair.x), (y, pair.y)):
            columns = [re.fullmatch(r"(\w)(?:\[(\d)\])?", name).groups() for name in names]
            parts = [flat[a] if k is None else flat[a][:, [int(k)]] for a, k in columns]
            assert found.tobytes() == np.ascontiguousarray(np.hstack(parts)).tobytes()
    assert readers.read(tmp_path / "t.npz", x=["f", "e"], y=["a"]).x_names == ("f=v", "e")


def test_an_npz_file_that_memory_does_not_hold_is_unpacked_piece_by_piece(tmp_path, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(40_000, 20))
    np.savez(tmp_path / "t.npz", x=rows[:, :10], y=rows[:, 10:], f=np.asfortranarray(rows))
    readers.read(tmp_path / "t.npz", x=["x[0]"], y=["y[0]"])  # what is imported
    monkeypatch.setattr(memory, "MEMORY_SHARE", 0.0)  # nothing fits
    monkeypatch.setattr(memory, "PIECE", 50_000)
    for _ in peaks.under(rows.nbytes / 2):
        pair = readers.read(tmp_path / "t.npz", x=["x"], y=["y"])
    assert np.array_equal(np.hstack([pair.x, pair.y]), rows)
    with pytest.raises(InputError, match=r"that memory holds; f in .*t\.npz takes.* Parquet"):
        readers.read(tmp_path / "t.npz", x=["x"], y=["f[0]"])


def test_arrays_of_one_name_are_not_guessed_at(tmp_path):
    np.savez(tmp_path / "t.npz", x=np.zeros(60), y=np.ones(60))
    with zipfile.ZipFile(tmp_path / "t.npz", "a") as archive, pytest.warns(match="Dupl"):
        archive.writestr("x.npy", claiming((1,), data=b"12345678"))
    with pytest.raises(InputError, match="several of this name"):
        readers.read(tmp_path / "t.npz", x=["x"], y=["y"])
    np.savez(tmp_path / "t.npz", **{"x": np.zeros((60, 2)), "x[0]": np.ones(60), "y": np.ones(60)})
    with pytest.raises(InputError, match=r"got x\[0\] more than once"):
        readers.read(tmp_path / "t.npz", x=["x"], y=["y"])


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_text_that_memory_does_not_hold_is_not_read(tmp_path, monkeypatch, name):
    opener = gzip.open if name.endswith(".gz") else open
    with opener(tmp_path / name, "wt") as file:
        file.write("a,b\n" + "0,0\n" * 500_000)
    assert len(readers.read(tmp_path / name, x=["a"], y=["b"]).x) == 500_000
    monkeypatch.setattr("infobound.files.formats.text.free_memory", lambda: 15_000_000)
    for _ in peaks.under(6e6):
        with pytest.raises(InputError, match=rf"as a table, here 0\.\d+ GB; {name}.*Parq"):
            readers.read(tmp_path / name, x=["a"], y=["b"])


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("0," * 10_000_000, "lines of less than 16,777,216 characters in t.csv; line 1 is longer"),
        ("a,b\n" + "0" * 20_000_000, "line 2 is longer"),
        (",".join(map(str, range(100_001))) + "\n", r"at most 100,000 columns in .*got 100,001"),
        ("a,b\n" + "0," * 150_000 + "0\n", r"at most 100,000 columns in .*got 150,001"),
    ],
)
def test_a_text_file_that_is_no_table_is_said(tmp_path, text, fragment):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=fragment):
        readers.read(tmp_path / "t.csv", x=["a"], y=["b"])


def test_a_text_file_of_long_lines_is_read(tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 1_500))
    names = [f"{'gene' * 25}{k}" for k in range(1_500)]  # more than csv takes for one cell
    pd.DataFrame(values, columns=names).to_csv(tmp_path / "t.csv", index=False)
    pair = readers.read(tmp_path / "t.csv", x=[names[7]], y=[names[1_499]])
    assert pair.y.tobytes() == values[:, 1_499].tobytes()


def test_many_columns_are_selected_and_missed_at_once():
    names = [*(f"c{k}" for k in range(100_000)), "y"]
    table = readers.Opened(readers.place("t"), names, parquet.Stored(names, 1, None, None), (), {})
    sides = readers._sides(table, x=["c*", "c*"], y=["y"])
    first, second = sides.values()
    assert (len(first), second) == (100_000, ["y"])
    with pytest.raises(InputError, match="Nearest"):
        readers._sides(table, x=["d7"], y=["y"])


def test_a_footer_that_claims_more_rows_than_there_are_is_no_table(tmp_path):
    values = np.random.default_rng(0).normal(size=300)
    pq.write_table(pa.table({"a": values, "b": values}), tmp_path / "t.parquet")
    data = (tmp_path / "t.parquet").read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = data[start:].replace(b"\xd8\x04", b"\xfe\x7f")  # 300 as Thrift writes it; 8,191
    (tmp_path / "t.parquet").write_bytes(data[:start] + footer)
    assert pq.read_metadata(tmp_path / "t.parquet").num_rows == 8_191
    with pytest.raises(InputError, match="cannot be read"):
        readers.read(tmp_path / "t.parquet", x=["a"], y=["b"])


def test_text_of_more_rows_than_memory_holds_is_not_read(tmp_path, monkeypatch):
    pd.DataFrame({"a": ["u", "v"] * 500, "b": 1.0}).to_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr(parquet, "free_memory", lambda: 30_000)
    with pytest.raises(InputError, match="got 1,000 rows of 2 columns"):
        readers.read(tmp_path / "t.parquet", x=["a"], y=["b"])


def test_given_columns_are_read_beside_x_and_y(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    table["d"] = np.array(["u", "v", "w"])[rng.integers(3, size=60)]
    table.loc[3, "c"] = np.nan
    for name, write in (("t.csv", "to_csv"), ("t.parquet", "to_parquet")):
        getattr(table, write)(tmp_path / name, index=False)
        selected = {"x": ["a"], "y": ["b"], "given": ["c", "d"]}
        pair = readers.read(tmp_path / name, **selected, drop_missing=True)
        assert pair.given_names == ("c", "d=u", "d=v", "d=w")
        assert pair.given.shape == (59, 4)
        assert len(pair.x) == 59
        with pytest.raises(InputError, match=r"columns for y and given; got b in both.*--given"):
            readers.read(tmp_path / name, x=["a"], y=["b"], given=["b"])
