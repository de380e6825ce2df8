"""Hostile inputs, drawn at random: files, arguments, Python values, run directories and studies.

Nothing here is run by itself; `fuzz.py` and the tests draw from it. Everything is drawn from a
`random.Random`, so that a seed repeats an input and Hypothesis' `st.randoms()` can shrink one.
An input is a sentence, a call without arguments, and the directories in which the call may write.
"""

from __future__ import annotations

import array
import collections
import contextlib
import dataclasses
import datetime
import decimal
import gzip
import io
import itertools
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch


def outside() -> Path:
    """A directory of the user's that no call may touch, beside the one where inputs are made."""
    return Path.cwd().parent / "outside"


class Input(NamedTuple):
    """A call to be tried, what it is in words, and where it may write."""

    said: str
    call: Callable[[], object]
    writes: tuple[str, ...] = ()  # directories that the call may change
    foreign: tuple[str, ...] = ()  # files in these directories that are the user's own


class Theirs(Exception):
    """An exception of the caller's own code; it must pass through unchanged."""


# Columns: a generator and a number of rows -> values (n,)


def _text(values: Sequence[object]) -> np.ndarray:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _mixed(rng: np.random.Generator, n: int, others: Sequence[object], share: float) -> np.ndarray:
    values = _text(list(rng.normal(size=n).round(3)))
    for k in np.flatnonzero(rng.uniform(size=n) < share):
        values[k] = others[int(rng.integers(len(others)))]
    return values


MISSING = ["", "NA", "n/a", "NULL", "-", "None", "nan", "#N/A", "-999", ".", "?", " ", "missing"]
ODD_TEXT = [
    *("0x1F", "1e400", "-1e400", "1_000", "１２", "∞", "-0.0", "+1", "1.2.3", "1,5", "1.000,5"),
    *("TRUE", "inf", "-Infinity", "NaN", "1e-400", "9" * 400, "[1, 2]", "{}", "=1+1", "\x00", "\t"),
    *('"', "''", "a\nb", "a\r\nb", "a,b", "é", "\u202eabc", "🦊", "\ufeff", "x" * 3000, "1j"),
    "12%",
]

COLUMNS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda r, n: r.normal(size=n),
    "skewed": lambda r, n: np.exp(5 * r.normal(size=n)),
    "integers": lambda r, n: r.integers(-50, 50, n),
    "few codes": lambda r, n: r.integers(0, 3, n),
    "codes": lambda r, n: r.integers(0, 40, n),
    "bytes": lambda r, n: r.integers(0, 256, n).astype(np.uint8),
    "big integers": lambda r, n: 10**18 + r.integers(0, 50, n),
    "bigger integers": lambda r, n: _text([10**30 + int(k) for k in r.integers(0, 9**9, n)]),
    "booleans": lambda r, n: r.uniform(size=n) < 0.5,
    "categories": lambda r, n: _text(["abc"[k] for k in r.integers(0, 3, n)]),
    "states": lambda r, n: _text([f"S{k:02d}" for k in r.integers(0, 50, n)]),
    "identifiers": lambda r, n: _text([f"id-{k}" for k in range(n)]),
    "constant": lambda r, n: np.full(n, 3.0),
    "constant text": lambda r, n: _text(["a"] * n),
    "mostly zero": lambda r, n: np.where(r.uniform(size=n) < 0.7, 0, r.normal(size=n)),
    "one outlier": lambda r, n: np.where(np.arange(n) == n // 2, 1e300, r.normal(size=n)),
    "huge": lambda r, n: 1e308 * r.uniform(-1.7, 1.7, size=n),
    "denormal": lambda r, n: 5e-324 * r.integers(0, 9, n),
    "far from zero": lambda r, n: 1e15 + r.normal(size=n),
    "nearly constant": lambda r, n: 1 + 1e-16 * r.integers(0, 3, n),
    "infinite": lambda r, n: np.where(r.uniform(size=n) < 0.1, np.inf, r.normal(size=n)),
    "missing": lambda r, n: np.where(r.uniform(size=n) < 0.1, np.nan, r.normal(size=n)),
    "all missing": lambda r, n: np.full(n, np.nan),
    "missing in words": lambda r, n: _mixed(r, n, MISSING, 0.1),
    "odd text": lambda r, n: _mixed(r, n, ODD_TEXT, 0.1),
    "only odd text": lambda r, n: _text([ODD_TEXT[k] for k in r.integers(0, len(ODD_TEXT), n)]),
    "dates": lambda r, n: np.datetime64("2024-01-01") + r.integers(0, 900, n).astype("m8[D]"),
    "times": lambda r, n: r.integers(0, 9**9, n).astype("m8[ns]"),
    "no times": lambda r, n: np.full(n, np.datetime64("NaT")),
    "dates in words": lambda r, n: _text(
        [f"2024-{1 + k % 12:02d}-03" for k in r.integers(0, 99, n)]
    ),
    "percentages": lambda r, n: _text([f"{v:.1f}%" for v in r.normal(size=n)]),
    "money": lambda r, n: _text([f"${1e4 + 100 * v:,.2f}" for v in r.normal(size=n)]),
    "comma decimals": lambda r, n: _text([f"{v:.3f}".replace(".", ",") for v in r.normal(size=n)]),
    "complex": lambda r, n: r.normal(size=n) + 1j * r.normal(size=n),
    "halves": lambda r, n: r.normal(size=n).astype(np.float16),
    "long doubles": lambda r, n: r.normal(size=n).astype(np.longdouble) * np.longdouble("1e4000"),
    "other byte order": lambda r, n: r.normal(size=n).astype(">f8"),
    "lists": lambda r, n: _text([[1.0, 2.0]] * n),
    "none": lambda r, n: _text([None] * n),
    "decimals": lambda r, n: _text([decimal.Decimal(int(k)) / 7 for k in r.integers(-50, 50, n)]),
    "days": lambda r, n: _text([datetime.date(2024, 1, 1 + int(k)) for k in r.integers(0, 30, n)]),
    "raw bytes": lambda r, n: _text([bytes([k]) for k in r.integers(0, 256, n).astype(np.uint8)]),
    "byte strings": lambda r, n: np.array([b"a", b"\xff"])[r.integers(0, 2, n)],
    "structures": lambda r, n: np.zeros(n, dtype=[("a", "f8"), ("b", "i4")]),
    "objects": lambda r, n: _text([object()] * n),
    "kinds mixed": lambda r, n: _text(
        [[1, 2.5, "a", None, True, b"b", 3j, (), np.nan][k] for k in r.integers(0, 9, n)]
    ),
}
SOUND = ("normal", "skewed", "integers", "few codes", "booleans", "categories", "mostly zero")
LENGTHS = (0, 1, 2, 5, 39, 40, 41, *[60] * 20, 100, 200)
NAMES = [
    *("a", "b", "c", "x", "y", "x1", "x2", "", " ", " a", "a ", "a:b", "x*", "x[0]", "a,b", "?"),
    *("0", "1", "-1", "--x", "-", "é", "🦊", "\u202eb", "N" * 5000, "a\nb", '"a"', "index"),
    *("Unnamed: 0", "nan", "None", "a=b", "%s", "{0}", "\\", "\ufeffa", "\x00", "[red]"),
]


def column(dice: Random, n: int) -> tuple[str, np.ndarray]:
    """A column of n values and its kind; most are such that an estimate can be made."""
    kind = dice.choice(SOUND) if dice.random() < 0.85 else dice.choice(list(COLUMNS))
    rng = np.random.default_rng(dice.getrandbits(32))
    with np.errstate(all="ignore"):
        return kind, COLUMNS[kind](rng, n)


def table(dice: Random) -> tuple[str, list[str], list[np.ndarray]]:
    """Columns with names; the sentence says what they are."""
    n = dice.choice(LENGTHS)
    width = dice.choice((*[2] * 6, 3, 3, 4, 6, 1))
    names = list("xyzabcd"[:width])
    if dice.random() < 0.1:
        names = [dice.choice(NAMES) for _ in range(width)]
    kinds, columns = zip(*(column(dice, n) for _ in range(width)), strict=True)
    if dice.random() < 0.03:  # wide
        rng = np.random.default_rng(dice.getrandbits(32))
        names += [f"w{k}" for k in range(300)]
        columns += tuple(rng.normal(size=(300, n)))
    return f"{n} rows of {', '.join(kinds)}", names, list(columns)


# Bytes


TOKENS = [
    *(b"", b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\n", b"\r", b"\r\n", b",", b";", b'"'),
    *(b"'", b"\t", b"\\", b"{", b"[", b"-", b"nan", b"inf", b"1e999", b"9" * 50, b"null", b"\x1a"),
    *(b"\x1b[2J", b"\xed\xa0\x80", b"\x80" * 9, b"PK\x03\x04", b"PAR1", b"\x93NUMPY", b"\x1f\x8b"),
]


def broken(dice: Random, data: bytes) -> bytes:
    """The bytes with one to four changes."""
    for _ in range(dice.randint(1, 4)):
        at = dice.randint(0, len(data))
        end = min(len(data), at + dice.choice((0, 1, 1, 2, 8, 64, 10 ** dice.randrange(6))))
        way = dice.randrange(5)
        if way == 0:
            data = data[:at] + dice.choice(TOKENS) + data[end:]
        elif way == 1:
            data = data[:at] + data[end:]
        elif way == 2:
            data = data[:end] + data[at:end][:5000] + data[end:]
        elif way == 3 and data:
            at %= len(data)
            data = data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]
        else:
            data = (
                data[:at]
                + bytes(dice.randrange(256) for _ in range(dice.randrange(9)))
                + data[end:]
            )
    return data


