"""Columns of a file as a validated pair: readers by file ending, and selectors.

To add a format: one function and one line in `READERS`. Whatever is wrong with a file or a selector
is said here in one sentence; what is wrong with the values, in `data`.
"""

from __future__ import annotations

import csv
import difflib
import fnmatch
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound.data import Pair, is_plain, pair_arrays, pair_frames
from infobound.errors import InputError
from infobound.storage import gathered, pieces

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["READERS", "read"]

BATCH = 65_536  # rows of a Parquet file that are read at once


def read(
    path: str | Path, *, x: Sequence[str], y: Sequence[str], drop_missing: bool = False
) -> Pair:
    """Columns of a file as a `Pair`.

    Args:
        path: a CSV, TSV, Parquet, npz or npy file.
        x: selectors: names, patterns `name*`, ranges `first:last`, or several joined by commas; in
            an npz file the name of an array stands for all of its columns.
        y: likewise.
        drop_missing: leave out rows with missing values in the selected columns.

    Raises:
        InputError: whatever is wrong with the file, the selectors or the values.
    """
    path = Path(path)
    found = _open(path)
    names = [str(column) for column in found.columns]
    doubles = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubles:
        raise InputError(
            f"Expected different column names in {path}; got {', '.join(doubles)} more than once. "
            "Rename the columns."
        )
    if not len(found):
        raise InputError(f"Expected rows in {path}; got a header only. Is the file complete?")
    sides = [_select(names, selectors, side) for side, selectors in (("x", x), ("y", y))]
    both = [name for name in sides[0] if name in sides[1]]
    if both:
        raise InputError(
            f"Expected different columns for x and y; got {', '.join(both[:5])} in both, which "
            "makes the information infinite. Take them out of --x or --y."
        )
    chosen = [*sides[0], *sides[1]]
    if isinstance(found, Stored):
        rows = _said(path, lambda: found.numbers(chosen))
        if rows is not None:
            p, both_names = len(sides[0]), (sides[0], sides[1])
            x_rows, y_rows = rows[:, :p], rows[:, p:]
            del rows
            return pair_arrays(
                x_rows, y_rows, names=both_names, source=str(path), drop_missing=drop_missing
            )
        found = _said(path, lambda: found.frame(chosen))
        names = chosen
    frame = found.reset_index(drop=True).set_axis(names, axis=1)  # errors count rows from 1
    frame = _paired(frame, chosen, path)
    return pair_frames(
        frame[sides[0]],
        frame[sides[1]],
        source=str(path),
        notes=frame.attrs.get("notes", []),
        drop_missing=drop_missing,
    )


def _paired(frame: pd.DataFrame, names: list[str], path: Path) -> pd.DataFrame:
    """The rows of the selected columns, which must be equally many."""
    lengths = frame.attrs.get("lengths", {})
    different = {lengths[name] for name in names if name in lengths}
    if len(different) > 1:
        rows = {name.partition("[")[0]: lengths[name] for name in names}
        said = ", ".join(f"{name} {count}" for name, count in rows.items())
        raise InputError(
            f"Expected arrays of equal length for x and y in {path}; got rows: {said}. Row i of x "
            "must belong to row i of y: select arrays that are paired."
        )
    return frame.iloc[: next(iter(different))] if different else frame


def _csv(path: Path) -> pd.DataFrame:
    """Separated text; the separator is found from the first lines, numbers are read exactly."""
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
    frame = pd.read_csv(
        path,
        sep=separator,
        decimal="," if commas else ".",
        skipinitialspace=True,  # a cell of spaces is an empty one
        encoding="utf-8-sig",
        low_memory=False,
        **exact,
    )
    if not isinstance(frame.index, pd.RangeIndex) and frame.iloc[:, -1].isna().all():
        # A separator at the end of each row, and none in the header: no column of row names.
        names, frame = frame.columns, frame.reset_index()
        frame = frame.iloc[:, : len(names)].set_axis(names, axis=1)
    plain = [cell.strip() for cell in rows[0]] if rows else []
    if len(plain) == len(frame.columns):  # pandas renames doubles; say so instead
        frame.columns = pd.Index([p or str(c) for p, c in zip(plain, frame.columns, strict=True)])
    frame.attrs["notes"] = ["Commas read as decimal points (1,5 is 1.5)."] if commas else []
    return frame


