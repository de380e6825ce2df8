"""Parquet: a local or remote file, or a directory of files, read row group by row group.

A directory is one table: its files are concatenated in the order of their paths, and a path such as
year=2024/rows.parquet adds the column `year` (Hive's layout). Footers are read first; then only the
selected columns are fetched, one row group after the other.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from infobound._system.memory import assemble_rows, free_memory
from infobound._system.row_groups import RowRange, whole_groups
from infobound.data.encoding import EXACT
from infobound.errors import InputError
from infobound.files.formats.lists import Element, elements, is_list_of_numbers, pick, width
from infobound.files.locations import Place, reading

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["ENDINGS", "Stored", "parquet"]

BATCH = 65_536  # rows decoded at once
FIRST = 16  # rows decoded at once to find the length of lists
AT_ONCE = 16  # footers requested concurrently
ENDINGS = (".parquet", ".parq", ".pq")
ABSENT = "__HIVE_DEFAULT_PARTITION__"  # a missing value in a path


@dataclass(frozen=True)
class Stored:
    """A file whose columns can be read selectively.

    Attributes:
        columns: the names of all columns.
        n: the number of rows.
        numbers: returns the columns of these names as (n, k), in memory or memory-mapped; None if
            they are not plain numbers.
        frame: returns the columns of these names with their own types.
        notes: notes about how the file was read.
    """

    columns: list[str]
    n: int
    numbers: Callable[[list[str]], np.ndarray | None]
    frame: Callable[[list[str]], pd.DataFrame]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.n


def parquet(where: Place) -> Stored:
    """Open a Parquet file, or all Parquet files below a directory.

    Files are ignored if their name or that of a directory on the way starts with _ or ., as in
    Hive; files with another ending are ignored with a note.

    Args:
        where: the file or directory.

    Returns:
        The columns, to be read selectively.

    Raises:
        InputError: If there is no Parquet file, or one cannot be read. Reading columns raises it if
            files differ in a selected column.

    Example:
        >>> import pandas as pd, tempfile
        >>> from infobound.files.locations import place
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     frame = pd.DataFrame({"a": [1.5, 2.5], "year": [2023, 2024]})
        ...     frame.to_parquet(folder, partition_cols=["year"])
        ...     parquet(place(folder)).numbers(["a", "year"]).tolist()
        [[1.5, 2023.0], [2.5, 2024.0]]
    """
    notes: tuple[str, ...] = ()
    files = {where.name: where}
    if where.is_directory():
        files, notes = _files(where)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        table = _Table(where, list(pool.map(_part, files, files.values())))
    return Stored(table.columns(), table.n, table.numbers, table.frame, notes)


def _files(where: Place) -> tuple[dict[str, Place], tuple[str, ...]]:
    """Return the Parquet files below a directory, and a note about other files."""
    every = where.files()
    files = {name: file for name, file in every.items() if file.ending in ENDINGS}
    others = [name for name in every if name not in files]
    named = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    if not files:
        raise InputError(
            f"Expected Parquet files in {where}; got {named or 'none'}. Name a file in it, or a "
            "directory of files that end in .parquet."
        )
    if not others:
        return files, ()
    return files, (f"Left out of {where}, since not .parquet: {named} ({len(others)} in all).",)


@dataclass(frozen=True)
class _Part:
    """One file: its footer, its schema, and the columns that its path adds."""

    file: Place
    footer: Any
    schema: pa.Schema
    keys: dict[str, str | None]

    @property
    def groups(self) -> int:
        """The number of row groups."""
        return int(self.footer.num_row_groups)

    def columns(self) -> list[str]:
        """Return the columns of the file without a pandas index."""
        index = (self.schema.pandas_metadata or {}).get("index_columns", [])
        return [name for name in self.schema.names if name not in index]

    def kind(self, name: str) -> str:
        """Return the type of a column in this file, as text."""
        if name in self.keys:
            return "a part of the path"
        at = self.schema.get_field_index(name)
        return str(self.schema.field(at).type) if at >= 0 else "absent"

    def width(self, name: str) -> int:
        """Return the number of elements of the first list of a column of lists."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        kind = self.schema.field(name).type
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        with reading(self.file), self.file.open() as opened, pq.ParquetFile(opened) as file:
            for batch in file.iter_batches(FIRST, columns=[name]):
                found = width(batch.column(0))
                if found:
                    return found
        return 0

    def rows(
        self, names: list[Element], stretches: list[RowRange]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the numbers of stretches of row groups, with the global index of the first row."""
        for stretch, at, batch in self._batches([name.column for name in names], stretches):
            cut = slice(max(stretch.start - at, 0), max(stretch.stop - at, 0))
            numbers = np.empty((len(batch), len(names)))
            for k, name in enumerate(names):
                if name.column in self.keys:
                    numbers[:, k] = float(self.keys[name.column] or "nan")
                else:
                    numbers[:, k] = _exact(pick(batch.column(name.column), name))
            if len(numbers[cut]):
                yield stretch.first + at + cut.start - stretch.start, numbers[cut]

    def _batches(
        self, names: list[str], stretches: list[RowRange]
    ) -> Iterator[tuple[RowRange, int, pa.RecordBatch]]:
        """Yield batches of each stretch's row group, with the first row's index in the group."""
        import pyarrow.parquet as pq

        own = [name for name in dict.fromkeys(names) if name not in self.keys]
        with (
            reading(self.file),
            self.file.open() as opened,
            pq.ParquetFile(opened, metadata=self.footer, pre_buffer=True) as file,
        ):
            for stretch in stretches:
                at = 0
                for batch in file.iter_batches(BATCH, [stretch.group], own):
                    yield stretch, at, batch
                    at += len(batch)
                    if at >= stretch.stop:
                        break
                if at < stretch.stop:
                    raise ValueError(
                        f"row group {stretch.group} has {at:,} rows, not {stretch.stop:,}"
                    )

    def table(self, names: list[str], kinds: dict[str, pa.DataType]) -> pa.Table:
        """Read all rows of the selected columns, including those of the path."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        own = [name for name in names if name not in self.keys]
        with reading(self.file), self.file.open() as opened, pq.ParquetFile(opened) as file:
            table = file.read(own)
        for key in names:
            if key in self.keys:
                value = pa.array([self.keys[key]], pa.string()).cast(kinds[key])
                table = table.append_column(key, pa.repeat(value[0], len(table)))
        return table


def _part(name: str, file: Place) -> _Part:
    import pyarrow.parquet as pq

    with reading(file), file.open() as opened, pq.ParquetFile(opened) as found:
        return _Part(file, found.metadata, found.schema_arrow, _keys(name))


def _keys(name: str) -> dict[str, str | None]:
    """Return the columns and values that a relative path adds.

    Example:
        >>> _keys("year=2024/city=New%20York/part-0.parquet")
        {'year': '2024', 'city': 'New York'}
    """
    pairs = [part.partition("=") for part in name.split("/")[:-1]]
    return {
        unquote(key): None if value == ABSENT else unquote(value)
        for key, sign, value in pairs
        if key and sign
    }


class _Table:
    """The concatenated rows of all files."""

    def __init__(self, where: Place, parts: list[_Part]) -> None:
        self.where, self.parts = where, parts
        self.groups = [(part, group) for part in parts for group in range(part.groups)]
        self.counts = [part.footer.row_group(group).num_rows for part, group in self.groups]
        self.n = sum(self.counts)
        keys = dict.fromkeys(key for part in parts for key in part.keys)
        self.kinds = {key: _kind(part.keys.get(key) for part in parts) for key in keys}
        found = elements(self._stored(), self._widths())
        self.names = [name for name, _ in found]
        self.elements = dict(found)

    def columns(self) -> list[str]:
        """Return the columns, with an own name for each element of a list."""
        return self.names

    def _stored(self) -> list[str]:
        """Return the columns of the files, without a pandas index, and those of the paths."""
        first, *others = [part.columns() for part in self.parts]
        more = dict.fromkeys(name for names in others for name in names if name not in first)
        return [*first, *more, *self.kinds]

    def _widths(self) -> dict[str, int]:
        """Return the number of elements of each column of lists of numbers."""
        part = self.parts[0]
        return {
            field.name: part.width(field.name)
            for field in part.schema
            if is_list_of_numbers(field.type) and part.columns().count(field.name) == 1
        }

    def numbers(self, names: list[str]) -> np.ndarray | None:
        """Read columns of numbers.

        For remote files, each rank fetches its own row groups and sends them to the others.
        """
        if self.where.system is None:
            return self._placed(names, self._rows(names, whole_groups(self.counts, 0, 1)), self.n)
        from infobound._system import distributed

        mine = whole_groups(self.counts, *distributed.ranks())
        return self._placed(names, distributed.exchange_parts(self._rows(names, mine)), self.n)

    def frame(self, names: list[str]) -> pd.DataFrame:
        """Read all rows with their own types; `numbers` has checked that the files are alike."""
        import pyarrow as pa

        if 8 * self.n * len(names) > free_memory() / 2:  # a cell takes at least about 8 bytes
            raise InputError(
                f"Expected text, categories and large integers that memory holds; got {self.n:,} "
                f"rows of {len(names):,} columns in {self.where}. Save them as floats, of which "
                "any number can be read, or select fewer."
            )
        chosen = [self.elements[name] for name in names]
        stored = [*dict.fromkeys(element.column for element in chosen)]
        table = pa.concat_tables([part.table(stored, self.kinds) for part in self.parts])
        columns = [pick(table.column(element.column), element) for element in chosen]
        found: pd.DataFrame = (
            pa.table(columns, names)
            .replace_schema_metadata(table.schema.metadata)
            .to_pandas(
                integer_object_nulls=True  # conversion to float64 would merge large integers
            )
        )
        return found

    def _placed(
        self, names: list[str], rows: Iterator[tuple[int, np.ndarray]], n: int
    ) -> np.ndarray | None:
        """Gather rows at their positions in one array; None if the columns are not numbers."""
        import pyarrow.types as kinds

        chosen = [self.elements[name] for name in names]
        self._expect_alike([*dict.fromkeys(element.column for element in chosen)])
        found = [self._type(element) for element in chosen]
        if not all(kinds.is_floating(kind) or kinds.is_integer(kind) for kind in found):
            return None
        try:
            return assemble_rows(rows, n, len(names))
        except OverflowError:
            return None

    def _type(self, element: Element) -> pa.DataType:
        """Return the type of a column, or of the elements of its lists."""
        kind = self.kinds.get(element.column)
        kind = kind or self.parts[0].schema.field(element.column).type
        return kind if element.at is None else kind.value_type

    def _rows(
        self, names: list[str], stretches: Iterable[RowRange]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the numbers of stretches in batches, with the global index of the first row."""
        for _, mine in itertools.groupby(stretches, lambda s: id(self.groups[s.group][0])):
            several = list(mine)
            part = self.groups[several[0].group][0]
            local = [s._replace(group=self.groups[s.group][1]) for s in several]
            yield from part.rows([self.elements[name] for name in names], local)

    def _expect_alike(self, names: list[str]) -> None:
        """Check that each selected column has the same type in every file."""
        for name in names:
            kinds = [part.kind(name) for part in self.parts]
            other = next((k for k, kind in enumerate(kinds) if kind != kinds[0]), None)
            if other is not None:
                first, second = (f"{kinds[k]} in {self.parts[k].file}" for k in (0, other))
                raise InputError(
                    f"Expected the same columns in all files of {self.where}; column {name} is "
                    f"{first}, and {second}. Write them with one schema (pyarrow: table.cast), or "
                    "leave the column out."
                )


def _kind(values: Iterable[str | None]) -> pa.DataType:
    """Return the type of a column of the paths: whole numbers, or text."""
    import pyarrow as pa

    whole = all(re.fullmatch(r"-?\d{1,18}", value) for value in values if value is not None)
    return pa.int64() if whole else pa.string()


def _exact(column: pa.Array) -> np.ndarray:
    """Convert a column to float64, missing values to nan; fail if large integers may be merged."""
    numbers: np.ndarray = column.to_numpy(zero_copy_only=False)
    whole = column.type.bit_width == 64 and not column.type.equals("double")
    numbers = numbers.astype(np.float64, copy=False)
    if whole and np.nanmax(np.abs(numbers), initial=0) >= EXACT:
        raise OverflowError
    return numbers
