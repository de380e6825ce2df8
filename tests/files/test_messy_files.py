"""Thirty and more files as people have them: read rightly, or refused with the remedy."""

import bz2
import dataclasses
import gzip
import lzma
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from infobound.errors import InputError
from infobound.files import readers
from infobound.files.read_options import ReadOptions

A = [1.5, 2.5, 3.5, 0.5]
B = [20.0, 10.0, 40.0, 30.0]
PLAIN = "a,b\n1.5,20\n2.5,10\n3.5,40\n0.5,30\n"


def zipped(folder):
    with zipfile.ZipFile(folder / "t.zip", "w") as archive:
        archive.writestr("t.csv", PLAIN)
    return "t.zip"


def two_in_a_zip(folder):
    with zipfile.ZipFile(folder / "t.zip", "w") as archive:
        archive.writestr("train.csv", PLAIN)
        archive.writestr("test.csv", PLAIN)
    return "t.zip"


def zstd(folder):
    import pyarrow as pa

    with pa.output_stream(folder / "t.csv.zst", compression="zstd") as file:
        file.write(PLAIN.encode())
    return "t.csv.zst"


READ = {  # text, or bytes, or what writes the file; options; what a and b are
    "comma": (PLAIN, {}),
    "semicolon": (PLAIN.replace(",", ";"), {}),
    "tab": (PLAIN.replace(",", "\t"), {}),
    "pipe": (PLAIN.replace(",", "|"), {}),
    "spaces": ("  a      b\n 1.5   20\n 2.5   10 \n 3.5   40\n 0.5   30\n", {}),
    "odd separator": (PLAIN.replace(",", "^"), {"sep": "^"}),
    "quotes": ('"a","b"\n"1.5","20"\n"2.5","10"\n"3.5","40"\n"0.5","30"\n', {}),
    "newlines in cells": ('t,a,b\n"u\nv",1.5,20\n"w\n",2.5,10\nx,3.5,40\ny,0.5,30\n', {}),
    "BOM": (b"\xef\xbb\xbf" + PLAIN.encode(), {}),
    "UTF-16": (PLAIN.encode("utf-16"), {}),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), {"encoding": "utf-16-le"}),
    "cp1252": (PLAIN.replace("a,", "a,größe €,").encode("cp1252"), {"encoding": "cp1252"}, "cells"),
    "CRLF": (PLAIN.replace("\n", "\r\n").encode(), {}),
    "CR": (PLAIN.replace("\n", "\r").encode(), {}),
    "empty lines": (PLAIN.replace("\n", "\n\n"), {}),
    "empty lines at the start": ("\n\n" + PLAIN, {}),
    "trailing commas": (PLAIN.replace("\n", ",\n"), {}),
    "trailing commas below": (PLAIN.replace("0\n", "0,\n"), {}),
    "no end of the last line": (PLAIN.strip(), {}),
    "decimal commas": (PLAIN.replace(",", ";").replace(".", ","), {}),
    "decimal commas everywhere": ("a;b\n1,5;20,0\n2,5;10,0\n3,5;40,0\n0,5;30,0\n", {}),
    "decimal commas in quotes": (
        'a,b\n"1,5","20"\n"2,5","10"\n"3,5","40"\n"0,5","30"\n',
        {"decimal": ","},
    ),
    "percentages": ("a,b\n1.5 %,20\n2.5 %,10\n3.5 %,40\n0.5 %,30\n", {}),
    "comments": ("# made by hand\n#\n" + PLAIN + "# the end\n", {}),
    "names in a comment": ("# a b\n1.5 20\n2.5 10\n3.5 40\n0.5 30\n", {}),
    "another comment": ("% made by hand\n" + PLAIN, {"comment": "%"}),
    "title above": ("Measured in May\n\n" + PLAIN, {"skip_lines": (1,)}),
    "units below": (PLAIN.replace("b\n", "b\ncm,kg\n"), {"skip_lines": (2,)}),
    "two header rows": ("first,second\n" + PLAIN, {"skip_lines": (1,)}),
    "row names": (
        '"a","b"\n"1",1.5,20\n"2",2.5,10\n"3",3.5,40\n"4",0.5,30\n',
        {},
    ),
    "empty name": ("," + PLAIN.replace("\n", "\n7,")[:-2], {}),
    "gzip": (gzip.compress(PLAIN.encode()), {}, "t.csv.gz"),
    "bzip2": (bz2.compress(PLAIN.encode()), {}, "t.csv.bz2"),
    "xz": (lzma.compress(PLAIN.encode()), {}, "t.csv.xz"),
    "zst": (zstd, {}),
    "zip": (zipped, {}),
    "json lines": (
        "".join(f'{{"a": {a}, "b": {b}}}\n' for a, b in zip(A, B, strict=True)),
        {},
        "t.jsonl",
    ),
    "no ending": (PLAIN, {"format": "csv"}, "t"),
    "dat": (PLAIN.replace(",", "  "), {}, "t.dat"),
}


