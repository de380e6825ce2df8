"""Reading of selected columns of a file as a validated pair: readers by file ending, selectors.

A new format is a function and an entry in `READERS`. Errors of files and selectors are reported
here, errors of values in `pair`.
"""

from __future__ import annotations

import difflib
import itertools
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from infobound._system.memory import concatenate_rows, row_slices
from infobound.data import Pair, is_plain, pair_arrays, pair_frames, with_kinds
from infobound.data.containers import expect_unicode
from infobound.data.groups import group_ids
from infobound.data.pair import GIVEN
from infobound.errors import InputError
from infobound.files.compression import member, open_binary
from infobound.files.formats.arrow_files import arrow_file, json_lines
from infobound.files.formats.excel import excel
from infobound.files.formats.npy import Archive, Header, read_header
from infobound.files.formats.parquet import ENDINGS, Stored, parquet
from infobound.files.formats.text import TextTable, read_text
from infobound.files.locations import Place, place, reading
from infobound.files.read_options import ReadOptions
from infobound.files.selectors import NEAR, select

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["READERS", "Opened", "opened", "read"]

COLUMNS = 2**20  # largest number of named columns: more than an image of 512 x 512 x 3 has


def read(
    path: str | Path,
    *,
    x: Sequence[str],
    y: Sequence[str],
    given: Sequence[str] = (),
    group: Sequence[str] = (),
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    drop_missing: bool = False,
    options: ReadOptions | None = None,
) -> Pair:
    """Read selected columns of a file, or of a directory of Parquet files, as a `Pair`.

    Args:
        path: a file whose ending is in `READERS`, or a directory of Parquet files; a path, an
            address as text that fsspec opens, such as s3://bucket/rows.parquet, or "-" for
            standard input.
        x: selectors: names, patterns `name*`, ranges `first:last`, or several joined by commas. In
            an npz file the name of an array selects all of its columns; in a directory the keys of
            its paths (year=2024) are columns too.
        y: selectors of the columns of y.
        given: selectors of the columns of Z in I(X;Y|Z), if there are any.
        group: selectors of the columns whose values say which rows belong together, such as a
            subject, if rows of a group are not independent.
        categorical: selectors of columns that are categories, not quantities. Columns that are
            not selected are ignored.
        numeric: selectors of columns that are quantities, although they are stored as text or
            categories.
        drop_missing: whether to drop rows with missing values in the selected columns.
        options: how the file is written, where it does not say so itself.

    Returns:
        The validated rows.

    Raises:
        InputError: If there is a problem with the address, the file, the selectors or the values.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/rows.npy", np.arange(12.0).reshape(4, 3))
        ...     pair = read(f"{folder}/rows.npy", x=["0:1"], y=["2"])
        >>> pair.x.shape, pair.y.shape
        ((4, 2), (4, 1))
    """
    found = opened(path, options=options)
    where = found.where
    sides = _sides(found, x=x, y=y, **({GIVEN: given} if given else {}))
    chosen = [name for columns in sides.values() for name in columns]
    codes, quantities = found.kinds(chosen, categorical, numeric)
    labels = group_ids(found.frame(found.select(group, "group"))) if group else None
    rows = found.numbers(chosen)
    if rows is not None:
        pair = _numbers(rows, sides, where, found.notes, drop_missing, labels)
        return with_kinds(pair, categorical=codes, numeric=quantities)
    frame = found.frame(chosen)
    return pair_frames(
        {side: frame[columns] for side, columns in sides.items()},
        source=str(where),
        notes=found.notes,
        drop_missing=drop_missing,
        hint=_hint({name: found.spelled.get(name, []) for name in chosen}),
        categorical=codes,
        numeric=quantities,
        untyped=found.untyped,
        groups=labels,
    )