def _separated(lines: list[str], usual: str) -> tuple[str, list[list[str]]]:
    """The separator that parts header and first row alike (or nearly so), and the lines parted."""
    found = {
        sign: list(csv.reader(lines, delimiter=sign, skipinitialspace=True))
        for sign in (usual, *";\t,| ")
    }
    for more in (0, 1):  # one more: row names, or a separator at the end
        for sign, rows in found.items():
            if rows and 1 < len(rows[0]) == len(rows[min(1, len(rows) - 1)]) - more:
                return sign, rows
    return usual, found[usual]


@dataclass(frozen=True)
class Stored:
    """Columns of a file from which some are read without the others.

    `numbers` gives those of these names side by side, (n, k), in memory or memory-mapped; None
    where they are not plain numbers, and `frame` gives them as they are.
    """

    columns: list[str]
    n: int
    numbers: Callable[[list[str]], np.ndarray | None]
    frame: Callable[[list[str]], pd.DataFrame]

    def __len__(self) -> int:
        """The number of rows."""
        return self.n


def _parquet(path: Path) -> Stored:
    """Numbers are read by batches of rows."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    indexes = (schema.pandas_metadata or {}).get("index_columns", [])
    columns = [name for name in schema.names if name not in indexes]
    n = pq.read_metadata(path).num_rows

    def numbers(names: list[str]) -> np.ndarray | None:
        kinds = [schema.field(name).type for name in names]
        if not all(pa.types.is_floating(kind) or pa.types.is_integer(kind) for kind in kinds):
            return None
        with pq.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=BATCH, columns=names)
            try:
                return gathered((_exact(batch, names) for batch in batches), n, len(names))
            except OverflowError:
                return None

    return Stored(columns, n, numbers, lambda names: pd.read_parquet(path, columns=names))


def _exact(batch: pa.RecordBatch, names: list[str]) -> np.ndarray:
    """Numbers of a batch, float64, missing ones nan; an error where that merges integers."""
    rows = np.empty((len(batch), len(names)))
    for k, name in enumerate(names):
        column = batch.column(name)
        rows[:, k] = column.to_numpy(zero_copy_only=False)
        whole = column.type.bit_width == 64 and not column.type.equals("double")
        if whole and len(rows) and np.nanmax(np.abs(rows[:, k]), initial=0) >= 2**53:
            raise OverflowError
    return rows


def _arrays(path: Path) -> pd.DataFrame:
    """An npz file: array `x` becomes column x, or columns x[0], x[1], ... when it has several.

    A single number, such as a seed or a known MI, is no column and is passed over. Arrays may have
    different lengths, as long as those that are selected have one: `lengths` says them.
    """
    import pandas as pd

    columns: dict[str, np.ndarray] = {}
    with np.load(path, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
        found = {name: array for name, array in found.items() if array.ndim}
    lengths: dict[str, int] = {}
    longest = max(map(len, found.values()), default=0)
    for name, array in found.items():
        flat = array if array.ndim == 1 else array.reshape(len(array), math.prod(array.shape[1:]))
        # Filled up with copies, which keep the type; `read` cuts them off again.
        full = np.resize(flat, (longest, *flat.shape[1:]))
        parts = {name: full}
        if full.ndim == 2:
            parts = {f"{name}[{k}]": full[:, k] for k in range(full.shape[1])}
        columns |= parts
        lengths |= dict.fromkeys(parts, len(array))
    frame = pd.DataFrame(columns)
    frame.attrs["lengths"] = lengths
    return frame


def _array(path: Path) -> Stored:
    """An npy file: columns named 0, 1, ..., read from a memory-map."""
    import pandas as pd

    array = np.load(path, allow_pickle=False, mmap_mode="r")
    if array.ndim != 2:
        raise InputError(
            f"Expected a 2-D array in {path}; got shape {array.shape}. Save rows by columns."
        )
    n, width = array.shape

    def numbers(names: list[str]) -> np.ndarray | None:
        if not is_plain(array):
            return None
        at = [int(name) for name in names]
        if at == list(range(at[0], at[-1] + 1)):
            return array[:, at[0] : at[-1] + 1]
        return gathered((array[rows][:, at] for rows in pieces(n, width)), n, len(at))

    def frame(names: list[str]) -> pd.DataFrame:
        return pd.DataFrame(array[:, [int(name) for name in names]], columns=names)

    return Stored([str(k) for k in range(width)], n, numbers, frame)


READERS: dict[str, Callable[[Path], Any]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".txt": _csv,
    ".parquet": _parquet,
    ".npz": _arrays,
    ".npy": _array,
}


def _open(path: Path) -> pd.DataFrame | Stored:
    """The file as a frame or what one can be read from, whatever is wrong said in one sentence."""
    if not path.exists():
        folder = path.parent if path.parent.is_dir() else Path(".")
        near = difflib.get_close_matches(path.name, [p.name for p in folder.iterdir()], 3)
        hint = f" Nearest in that folder: {', '.join(near)}." if near else ""
        raise InputError(f"Expected a data file; {path} does not exist.{hint} Check the path.")
    if path.is_dir():
        raise InputError(f"Expected a data file; {path} is a directory. Name a file in it.")
    suffix = _ending(path)
    if suffix not in READERS:
        raise InputError(
            f"Expected a file ending in {', '.join(READERS)}; got {path.name}. Convert it first."
        )
    if path.stat().st_size == 0:
        raise InputError(f"Expected data in {path}; the file is empty. Write it again.")
    found: pd.DataFrame | Stored = _said(path, lambda: READERS[suffix](path))
    return found


def _ending(path: Path) -> str:
    return next((s.lower() for s in reversed(path.suffixes) if s.lower() != ".gz"), "")


def _said(path: Path, reading: Callable[[], Any]) -> Any:
    """What reading gives; whatever the file breaks on, said in one sentence."""
    try:
        return reading()
    except InputError:
        raise
    except PermissionError as error:
        raise InputError(
            f"Expected to read {path}; permission is denied. Change its permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"Expected text in UTF-8; {path} cannot be read as that ({error}). "
            "Save it as UTF-8; spreadsheets call that 'CSV UTF-8'."
        ) from error
    except Exception as error:  # each library has exceptions of its own for a broken file
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"Expected a readable {_ending(path)} file; {path} cannot be read ({reason[0]}). Is it "
            "complete, and what its ending says?"
        ) from error


def _select(names: list[str], selectors: Sequence[str], side: str) -> list[str]:
    """Column names that the selectors mean, in the order of the selectors, each once."""
    parts: list[str] = []
    for selector in selectors:
        parts += [selector] if selector in names else [p.strip() for p in selector.split(",")]
    chosen: list[str] = []
    for part in filter(None, parts):
        chosen += [name for name in _matches(names, part) if name not in chosen]
    if not chosen:
        columns = _listed(names)
        raise InputError(
            f"Expected columns for {side}, with --{side} NAMES; got none. Columns: {columns}."
        )
    return chosen


def _matches(names: list[str], part: str) -> list[str]:
    """What one selector means: a name, an array, a range or a pattern."""
    if part in names:
        return [part]
    array = [name for name in names if name.startswith(f"{part}[") and name.endswith("]")]
    if array:
        return array
    first, colon, last = part.partition(":")
    if colon and first in names and last in names:
        start, end = names.index(first), names.index(last)
        if start > end:
            raise InputError(
                f"Expected a range in the order of the columns; got {part}. Did you mean "
                f"{last}:{first}?"
            )
        return names[start : end + 1]
    if any(sign in part for sign in "*?"):
        found = [name for name in names if fnmatch.fnmatchcase(name, part)]
        if found:
            return found
        raise InputError(
            f"Expected a pattern that matches columns; got {part!r}, which matches none. "
            f"Columns: {_listed(names)}."
        )
    missing = [end for end in (first, last) if end not in names] if colon else [part]
    near = difflib.get_close_matches(missing[0], names, 3, 0.4)
    hint = f"Nearest: {', '.join(near)}" if near else f"Columns: {_listed(names)}"
    raise InputError(f"Expected a column of the file; there is no {missing[0]!r}. {hint}.")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