CODECS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "shift-jis", "cp037"]


def separated(dice: Random, names: Sequence[str], columns: Sequence[np.ndarray]) -> bytes:
    """Columns as separated text, in one of many ways."""
    import csv

    sign = dice.choice((*[","] * 24, ";", "\t", "|", " ", ":", "^"))
    end = dice.choice(("\n", "\n", "\r\n", "\r"))
    quoting = dice.choice(
        (csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)
    )
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sign, lineterminator=end, quoting=quoting)
    rows = [list(row) for row in zip(*columns, strict=True)]
    if dice.random() < 0.9:
        rows.insert(0, list(names))
    for row in rows:
        if dice.random() < 0.001:
            row = row[: dice.randrange(len(row) + 1)]  # ragged
        elif dice.random() < 0.001:
            row = [*row, dice.choice(ODD_TEXT)]
        try:
            writer.writerow(row)
        except csv.Error:
            text.write(sign.join(map(str, row)) + end)
    whole = text.getvalue()
    if dice.random() < 0.1:
        whole = dice.choice(("# comment\n", "\n\n", "sep=;\n", "\ufeff", " ")) + whole
    if dice.random() < 0.1:
        whole = whole.rstrip("\r\n") + dice.choice(("", "\n\n\n", sign, "\x1a"))
    codec = "utf-8"
    if dice.random() < 0.07:
        codec = dice.choice(CODECS)
    return whole.encode(codec, errors=dice.choice(("replace", "ignore", "xmlcharrefreplace")))


