"""Reading of selected columns of a file as a validated pair: readers by file ending, selectors.

A new format is a function and an entry in `READERS`. Errors of files and selectors are reported
here, errors of values in `pair`.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound._system.memory import concatenate_rows, free_memory, row_slices
from infobound.data import Pair, is_plain, pair_arrays, pair_frames, with_kinds
from infobound.data.containers import expect_unicode
from infobound.data.encoding import EXACT, are_merged
from infobound.data.groups import group_ids
from infobound.data.locations import Place, place, reading
from infobound.data.npy import Archive, Header, read_header
from infobound.data.pair import GIVEN
from infobound.data.parquet import Stored, parquet
from infobound.data.selectors import NEAR, select
from infobound.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["READERS", "Opened", "opened", "read"]

COLUMNS = 2**20  # largest number of named columns: more than an image of 512 x 512 x 3 has
TEXT_COLUMNS = 100_000  # largest number in a text file: pandas takes ten seconds to read them
LONGEST = 2**24  # largest number of characters of a line, and of the first lines together


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
) -> Pair:
    """Read selected columns of a file, or of a directory of Parquet files, as a `Pair`.

    Args:
        path: a CSV, TSV, Parquet, npz or npy file, or a directory; a path, or an address as text
            that fsspec opens, such as s3://bucket/rows.parquet.
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
    found = opened(path)
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
    table: pd.DataFrame | Stored
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
        with self._remarking():
            return select(self.names, selectors, side)

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
            return self.table.reset_index(drop=True).set_axis(self.names, axis=1)[names]
        with reading(self.where):
            found = self.table.frame(names)
        return found.reset_index(drop=True).set_axis(names, axis=1)

    @contextlib.contextmanager
    def _remarking(self) -> Iterator[None]:
        """Add to an error about names that the header may be a row of data."""
        try:
            yield
        except InputError as error:
            header = [] if isinstance(self.table, Stored) else self.table.attrs["header"]
            raise InputError(" ".join([str(error), *header])) from error


