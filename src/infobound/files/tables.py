"""Columns of files as codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from infobound.data.columns import ColumnTable, coded_table
from infobound.files import readers
from infobound.files.read_options import ReadOptions

__all__ = ["read_table"]

BLOCK = 32  # columns that are read from a file at once


def read_table(
    path: str | Path,
    *,
    columns: Sequence[str] = (),
    target: Sequence[str] = (),
    given: Sequence[str] = (),
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    options: ReadOptions | None = None,
) -> ColumnTable:
    """Read columns of a file as codes; of Parquet, npz and npy a few columns at a time.

    Args:
        path: a file or directory, as for `readers.read`.
        columns: selectors, as for `readers.read`; all columns by default.
        target: selectors of the columns that the others are to be compared with, if any.
        given: selectors of the columns that are given, if any.
        categorical: selectors of columns that are categories.
        numeric: selectors of columns that are quantities although they are stored as text.
        options: how the file is written, as for `readers.read`.

    Raises:
        InputError: If there is a problem with the address, the file or the selectors, or a column
            in target, categorical or numeric cannot be used.

    Example:
        >>> import numpy as np, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/rows.npy", np.arange(12.0).reshape(4, 3))
        ...     [each.name for each in read_table(f"{folder}/rows.npy", columns=["1:2"]).columns]
        ['1', '2']
    """
    found = readers.opened(path, options=options)
    targets = found.select(target, "target") if target else []
    names = found.select(columns, "columns") if columns else found.names
    conditions = found.select(given, "given") if given else []
    names = [*dict.fromkeys([*names, *targets, *conditions])]
    codes, quantities = found.kinds(names, categorical, numeric)
    blocks = (found.frame(names[k : k + BLOCK]) for k in range(0, len(names), BLOCK))
    table = coded_table(blocks, found.notes, codes, quantities, untyped=found.untyped)
    for name in (*targets, *conditions):
        table.column(name)
    return replace(
        table,
        targets=tuple(targets),
        given=tuple(conditions),
        categorical=tuple(codes),
        numeric=tuple(quantities),
    )