def npy(dice: Random) -> tuple[str, bytes]:
    """An npy file: sound, of an odd type, or with a header that lies."""
    n, width = dice.choice(LENGTHS), dice.choice((1, 2, 3, 3, 5))
    shape = (n, width)
    if dice.random() < 0.4:
        shape = dice.choice(((n,), (n, width, 2), (), (n, 0), (0, 3)))
    kind = dice.choice(("<f8", "<f8", "<f8", "<f4", ">f8", "<f2", "<i8", "|u1", "?", "<c16", "<U3"))
    if dice.random() < 0.2:
        kind = dice.choice(("|S3", "<m8[s]", "<M8[D]", "<f16", "|V8", "O"))
    rng = np.random.default_rng(dice.getrandbits(32))
    values = rng.normal(size=shape)
    try:
        array = values.astype(kind) if kind != "O" else values.astype(object)
    except (TypeError, ValueError):
        array = np.zeros(shape, dtype=kind)
    file = io.BytesIO()
    np.save(file, np.asfortranarray(array) if dice.random() < 0.2 else array)
    data = file.getvalue()
    if dice.random() < 0.65:
        return f"npy, {kind} of shape {shape}", data
    said = dice.choice(
        (
            *("(0, 1000000000000)", "(1000000000000, 2)", "(-1, 2)", "(2, -3)", "(2.5, 2)"),
            *("('a', 2)", "(True, 2)", "()", "(9,)*99", f"({'1, ' * 70})", "(0, 3)", "(2**40, 0)"),
            *("(9223372036854775807, 2)", "(3037000500, 3037000500)", "(1, 100000000)", "None"),
        )
    )
    descr = dice.choice((*["'<f8'"] * 3, "'|O'", "'<f3'", "'|V0'", "'|S0'", "'<U0'", "5"))
    if dice.random() < 0.1:
        descr = dice.choice(("[('a', '<f8')]", "[('a', '<f8', (1000000000,))]", "'<M8[as]'", "[]"))
    order = dice.choice((True, False, 3))
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {said}, }}"
    if dice.random() < 0.1:
        header = dice.choice(("{" * 5000, "[" * 50_000, "1", "'a'", "{}", "{'descr': }", "(" * 90))
    text = header.encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    version = dice.choice((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    size = min(len(text), 65_535).to_bytes(2 if version[0] == 1 else 4, "little")
    return f"npy with header {header[:120]}", b"\x93NUMPY" + version + size + text + bytes(128)


class Trap:
    """Unpickled, it writes a file where none may be written."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"echo executed > '{outside()}/executed'",))


def npz(dice: Random) -> tuple[str, bytes]:
    """An npz file: arrays of many kinds, lengths and names; what is in it may be something else."""
    file, said = io.BytesIO(), []
    way = dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(file, "w", way) as folder:
        n = dice.choice(LENGTHS)
        for name in ("x", "y", *dice.sample(("z", "mi", "0", "../up", "a/b", "", "é", "x[0]"), 2)):
            kind, values = column(dice, n if dice.random() < 0.9 else dice.choice(LENGTHS))
            if values.dtype.kind == "O" and dice.random() < 0.9:
                values = np.array([str(value) for value in values])
            if dice.random() < 0.2 and values.dtype.kind in "fiub":
                values = np.stack([values] * dice.choice((1, 2, 3)), axis=-1)
            buffer = io.BytesIO()
            np.save(buffer, values)
            data = buffer.getvalue()
            if dice.random() < 0.1:
                kind, data = npy(dice)
            if dice.random() < 0.03:
                kind, buffer = "an object that executes", io.BytesIO()
                np.save(buffer, _text([Trap()]))
                data = buffer.getvalue()
            if name not in "xy" and dice.random() < 0.05 and way == zipfile.ZIP_DEFLATED:
                kind, buffer = "400 MB of zeros", io.BytesIO()
                np.save(buffer, np.zeros(50_000_000))
                data = buffer.getvalue()
            ending = ".npy" if dice.random() < 0.95 else dice.choice(("", ".txt"))
            folder.writestr((name + ending) or "x", data)
            said.append(f"{name} {kind}")
    return f"npz of {', '.join(said)}", file.getvalue()


def parquet(dice: Random) -> tuple[str, bytes]:
    """A Parquet file of types that pandas may or may not know."""
    said, names, columns = table(dice)
    arrays = []
    for values in columns:
        try:
            values = pa.array(values.tolist() if values.dtype.kind in "SUV" else values)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            values = pa.array([str(value) for value in values])
        if dice.random() < 0.15:
            kind = dice.choice(
                [
                    *(pa.float16(), pa.int8(), pa.decimal128(38, 3)),
                    *(pa.large_string(), pa.binary()),
                    *(pa.timestamp("ns"), pa.dictionary(pa.int8(), pa.string()), pa.time64("us")),
                    *(pa.null(), pa.date32(), pa.duration("s")),
                    *(pa.list_(pa.float64()), pa.uint64()),
                ]
            )
            try:
                values = values.cast(kind)
            except (pa.ArrowException, ValueError):
                values = pa.nulls(len(values), kind)
            said += f", as {kind}"
        arrays.append(values)
    if dice.random() < 0.1:
        arrays.append(pa.array([{"a": 1, "b": [2]}] * len(arrays[0])))
        names = [*names, "nested"]
    file = io.BytesIO()
    rows = dice.choice((None, None, 7))
    try:
        pq.write_table(pa.Table.from_arrays(arrays, names=names), file, row_group_size=rows)
    except (pa.ArrowException, ValueError):
        pq.write_table(pa.table({"x": list(range(60)), "y": list(range(60))}), file)
    return f"Parquet, {said}", file.getvalue()


def large_parquet(dice: Random) -> tuple[str, bytes]:
    """A small file of many rows: columns that are almost constant."""
    n = dice.choice((5_000, 20_000))
    values = pa.array(np.zeros(n, dtype=np.int8))
    file = io.BytesIO()
    pq.write_table(pa.table({"x": values, "y": values, "z": values}), file, compression="zstd")
    return f"Parquet of {n:,} zeros", file.getvalue()


def data_bytes(dice: Random) -> tuple[str, str, bytes]:
    """A data file: what it is, the ending that fits it, and its bytes; x, y or 0, 1 are in it."""
    way = dice.random()
    if way < 0.5:
        said, names, columns = table(dice)
        data = separated(dice, names, columns)
        ending = dice.choice((".csv", ".csv", ".tsv", ".txt"))
    elif way < 0.65:
        (said, data), ending = npy(dice), ".npy"
    elif way < 0.8:
        (said, data), ending = npz(dice), ".npz"
    elif way < 0.99:
        (said, data), ending = parquet(dice), ".parquet"
    else:
        (said, data), ending = large_parquet(dice), ".parquet"
    if dice.random() < 0.12:
        said, data = f"{said}, some bytes changed", broken(dice, data)
    if dice.random() < 0.06 and ending != ".parquet":
        said, data, ending = f"{said}, compressed", gzip.compress(data), f"{ending}.gz"
        data = broken(dice, data) if dice.random() < 0.3 else data
    return said, ending, data


FILE_NAMES = [
    *("data", "data", "data", "data", "data", "-data", "--x", "a b", "é", "🦊", "a\nb", "N" * 240),
    *("C:x", "x:y", "http:", "10:30", ".hidden", "_under"),
    *("*", "[a]", "%41", "a#b?c", "x::y", "$HOME"),
    *("\udcff", "\x1b[31m", "a'b", 'a"b', "~", "file.csv", "DATA"),
]


def file_of(dice: Random) -> tuple[str, str]:
    """Something in this directory that is given for a data file: what it is, and its name."""
    said, ending, data = data_bytes(dice)
    if dice.random() < 0.08:
        ending = dice.choice(
            ("", *[".csv", ".CSV", ".parquet", ".npz", ".npy", ".gz", ".csv.gz", ".xlsx"])
        )
    name = dice.choice(FILE_NAMES) + ending
    path = Path(name)
    way = dice.random()
    if way < 0.85:
        path.write_bytes(data)
        return said, name
    if way < 0.89:  # a directory of Parquet files, some of them no such thing
        path.mkdir()
        for k in range(dice.randint(0, 3)):
            inner = path / dice.choice((".", "year=1", "year=2", "_hidden", "a/b=", "=c", "x=1"))
            inner.mkdir(parents=True, exist_ok=True)
            _, content = parquet(dice)
            content = broken(dice, content) if dice.random() < 0.15 else content
            (inner / f"{k}{dice.choice(('.parquet', '.parquet', '.csv', ''))}").write_bytes(content)
        if dice.random() < 0.2:
            (path / "loop").symlink_to(path.absolute())
        return f"a directory of Parquet files ({said})", name
    if way < 0.97:
        return _special(dice.choice(SPECIAL), path), name
    return "an address or no file", dice.choice(ADDRESSES)


ADDRESSES = [
    *("s3://bucket/x.csv", "gs://b/x.csv", "http://127.0.0.1:9/x.csv"),
    *("https://[::1", "http://", "://"),
    *("file:///dev/zero", "file://../x.csv", "memory://x.csv"),
    *("memory://", "reference://x.csv", "ftp://a"),
    *("zip://x.csv::data.csv", "zip://::", "simplecache::memory://x.csv"),
    *("local://x.csv", "data:,a"),
    *("filecache::http://127.0.0.1:9/x.csv", "github://a:b@/x"),
    *("dir::file://.", "hdfs://a/x.parquet"),
    *("", " ", ".", "..", "/", "~", "nothing.csv", "nothing", "a/b/c.csv", "/dev/null", "\x00.csv"),
    *("x" * 300 + ".csv", "a/" * 2000 + "x.csv", "-"),
    *("/proc/self/environ", "jar://x::y", "libarchive://"),
]


SPECIAL = shlex.split("empty dangling loop link fifo socket zero full stdin null mem")


def _special(what: str, path: Path) -> str:
    """A file that is no regular one."""
    if what == "empty":
        path.write_bytes(b"")
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "socket":
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(str(path)[:90])
        except (OSError, UnicodeError):
            path.write_bytes(b"")
    else:
        targets = {"dangling": "nothing", "loop": path.name, "link": outside() / "data.csv"}
        targets["mem"] = "/proc/self/mem"
        path.symlink_to(targets.get(what, f"/dev/{what}"))
    return f"{what} in place of a file"


# Arguments


SELECTORS = [
    *("*", "?", "[", "a:b", "x:y", ":", "::", ","),
    *(",,", "", " ", "nothing", "X", "x*", "x,y", "x, y"),
    *("x[0]", "x[0]:x[1]", "0", "1", "0:1", "1:0", "-1"),
    *("999999", "é", "🦊", "\n", "*" * 500, "[!a]"),
    *("*" * 20 + "b", "\x00", "\udcff", "%s", "{x}", "nan", "Unnamed: 0", "x=1", "year", "--y"),
]
VALUES = [
    *("", " ", "0", "-1", "1", "2", "3", "5"),
    *("0.5", "1.5", "-0.0", "1e308", "-1e308", "nan", "inf"),
    *("-inf", "1e-320", "0.9999999999999999", ".9999999", "0.05"),
    *("1e400", "None", "none", "True", "null"),
    *("[]", "{}", "x" * 3000, "\n", "\udcff", "é", "🦊", "-"),
    *("..", ".", "~", "$HOME", "%s", "{0}", "*"),
    *("auto", "cuda", "cpu", "gaussian", "table", "mixture,table"),
    *("1,2", "1 2", "0x10", "1_000", "١"),
    *("[bold]", "[/]", "infonce", "nwj", "js", "mine"),
    *("smile", "flo", "alpha", "ksg", "raw", "bits"),
]
LARGE = ("10000000", "2147483648", "9223372036854775808", "1" + "0" * 40)
WORK = {  # more of it takes longer, as asked for: large values are no fault
    *("n_iters", "permutations", "seeds", "sizes", "hidden_layers", "jobs", "patience"),
}
PLACES = [
    *("run", "run", "a/b/c", ".", "..", ""),
    *(" ", "data.csv", "data.csv/x", "/dev/null", "/dev/null/x"),
    *("é", "🦊", "a\nb", "N" * 300, "a/" * 2000, "mine"),
    *("full/x", "link", "-run", "\udcff", "[red]", "loop"),
    *("../outside", "../outside/data.csv", "/proc/x", "s3://b/run", "~"),
]
CHEAP = ("--folds", "2", "--critic", "none", "--base", "gaussian", "--no-certify")
SHORT = shlex.split("--folds 2 --n-iters 3 --hidden-dim 8 --eval-every 2 --base gaussian")


def flags(command: type) -> dict[str, str]:
    """The flags of a command with the annotation of each, as text."""
    from infobound.cli.session import Output
    from infobound.config import Config

    found = {}
    for field in dataclasses.fields(command):
        inner = {"config": Config, "output": Output}.get(field.name)
        if inner is None:
            found[field.name] = str(field.type)
        else:
            found |= {each.name: str(each.type) for each in dataclasses.fields(inner)}
    return {name: kind for name, kind in found.items() if "Positional" not in kind}


def _value(dice: Random, name: str) -> str:
    if name in (
        "run",
        "out",
        "files",
        "bmi_python",
        "neuralmi",
        "torch_mist_python",
        "tigramite_python",
    ):
        return dice.choice(PLACES)
    if name in ("x", "y", "x1", "x2", "tasks"):
        return dice.choice(SELECTORS)
    if name == "dask":
        return dice.choice(("", "tcp://127.0.0.1:9", "x", "tcp://", "tcp://256.0.0.1:1"))
    return dice.choice(VALUES) if name in WORK else dice.choice((*VALUES, *LARGE))


def mutated_words(dice: Random, words: list[str], command: type) -> list[str]:
    """The words of a command with one to three flags more, or one word changed or left out."""
    known = flags(command)
    for _ in range(dice.choice((0, 1, 1, 1, 2, 3))):
        name = dice.choice(list(known))
        flag = "--" + name.replace("_", "-")
        if "FlagCreatePairsOff" in known[name]:
            words = [*words, flag]
        elif known[name] == "bool":
            words = [*words, dice.choice((flag, "--no-" + flag[2:], f"{flag}=3"))]
        elif dice.random() < 0.1:
            words = [*words, flag]
        else:
            words = [*words, flag, _value(dice, name)]
    if dice.random() < 0.1:
        at = dice.randrange(len(words))
        words = [*words[:at], *dice.choice(([], [dice.choice(VALUES)])), *words[at + 1 :]]
    if dice.random() < 0.1:
        more = "--help --json --debugg -- -h --version --units --units=bits --json"
        words = [*words, dice.choice(more.split())]
    return words


def surroundings() -> None:
    """What the arguments may meet: sound data, a file of the user's, a full disk, links."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    frame = {"x": x, "y": x + rng.normal(size=60), "z": rng.normal(size=60), "c": list("abc") * 20}
    pd.DataFrame(frame).to_csv("data.csv", index=False)
    np.savez("data.npz", x=x[:, None], y=frame["y"], mi=0.3)
    Path("mine").mkdir()
    for name in THEIRS:
        Path("mine", name).write_text("the user's own")
    Path("pairs").mkdir()
    shutil.copy("data.npz", "pairs/data.npz")
    Path("link").symlink_to(outside())
    Path("loop").symlink_to("loop")


THEIRS = ("notes.txt", "rows.safetensors", ".something.tmp", "result.json")
MINE = (*(f"mine/{name}" for name in THEIRS), "data.csv", "data.npz", "pairs/data.npz")


LAST = {  # what would take minutes without
    "demo": ("--run", "data.csv"),
    "reproduce": ("--n-iters", "3"),
    "rehearse": ("--jobs", "1"),
    "study": ("--jobs", "1"),
}


def words_of(dice: Random) -> tuple[list[str], str]:
    """A command that would work, in little time, and its name."""
    cheap = [*dice.choice((CHEAP, CHEAP, CHEAP, SHORT))]
    others = "compare compare rehearse reproduce resume study study demo"
    name = dice.choice([*["estimate"] * 6, *others.split()])
    data = dice.choice(("data.csv", "data.csv", "data.npz"))
    words = {
        "estimate": [data, "--x", "x", "--y", "y", *cheap],
        "compare": ["data.csv", "--x1", "x", "--x2", "z", "--y", "y", *cheap],
        "rehearse": [
            *(data, "--x", "x", "--y", "y", "--ladder", "0", "0.1", "--seeds", "1", "--jobs", "1"),
            *("--kinds", "monotone", *CHEAP),
        ],
        "reproduce": [*("--sample-size", "40", *SHORT[2:], "--batch-size", "8", "--run", "run")],
        "resume": [dice.choice(PLACES)],
        "study": [
            *("mine", "--files", "pairs", "--sizes", "60", "--seeds", "1", "--out", "run"),
            *("--jobs", "1", "--estimators", "base_only", *CHEAP),
        ],
        "demo": ["--run", "data.csv"],  # refused at once; a demonstration takes a minute
    }
    return [name, *words[name]], name


def command(words: Sequence[str]) -> Callable[[], object]:
    """The call of the command line with these words, which hold no zero bytes."""

    def call() -> object:
        from infobound.cli import main

        return main.main([word.replace("\x00", "0") for word in words])

    return call


def files(dice: Random) -> Input:
    """A hostile data file, given to a command."""
    said, name = file_of(dice)
    x, y = (["0"], ["1"]) if said.startswith("npy") else (["x"], ["y"])
    if dice.random() < 0.12:
        x, y = ([dice.choice((*"xyz01", *SELECTORS[:6]))] for _ in "xy")
    drop = ["--drop-missing"] if dice.random() < 0.3 else []
    more = ["--json"] if dice.random() < 0.2 else []
    where = name if dice.random() < 0.9 else os.path.abspath(name) if name else name
    words = ["estimate", where, "--x", *x, "--y", *y, *CHEAP, *drop, *more]
    if dice.random() < 0.1:
        words = ["estimate", where]  # lists the columns
    if name.startswith("-"):
        words[1] = f"./{name}"
    return Input(f"{said}: {words}", command(words))


def arguments(dice: Random) -> Input:
    """A command with hostile arguments."""
    from infobound.cli.commands import COMMANDS

    surroundings()
    words, name = words_of(dice)
    if dice.random() < 0.03:
        words = [dice.choice(VALUES) for _ in range(dice.randrange(4))]
    elif dice.random() < 0.05:
        words = mutated_words(dice, [dice.choice(("tasks", "bounds"))], COMMANDS["bounds"])
    else:
        words = [*mutated_words(dice, words, COMMANDS[name]), *LAST.get(name, ())]
    said = f"{words}"
    call, stream = command(words), dice.random()
    if stream < 0.1:
        how = dice.choice(("closed", "full", "pipe", "ascii", "narrow", "no stdin"))
        said, call = f"{said}, standard output {how}", _onto(how, call)
    elif stream < 0.13:
        around = dict(dice.sample(AROUND, dice.choice((1, 1, 2))))
        said, call = f"{said}, with {around}", _in_a_process(words, around)
    pairs = itertools.pairwise(words)
    named = [word for flag, word in pairs if flag in ("--run", "--out")]
    named += words[1:2] if words[:1] == ["resume"] else []
    writes = [place for place in named if place not in (".", "..", "", "/", "link")]
    writes = [place for place in writes if not place.startswith(("../", "/"))]
    here = ["."] if {".", ""} & {*named} else []
    default = {"reproduce": "runs/reproduce", "study": "runs/study"}.get(words[0] if words else "")
    tops = {Path(place).parts[0] for place in [*writes, default or "run"] if Path(place).parts}
    return Input(said, call, (*sorted(tops), *here), MINE)


AROUND = [  # what the environment may say
    ("MPLBACKEND", "module://matplotlib_inline.backend_inline"),
    ("MPLBACKEND", "nonsense"),
    ("MPLBACKEND", "tkagg"),
    ("PYTHONIOENCODING", "ascii"),
    ("LC_ALL", "C"),
    ("LC_ALL", "nonsense"),
    ("TERM", "dumb"),
    ("COLUMNS", "0"),
    ("COLUMNS", "many"),
    ("FORCE_COLOR", "1"),
    ("HOME", "/nonexistent"),
    ("TMPDIR", "/nonexistent"),
    ("MPLCONFIGDIR", "/proc/nothing"),
    ("WORLD_SIZE", "many"),
    ("WORLD_SIZE", "0"),
    ("CUDA_VISIBLE_DEVICES", "9"),
    ("PYTHONWARNINGS", "error"),
    ("PYTHONSAFEPATH", "1"),
    ("PYTHONOPTIMIZE", "2"),
]


def _in_a_process(words: Sequence[str], around: dict[str, str]) -> Callable[[], object]:
    """The command in a process of its own, which starts anew in that environment."""

    def call() -> object:
        home = Path.cwd().parent / "log"  # where caches belong that are nobody's
        environment = {**os.environ, "MPLCONFIGDIR": str(home), **around}
        mine = [w.replace("\x00", "0") for w in words if w != "--debug"]  # which shows tracebacks
        command = [sys.executable, "-m", "infobound", *mine]
        done = subprocess.run(command, env=environment, capture_output=True)
        sys.stderr.write(done.stderr.decode(errors="replace"))
        sys.exit(done.returncode)

    return call


def _standard_output(number: int) -> None:
    """Let standard output lead there, as in a process that starts with it."""
    os.dup2(number, 1)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115


def _onto(how: str, call: Callable[[], object]) -> Callable[[], object]:
    """The call with another standard output."""

    def changed() -> object:
        if how == "closed":
            os.close(1)
            sys.stdout = None  # as in a process that starts with it closed
        elif how == "full":
            _standard_output(os.open("/dev/full", os.O_WRONLY))
        elif how == "pipe":
            reading, writing = os.pipe()
            os.close(reading)
            _standard_output(writing)
        elif how == "ascii":
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                stream.reconfigure(encoding="ascii", errors="strict")
        elif how == "no stdin":
            os.close(0)
            sys.stdin = None
        else:
            os.environ["COLUMNS"] = "1"
        return call()

    return changed


# Python values


def _frame(dice: Random, values: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(values if values.ndim == 2 else values.reshape(len(values), -1))
    if dice.random() < 0.3:
        frame.columns = pd.MultiIndex.from_tuples([("a", k) for k in range(frame.shape[1])])
    elif dice.random() < 0.3:
        frame.columns = ["a"] * frame.shape[1]
    if dice.random() < 0.3:
        frame.index = pd.Index([f"r{k}" for k in range(len(frame))][::-1])
    return frame


class Lies:
    """Says that it is an array and is none."""

    def __init__(self, what: object) -> None:
        self.what = what

    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        if isinstance(self.what, Exception):
            raise self.what
        return self.what


def _some(values: np.ndarray) -> np.ndarray:
    return np.arange(values.size) % 9 == 0


def _nullable(values: np.ndarray, **how: Any) -> pd.Series:
    return pd.Series(values.reshape(-1)).convert_dtypes(**how)


def _named(dice: Random, values: np.ndarray) -> pd.Series:
    name: Any = dice.choice((None, 0, "é", ("a", 1), "x", np.nan))
    return pd.Series(values.reshape(-1), name=name)


def _integers(dice: Random, values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values).to(dice.choice((torch.int8, torch.bool, torch.int64)))


def _quantised(dice: Random, values: np.ndarray) -> torch.Tensor:
    return torch.quantize_per_tensor(torch.tensor(values).float(), 0.1, 0, torch.qint8)


def _sparse(values: np.ndarray) -> Any:
    from scipy import sparse

    return sparse.csr_matrix(np.atleast_2d(values).astype(np.float64))


CONTAINERS: dict[str, Callable[[Random, np.ndarray], Any]] = {
    "array": lambda d, v: v,
    "Fortran array": lambda d, v: np.asfortranarray(v),
    "reversed array": lambda d, v: v[::-1],
    "strided array": lambda d, v: np.repeat(v, 2, axis=0)[::2],
    "broadcast array": lambda d, v: np.broadcast_to(v[:1], v.shape),
    "read-only array": lambda d, v: (v.setflags(write=False), v)[1],
    "matrix": lambda d, v: np.asmatrix(v),
    "masked array": lambda d, v: np.ma.masked_array(v, _some(v).reshape(v.shape)),
    "record array": lambda d, v: np.rec.fromarrays([v]),
    "object array": lambda d, v: v.astype(object),
    "text array": lambda d, v: v.astype(str),
    "three dimensions": lambda d, v: v.reshape(len(v), -1, 1),
    "five dimensions": lambda d, v: v.reshape(len(v), 1, -1, 1, 1),
    "no dimension": lambda d, v: v.reshape(-1)[0],
    "row vector": lambda d, v: v.reshape(1, -1),
    "no columns": lambda d, v: v.reshape(len(v), -1)[:, :0],
    "list": lambda d, v: v.tolist(),
    "tuple": lambda d, v: tuple(v.tolist()),
    "ragged list": lambda d, v: [*v.tolist(), [1, 2, 3]],
    "list of arrays": lambda d, v: list(v),
    "list of tensors": lambda d, v: [torch.tensor(row, requires_grad=True) for row in v],
    "list of series": lambda d, v: [pd.Series(v.reshape(-1))],
    "deque": lambda d, v: collections.deque(v.tolist()),
    "generator": lambda d, v: (row for row in v.tolist()),
    "iterator": lambda d, v: iter(v.tolist()),
    "set": lambda d, v: set(v.reshape(-1).tolist()),
    "dictionary": lambda d, v: {"a": v},
    "keys": lambda d, v: dict.fromkeys(v.reshape(-1).tolist()).keys(),
    "range": lambda d, v: range(len(v)),
    "array.array": lambda d, v: array.array("d", v.reshape(-1).tolist()),
    "memory view": lambda d, v: memoryview(np.ascontiguousarray(v)),
    "bytes": lambda d, v: v.tobytes(),
    "text": lambda d, v: "x" * len(v),
    "none": lambda d, v: None,
    "number": lambda d, v: 3.5,
    "function": lambda d, v: len,
    "class": lambda d, v: np.ndarray,
    "tensor": lambda d, v: torch.tensor(v),
    "tensor with grad": lambda d, v: torch.tensor(v).requires_grad_(),
    "parameter": lambda d, v: torch.nn.Parameter(torch.tensor(v)),
    "half tensor": lambda d, v: torch.tensor(v).to(d.choice((torch.float16, torch.bfloat16))),
    "float8 tensor": lambda d, v: torch.tensor(v).to(torch.float8_e4m3fn),
    "integer tensor": _integers,
    "complex tensor": lambda d, v: torch.tensor(v).to(torch.complex64),
    "conjugate view": lambda d, v: torch.tensor(v).to(torch.complex64).conj(),
    "imaginary view": lambda d, v: torch.tensor(v).to(torch.complex64).conj().imag,
    "meta tensor": lambda d, v: torch.empty(v.shape, device="meta"),
    "sparse tensor": lambda d, v: torch.tensor(v).to_sparse(),
    "sparse CSR tensor": lambda d, v: torch.tensor(np.atleast_2d(v)).to_sparse_csr(),
    "nested tensor": lambda d, v: torch.nested.nested_tensor([torch.tensor(r) for r in v]),
    "quantised tensor": _quantised,
    "expanded tensor": lambda d, v: torch.tensor(v)[:1].expand(len(v), *v.shape[1:]),
    "transposed tensor": lambda d, v: torch.tensor(v.T).T,
    "inference tensor": lambda d, v: torch.inference_mode()(lambda: torch.tensor(v))(),
    "frame": _frame,
    "series": lambda d, v: pd.Series(v.reshape(-1)),
    "named series": _named,
    "index": lambda d, v: pd.Index(v.reshape(-1)),
    "multi-index": lambda d, v: pd.MultiIndex.from_arrays([v.reshape(-1), v.reshape(-1)]),
    "pandas array": lambda d, v: pd.array(v.reshape(-1)),
    "values of text": lambda d, v: pd.Series(v.reshape(-1)).astype(str).values,
    "text series": lambda d, v: pd.Series(v.reshape(-1)).astype("string"),
    "categorical": lambda d, v: pd.Categorical(v.reshape(-1)),
    "ordered category": lambda d, v: pd.Series(pd.Categorical(v.reshape(-1), ordered=True)),
    "cut": lambda d, v: pd.cut(v.reshape(-1), 3),
    "interval array": lambda d, v: pd.arrays.IntervalArray.from_breaks(np.arange(len(v) + 1)),
    "nullable": lambda d, v: _nullable(v),
    "nullable, missing": lambda d, v: _nullable(v).mask(_some(v)),
    "Arrow-backed": lambda d, v: _nullable(v, dtype_backend="pyarrow"),
    "sparse series": lambda d, v: pd.Series(pd.arrays.SparseArray(v.reshape(-1))),
    "sparse frame": lambda d, v: pd.DataFrame.sparse.from_spmatrix(_sparse(v)),
    "period index": lambda d, v: pd.period_range("2024", periods=len(v), freq="D"),
    "zoned times": lambda d, v: pd.date_range("2024", periods=len(v), tz="UTC"),
    "grouped frame": lambda d, v: pd.DataFrame(v).groupby(0),
    "sparse matrix": lambda d, v: _sparse(v),
    "Arrow array": lambda d, v: pa.array(v.reshape(-1)),
    "Arrow table": lambda d, v: pa.table({"a": v.reshape(-1), "b": v.reshape(-1)}),
    "chunked array": lambda d, v: pa.chunked_array([v.reshape(-1), v.reshape(-1)]),
    "lying object": lambda d, v: Lies(d.choice((Theirs("no array"), [1, 2], None, "a", v))),
    "structured": lambda d, v: np.array([(1.0, 2)] * len(v), dtype=[("a", "f8"), ("b", "i8")]),
}


def values(dice: Random, n: int | None = None) -> tuple[str, Any]:
    """n rows in some container, or something that is none."""
    n = dice.choice(LENGTHS) if n is None else n
    width = dice.choice((None, None, 1, 2, 3))
    while True:
        if width is None:
            kind, rows = column(dice, n)
        else:
            kinds, columns = zip(*(column(dice, n) for _ in range(width)), strict=True)
            kind = " + ".join(kinds)
            rows = np.stack([np.asarray(c, dtype=object) for c in columns], axis=1)
            if all(c.dtype.kind in "biuf" for c in columns):
                rows = np.stack(columns, axis=1)
        name = dice.choice(("array", "array", "frame", "series", *CONTAINERS))
        try:
            found = CONTAINERS[name](dice, rows)
        except Exception:  # not every container takes all values: another one
            continue
        return f"{name} of {n} x {width} {kind}", found


def sound(dice: Random, n: int = 60) -> np.ndarray:
    """Numbers (n, 1) that nothing is wrong with."""
    return np.random.default_rng(dice.getrandbits(32)).normal(size=(n, 1))


ANYTHING: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 0.5),
    *(-0.5, 1.5, 3.0, float("nan"), float("inf"), 1e308, 10**40),
    *("", "x", "3", "\x00", b"x", [], [1], (), (1, 2), {}, {"a": 1}, set(), object(), len, int, 1j),
    *(np.float32(0.5), np.int8(3), np.array(3), np.array([1, 2])),
    *(np.nan, torch.tensor(3), torch.ones(2)),
    *(Path("x"), decimal.Decimal("0.5"), datetime.date(2024, 1, 1)),
    *(range(3), Ellipsis, NotImplemented),
]


def _is_large(value: object) -> bool:
    return isinstance(value, int | float) and value > 1e6


def setting(dice: Random) -> dict[str, Any]:
    """One or two settings of wrong types or values."""
    from infobound.config import Config

    found = {}
    for field in dice.sample(dataclasses.fields(Config), dice.choice((1, 1, 2))):
        found[field.name] = dice.choice(ANYTHING)
        if field.name in WORK | {"eval_rows"} and _is_large(found[field.name]):
            found[field.name] = -1
    return found


def _module(dice: Random) -> tuple[str, Any]:
    """A critic of the caller's own, mostly a bad one."""
    nn = torch.nn

    class Mine(nn.Module):
        def __init__(self, out: Callable[[torch.Tensor], Any]) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))
            self.drop = nn.Dropout(0.5)
            self.out = out

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
            return self.out(-((self.drop(x[:, :1]) * self.weight - y[:, :1].T) ** 2))

    def theirs(scores: torch.Tensor) -> Any:
        raise Theirs("in the critic")

    ways: dict[str, Any] = {
        "sound": lambda: Mine(lambda s: s),
        "of the wrong shape": lambda: Mine(lambda s: s[:, 0]),
        "none": lambda: Mine(lambda s: None),
        "NumPy": lambda: Mine(lambda s: s.detach().numpy()),
        "tuple": lambda: Mine(lambda s: (s, s)),
        "nan": lambda: Mine(lambda s: s * float("nan")),
        "infinite": lambda: Mine(lambda s: s * 1e38 * 1e38),
        "integers": lambda: Mine(lambda s: s.long()),
        "double": lambda: Mine(lambda s: s.double()),
        "complex": lambda: Mine(lambda s: s.to(torch.complex64)),
        "detached": lambda: Mine(lambda s: s.detach()),
        "constant": lambda: Mine(lambda s: s * 0),
        "raising": lambda: Mine(theirs),
        "a class": lambda: Mine,
        "a function": lambda: lambda x, y: x @ y.T,
        "without parameters": lambda: nn.Identity(),
        "frozen": lambda: Mine(lambda s: s).requires_grad_(False),
        "of double weights": lambda: Mine(lambda s: s).double(),
        "on no device": lambda: Mine(lambda s: s).to("meta"),
        "lazy": lambda: nn.LazyLinear(3),
        "a sequence": lambda: nn.Sequential(),
        "bilinear": lambda: nn.Bilinear(1, 1, 1),
        "text": lambda: "joint",
        "number": lambda: 3,
    }
    name = dice.choice(list(ways))
    return name, ways[name]()