def opened(path: str | Path) -> Opened:
    """Open a file or a directory of Parquet files, to select and read columns.

    Args:
        path: as for `read`.

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
    table = _open(where)
    names = [str(column) for column in table.columns]
    if isinstance(table, Stored):
        found = Opened(where, names, table, table.notes, {})
    else:
        found = Opened(where, names, table, table.attrs["notes"], table.attrs["spelled"])
    with found._remarking():
        _expect_rows(names, len(table), where)
    return found


def _expect_rows(names: list[str], n: int, where: Place) -> None:
    """Check that a table has rows, and columns of different names."""
    doubles = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubles:
        raise InputError(
            f"Expected different column names in {where}; got {', '.join(doubles)} more than once. "
            "Rename the columns."
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


def _text(path: Path) -> pd.DataFrame:
    """Read a text file after checking that it is a table and fits in memory."""
    _expect_table(path)
    return _csv(path)


def _csv(path: Path) -> pd.DataFrame:
    """Read separated text; the separator is inferred from the first lines, numbers are exact.

    The frame's `attrs` have `notes` about how it was read, `header`, a note if the header may be a
    row of data, and `spelled`, the words in each text column that count as missing.
    """
    import pandas as pd

    opener: Callable[..., Any] = open
    if path.suffix.lower() == ".gz":
        import gzip

        opener = gzip.open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        lines = list(itertools.islice(file, 50))
    separator, rows = _separated(lines, "\t" if ".tsv" in path.suffixes else ",")
    cells = [cell.strip() for row in rows[1:] for cell in row]
    commas = separator != "," and any(re.fullmatch(r"[-+]?\d+,\d+", cell) for cell in cells)
    commas = commas and not any(re.fullmatch(r"[-+]?\d*\.\d+", cell) for cell in cells)
    exact: dict[str, Any] = {}
    if tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1):
        exact = {"float_precision": "round_trip"}  # what later versions do by default

    def columns(**more: Any) -> pd.DataFrame:
        found: pd.DataFrame = pd.read_csv(
            path,
            sep=separator,
            decimal="," if commas else ".",
            skipinitialspace=True,  # a cell of spaces counts as empty
            encoding="utf-8-sig",
            low_memory=False,
            **exact,
            **more,
        )
        last = found.iloc[:, -1]
        if not isinstance(found.index, pd.RangeIndex) and (last.isna() | last.eq("")).all():
            # Rows end with a separator and the header does not: the index is not row names.
            names, found = found.columns, found.reset_index()
            found = found.iloc[:, : len(names)].set_axis(names, axis=1)
        return found.reset_index(drop=True)

    frame = columns()
    plain = [cell.strip() for cell in rows[0]] if rows else []
    if len(plain) == len(frame.columns):  # undo pandas' renaming, so that duplicates are reported
        frame.columns = pd.Index([p or str(c) for p, c in zip(plain, frame.columns, strict=True)])
    frame, spelled = _as_written(frame, columns, commas)
    header = _like_a_row(plain, frame)
    notes = ["Commas read as decimal points (1,5 is 1.5)."] if commas else []
    frame.attrs |= {"notes": [*notes, *header], "header": header, "spelled": spelled}
    return frame


def _as_written(
    frame: pd.DataFrame, columns: Callable[..., pd.DataFrame], commas: bool
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Keep columns as text if float64 would merge their large integers.

    Returns:
        The frame; and, by text column, the words in its missing cells: "NA" may be a value there.
    """
    import pandas as pd

    is_float = [pd.api.types.is_float_dtype(kind) for kind in frame.dtypes]
    far = [k for k, real in enumerate(is_float) if real and (frame.iloc[:, k].abs() >= EXACT).any()]
    text = [k for k, kind in enumerate(frame.dtypes) if not pd.api.types.is_numeric_dtype(kind)]
    absent = [k for k in text if frame.iloc[:, k].isna().any()]
    spelled: dict[str, list[str]] = {}
    if not far and not absent:
        return frame, spelled
    written = columns(dtype=str, keep_default_na=False)
    for k in far:
        cells = written.iloc[:, k].str.replace(",", ".") if commas else written.iloc[:, k]
        if are_merged(cells.tolist(), frame.iloc[:, k].to_numpy()):
            frame.isetitem(k, cells.where(frame.iloc[:, k].notna()).astype(object))
    for k in absent:
        cells = written.iloc[:, k][frame.iloc[:, k].isna()].str.strip()
        spelled[str(frame.columns[k])] = sorted(set(cells) - {""})
    return frame, spelled


