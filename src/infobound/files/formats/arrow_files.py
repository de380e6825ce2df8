"""Feather and Arrow IPC files, and JSON lines: tables of Arrow in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infobound._system.memory import free_memory
from infobound.errors import InputError
from infobound.files.compression import open_binary
from infobound.files.formats.lists import elements, is_list_of_numbers, pick, width
from infobound.files.formats.parquet import Stored
from infobound.files.locations import Place

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["arrow_file", "json_lines"]

BLOCK = 2**30  # bytes of JSON that are read with one guess of the types


def arrow_file(where: Place) -> Stored:
    """Open a Feather file (version 1 or 2) or an Arrow IPC file or stream.

    Args:
        where: the file.

    Example:
        >>> import pandas as pd, tempfile
        >>> from infobound.files.locations import place
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pd.DataFrame({"a": [1, 2]}).to_feather(f"{folder}/rows.feather")
        ...     arrow_file(place(f"{folder}/rows.feather")).columns
        ['a']
    """
    import pyarrow as pa
    import pyarrow.feather

    with where.fetched() as path:
        with open(path, "rb") as file:
            magic = file.read(6)
        if magic.startswith(b"FEA1"):
            return _stored(pyarrow.feather.read_table(path))
        with pa.OSFile(str(path)) as source:
            opener = pa.ipc.open_file if magic == b"ARROW1" else pa.ipc.open_stream
            return _stored(opener(source).read_all())


def json_lines(where: Place) -> Stored:
    """Open a file with a JSON object on each line; nested objects become columns a.b.

    Args:
        where: the file, which may be compressed.

    Raises:
        InputError: If it is no such file or does not fit in memory.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from infobound.files.locations import place
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "rows.jsonl").write_text('{"z": [1, 2], "y": "a"}')
        ...     json_lines(place(f"{folder}/rows.jsonl")).columns
        ['z[0]', 'z[1]', 'y']
    """
    import pyarrow as pa
    import pyarrow.json

    with where.fetched() as path:
        size = path.stat().st_size
        if 2 * size > free_memory():
            raise InputError(
                f"Expected JSON that memory holds as a table; {where} has {size / 1e9:.1f} GB. "
                "Convert it to Parquet, of which only the selected columns are read."
            )
        with open_binary(path) as file:
            options = pyarrow.json.ReadOptions(block_size=min(BLOCK, max(2**20, 2 * size)))
            try:
                table = pyarrow.json.read_json(file, read_options=options)
            except pa.ArrowInvalid as error:
                raise InputError(
                    f"Expected one JSON object on each line of {where}, with values of one type "
                    f"for each key; it cannot be read ({error}). From Python: "
                    "pandas.DataFrame.to_json(path, orient='records', lines=True)."
                ) from error
    while any(pa.types.is_struct(kind) for kind in table.schema.types):
        table = table.flatten()
    return _stored(table)


def _stored(table: pa.Table) -> Stored:
    """Return a table whose columns, and elements of lists, can be selected."""
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    names = [name for name in table.column_names if name not in index]
    widths = {
        field.name: width(table.column(field.name))
        for field in table.schema
        if is_list_of_numbers(field.type) and field.name in names
    }
    found = elements(names, widths)
    known = dict(found)

    def frame(names: list[str]) -> pd.DataFrame:
        import pyarrow as pa

        columns: list[Any] = [pick(table.column(known[n].column), known[n]) for n in names]
        chosen: pd.DataFrame = pa.table(columns, names).to_pandas(integer_object_nulls=True)
        return chosen

    return Stored([name for name, _ in found], len(table), lambda names: None, frame)
