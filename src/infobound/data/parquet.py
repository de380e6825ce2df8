"""Parquet: one file or a directory of them, here or far away, as rows that are read by the group.

A directory is one table: its files one after the other in the order of their paths, and of a path
such as year=2024/rows.parquet the column `year` besides (Hive's layout). Footers tell what there
is; then only the selected columns of one row group after the other are fetched.
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

from infobound._system.memory import free_memory, placed
from infobound._system.row_groups import Stretch, whole_groups
from infobound.data.encoding import EXACT
from infobound.data.locations import Place, reading
from infobound.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Stored", "parquet"]

BATCH = 65_536  # rows that are decoded at once
AT_ONCE = 16  # footers that are asked for at once
ENDINGS = (".parquet", ".parq", ".pq")
ABSENT = "__HIVE_DEFAULT_PARTITION__"  # a missing value in a path


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
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """The number of rows."""
        return self.n


def parquet(where: Place) -> Stored:
    """A Parquet file, or all below a directory, as columns.

    Files whose name, or a directory's on the way, starts with _ or . are passed over as in Hive,
    and so are files with another ending, which is said.

    Raises:
        InputError: no Parquet file, or one that cannot be read; where columns are selected that
            the files do not have alike.

    Example:
        >>> import pandas as pd, tempfile
        >>> from infobound.data.locations import place
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
    """The Parquet files below a directory, and what is to be said of others."""
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
    """One file: its footer, the columns in it, and those that its path gives."""

    file: Place
    footer: Any
    schema: pa.Schema
    keys: dict[str, str | None]

    @property
    def groups(self) -> int:
        """How many row groups."""
        return int(self.footer.num_row_groups)

    def columns(self) -> list[str]:
        """Those in the file, but for an index of pandas'."""
        index = (self.schema.pandas_metadata or {}).get("index_columns", [])
        return [name for name in self.schema.names if name not in index]

    def kind(self, name: str) -> str:
        """What a column is here."""
        if name in self.keys:
            return "a part of the path"
        at = self.schema.get_field_index(name)
        return str(self.schema.field(at).type) if at >= 0 else "absent"

    def rows(self, names: list[str], stretches: list[Stretch]) -> Iterator[tuple[int, np.ndarray]]:
        """Numbers of stretches of row groups, with the global number of the first of each batch."""
        for stretch, at, batch in self._batches(names, stretches):
            cut = slice(max(stretch.start - at, 0), max(stretch.stop - at, 0))
            numbers = np.empty((len(batch), len(names)))
            for k, name in enumerate(names):
                if name in self.keys:
                    numbers[:, k] = float(self.keys[name] or "nan")
                else:
                    numbers[:, k] = _exact(batch.column(name))
            if len(numbers[cut]):
                yield stretch.first + at + cut.start - stretch.start, numbers[cut]

    def _batches(
        self, names: list[str], stretches: list[Stretch]
    ) -> Iterator[tuple[Stretch, int, pa.RecordBatch]]:
        """Batches of each stretch's row group, with the number in the group of the first row."""
        import pyarrow.parquet as pq

        own = [name for name in names if name not in self.keys]
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
        """All rows of the selected columns, in the file or of the path."""
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
    """The columns that a relative path gives.

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
    """The rows of all parts, one after the other."""

    def __init__(self, where: Place, parts: list[_Part]) -> None:
        self.where, self.parts = where, parts
        self.groups = [(part, group) for part in parts for group in range(part.groups)]
        self.counts = [part.footer.row_group(group).num_rows for part, group in self.groups]
        self.n = sum(self.counts)
        keys = dict.fromkeys(key for part in parts for key in part.keys)
        self.kinds = {key: _kind(part.keys.get(key) for part in parts) for key in keys}

    def columns(self) -> list[str]:
        """Those of the files, but for an index of pandas', and those of the paths."""
        first, *others = [part.columns() for part in self.parts]
        more = dict.fromkeys(name for names in others for name in names if name not in first)
        return [*first, *more, *self.kinds]

    def numbers(self, names: list[str]) -> np.ndarray | None:
        """Of several ranks each fetches its own row groups of what is far away; all get all."""
        if self.where.system is None:
            return self._placed(names, self._rows(names, whole_groups(self.counts, 0, 1)), self.n)
        from infobound._system import distributed

        mine = whole_groups(self.counts, *distributed.ranks())
        return self._placed(names, distributed.exchanged(self._rows(names, mine)), self.n)

    def frame(self, names: list[str]) -> pd.DataFrame:
        """All rows at once, as they are; `numbers` has seen that the files are alike."""
        import pyarrow as pa

        if 8 * self.n * len(names) > free_memory() / 2:  # a cell takes some 8 bytes at least
            raise InputError(
                f"Expected text, categories and large integers that memory holds; got {self.n:,} "
                f"rows of {len(names):,} columns in {self.where}. Save them as floats, of which "
                "any number can be read, or select fewer."
            )
        tables = [part.table(names, self.kinds) for part in self.parts]
        found: pd.DataFrame = (
            pa.concat_tables(tables)
            .select(names)
            .to_pandas(
                integer_object_nulls=True  # float64 beside a missing one would merge large ones
            )
        )
        return found

    def _placed(
        self, names: list[str], rows: Iterator[tuple[int, np.ndarray]], n: int
    ) -> np.ndarray | None:
        """Numbers with the place of the first of them as one array; None where they are none."""
        import pyarrow.types as kinds

        self._expect_alike(names)
        found = [self.kinds.get(name) or self.parts[0].schema.field(name).type for name in names]
        if not all(kinds.is_floating(kind) or kinds.is_integer(kind) for kind in found):
            return None
        try:
            return placed(rows, n, len(names))
        except OverflowError:
            return None

    def _rows(
        self, names: list[str], stretches: Iterable[Stretch]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Numbers of stretches, batch by batch, each with the global number of its first row."""
        for _, mine in itertools.groupby(stretches, lambda s: id(self.groups[s.group][0])):
            several = list(mine)
            part = self.groups[several[0].group][0]
            local = [s._replace(group=self.groups[s.group][1]) for s in several]
            yield from part.rows(names, local)

    def _expect_alike(self, names: list[str]) -> None:
        """The same type of each selected column in every file."""
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
    """The type of a column that paths give: whole numbers, or text."""
    import pyarrow as pa

    whole = all(re.fullmatch(r"-?\d{1,18}", value) for value in values if value is not None)
    return pa.int64() if whole else pa.string()


def _exact(column: pa.Array) -> np.ndarray:
    """Numbers of a column, float64, missing ones nan; an error where that merges integers."""
    numbers: np.ndarray = column.to_numpy(zero_copy_only=False)
    whole = column.type.bit_width == 64 and not column.type.equals("double")
    numbers = numbers.astype(np.float64, copy=False)
    if whole and np.nanmax(np.abs(numbers), initial=0) >= EXACT:
        raise OverflowError
    return numbers