def _like_a_row(header: list[str], frame: pd.DataFrame) -> list[str]:
    """Return a note if the header may be a row of data because it resembles the columns' values.

    That is so if numbers head columns of numbers, mostly within their range, and text occurs again
    in its column. Names that count from 0 or 1 are a header.
    """
    import pandas as pd

    counted = [[str(k + first) for k in range(len(header))] for first in (0, 1)]
    if len(header) != len(frame.columns) or header in counted:
        return []
    inside: list[bool] = []
    for name, (_, column) in zip(header, frame.items(), strict=True):
        known = column.dropna()
        if not name or not len(known):
            continue
        if pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known):
            if not re.fullmatch(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?", name):
                return []
            number = float(name.replace(",", "."))
            inside.append(bool(known.min() <= number <= known.max()))
        elif name not in set(map(str, known.unique())):
            return []
        else:
            inside.append(True)
    if 2 * sum(inside) < max(1, len(inside)):
        return []
    shown = ", ".join(header[:3]) + (", ..." if len(header) > 3 else "")
    return [
        f"The header ({shown}) looks like a row of data. If it is one, it was not counted: put a "
        "line with the names of the columns above it."
    ]


def _separated(lines: list[str], usual: str) -> tuple[str, list[list[str]]]:
    """Find the separator that gives header and first row equal lengths, or nearly so.

    Returns:
        The separator, and the lines split by it.
    """
    limit = csv.field_size_limit(max(map(len, lines), default=0) + 1)  # for unseparated lines
    try:
        found = {
            sign: list(csv.reader(lines, delimiter=sign, skipinitialspace=True))
            for sign in (usual, *";\t,| ")
        }
    finally:
        csv.field_size_limit(limit)
    for more in (0, 1):  # one more cell: row names, or a separator at the end
        for sign, rows in found.items():
            if rows and 1 < len(rows[0]) == len(rows[min(1, len(rows) - 1)]) - more:
                return sign, rows
    return usual, found[usual]


def _expect_table(path: Path) -> None:
    """Check that a text file does not have too many columns or too much text to be read.

    A cell takes about 20 bytes besides its text. The contents of a compressed file are counted.

    Raises:
        InputError: If there are too many columns, a line is too long, or the table does not fit in
            memory.
    """
    import gzip

    packed = path.suffix.lower() == ".gz"
    with gzip.open(path) if packed else open(path, "rb") as file:
        lines: list[str] = []
        for _ in range(50):
            line = file.readline(LONGEST)
            if len(line) == LONGEST:
                raise InputError(
                    f"Expected lines of less than {LONGEST:,} bytes in {path.name}; line "
                    f"{len(lines) + 1} is longer. Is it a table of rows and columns?"
                )
            lines.append(line.decode("utf-8", errors="replace"))
            if sum(map(len, lines)) > LONGEST:
                break
        rows = _separated(lines, "\t" if ".tsv" in path.suffixes else ",")[1]
        _expect_columns(max(map(len, rows), default=0), path.name, TEXT_COLUMNS)
        each = sum(map(len, lines)) / max(1, sum(map(len, rows)))
        most = free_memory() / (1 + 20 / max(1, each))
        count = file.tell() if packed else path.stat().st_size
        while packed and count <= most and (piece := file.read(2**20)):
            count += len(piece)
    if count > most:
        raise InputError(
            f"Expected text that memory holds as a table, here {most / 1e9:.3g} GB; {path.name} "
            "has more. Convert it to Parquet, of which only the selected columns are read."
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


def _whole(reader: Callable[[Path], Any]) -> Callable[[Place], Any]:
    """Wrap a reader of local files so that remote files are downloaded first."""

    def fetch_and_read(where: Place) -> Any:
        with where.fetched() as path:
            return reader(path)

    return fetch_and_read


READERS: dict[str, Callable[[Place], Any]] = {
    ".csv": _whole(_text),
    ".tsv": _whole(_text),
    ".txt": _whole(_text),
    ".parquet": parquet,
    ".npz": _arrays,
    ".npy": _array,
}


def _open(where: Place) -> pd.DataFrame | Stored:
    """Open a file or directory as a frame or as columns to be read; errors become `InputError`."""
    with reading(where):
        if where.system is None and not where.local.exists():
            folder = where.local.parent if where.local.parent.is_dir() else Path(".")
            names = [path.name for path in itertools.islice(folder.iterdir(), NEAR)]
            near = difflib.get_close_matches(where.name, names, 3)
            hint = f" Nearest in that folder: {', '.join(near)}." if near else ""
            raise InputError(f"Expected a data file; {where} does not exist.{hint} Check the path.")
        if where.is_directory():
            return parquet(where)
        size = where.size()
        if where.ending not in READERS:
            raise InputError(
                f"Expected a file ending in {', '.join(READERS)}, or a directory of Parquet files; "
                f"got {where.name}. Convert it first."
            )
        if size == 0:
            raise InputError(f"Expected data in {where}; the file is empty. Write it again.")
        found: pd.DataFrame | Stored = READERS[where.ending](where)
        return found
