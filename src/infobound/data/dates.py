"""Dates and times as numbers: days since the first one."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from infobound.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TIMES", "Days", "as_days", "text_as_days"]

TIMES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
DAY = 86_400_000_000_000  # nanoseconds
YEAR_FIRST = re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}([T ].*)?")
YEAR_LAST = re.compile(r"\d{1,2}([-/.])\d{1,2}\1\d{4}( .*)?")
CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?")
NAMED = re.compile(r".*[A-Za-z]{3}.*\d{4}.*|.*\d.*[A-Za-z]{3}.*")  # a month by its name
HOURS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")


class Days(NamedTuple):
    """Dates or times as numbers.

    Attributes:
        values: (n,), float64.
        unit: what they are, such as "days since 2024-01-01".
    """

    values: np.ndarray
    unit: str


def as_days(values: pd.Series) -> Days | None:
    """Convert dates, times or durations without missing values to days; None for other columns.

    Args:
        values: the column: of a date type, or of objects such as `datetime.date`.

    Returns:
        Days since the first date; durations and times of day in days.

    Raises:
        InputError: If different times are equal in float64.

    Example:
        >>> import pandas as pd
        >>> as_days(pd.Series(pd.to_datetime(["2024-01-03", "2024-01-01"])))
        Days(values=array([2., 0.]), unit='days since 2024-01-01')
    """
    import pandas as pd

    types = pd.api.types
    name, kind = str(values.name), values.dtype
    if types.is_timedelta64_dtype(kind):
        return _counted(name, pd.TimedeltaIndex(values), "days")
    if types.is_datetime64_any_dtype(kind):
        return _since_first(name, pd.DatetimeIndex(values))
    if isinstance(kind, pd.PeriodDtype):
        return _since_first(name, pd.PeriodIndex(values).to_timestamp())
    if kind != np.dtype(object):
        return None
    cells = values.tolist()
    if all(isinstance(cell, pd.Period) for cell in cells):
        return _since_first(name, pd.PeriodIndex(cells).to_timestamp())
    if all(isinstance(cell, datetime.date | np.datetime64) for cell in cells):
        return _since_first(name, pd.DatetimeIndex(pd.to_datetime(cells, utc=True)))
    if all(isinstance(cell, datetime.timedelta | np.timedelta64) for cell in cells):
        return _counted(name, pd.TimedeltaIndex(cells), "days")
    if all(isinstance(cell, datetime.time) for cell in cells):
        return text_as_days(name, [f"{cell:%H:%M:%S.%f}" for cell in cells])
    return None


def text_as_days(name: str, text: Sequence[str]) -> Days | None:
    """Convert dates or times of day that are text to days; None if any cell is neither.

    Args:
        name: the name of the column, for messages.
        text: (n,), its cells, such as 2024-03-01, 1.3.2024, 3/1/2024 10:30, 1 Mar 2024, 10:30.

    Raises:
        InputError: If the day may be the month in all cells, or different times are equal in
            float64.

    Example:
        >>> text_as_days("date", ["13/3/2024", "1/3/2024"])
        Days(values=array([12.,  0.]), unit='days since 2024-03-01')
        >>> text_as_days("date", ["1/2/2024", "1/3/2024"])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected dates of one reading in column date; got ...
    """
    import pandas as pd

    if all(map(CLOCK.fullmatch, text)):
        full = [cell if cell.count(":") > 1 else f"{cell}:00" for cell in text]
        return _counted(name, pd.TimedeltaIndex(pd.to_timedelta(full)), "days")
    if all(map(YEAR_FIRST.fullmatch, text)):
        plain = [re.sub(r"^(\d{4})[/.](\d+)[/.]", r"\1-\2-", cell) for cell in text]
        found = _parsed(plain, "ISO8601")
        if found is None:
            found = _parsed(plain, "mixed")
        return None if found is None else _since_first(name, found)
    if all(map(YEAR_LAST.fullmatch, text)):
        return _day_and_month(name, text)
    if all(map(NAMED.fullmatch, text)):
        found = _parsed(text, "mixed")
        return None if found is None else _since_first(name, found)
    return None


def _day_and_month(name: str, text: Sequence[str]) -> Days | None:
    """Convert dates that begin with the day or the month; with points, the day is first."""
    plain = [re.sub(r"^(\d+)[-/.](\d+)[-/.]", r"\1/\2/", cell) for cell in text]
    points = all("." in cell[:3] for cell in text)
    orders = ("%d/%m/%Y",) if points else ("%d/%m/%Y", "%m/%d/%Y")
    found = [
        next((dates for h in HOURS if (dates := _parsed(plain, order + h)) is not None), None)
        for order in orders
    ]
    known = [dates for dates in found if dates is not None]
    if len(known) > 1 and not known[0].equals(known[1]):
        raise InputError(
            f"Expected dates of one reading in column {name}; got {text[0]!r}, whose day may be "
            "its month, as in all other cells. Write dates as 2024-12-31."
        )
    return _since_first(name, known[0]) if known else None


def _parsed(text: Sequence[str], form: str) -> pd.DatetimeIndex | None:
    import pandas as pd

    try:
        return pd.DatetimeIndex(pd.to_datetime(list(text), format=form, utc=True))
    except ValueError:  # also what pandas raises for dates out of range
        return None


def _since_first(name: str, dates: pd.DatetimeIndex) -> Days:
    first = dates.min()
    day = f"{first:%Y-%m-%d}" if first == first.normalize() else f"{first:%Y-%m-%d %H:%M:%S}"
    return _counted(name, dates - first, f"days since {day}")


def _counted(name: str, spans: pd.TimedeltaIndex, unit: str) -> Days:
    """Convert durations to days."""
    whole = np.asarray(spans.as_unit("ns").asi8)
    values = whole / DAY
    if len(np.unique(whole)) > len(np.unique(values)):
        raise InputError(
            f"Expected times that float64 distinguishes as days in column {name}; got some that "
            "are closer. Subtract the first, and write seconds as numbers."
        )
    return Days(values, unit)
