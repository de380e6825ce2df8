"""Sheets of Excel files, by openpyxl."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infobound.errors import InputError
from infobound.files.formats.header import expect_names, expect_no_units
from infobound.files.formats.parquet import Stored
from infobound.files.locations import Place
from infobound.files.read_options import ReadOptions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["excel"]


def excel(where: Place, options: ReadOptions) -> Stored:
    """Open a sheet of an Excel file; cells keep their types.

    Args:
        where: the file.
        options: the sheet, whether its first row has the names of the columns, words that count as
            missing, and rows to leave out.

    Raises:
        InputError: If openpyxl is not installed, there is no such sheet, or the sheet is empty.

    Example:
        >>> excel(Place("rows.xlsx", "rows.xlsx"), ReadOptions())  # doctest: +SKIP
    """
    import pandas as pd

    try:
        import openpyxl  # noqa: F401
    except ImportError as error:
        raise InputError(
            "Expected openpyxl, which reads Excel files; it is not installed. Install it: pip "
            "install 'infobound[excel]', or save the sheet as CSV."
        ) from error
    with where.fetched() as path, pd.ExcelFile(path, engine="openpyxl") as book:
        sheet = book.sheet_names[0] if options.sheet is None else options.sheet
        if sheet not in book.sheet_names:
            raise InputError(
                f"Expected a sheet of {where}; got {sheet!r}. Sheets: "
                f"{', '.join(map(str, book.sheet_names[:12]))}."
            )
        rows = pd.read_excel(
            book,
            sheet_name=sheet,
            header=None,
            dtype=object,
            skiprows=[line - 1 for line in options.skip_lines],
            na_values=[*options.na],
        )
    rows = rows.dropna(how="all").dropna(axis=1, how="all")
    if rows.empty:
        raise InputError(f"Expected data in sheet {sheet} of {where}; it is empty. Name another.")
    numbers = [number + 1 for number in rows.index]  # lines of the sheet
    notes: list[str] = []
    if options.header is False:
        frame = _typed(rows, [str(k) for k in range(rows.shape[1])])
    else:
        names = [_name(cell, k) for k, cell in enumerate(rows.iloc[0])]
        frame = _typed(rows.iloc[1:], names)
        if len(numbers) > 1:
            expect_no_units(where.name, numbers[:2], frame)
        if options.header is None and len(frame):
            notes = expect_names(where.name, names, frame)

    def chosen(names: list[str]) -> pd.DataFrame:
        return frame[names]

    return Stored([*frame.columns], len(frame), lambda names: None, chosen, tuple(notes))


def _typed(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return rows as a frame whose columns have the types of their cells."""
    return rows.reset_index(drop=True).set_axis(names, axis=1).infer_objects()


def _name(cell: Any, number: int) -> str:
    """Return the text of a cell as a name; whole numbers are written without a point."""
    import pandas as pd

    if pd.isna(cell):
        return f"Unnamed: {number}"
    return str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell)
