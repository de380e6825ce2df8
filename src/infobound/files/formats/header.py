"""The line with the names of columns: does it have names, and numbers below them?"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from infobound.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NUMBER", "expect_names", "expect_no_units"]

NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?")
DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([ T].*)?")


def expect_no_units(file: str, lines: Sequence[int], frame: pd.DataFrame) -> None:
    """Check that the first row has no text above columns that otherwise are numbers (units).

    Args:
        file: the name of the file.
        lines: the numbers of the lines of the names and of the first row.
        frame: the table.

    Raises:
        InputError: If it has.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"time": ["s", "1", "2"]})
        >>> expect_no_units("rows.csv", [1, 2], frame)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected numbers below the names of columns in rows.csv; ...
    """
    import pandas as pd

    if len(frame) < 3:
        return
    numbers = []
    for k in range(frame.shape[1]):
        column = frame.iloc[:, k]
        if pd.api.types.is_numeric_dtype(column.dtype):
            return
        text = column.iloc[1:].dropna().astype(str)
        if len(text) and text.str.replace(",", ".").str.fullmatch(NUMBER.pattern).all():
            numbers.append(str(column.iloc[0]))
    if not numbers or any(map(NUMBER.fullmatch, numbers)):
        return
    first, second = lines
    raise InputError(
        f"Expected numbers below the names of columns in {file}; got "
        f"{', '.join(numbers[:3])!r} in line {second} and numbers from then on. If that line has "
        f"units, leave it out: --skip-lines {second}; if it has the names, leave out the one "
        f"above: --skip-lines {first}."
    )


def expect_names(file: str, header: list[str], frame: pd.DataFrame) -> list[str]:
    """Check that names of columns do not look like a row of data; return a note about numbers.

    Args:
        file: the name of the file.
        header: the names.
        frame: the table.

    Returns:
        A note if all names are numbers, but unlike those of the columns.

    Raises:
        InputError: If the names look like a row.

    Example:
        >>> import pandas as pd
        >>> expect_names("rows.csv", ["2019"], pd.DataFrame({"2019": [0.5, 1.5]}))[0][:50]
        'The first line (2019) was read as names of columns'
    """
    shown = ", ".join(header[:3]) + (", ..." if len(header) > 3 else "")
    if _is_like_a_row(header, frame):
        raise InputError(
            f"Expected names of columns in the first line of {file}; got {shown}, which looks "
            "like a row of data. If it is one, say --no-header (header=False), and the columns are "
            "called 0, 1, ...; if these are names, say --header (header=True)."
        )
    counted = [[str(k + first) for k in range(len(header))] for first in (0, 1)]
    if header in counted or not all(map(NUMBER.fullmatch, filter(None, header))):
        return []
    return [
        f"The first line ({shown}) was read as names of columns. If it is a row of data, say "
        "--no-header (header=False)."
    ]


def _is_like_a_row(header: list[str], frame: pd.DataFrame) -> bool:
    """Return whether the header resembles the columns' values.

    That is so if numbers head columns of numbers, mostly within their range, dates head dates, and
    text occurs again in its column; or if all names are numbers that neither go up nor down. Names
    that count from 0 or 1 are a header.
    """
    import pandas as pd

    counted = [[str(k + first) for k in range(len(header))] for first in (0, 1)]
    if len(header) != len(frame.columns) or header in counted:
        return False
    if len(header) > 1 and all(map(NUMBER.fullmatch, header)):
        numbers = [float(name.replace(",", ".")) for name in header]
        steps = {b > a for a, b in itertools.pairwise(numbers)}
        if len(steps) > 1 or len({*numbers}) < len(numbers):
            return True  # years, wavelengths or levels as names go up or down
    inside: list[bool] = []
    for name, (_, column) in zip(header, frame.items(), strict=True):
        known = column.dropna()
        if not name or not len(known):
            continue
        if pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known):
            if not NUMBER.fullmatch(name):
                return False
            number = float(name.replace(",", "."))
            inside.append(bool(known.min() <= number <= known.max()))
        elif DATE.fullmatch(name) and DATE.fullmatch(str(known.iloc[0])):
            inside.append(True)
        elif name not in set(map(str, known.unique())):
            return False
        else:
            inside.append(True)
    return 2 * sum(inside) >= max(1, len(inside))