def write(folder, content, name="t.csv"):
    if callable(content):
        return folder / content(folder)
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("kind", READ)
def test_a_messy_file_is_read_rightly(tmp_path, kind):
    content, options, *name = READ[kind]
    if kind == "cp1252":
        header, *rows = PLAIN.splitlines()
        rows = [row.replace(",", ",ü,") for row in rows]
        content = "\n".join([header.replace(",", ",größe €,"), *rows]).encode("cp1252")
        name = []
    path = write(tmp_path, content, *name)
    pair = readers.read(path, x=["a"], y=["b"], options=ReadOptions(**options))
    assert pair.x[:, 0].tolist() == A
    assert pair.y[:, 0].tolist() == B


REFUSED = {  # text; x; what the message says
    "empty file": ("", "a", "the file is empty"),
    "only empty lines": ("\n\n\n", "a", "only empty lines"),
    "only comments": ("# a\n# b\n", "a", "only lines that start with #.*--comment ''"),
    "header only": ("a,b\n", "a", "header only"),
    "no header": (PLAIN[4:], "a", r"--no-header .*--header"),
    "duplicated names": ("a,a,b\n1,2,3\n4,5,6\n", "a", "a more than once.*Rename"),
    "two header rows": ("a,a\nx,y\n1,2\n3,4\n", "a", "--skip-lines 1"),
    "units": (PLAIN.replace("b\n", "b\ncm,kg\n"), "a", "--skip-lines 2"),
    "title": ("Measured in May\n" + PLAIN, "a", "--skip-lines 1"),
    "two titles": ("Measured\nin May\n\n" + PLAIN, "a", "--skip-lines 1 2"),
    "ragged rows": (PLAIN + "1,2,3\n", "a", r"3 in line 6.*--sep.*--skip-lines 6"),
    "short rows": (PLAIN + "1\n", "a", r"missing values, in columns b \(1\).*--drop-missing"),
    "latin-1": ("größe,b\n1,2\n".encode("latin-1"), "b", "--encoding cp1252"),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-be"), "a", "--encoding utf-16-be"),
    "another word for missing": (PLAIN + "?,5\n", "a", r"--na '\?'"),
    "thousands or decimals": ("a;b\n999;1\n1,234;2\n12;3\n", "a", r"--decimal \. or --decimal ,"),
    "points as thousands": ("a;b\n999;1\n1.234;2\n12;3\n", "a", r"--decimal \. .*--decimal ,"),
    "numbers that are no names": ("7,3,5\n1,2,3\n2,3,4\n", "7", r"--no-header .*--header"),
    "total below": (PLAIN + "Total,100\n", "a", "'Total' in row 5.*--skip-lines"),
    "line about the separator": ("sep=;\n" + PLAIN.replace(",", ";"), "a", "--skip-lines 1"),
    "huge integers": ("a,b\n9007199254740993,1\n9007199254740992,2\n", "a", "categorical="),
    "two in a zip": (two_in_a_zip, "a", r"zip://train\.csv::.*t\.zip"),
    "comment or row": ("a,b\n#ff0000,1\n#00ff00,2\nred,3\n", "a", r"--comment '#' .*--comment ''"),
    "damaged gzip": (gzip.compress(PLAIN.encode())[:-9], "a", "cannot be read", "t.csv.gz"),
    "not gzip": (PLAIN, "a", "cannot be read", "t.csv.gz"),
    "packed Parquet": (b"x", "a", "Unpack it first", "t.parquet.gz"),
    "JSON in one piece": ('[{"a": 1}]', "a", "one JSON object on each line", "t.jsonl"),
    "an old Excel file": (b"x", "a", "Convert it, or name its format", "t.xls"),
    "open quote": ('a,b\n"1,2\n3,4\n', "a", "quotes"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_remedy(tmp_path, kind):
    content, x, message, *name = REFUSED[kind]
    path = write(tmp_path, content, *name)
    with pytest.raises(InputError, match=message) as caught:
        readers.read(path, x=[x], y=["b"])
    assert str(caught.value).startswith("Expected ")


def read(folder, text, column, **options):
    declared = {key: options.pop(key) for key in ("numeric", "categorical") if key in options}
    (folder / "t.csv").write_text(text)
    known = ReadOptions(**options)
    return readers.read(folder / "t.csv", x=[column], y=["k"], options=known, **declared)


@pytest.mark.parametrize(
    ("cells", "options", "numbers"),
    [
        (["999", "1,234", "12"], {"decimal": "."}, [999, 1234, 12]),
        (["999", "1.234", "12"], {"decimal": ","}, [999, 1234, 12]),
        (["9,5", "1.234,25", "12"], {}, [9.5, 1234.25, 12]),
        (["1,234,567", "12", "1,000"], {}, [1234567, 12, 1000]),
        (["$1,234.50", "$7.25", "$3"], {}, [1234.5, 7.25, 3]),
        (["12 %", "3 %", "0 %"], {}, [12, 3, 0]),
        (["1 234", "567", "12 345"], {}, [1234, 567, 12345]),
        (["1'234.5", "567", "12'345"], {}, [1234.5, 567, 12345]),
        (["−1.5", "2", "-3"], {}, [-1.5, 2, -3]),
        (["1,5e-1", "2,5E3", "7"], {}, [0.15, 2500, 7]),
        (["1.234", "2.5", "999"], {}, [1.234, 2.5, 999]),
        (["1.234", "999", "12"], {"decimal": "."}, [1.234, 999, 12]),
        (["1e3", "-2E-1", "+7"], {}, [1000, -0.2, 7]),
        (["True", "False", "True"], {}, [1, 0, 1]),
        (["2024-01-03", "2024-01-01", "2024-02-01"], {"numeric": ["c"]}, [2, 0, 31]),
        (["31.1.2024", "1.1.2024", "1.2.2024"], {"numeric": ["c"]}, [30, 0, 31]),
        (["1/31/2024", "1/1/2024", "2/1/2024"], {"numeric": ["c"]}, [30, 0, 31]),
        (["3 Jan 2024", "1 Jan 2024", "1 Feb 2024"], {"numeric": ["c"]}, [2, 0, 31]),
        (["12:00", "6:00", "18:00"], {"numeric": ["c"]}, [0.5, 0.25, 0.75]),
        (["007", "010", "011"], {"numeric": ["c"]}, [7, 10, 11]),
        (["0.5", "00.25", "1"], {}, [0.5, 0.25, 1]),
    ],
)
def test_cells_are_read_as_numbers(tmp_path, cells, options, numbers):
    rows = "".join(f"{cell};{k}\n" for k, cell in enumerate(cells))
    assert read(tmp_path, "c;k\n" + rows, "c", **options).x[:, 0].tolist() == numbers


@pytest.mark.parametrize("word", ["", "NA", "N/A", "nan", "NULL", "None", "n/a", "#N/A", " "])
def test_words_for_missing(tmp_path, word):
    text = f"c,k\n1,1\n{word},2\n3,3\n"
    with pytest.raises(InputError, match=r"missing values, in columns c \(1\)"):
        read(tmp_path, text, "c")


@pytest.mark.parametrize("word", ["?", "-", "-999", "missing"])
def test_more_words_for_missing(tmp_path, word):
    with pytest.raises(InputError, match=r"missing values, in columns c \(1\)"):
        read(tmp_path, f"c,k\n1,1\n{word},2\n3,3\n", "c", na=(word,))


@pytest.mark.parametrize("missing", [False, True])
def test_leading_zeros_stay_text(tmp_path, missing):
    codes = ["01234", "1234", "01234", "99999", "1234"]
    rows = [f"{code},{k}" for k, code in enumerate(codes)] + [",5"] * missing
    (tmp_path / "t.csv").write_text("\n".join(["zip,k", *rows]))
    pair = readers.read(tmp_path / "t.csv", x=["zip"], y=["k"], drop_missing=True)
    assert pair.x_names == ("zip=01234", "zip=1234", "zip=99999")
    assert "leading zeros (01234)" in " ".join(pair.notes)


def test_dates_are_refused_with_the_way_to_read_them(tmp_path):
    days = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    text = "c,k\n" + "".join(f"{day},{k}\n" for k, day in enumerate(days))
    with pytest.raises(InputError, match=r"dates or times as text.*--numeric"):
        read(tmp_path, text, "c")
    pair = read(tmp_path, text, "c", numeric=["c"])
    assert pair.x[:, 0].tolist() == list(range(60))
    assert pair.notes == ("x: c read as days since 2024-01-01.",)
    either = "c,k\n" + "".join(f"{k}/{k + 1}/2024,{k}\n" for k in range(1, 9))
    with pytest.raises(InputError, match=r"day may be its month.*2024-12-31"):
        read(tmp_path, either, "c", numeric=["c"])


def test_what_was_inferred_is_in_the_notes(tmp_path):
    (tmp_path / "t.txt").write_text("# run 7\n# a b\n1,5 2\n# break\n2,5 3\n")
    assert readers.read(tmp_path / "t.txt", x=["a"], y=["b"]).notes == (
        "Left out 3 lines that start with #, as comments.",
        "Names of the columns are those of the comment above: a b.",
        "Commas read as decimal points (1,5 is 1.5).",
    )


@pytest.mark.parametrize(
    "option", [{"sep": ";"}, {"header": False}, {"sheet": "1"}, {"na": ("-",)}]
)
def test_options_without_effect_are_refused(tmp_path, option):
    np.save(tmp_path / "t.npy", np.zeros((4, 2)))
    with pytest.raises(InputError, match=f"Leave --{next(iter(option))} out"):
        readers.opened(tmp_path / "t.npy", options=ReadOptions(**option))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"sep": "ab"}, "one character as sep"),
        ({"encoding": "utf-99"}, "known encoding"),
        ({"decimal": "'"}, "decimal to be one of"),
        ({"sep": ",", "decimal": ","}, "different characters"),
        ({"skip_lines": (0,)}, "skip_lines to be a positive number"),
        ({"header": "no"}, "header to be of type bool"),
        ({"format": "ods"}, "format to be one of"),
    ],
)
def test_invalid_options_are_refused(tmp_path, option, message):
    (tmp_path / "t.csv").write_text(PLAIN)
    with pytest.raises(InputError, match=message):
        readers.opened(tmp_path / "t.csv", options=ReadOptions(**option))


def test_the_example_of_the_page_of_files_runs(capsys):
    page = Path(__file__).parents[2] / "docs" / "files.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.strip() == code.rpartition("#")[2].strip()


def test_the_page_of_files_has_every_option_and_every_ending():
    text = (Path(__file__).parents[2] / "docs" / "files.md").read_text()
    for field in dataclasses.fields(ReadOptions):
        assert f"`--{field.name.replace('_', '-')}`" in text
    assert all(f"`{ending}`" in text for ending in readers.READERS)
