"""Description of the columns of a file: types, missing and distinct values, and their treatment.

What a column is, is decided as for an estimate, in `encoding`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound.data.dates import TIMES, text_as_days
from infobound.data.encoding import classify, levels
from infobound.errors import InputError
from infobound.files import readers
from infobound.files.read_options import ReadOptions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ColumnDescription", "FileDescription", "describe"]

BLOCK = 32  # columns that are read at once
SHOWN = 3  # examples of a column
LONGEST = 40  # letters of an example
FIRST = 100  # cells that tell whether text is dates


@dataclass(frozen=True)
class ColumnDescription:
    """One column.

    Attributes:
        name: its name.
        kind: number, whole number, flag, category, text, date, list, constant, or empty.
        missing: the number of missing values.
        distinct: the number of different values; None if they cannot be counted.
        low: the smallest number; None for other columns.
        high: the largest number.
        examples: the most frequent values of other columns, as text.
        use: what an estimate does with it, in two words.
        reason: why it is refused, and what to do; None if it is not.
    """

    name: str
    kind: str
    missing: int
    distinct: int | None
    low: float | None
    high: float | None
    examples: tuple[str, ...]
    use: str
    reason: str | None = None


@dataclass(frozen=True)
class FileDescription:
    """The columns of a file.

    Attributes:
        rows: the number of rows.
        columns: the columns.
        notes: how the file was read.
    """

    rows: int
    columns: tuple[ColumnDescription, ...]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the description as plain values."""
        return dataclasses.asdict(self)


def describe(
    path: str | Path,
    *,
    columns: Sequence[str] = (),
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    options: ReadOptions | None = None,
) -> FileDescription:
    """Describe the columns of a file; those of Parquet, npz and npy are read a few at a time.

    Args:
        path: a file or directory, as for `readers.read`.
        columns: selectors, as for `readers.read`; all columns by default.
        categorical: selectors of columns that are categories.
        numeric: selectors of columns that are quantities.
        options: how the file is written, as for `readers.read`.

    Raises:
        InputError: If there is a problem with the address, the file or the selectors.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "rows.csv")
        ...     _ = path.write_text("dose,sex\\n0.5,f\\n1.5,m\\n,f")
        ...     for each in describe(path).columns:
        ...         print(each.name, each.kind, each.missing, each.distinct, each.use)
        dose number 1 2 number
        sex category 0 2 2 categories
    """
    found = readers.opened(path, options=options)
    names = found.select(columns, "columns") if columns else found.names
    codes, quantities = found.kinds(names, categorical, numeric)
    described: list[ColumnDescription] = []
    rows = 0
    for start in range(0, len(names), BLOCK):
        frame = found.frame(names[start : start + BLOCK])
        rows = len(frame)
        described += [
            _column(
                frame[name],
                categorical=name in codes,
                numeric=name in quantities,
                untyped=found.untyped,
            )
            for name in frame.columns
        ]
    return FileDescription(rows, tuple(described), tuple(found.notes))


def _column(
    values: pd.Series, *, categorical: bool, numeric: bool, untyped: bool
) -> ColumnDescription:
    """Describe one column."""
    import pandas as pd

    name, known, reason = str(values.name), values.dropna(), None
    missing = len(values) - len(known)
    if not len(known):
        reason = f"Expected values in column {name}; all are missing. Leave it out."
        return ColumnDescription(name, "empty", missing, 0, None, None, (), "refused", reason)
    count = 0
    try:
        found = classify("file", known, categorical=categorical, numeric=numeric, untyped=untyped)
        if found.quantity is not None:
            flag = pd.api.types.is_bool_dtype(values.dtype)
            return _quantity(name, found.quantity, missing, "flag" if flag else "", found.notes)
        count = len(levels(name, found.text, declared=found.declared))
    except InputError as error:
        reason = str(error)
    text = known.map(str)
    counts = text.value_counts()
    examples = tuple(str(each)[:LONGEST] for each in counts.index[:SHOWN])
    use = "1 category" if count == 1 else f"{count:,} categories"
    return ColumnDescription(
        name=name,
        kind=_kind(known, reason, len(counts)),
        missing=missing,
        distinct=len(counts),
        low=None,
        high=None,
        examples=examples,
        use=use if reason is None else "refused",
        reason=reason,
    )


def _quantity(
    name: str, numbers: np.ndarray, missing: int, kind: str, notes: Sequence[str]
) -> ColumnDescription:
    """Describe a column of numbers."""
    distinct, finite, reason = len(np.unique(numbers)), np.isfinite(numbers).all(), None
    if any("read as days" in note for note in notes):
        kind = "date"
    elif not kind:
        kind = "whole number" if finite and (numbers % 1 == 0).all() else "number"
    if not finite:
        reason = (
            f"Expected finite values in column {name}; got infinite ones. Remove or replace those "
            "rows."
        )
    return ColumnDescription(
        name=name,
        kind="constant" if distinct == 1 else kind,
        missing=missing,
        distinct=distinct,
        low=float(numbers.min()),
        high=float(numbers.max()),
        examples=(),
        use="number" if reason is None else "refused",
        reason=reason,
    )


def _kind(known: pd.Series, reason: str | None, distinct: int) -> str:
    """Name the kind of a column that is no quantity."""
    import pandas as pd

    types, first = pd.api.types, known.iloc[0]
    dated = types.is_datetime64_any_dtype(known.dtype) or types.is_timedelta64_dtype(known.dtype)
    if dated or isinstance(first, (*TIMES, pd.Period)) or _are_dates(known):
        return "date"
    if isinstance(first, list | tuple | dict | np.ndarray):
        return "list"
    if distinct == 1:
        return "constant"
    return "category" if reason is None else "text"


def _are_dates(known: pd.Series) -> bool:
    """Return whether the first cells are dates or times as text."""
    try:
        first = [str(cell).strip() for cell in known.iloc[:FIRST]]
        return text_as_days(str(known.name), first) is not None
    except InputError:  # dates of two readings
        return True
