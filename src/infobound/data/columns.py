"""Columns of a table as codes, prepared once for all pairs in which a column takes part.

Methods of ranks need to know only which rows have equal values and, of a quantity, their order.
What is a quantity and what a category is decided in `encoding`, as for `estimate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound._system import arguments
from infobound.data.containers import as_rows
from infobound.data.encoding import classify, levels
from infobound.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Column", "ColumnTable", "as_table", "coded_table", "columns"]


@dataclass(frozen=True, eq=False)
class Column:
    """One column as codes.

    Attributes:
        name: its name.
        codes: (n,), int64, from 0 to levels - 1: the dense ranks of a quantity's values; the
            categories of others, numbered in order of appearance. -1 where the value is missing.
        levels: the number of different values.
        categorical: whether the codes have no order.

    Example:
        >>> columns({"dose": [7.5, float("nan"), 2.5, 7.5]})[0].codes.tolist()
        [1, -1, 0, 1]
    """

    name: str
    codes: np.ndarray
    levels: int
    categorical: bool


@dataclass(frozen=True, eq=False)
class ColumnTable:
    """The columns of a table that can be used, and why others cannot.

    Attributes:
        columns: the columns, with equally many rows.
        left_out: by name, why a column cannot be used.
        notes: how the table was read.
        targets: the names of the columns that the others are to be compared with, if any.
        given: the names of the columns that are given, if any.
        categorical: the names of the columns that were declared as categories.
        numeric: the names of those that were declared as quantities.
    """

    columns: tuple[Column, ...]
    left_out: Mapping[str, str]
    notes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """Return a column by name.

        Raises:
            InputError: If there is none, or it cannot be used.
        """
        if name in self.left_out:
            raise InputError(self.left_out[name])
        return arguments.lookup("column", name, {each.name: each for each in self.columns})


def columns(
    frame: Any, *, categorical: Sequence[str] = (), numeric: Sequence[str] = ()
) -> list[Column]:
    """Return the columns of a table as codes; a column that cannot be used is an error.

    Args:
        frame: a table (n, p) in any container: pandas, polars, pyarrow, a dict of columns, NumPy.
            The columns of an array are called 0, 1, ...
        categorical: names of columns that are categories, for example numbers that are codes.
        numeric: names of columns that are quantities although they are text or categories.

    Returns:
        The p columns.

    Raises:
        InputError: If there are no rows, a name is unknown, or a column has times, lists, infinite
            values, text that is not a category, or no values at all.

    Example:
        >>> found = columns({"city": ["Ulm", "Bonn", "Ulm"], "year": [2024, 2023, 2024]})
        >>> [(each.codes.tolist(), each.categorical) for each in found]
        [([0, 1, 0], True), ([1, 0, 1], False)]
    """
    table = as_table(frame, categorical=categorical, numeric=numeric)
    for reason in table.left_out.values():
        raise InputError(reason)
    return [*table.columns]


def as_table(
    frame: Any, *, categorical: Sequence[str] = (), numeric: Sequence[str] = ()
) -> ColumnTable:
    """Return the columns of a table as codes, and why some cannot be used.

    Args:
        frame: as for `columns`; or a `ColumnTable`, which is returned unchanged.
        categorical: as for `columns`.
        numeric: as for `columns`.

    Raises:
        InputError: If there are no rows, or a name is unknown or that of a column that cannot be
            used.

    Example:
        >>> table = as_table({"age": [31, 40], "born": np.array(["1993", "1984"], "datetime64[Y]")})
        >>> [each.name for each in table.columns], [*table.left_out]
        (['age'], ['born'])
    """
    if isinstance(frame, ColumnTable):
        if categorical or numeric:
            raise InputError(
                "Expected categorical and numeric where the table is made; got them beside a "
                "ColumnTable. Write read_table(..., categorical=...)."
            )
        return frame
    import pandas as pd

    rows, notes = as_rows("table", frame)
    if isinstance(rows, np.ndarray):
        kind = object if rows.dtype.kind in "UO" else None
        rows = pd.DataFrame(rows, columns=[str(k) for k in range(rows.shape[1])], dtype=kind)
    if not rows.shape[0] or not rows.shape[1]:
        raise InputError(f"Expected a table with rows and columns; got shape {rows.shape}.")
    kinds = (arguments.labels("categorical", categorical), arguments.labels("numeric", numeric))
    both = sorted(set(kinds[0]) & set(kinds[1]))
    if both:
        raise InputError(
            f"Expected each column in categorical or in numeric; got {', '.join(both)} in both. "
            "Name it in one of them."
        )
    for name in (*kinds[0], *kinds[1]):
        arguments.lookup("column", name, dict.fromkeys(rows.columns))
    return coded_table([rows], notes, *kinds)


def coded_table(
    frames: Iterable[pd.DataFrame],
    notes: Sequence[str],
    categorical: Sequence[str],
    numeric: Sequence[str],
    *,
    untyped: bool = False,
) -> ColumnTable:
    """Return the columns of frames that lie side by side as codes.

    Args:
        frames: the frames.
        notes: how they were read.
        categorical: names of columns that are categories.
        numeric: names of columns that are quantities although they are text or categories.
        untyped: whether all values were text, as in CSV.
    """
    kept: list[Column] = []
    left_out: dict[str, str] = {}
    said = [*notes]
    for values in _series(frames):
        name = str(values.name)
        declared = {"categorical": name in categorical, "numeric": name in numeric}
        try:
            column, more = _coded(values, **declared, untyped=untyped)
        except InputError as error:
            if any(declared.values()):
                raise
            left_out[name] = str(error)
        else:
            kept.append(column)
            said += more
    return ColumnTable(tuple(kept), left_out, tuple(said))


def _series(frames: Iterable[pd.DataFrame]) -> Iterator[pd.Series]:
    for frame in frames:
        for name in frame.columns:
            yield frame[name]


def _coded(
    values: pd.Series, *, categorical: bool, numeric: bool, untyped: bool
) -> tuple[Column, Sequence[str]]:
    """Code a column, with notes about how text was read as numbers."""
    import pandas as pd

    name, whole = str(values.name), values.notna().to_numpy()
    if not whole.any():
        raise InputError(f"Expected values in column {name}; all are missing. Leave it out.")
    categorical |= pd.api.types.is_bool_dtype(values.dtype) and not numeric
    found = classify(
        "table", values[whole], categorical=categorical, numeric=numeric, untyped=untyped
    )
    if found.quantity is None:
        count = len(levels(name, found.text, declared=found.declared))
        own, _ = pd.factorize(np.array(found.text, dtype=object))
    else:
        if np.isinf(found.quantity).any():
            raise InputError(
                f"Expected finite values in column {name}; got infinite ones (or ones beyond "
                "1.8e308, the largest of float64). Remove or replace them."
            )
        distinct, own = np.unique(found.quantity, return_inverse=True)
        count = len(distinct)
    codes = np.full(len(values), -1, dtype=np.int64)
    codes[whole] = own
    return Column(name, codes, count, found.quantity is None), found.notes