@dataclass(frozen=True, eq=False)
class Opened:
    """A file that is open: its columns can be selected by name and read.

    Attributes:
        where: the file.
        names: the names of its columns.
        table: its columns, in memory or stored.
        notes: how it was read.
        spelled: the words in each text column that count as missing.
    """

    where: Place
    names: list[str]
    table: TextTable | Stored
    notes: Sequence[str]
    spelled: Mapping[str, list[str]]

    @property
    def untyped(self) -> bool:
        """Whether the file is text, which has no types."""
        return not isinstance(self.table, Stored)

    def select(self, selectors: Sequence[str], side: str) -> list[str]:
        """Return the selected names, in the order of the selectors.

        Raises:
            InputError: If a selector selects nothing.
        """
        return select(self.names, selectors, side)

    def groups(self, selectors: Sequence[str]) -> np.ndarray | None:
        """Return the group (n,) of each row as an id from 0; None without selectors.

        Raises:
            InputError: If a selector selects nothing, or a label is missing.
        """
        if not selectors:
            return None
        found = group_ids(self.frame(self.select(selectors, "group")))
        if (found < 0).any():
            raise InputError(
                f"Expected a group for each row; {(found < 0).sum():,} are missing. Fill them, or "
                "drop these rows."
            )
        return found

    def kinds(
        self, chosen: Collection[str], categorical: Sequence[str], numeric: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Return the chosen columns that are declared as categories, and those as quantities.

        Raises:
            InputError: If a selector selects nothing, or a column is declared as both.
        """
        known = set(chosen)
        codes, quantities = (
            [n for n in select(self.names, selectors, what) if n in known] if selectors else []
            for what, selectors in (("categorical", categorical), ("numeric", numeric))
        )
        both = sorted(set(codes) & set(quantities))
        if both:
            raise InputError(
                f"Expected each column in --categorical or in --numeric; got "
                f"{', '.join(both[:5])} in both. Take them out of one."
            )
        return codes, quantities

    def numbers(self, names: list[str]) -> np.ndarray | None:
        """Read columns of plain numbers as (n, k), in memory or memory-mapped; None for others."""
        if not isinstance(self.table, Stored):
            return None
        with reading(self.where):
            return self.table.numbers(names)

    def frame(self, names: list[str]) -> pd.DataFrame:
        """Read columns with their own types; rows count from 0."""
        if not isinstance(self.table, Stored):
            return self.table.frame.set_axis(self.names, axis=1)[names]
        with reading(self.where):
            found = self.table.frame(names)
        return found.reset_index(drop=True).set_axis(names, axis=1)


def opened(path: str | Path, *, options: ReadOptions | None = None) -> Opened:
    """Open a file or a directory of Parquet files, to select and read columns.

    Args:
        path: as for `read`.
        options: as for `read`.

    Raises:
        InputError: If there is a problem with the address or the file, it has no rows, or several
            columns have the same name.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/rows.npy", np.arange(6.0).reshape(3, 2))
        ...     opened(f"{folder}/rows.npy").select(["*"], "columns")
        ['0', '1']
    """
    where = place(path)
    table = _open(where, options or ReadOptions())
    if isinstance(table, Stored):
        found = Opened(where, [str(name) for name in table.columns], table, table.notes, {})
        _expect_rows(found.names, table.n, where)
        return found
    names = [str(name) for name in table.frame.columns]
    _expect_rows(names, len(table.frame), where)
    return Opened(where, names, table, table.notes, table.spelled)


def _expect_rows(names: list[str], n: int, where: Place) -> None:
    """Check that a table has rows, and columns of different names."""
    doubles = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubles:
        raise InputError(
            f"Expected different column names in {where}; got {', '.join(doubles)} more than once. "
            "Rename the columns. If the first line of a text file has no names, leave it out with "
            "--skip-lines 1, or say --no-header."
        )
    if not n:
        raise InputError(f"Expected rows in {where}; got a header only. Is the file complete?")


def _sides(found: Opened, **selectors: Sequence[str]) -> dict[str, list[str]]:
    """Select the columns of each side; no column may be on two."""
    sides = {side: found.select(chosen, side) for side, chosen in selectors.items()}
    for one, other in itertools.combinations(sides, 2):
        others = set(sides[other])
        both = [name for name in sides[one] if name in others]
        if both:
            why = "makes the information infinite"
            if other == GIVEN:
                why = f"leaves nothing of {'it' if len(both) == 1 else 'them'} to know"
            raise InputError(
                f"Expected different columns for {one} and {other}; got {', '.join(both[:5])} in "
                f"both, which {why}. Take them out of --{one} or --{other}."
            )
    return sides


def _hint(spelled: dict[str, list[str]]) -> str:
    """Return a hint that words in text columns were read as missing, and how to keep them."""
    columns = [name for name, words in spelled.items() if words]
    words = sorted({word for name in columns for word in spelled[name]})
    if not words:
        return ""
    return (
        f" Cells that say {' or '.join(words[:3])} count as missing, also in text column"
        f"{'s' if len(columns) > 1 else ''} {', '.join(columns[:5])}. If that is a value there, "
        "such as a country's code, write it differently, or read the file with "
        "pandas.read_csv(..., keep_default_na=False) and call infobound.estimate."
    )


def _numbers(
    rows: np.ndarray,
    names: dict[str, list[str]],
    where: Place,
    notes: Sequence[str],
    drop_missing: bool,
    groups: np.ndarray | None,
) -> Pair:
    """Build a pair from numbers of all sides, side by side."""
    ends = np.cumsum([len(columns) for columns in names.values()])
    return pair_arrays(
        dict(zip(names, np.split(rows, ends[:-1], axis=1), strict=True)),
        names=names,
        source=str(where),
        notes=notes,
        drop_missing=drop_missing,
        groups=groups,
    )


def _arrays(where: Place) -> Stored:
    """Read an npz file: array `x` becomes column x, or columns x[0], x[1], ... if it has several.

    A scalar, such as a seed or a known MI, is not a column and is ignored. Only headers are read
    until columns are selected. Arrays that are not selected may have other lengths, any size, and
    contents that cannot be read.
    """
    import pandas as pd

    with where.fetched() as path:
        archive = Archive(path, label=str(where))
    headers = {n: h for n, h in archive.arrays.items() if isinstance(h, Header) and h.shape}
    total, listed = 0, set()
    for array in sorted(headers, key=lambda array: headers[array].width):
        total += headers[array].width
        if total <= COLUMNS:
            listed.add(array)
    columns: dict[str, tuple[str, int]] = {}
    names: list[str] = []  # may contain duplicates, which are reported later
    for array in archive.arrays:
        if array in headers:
            several = len(headers[array].shape) > 1 and array in listed
            own = [f"{array}[{k}]" for k in range(headers[array].width)] if several else [array]
        else:
            own = [array] if isinstance(archive.arrays[array], str) else []
        names += own
        columns |= {name: (array, k) for k, name in enumerate(own)}

    def selected(names: list[str]) -> dict[str, list[int]]:
        """Return the selected columns of each array; the arrays must have equal lengths."""
        chosen: dict[str, list[int]] = {}
        for name in names:
            array, k = columns[name]
            chosen.setdefault(array, []).append(k)
        found = {array: archive.header(array) for array in chosen}
        for array in found:
            if array not in listed:
                _expect_columns(total, str(where))
        if len({header.rows for header in found.values()}) > 1:
            said = ", ".join(f"{array} {header.rows}" for array, header in found.items())
            raise InputError(
                f"Expected arrays of equal length for x and y in {where}; got rows: {said}. Row i "
                "of x must belong to row i of y: select arrays that are paired."
            )
        return chosen

    def numbers(names: list[str]) -> np.ndarray | None:
        chosen = selected(names)
        found = [headers[array] for array in chosen]
        n, width = found[0].rows, sum(header.width for header in found)
        if not n or not all(is_plain(np.empty((1, 1), header.dtype)) for header in found):
            return None
        order = [(array, k) for array in chosen for k in chosen[array]]
        position = {column: k for k, column in enumerate(order)}
        index = [position[columns[name]] for name in names]
        streams = [archive.rows(array, own, row_slices(n, width)) for array, own in chosen.items()]
        parts = (
            np.concatenate([np.asarray(rows, np.float64) for rows in part], axis=1)[:, index]
            for part in zip(*streams, strict=True)
        )
        return concatenate_rows(parts, n, len(names))

    def frame(names: list[str]) -> pd.DataFrame:
        frames = []
        for array, own in selected(names).items():
            rows = archive.read(array).reshape(headers[array].rows, headers[array].width)[:, own]
            rows = rows.astype(rows.dtype.newbyteorder("="), copy=False)
            rows = expect_unicode(f"{array} in {where}", rows)
            labels = [name for name in names if columns[name][0] == array]
            text = rows.dtype.kind == "U"
            frames.append(pd.DataFrame(rows, columns=labels, dtype=object if text else None))
        return pd.concat(frames, axis=1)[names]

    return Stored(names, max((h.rows for h in headers.values()), default=0), numbers, frame)


def _array(where: Place) -> Stored:
    """Read an npy file by memory-mapping; its columns are named 0, 1, ..."""
    import pandas as pd

    with where.fetched() as path:
        with open(path, "rb") as file:
            header = read_header(file, path.stat().st_size)
        if len(header.shape) != 2:
            raise InputError(
                f"Expected a 2-D array in an npy file; got shape {header.shape}. Save rows by "
                "columns."
            )
        n, width = header.shape
        _expect_columns(width, str(where))
        array = np.load(path, allow_pickle=False, mmap_mode="r" if header.nbytes else None)

    def numbers(names: list[str], rows: slice = slice(None)) -> np.ndarray | None:
        if not is_plain(array):
            return None
        at, part = [int(name) for name in names], array[rows]
        if at == list(range(at[0], at[-1] + 1)):
            return part[:, at[0] : at[-1] + 1]
        parts = (part[piece][:, at] for piece in row_slices(len(part), width))
        return concatenate_rows(parts, len(part), len(at))

    def frame(names: list[str]) -> pd.DataFrame:
        rows = expect_unicode(str(where), array[:, [int(name) for name in names]])
        text = rows.dtype.kind == "U"
        return pd.DataFrame(rows, columns=names, dtype=object if text else None)

    return Stored([str(k) for k in range(width)], n, numbers, frame)


def _expect_columns(count: int, what: str, most: int = COLUMNS) -> None:
    """Check that there are not too many columns to select by name."""
    if count > most:
        raise InputError(
            f"Expected at most {most:,} columns in {what}; got {count:,}. Is it a table of rows "
            "and columns? Save those that you need."
        )


@dataclass(frozen=True)
class Reader:
    """A reader of one format.

    Attributes:
        read: opens a location with the options.
        options: the options of reading that it takes.
    """

    read: Callable[[Place, ReadOptions], TextTable | Stored]
    options: frozenset[str] = frozenset()


def _text(usual: str) -> Reader:
    """Return the reader of text files; remote ones are downloaded first."""

    def read(where: Place, options: ReadOptions) -> TextTable:
        with where.fetched() as path:
            return read_text(path, options, usual=usual)

    return Reader(read, TEXT_OPTIONS)


def _plain(reader: Callable[[Place], Stored]) -> Reader:
    """Return a reader without options."""
    return Reader(lambda where, options: reader(where))


TEXT_OPTIONS = frozenset({"header", "sep", "decimal", "encoding", "comment", "skip_lines", "na"})
READERS: dict[str, Reader] = {
    ".csv": _text(","),
    ".tsv": _text("\t"),
    ".tab": _text("\t"),
    **dict.fromkeys((".txt", ".dat", ".data"), _text(",")),
    **dict.fromkeys((".jsonl", ".ndjson"), _plain(json_lines)),
    **dict.fromkeys(ENDINGS, _plain(parquet)),
    **dict.fromkeys((".feather", ".arrow", ".ipc"), _plain(arrow_file)),
    **dict.fromkeys(
        (".xlsx", ".xlsm"), Reader(excel, frozenset({"header", "skip_lines", "na", "sheet"}))
    ),
    ".npz": _plain(_arrays),
    ".npy": _plain(_array),
}
PACKABLE = {ending for ending, reader in READERS.items() if reader.options == TEXT_OPTIONS}
PACKABLE |= {".jsonl", ".ndjson"}  # readers that unpack compressed files
MAGIC = (
    (b"PAR1", ".parquet"),
    (b"ARROW1", ".feather"),
    (b"FEA1", ".feather"),
    (b"\x93NUMPY", ".npy"),
)


def _format(where: Place, options: ReadOptions) -> str:
    """Return the ending of the format: as asked for, of the name, or what the content tells."""
    if options.format is not None:
        ending = f".{options.format.lower().removeprefix('.')}"
        if ending not in READERS:
            known = ", ".join(each.removeprefix(".") for each in READERS)
            raise InputError(f"Expected format to be one of {known}; got {options.format!r}.")
        return ending
    if where.is_stream:
        return _content(where.local)
    if not where.ending and where.name.lower().endswith(".zip"):
        with where.fetched() as path:
            return Place(member(path), "").ending
    return where.ending


def _content(path: Path) -> str:
    """Return the ending of the format that the first bytes tell; text if they tell none."""
    with open_binary(path) as file:
        first = file.read(64)
    if zipfile.is_zipfile(path) and path.suffix != ".zip":
        with zipfile.ZipFile(path) as archive:
            return ".xlsx" if "[Content_Types].xml" in archive.namelist() else ".npz"
    for magic, ending in MAGIC:
        if first.startswith(magic):
            return ending
    return ".jsonl" if first.lstrip()[:1] == b"{" else ".csv"


def _open(where: Place, options: ReadOptions) -> TextTable | Stored:
    """Open a file or directory as a frame or as columns to be read; errors become `InputError`."""
    with reading(where):
        if where.system is None and not where.local.exists():
            folder = where.local.parent if where.local.parent.is_dir() else Path(".")
            names = [path.name for path in itertools.islice(folder.iterdir(), NEAR)]
            near = difflib.get_close_matches(where.name, names, 3)
            hint = f" Nearest in that folder: {', '.join(near)}." if near else ""
            raise InputError(f"Expected a data file; {where} does not exist.{hint} Check the path.")
        if where.is_directory():
            _expect_used(where, options, frozenset())
            return parquet(where)
        if where.size() == 0:
            raise InputError(f"Expected data in {where}; the file is empty. Write it again.")
        ending = _format(where, options)
        if ending not in READERS:
            raise InputError(
                f"Expected a file ending in {', '.join(READERS)}, or a directory of Parquet files; "
                f"got {where.name}. Convert it, or name its format, as in --format csv."
            )
        if where.packed and ending not in PACKABLE:
            raise InputError(
                f"Expected {where.name} unpacked, since only text is read from compressed files; "
                f"got {where.packed}. Unpack it first."
            )
        reader = READERS[ending]
        _expect_used(where, options, reader.options)
        return reader.read(where, options)


def _expect_used(where: Place, options: ReadOptions, used: frozenset[str]) -> None:
    """Check that no option is given that the reader of the file does not take."""
    for field in fields(ReadOptions):
        given = getattr(options, field.name) != field.default
        if given and field.name not in used | {"format"}:
            raise InputError(
                f"Expected {field.name} only for {_takers(field.name)}; got it for {where.name}, "
                f"which says itself how it is written. Leave --{field.name.replace('_', '-')} out."
            )


def _takers(option: str) -> str:
    return "Excel files" if option == "sheet" else "text files"