def cheap(dice: Random) -> dict[str, Any]:
    """Settings with which an estimate takes a fraction of a second."""
    found: dict[str, Any] = {"folds": 2, "certify": dice.random() < 0.1, "permutations": 19}
    found["base"] = dice.choice((*["gaussian"] * 3, "auto", "gaussian_raw", "table"))
    if dice.random() < 0.85:
        return {**found, "critic": "none"}
    bound = dice.choice(
        ["infonce", "nwj", "js", "mine", "smile", "flo", "alpha", "dv", "infonce_over_x"]
    )
    return {**found, "n_iters": 3, "hidden_dim": 8, "eval_every": 2, "bound": bound}


def near(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A critic for rows whose first columns are close: (n, p), (m, q) -> scores (n, m)."""
    return -((x[:, :1] - y[:, :1].T) ** 2)


def containers(dice: Random) -> Input:
    """Values in containers, given to the functions of the package."""
    import infobound

    n = dice.choice(LENGTHS)
    (said_x, x), (said_y, y) = values(dice, n), values(dice, n)
    if dice.random() < 0.4:
        said_y, y = "normal", sound(dice, n)
    config = cheap(dice)
    others = "compare check rehearse certify stream stream"
    name = dice.choice([*["estimate"] * 8, *others.split()])
    ladder = dice.choice(((0,), (0, 0.1)))
    calls: dict[str, Callable[[], object]] = {
        "estimate": lambda: infobound.estimate(x, y, **config),
        "compare": lambda: infobound.compare(x, sound(dice, n), y, **config),
        "check": lambda: infobound.check(x, y, **config),
        "rehearse": lambda: infobound.rehearse(
            x, y, ladder=ladder, seeds=1, kinds=["monotone"], jobs=1, **{**config, "critic": "none"}
        ),
        "certify": lambda: infobound.certify(
            near, x, y, seen=(sound(dice), sound(dice)), permutations=19
        ),
        "stream": lambda: infobound.IndependenceStream().update(x, y),
    }
    return Input(f"{name}(x = {said_x}, y = {said_y}, {config})", calls[name])


@dataclasses.dataclass
class State:
    """What a caller may have set in torch."""

    name: str

    def __enter__(self) -> None:
        self.before = torch.get_default_dtype()
        ways: dict[str, Callable[[], Any]] = {
            "no_grad": torch.no_grad,
            "inference_mode": torch.inference_mode,
            "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
            "device": lambda: torch.device("meta"),
        }
        self.inner = ways[self.name]() if self.name in ways else None
        if self.inner is None:
            torch.set_default_dtype({"half": torch.float16, "double": torch.float64}[self.name])
        else:
            self.inner.__enter__()

    def __exit__(self, *what: object) -> None:
        torch.set_default_dtype(self.before)
        if self.inner is not None:
            self.inner.__exit__(*what)


def _pair(dice: Random) -> tuple[np.ndarray, np.ndarray]:
    x = sound(dice)
    return x, x + sound(dice)


def _settings(dice: Random, odd: Any) -> Input:
    import infobound

    (x, y), wrong = _pair(dice), setting(dice)
    both = {**cheap(dice), **wrong}
    way = dice.choice(("estimate", "estimate", "estimate", "compare", "check"))
    functions: dict[str, Callable[[], object]] = {
        "estimate": lambda: infobound.estimate(x, y, **both),
        "compare": lambda: infobound.compare(x, y, y, **both),
        "check": lambda: infobound.check(x, y, **both),
    }
    return Input(f"{way}(..., **{wrong})", functions[way])


def _keyword(dice: Random, odd: Any) -> Input:
    """Keywords of `estimate` besides the settings."""
    import infobound

    (x, y), name = _pair(dice), dice.choice(("config", "watch", "stop", "overwrite", "run", "run"))
    config, top = cheap(dice), "run"
    if name == "run":
        odd = dice.choice([*ANYTHING, *PLACES[:-5], "a\x00b", b"run", Lies(None)])
        top = str(odd).split("/")[0] if isinstance(odd, str | Path) else top
        config["critic"] = "none"
    elif name in ("watch", "stop"):
        odd = None if callable(odd) else odd  # what a function raises is the caller's
        config |= {"n_iters": 3, "eval_every": 2, "critic": "separable"}
    given = {name: odd}
    return Input(
        f"estimate({given!r})", lambda: infobound.estimate(x, y, **given, **config), (top,)
    )


def _own_module(dice: Random, odd: Any) -> Input:
    import infobound

    (x, y), (said, module) = _pair(dice), _module(dice)
    config = {**cheap(dice), "n_iters": 3, "eval_every": 2, "critic": "separable"}
    config["bound"] = dice.choice(("infonce", "nwj", "smile"))
    what = f"estimate(module {said}, {config})"
    return Input(what, lambda: infobound.estimate(x, y, module=module, **config))


def _state(dice: Random, odd: Any) -> Input:
    import infobound

    x, y = _pair(dice)
    names = ("no_grad", "inference_mode", "autocast", "device", "half", "double")
    state, config = State(dice.choice(names)), {**cheap(dice), "n_iters": 3}
    config["critic"] = dice.choice(("none", "joint", "separable"))

    def call() -> object:
        with state:
            return infobound.estimate(x, torch.tensor(y, device="cpu"), **config)

    return Input(f"estimate({config}) under {state.name}", call)


def _task(dice: Random, odd: Any) -> Input:
    from infobound.benchmark import tasks

    name = dice.choice(list(tasks.TASKS))
    known, odder = list(tasks.parameters(name)), [*ANYTHING[:11], 7, 0.9, 10**7]
    given = {key: dice.choice(odder) for key in known[: dice.randint(0, 2)]}

    def call() -> object:
        task = tasks.make(name, **given)
        return task.sample(dice.choice((0, 1, 5)), torch.Generator().manual_seed(0)), task.mi

    return Input(f"tasks.make({name!r}, {given})", call)


def _rehearse(dice: Random, odd: Any) -> Input:
    import infobound

    x, y = _pair(dice)
    known = ("ladder", "seeds", "kinds", "width", "jobs", "overwrite", "out")
    odder = [*ANYTHING, [0.1, -1], ["folded"], ["x"], [float("nan")]]
    given: dict[str, Any] = {dice.choice(known): dice.choice(odder)}
    if _is_large(given.get("seeds")) or _is_large(given.get("jobs")):
        given = {"seeds": -1}
    given = {"ladder": (0,), "seeds": 1, "kinds": ["monotone"], "jobs": 1, **given}
    config = {**cheap(dice), "critic": "none"}
    out = str(given.get("out", "run")).split("/")[0]
    return Input(f"rehearse({given})", lambda: infobound.rehearse(x, y, **given, **config), (out,))


def _simple(dice: Random, odd: Any) -> Input:
    import infobound
    from infobound.config import Config

    (x, y), config, changed = _pair(dice), cheap(dice), mutated(dice, Config().as_dict())
    functions: dict[str, Callable[[], object]] = {
        f"as_dict({odd!r})": lambda: infobound.estimate(x, y, **config).as_dict(odd),
        f"resume({odd!r})": lambda: infobound.resume(odd),
        f"Config.from_dict({_short(changed)})": lambda: Config.from_dict(changed),
    }
    said = dice.choice(list(functions))
    return Input(said, functions[said])


def _critic(dice: Random) -> tuple[str, Any]:
    """A critic to be certified, mostly a bad one."""

    def raising(x: Any, y: Any) -> Any:
        raise Theirs("in the critic")

    ways: dict[str, Any] = {
        "sound": near,
        "none": lambda x, y: None,
        "NumPy": lambda x, y: np.asarray(near(x, y)),
        "list": lambda x, y: near(x, y).tolist(),
        "zero": lambda x, y: torch.zeros(len(x), len(y)),
        "nan": lambda x, y: torch.full((len(x), len(y)), float("nan")),
        "infinite": lambda x, y: torch.full((len(x), len(y)), float("inf")),
        "minus infinity": lambda x, y: torch.full((len(x), len(y)), -float("inf")),
        "huge": lambda x, y: 1e38 * (x[:, :1] - y[:, :1].T),
        "vector": lambda x, y: x[:, 0],
        "number": lambda x, y: 3.0,
        "complex": lambda x, y: (x[:, :1] * y[:, :1].T).to(torch.complex64),
        "with grad": lambda x, y: (x[:, :1] * y[:, :1].T).requires_grad_(),
        "on no device": lambda x, y: torch.empty(len(x), len(y), device="meta"),
        "half": lambda x, y: (x[:, :1] * y[:, :1].T).half(),
        "integers": lambda x, y: (x[:, :1] * y[:, :1].T).long(),
        "raising": raising,
        "no function": 3,
        "of one argument": lambda x: x,
    }
    name = dice.choice(list(ways))
    return name, ways[name]


def _certify(dice: Random, odd: Any) -> Input:
    import infobound

    said, critic = _critic(dice)
    x, seen = sound(dice), sound(dice)
    given: dict[str, Any] = {"seen": (seen, seen + sound(dice)), "permutations": 19}
    if dice.random() < 0.6:
        critic = critic if dice.random() < 0.3 else near
        name = dice.choice(("seen", "level", "permutations", "seed"))
        given[name] = dice.choice((odd, (odd, odd), (seen,), (seen, odd)))
        if name == "permutations" and _is_large(odd):
            given[name] = -1
    return Input(
        f"certify({said}, { ({k: v for k, v in given.items() if k != 'seen'}) }, seen {odd!r})",
        lambda: infobound.certify(critic, x, x + sound(dice), **given),
    )


def _stream(dice: Random, odd: Any) -> Input:
    import infobound

    given = {dice.choice(("level", "fit")): odd} if dice.random() < 0.4 else {}
    parts = [(values(dice), values(dice)) for _ in range(3)]
    n = dice.choice((0, 1, 30, 60))

    def call() -> object:
        stream = infobound.IndependenceStream(**given)
        stream.update(sound(dice, n), sound(dice, n))
        said: list[Exception] = []
        for (_, x), (_, y) in parts:
            try:
                stream.update(x, y)
            except infobound.InputError as error:  # these rows are not taken; the stream goes on
                said.append(error)
        return stream.update(sound(dice, n), sound(dice, n))

    return Input(f"IndependenceStream({given}), then {[(x[0], y[0]) for x, y in parts]}", call)


ODD_JSON: list[Any] = [
    *(None, True, False, 0, 1, -7, 3, 0.5, 1e308, -1e308, float("inf"), float("nan"), 10**400),
    *("", "x", "\x00", "é", "x" * 5000, "3", "../../outside", "/etc/passwd", [], {}, [[]], [None]),
    *([1, 2, 3], {"a": {"b": []}}, [0.0] * 999, "inf", "[red]", "2024-01-01"),
]


def mutated(dice: Random, value: Any) -> Any:
    """A JSON value with something in it replaced, left out or added."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        key, found = dice.choice(list(value)), dict(value)
        way = dice.random()
        if way < 0.2:
            del found[key]
        elif way < 0.3:
            found[dice.choice(("extra", "", "é", key + " "))] = dice.choice(ODD_JSON)
        else:
            found[key] = mutated(dice, value[key])
        return found
    if isinstance(value, list | tuple) and value and dice.random() < 0.8:
        at, items = dice.randrange(len(value)), list(value)
        way = dice.random()
        if way < 0.2:
            return items[:at]
        if way < 0.3:
            return [*items, dice.choice(ODD_JSON)]
        return [*items[:at], mutated(dice, items[at]), *items[at + 1 :]]
    return dice.choice(ODD_JSON)


def _record(dice: Random, odd: Any) -> Input:
    import infobound

    x = sound(dice)
    settings: dict[str, Any] = {"critic": "none", "base": "gaussian", "folds": 2, "certify": False}
    record = infobound.estimate(x, x + sound(dice), **settings).as_dict()
    changed = json.loads(json.dumps(record))
    for _ in range(dice.randint(1, 2)):
        changed = mutated(dice, changed)
    different = changed
    if isinstance(changed, dict):
        different = {k: v for k, v in changed.items() if record.get(k) != v}

    def call() -> object:
        result = infobound.Estimate.from_dict(changed)
        str(result), result.verdict, float(result), result.as_dict("bits")
        return None

    return Input(f"Estimate.from_dict with {_short(different)}", call)


def _bound(dice: Random, odd: Any) -> Input:
    from infobound.bounds.variational import BOUNDS

    name = dice.choice(list(BOUNDS))
    few = ((0,), (0, 0), (1, 1), (1, 2), (2, 2), (2, 3), (3, 2), (2, 2, 2), ())
    shape = dice.choice((*few, (5, 5), (5, 5), (5, 9)))
    kinds = "float32 float32 float64 float16 bfloat16 int64 bool"
    kind = getattr(torch, dice.choice(kinds.split()))
    scale = dice.choice((0, 1, 100, 1e4, 1e30, float("inf"), float("nan")))
    generator = torch.Generator().manual_seed(dice.getrandbits(32))
    scores = (torch.randn(shape, generator=generator) * scale).to(kind)
    method = dice.choice(("estimate", "terms", "objective", "ceiling", "bind"))

    def call() -> object:
        bound = BOUNDS[name]
        if method == "bind":
            given = {dice.choice(("alpha", "clip", "over", "x")): odd}
            return bound.bind(**given).estimate(scores)
        if method == "ceiling":
            return bound.ceiling and bound.ceiling(dice.choice((2, 3, 100)))
        if method == "objective" and bound.average is not None:
            return None
        return getattr(bound, method)(scores)

    return Input(f"BOUNDS[{name!r}].{method}({kind} {shape} x {scale}); {odd!r}", call)


def _blocks(dice: Random, odd: Any) -> Input:
    from infobound.inference.certificates import Block, certificate
    from infobound.inference.permutation import log_e_values, permutation_p

    rng = np.random.default_rng(dice.getrandbits(32))
    shape = dice.choice(((0, 0), (1, 1), (2, 2), (5, 5), (30, 30), (30, 29), (3, 5, 5), (6,), ()))
    scores: Any = rng.normal(size=shape) * dice.choice((0, 1, 1e4, 1e300, 1e-320, np.inf, np.nan))
    half = scores.astype(np.float16)
    scores = dice.choice((scores, scores, half, scores.tolist(), torch.tensor(scores), odd))
    way = dice.choice(("permutation_p", "shifts", "log_e_values", "certificate"))
    seed = dice.choice((0, 0, odd))
    level = dice.choice((0.95, 0.95, odd, 1 - 1e-16, 1e-300))
    tuning = dice.choice((np.eye(9), scores))
    functions: dict[str, Callable[[], object]] = {
        "permutation_p": lambda: permutation_p([scores], permutations=19, seed=seed),
        "shifts": lambda: permutation_p(dice.choice(([scores], scores)), seed=seed, shifts=True),
        "log_e_values": lambda: log_e_values(scores),
        "certificate": lambda: certificate([Block(scores, tuning)], level=level, seed=seed),
    }
    return Input(f"{way}({type(scores)} {shape}, {seed=!r}, {level=!r})", functions[way])


def _read(dice: Random, odd: Any) -> Input:
    from infobound.files import readers

    surroundings()
    path = dice.choice(("data.csv", "data.npz", odd, b"data.csv", Path("data.csv")))
    x, y = (dice.choice(([name], [name], odd, name, [odd])) for name in "xy")
    return Input(f"tables.read({path!r}, x={x!r}, y={y!r})", lambda: readers.read(path, x=x, y=y))


def _study(dice: Random, odd: Any) -> Input:
    from infobound.benchmark.study import study
    from infobound.config import Config

    surroundings()
    given: dict[str, Any] = {"sizes": [60], "seeds": 1, "files": "pairs", "jobs": 1}
    given["estimators"] = ["base_only"]
    name = dice.choice((*given, "tasks", "peers", "out", "config", "overwrite", "dask"))
    value = dice.choice([odd, [odd], ["default"], [60, "x"], [0], [-1], [10**7], [1.5], "mine"])
    if name in ("seeds", "jobs") and _is_large(value):
        value = -1
    given = {"out": "run", "config": Config(folds=2), **given, name: value}
    out = str(given["out"]).split("/")[0]
    return Input(f"study({name}={value!r})", lambda: study("mine", **given), (out,), MINE)


CALLS = (
    *[_settings] * 4,
    *(_keyword, _keyword, _own_module, _own_module, _certify, _certify, _stream, _state, _record),
    *(_record, _bound, _bound, _blocks, _task, _read, _study, _rehearse, _simple, _simple),
)


def calls(dice: Random) -> Input:
    """Calls of the package with hostile settings, modules, critics, scores and records."""
    return dice.choice(CALLS)(dice, dice.choice(ANYTHING))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 300 else f"{text[:300]}..."


# Run directories


def templates(folder: Path) -> None:
    """Small runs and studies, finished and not, from which directories are made."""
    with mock.patch("infobound.plotting.figures.render", return_value=b"a picture"):
        _made(folder)


def _made(folder: Path) -> None:
    import infobound
    from infobound.benchmark.study import study
    from infobound.config import Config

    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    y = x + rng.normal(size=(60, 2))
    closed: dict[str, Any] = {"critic": "none", "base": "gaussian", "folds": 2}
    short: dict[str, Any] = {"n_iters": 6, "eval_every": 2, "hidden_dim": 4, "checkpoint_every": 2}
    notebook = Config.notebook().with_(**short, batch_size=8)
    short |= {"embedding_dim": 2, "base": "none", "folds": 2, "certify": False}
    infobound.estimate(x, y, **closed, certify=False, run=folder / "done")
    infobound.estimate(x, y, run=folder / "trained", **short)
    looks = iter([False] * 4 + [True] * 99)
    with contextlib.suppress(infobound.Interrupted):
        infobound.estimate(x, y, run=folder / "begun", stop=lambda: next(looks), **short)
    infobound.reproduce(notebook, d=2, sample_size=40, run=folder / "reproduced")
    pairs = folder / "pairs"
    pairs.mkdir()
    np.savez(pairs / "pair.npz", x=x, y=y, mi=0.3)
    base = Config(folds=2, base="gaussian")
    few: dict[str, Any] = {"sizes": [60], "seeds": 2, "estimators": ["base_only"], "jobs": 1}
    study("mine", files=pairs, out=folder / "study", config=base, **few)
    few = {"ladder": [0], "kinds": ["monotone"], "seeds": 1, "jobs": 1}
    infobound.rehearse(x, y, out=folder / "rehearsal", **few, **closed)


def _entries(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file() and not path.is_symlink())


def _change(dice: Random, place: Path) -> str:
    """Change something in a directory; what was done, in words."""
    entries = _entries(place)
    path = dice.choice(entries)
    data = path.read_bytes()
    name = path.relative_to(place)
    way = dice.random()
    if way < 0.1:
        path.write_bytes(broken(dice, data))
        return f"{name}: some bytes changed"
    if way < 0.3:
        what = dice.choice((*SPECIAL[:7], "directory", "gone", "hard"))
        path.unlink()
        if what == "directory":
            path.mkdir()
            (path / "file").write_text("the user's own")
        elif what == "hard":
            os.link(outside() / "data.csv", path)
        elif what != "gone":
            _special(what, path)
        return f"{name}: {what}"
    if way < 0.36:
        return _foreign(dice, place)
    if way < 0.42:
        return _lock(dice, place)
    return _deep(dice, place, entries)


def _foreign(dice: Random, place: Path) -> str:
    """Put a directory outside in the place of one inside."""
    folders = [path for path in place.iterdir() if path.is_dir() and not path.is_symlink()]
    folder = dice.choice(folders) if folders else place / dice.choice(("tensorboard", "cells"))
    if folder.is_symlink():
        folder.unlink()  # put there by an earlier change
    if folder.exists():
        shutil.rmtree(folder)
    folder.symlink_to(outside())
    return f"{folder.name}: a link to a directory outside"


def _lock(dice: Random, place: Path) -> str:
    lock = place / ".infobound.lock"
    if lock.exists() or lock.is_symlink():
        return "nothing"
    what = dice.choice(("hard", "link", "directory", "fifo", "dangling"))
    if what == "hard":
        os.link(outside() / "data.csv", lock)
    elif what == "directory":
        lock.mkdir()
    elif what == "link":
        lock.symlink_to(outside() / "data.csv")
    else:
        _special(what, lock)
    return f"the lock: {what}"


def _deep(dice: Random, place: Path, entries: Sequence[Path]) -> str:
    """Change what a file says, so that it is still a whole file of its kind."""
    likely = [path for path in entries if path.suffix in (".json", ".safetensors")]
    path = dice.choice(likely or list(entries))
    name = path.relative_to(place)
    if path.suffix == ".json":
        if dice.random() < 0.1:
            others = ("[" * 100_000, '{"a":' * 50_000, "null", "[]", "3", '"x"', "{}", "NaN")
            path.write_text(dice.choice(others))
            return f"{name}: another JSON value"
        try:
            value = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return "nothing"
        changed = mutated(dice, value)
        if isinstance(changed, dict) and dice.random() < 0.7:
            changed.pop("digest", None)  # as in files of earlier versions, which have none
        path.write_text(json.dumps(changed))
        return f"{name}: {_difference(value, changed)}"
    if path.suffix != ".safetensors":
        path.write_bytes(broken(dice, path.read_bytes()))
        return f"{name}: some bytes changed"
    try:
        return f"{name}: {_tensors(dice, path)}"
    except (ValueError, KeyError, TypeError):  # it has been changed before
        return "nothing"


def _difference(value: Any, changed: Any) -> str:
    if isinstance(value, dict) and isinstance(changed, dict):
        keys = [k for k in {**value, **changed} if value.get(k, ...) is not changed.get(k, ...)]
        pairs = [(k, value.get(k, "-"), changed.get(k, "left out")) for k in keys]
        return "; ".join(f"{k}: {_difference(old, new)}" for k, old, new in pairs)
    return f"{_short(value)[:60]} -> {_short(changed)[:60]}"


def _tensors(dice: Random, path: Path) -> str:
    """Change a safetensors file: its header, or what a checkpoint of the same checksum holds."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header, rest = json.loads(data[8 : 8 + size]), data[8 + size :]
    if dice.random() < 0.4 or not path.name.startswith("checkpoint-"):
        key = dice.choice(list(header))
        changed = {**header, key: mutated(dice, header[key])}
        if key != "__metadata__" and dice.random() < 0.5:
            entry = dict(header[key])
            shapes = ([0, 10**12], [10**12, 0], [-1, 2], [2**62, 4], [], [1, 1, 1], "x")
            entry["shape"] = dice.choice(shapes)
            changed[key] = entry
        text = json.dumps(changed).encode()
        length = dice.choice((len(text), len(text), len(text), 2**62, 0))
        path.write_bytes(length.to_bytes(8, "little") + text + rest)
        return f"header {_difference(header, changed)}"
    from infobound.training.run_directory import Run

    run, name = Run.open(path.parent), path.name.split(".")[0].removeprefix("checkpoint-")
    found = run.load_checkpoint(name)
    if found is None:
        return "nothing"
    tensors, meta = found
    key = dice.choice(list(tensors))
    if dice.random() < 0.4:
        changed_meta = mutated(dice, meta)
        run.save_checkpoint(name, tensors, changed_meta)
        return f"meta {_difference(meta, changed_meta)}"
    tensor = tensors[key]
    ways: dict[str, Callable[[], torch.Tensor | None]] = {
        "left out": lambda: None,
        "of another shape": lambda: tensor.reshape(-1)[:1].clone(),
        "with one more dimension": lambda: tensor[None].clone(),
        "empty": lambda: tensor.reshape(-1)[:0].clone(),
        "a number": lambda: torch.tensor(3.0),
        "whole numbers": lambda: tensor.long(),
        "bytes": lambda: tensor.to(torch.uint8),
        "double": lambda: tensor.double(),
        "nan": lambda: torch.full_like(tensor.double(), float("nan")),
        "infinite": lambda: torch.full_like(tensor.double(), float("inf")),
        "-7": lambda: torch.full_like(tensor, -7) if tensor.dtype != torch.uint8 else tensor * 0,
    }
    way = dice.choice(list(ways))
    new = ways[way]()
    tensors = {k: v for k, v in tensors.items() if k != key}
    if new is not None:
        tensors[key if dice.random() < 0.9 else f"{key}.x"] = new
    run.save_checkpoint(name, tensors, meta)
    return f"{key} {way}"


OWN = [
    "notes.txt",
    "data.csv",
    ".mine.tmp",
    "cells/mine.json",
    "cells/notes.txt",
    "tensorboard/mine.txt",
]


def directories(dice: Random, made: Path) -> Input:
    """A run or a study that somebody else has changed, to be continued or replaced."""
    names = "done trained begun begun begun reproduced study study rehearsal"
    name = dice.choice(names.split())
    place = Path("run")
    shutil.copytree(made / name, place)
    shutil.copytree(made / "pairs", "pairs")
    surroundings_of_runs()
    said = [_change(dice, place) for _ in range(dice.choice((1, 1, 2)))]
    foreign: list[str] = []
    for own in OWN:
        inner = place / own
        is_here = inner.parent.is_dir() and not inner.parent.is_symlink()
        if dice.random() < 0.15 and is_here and not inner.exists():
            inner.write_text("{}" if own.endswith(".json") else "the user's own")
            foreign.append(f"run/{own}")
    over = ["--overwrite"] if dice.random() < 0.5 else []
    config = ["--folds", "2", "--base", "gaussian"]
    short = ["--n-iters", "3", "--no-certify", *config]
    if name == "study":
        words = shlex.split("study mine --files pairs --sizes 60 --seeds 2 --out run --jobs 1")
        words += ["--estimators", "base_only", *config, *over]
    elif name == "rehearsal":
        words = shlex.split("rehearse data.csv --x x --y y --ladder 0 --kinds monotone --seeds 1")
        words += ["--jobs", "1", "--out", "run", "--critic", "none", *config, *over]
    elif dice.random() < 0.6:
        words = ["resume", "run"]
    else:
        words = ["estimate", "data.csv", "--x", "x", "--y", "y", "--run", "run", *short, *over]
    if dice.random() < 0.1:
        words.append("--json")
    what = f"{name} with {'; '.join(said)}; the user's {foreign}: {words}"
    return Input(what, command(words), ("run",), tuple(foreign))


def surroundings_of_runs() -> None:
    """Rows for a command that begins anew."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    pd.DataFrame({"x": x, "y": x + rng.normal(size=60)}).to_csv("data.csv", index=False)
