"""Encoding of frames as numbers: which columns are numbers, categories, or neither."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from infobound._system.memory import fits_in_memory
from infobound.data.dates import TIMES, as_days, text_as_days
from infobound.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EXACT",
    "LEVELS",
    "Classified",
    "amounts",
    "are_merged",
    "classify",
    "levels",
    "numbers",
    "one_hot",
]

LEVELS = 20  # a text column with at most this many levels is always a category
REPEATS = 2  # with more levels it is one if levels have this many rows on average
MOST = 1_000  # largest number of categories of a column: each becomes a column
EXACT = 2**53  # float64 represents integers up to this exactly

CODE = re.compile(r"0\d+")  # digits that begin with a zero are no quantity: a code, a postcode
AMOUNT = re.compile(
    r"(?P<minus>[-+−]?)(?P<before>[$€£¥]?) ?(?P<sign>[-+−]?)"
    r"(?P<body>[1-9]\d{0,2}([ '’\u00a0\u202f]\d{3})+([.,]\d+)?|\d[\d.,]*)[ \u00a0]?"
    r"(?P<after>[%$€£¥]?)"
)
MINUS = ("-", "−")
SPACES = re.compile(r"[ '’\u00a0\u202f]")  # they group thousands
MONTH = (
    r"(?i:jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?"
    r"|oct(ober)?|nov(ember)?|dec(ember)?)"
)
ODD = (  # text of many levels that is not a category: pattern, name, remedy
    (
        re.compile(
            r"\d{1,4}([-./])\d{1,2}\1\d{1,4}([T ].*)?|\d{1,2}:\d{2}(:\d{2}.*)?"
            rf"|([\w,]+ )*{MONTH}\.?,?( [\w,:.]+)*|\d{{1,2}}[- ]{MONTH}[- ]\d{{2,4}}"
        ),
        "dates or times as text",
        "Name the column in numeric= (--numeric) to read it as days since the first; or turn it "
        "into numbers that mean something here, such as the hour of the day (pandas.to_datetime).",
    ),
    (
        re.compile(r"[\[({].*[\])}]", re.DOTALL),
        "lists or intervals as text",
        "Give each element, or each end, a column of its own.",
    ),
    (
        re.compile(r"(\W{0,3}|[A-Z]{3} )\d[\d.,'\s]*\D{0,8}"),
        "numbers within text",
        "If these are numbers with units or separators, write the numbers alone, with a point "
        "before the decimals; if they are names, leave the column out.",
    ),
)


def numbers(
    side: str,
    frame: pd.DataFrame,
    *,
    categorical: Collection[str] = (),
    numeric: Collection[str] = (),
    untyped: bool = False,
    categories: bool = True,
) -> tuple[np.ndarray, list[str], list[str]]:
    """Encode a frame without missing values as float64 columns, with one-hot encoded categories.

    Text is a category if it has few levels or its levels repeat. A declared category always is one,
    whatever its levels are.

    Args:
        side: "x" or "y", for messages and notes.
        frame: the frame.
        categorical: the columns that are declared as categories, besides those of pandas' type.
        numeric: the columns that are declared as quantities; their text is parsed.
        untyped: whether text that looks like numbers is parsed, as in a CSV file, which has no
            types.
        categories: whether categories are allowed.

    Returns:
        The columns (n, d), their names, and notes about the encoding.

    Raises:
        InputError: If columns have times, lists, complex numbers, integers that float64 merges,
            text that is not a category, a declared quantity that is none, or categories where none
            are allowed.

    Example:
        >>> import pandas as pd
        >>> numbers("x", pd.DataFrame({"sex": ["f", "m", "f"]}))[1:]
        (['sex=m'], ['x: sex has 2 categories, one-hot encoded into 1 column.'])
        >>> numbers("x", pd.DataFrame({"dose": ["7", "7.5"]}), numeric=["dose"])[0].tolist()
        [[7.0], [7.5]]
    """
    columns: list[np.ndarray] = []
    names: list[str] = []
    notes: list[str] = []
    for name in frame.columns:
        found = classify(
            side,
            frame[name],
            categorical=name in categorical,
            numeric=name in numeric,
            untyped=untyped,
        )
        notes += found.notes
        if found.quantity is not None:
            columns.append(found.quantity)
            names.append(name)
            continue
        if not categories:
            raise InputError(
                f"Expected numbers in column {name} of {side}; got text or categories. A part of "
                "the rows does not define the categories: encode them first (numbers as text: "
                "pandas.to_numeric)."
            )
        encoded, own, note = one_hot(side, name, found.text, declared=found.declared)
        columns, names, notes = [*columns, *encoded], [*names, *own], [*notes, note]
    return np.stack(columns, axis=1), names, notes


class Classified(NamedTuple):
    """What the cells of a column are: quantities or text.

    Attributes:
        quantity: (n,), float64; None for text.
        text: (n,), the cells as text; empty for quantities.
        declared: whether the user or the type of the column declares categories.
        notes: how text was read as numbers.
    """

    quantity: np.ndarray | None
    text: Sequence[str]
    declared: bool
    notes: Sequence[str]


def classify(
    side: str,
    values: pd.Series,
    *,
    categorical: bool = False,
    numeric: bool = False,
    untyped: bool = False,
) -> Classified:
    """Decide whether a column without missing values is a quantity, and convert it.

    Args:
        side: the name of the table in notes.
        values: the column.
        categorical: whether it is declared as categories.
        numeric: whether it is declared as a quantity; its text is parsed.
        untyped: whether text that looks like numbers is parsed.

    Returns:
        The quantities, or text, for which `levels` decides whether it is a category.

    Raises:
        InputError: As `numbers`, except for text that is not a category.

    Example:
        >>> import pandas as pd
        >>> classify("x", pd.Series(["7", "7.5"]), numeric=True).quantity.tolist()
        [7.0, 7.5]
    """
    import pandas as pd

    name = str(values.name)
    if numeric and isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    declared = categorical or isinstance(values.dtype, pd.CategoricalDtype)
    days = as_days(values) if numeric else None
    if days is not None:
        return Classified(days.values, (), False, [f"{side}: {name} read as {days.unit}."])
    found = None if declared else _typed(name, values, flags=numeric)
    if found is not None:
        return Classified(found, (), False, ())
    text = _text(name, values)
    if not numeric and (declared or not untyped):
        return Classified(None, text, declared, ())
    found, notes = _parsed(side, name, text, values.index, numeric)
    return Classified(found, text if found is None else (), declared, notes)


def one_hot(
    side: str, name: str, text: Sequence[str], *, declared: bool
) -> tuple[list[np.ndarray], list[str], str]:
    """Encode a column of categories as a column of zeros and ones for each; for two, as one column.

    Args:
        side: "x" or "y", for the note.
        name: the name of the column.
        text: (n,), the categories of the rows.
        declared: whether the user declares these as categories, whatever they look like.

    Returns:
        The columns, each (n,), their names, and a note.

    Raises:
        InputError: If there are too many categories, or none repeats.

    Example:
        >>> one_hot("x", "sex", ["f", "m"], declared=True)[1]
        ['sex=m']
    """
    found = levels(name, text, declared=declared)
    shown = found[1:] if len(found) == 2 else found
    number = {level: k for k, level in enumerate(found)}
    codes = np.array([number[level] for level in text])
    count = f"{len(shown)} column" + ("s" if len(shown) != 1 else "")
    kinds = "1 category" if len(found) == 1 else f"{len(found):,} categories"
    note = f"{side}: {name} has {kinds}, one-hot encoded into {count}."
    if not declared and _read(found) is not None:
        note += " They are numbers as text: name quantities in numeric= (--numeric)."
    columns = [(codes == number[level]).astype(np.float64) for level in shown]
    return columns, [f"{name}={level}" for level in shown], note


def are_merged(cells: Sequence[Any], numbers: np.ndarray) -> bool:
    """Return whether different integers beyond 2^53 in `cells` are equal in float64 `numbers` (n,).

    Example:
        >>> are_merged([10**18, 10**18 + 1], np.array([1e18, 1e18]))
        True
    """
    far = np.flatnonzero(np.isfinite(numbers) & (np.abs(numbers) >= EXACT)).tolist()
    exact = {Decimal(c) if isinstance(c := cells[k], str) else c for k in far}
    return len(exact) > len(np.unique(numbers[far]))


def _typed(name: str, values: pd.Series, *, flags: bool) -> np.ndarray | None:
    """Convert a column of numbers to float64; None if its cells are text or intervals.

    It is None for flags beside other objects too, unless `flags`.
    """
    import pandas as pd

    if isinstance(values.dtype, pd.SparseDtype):  # pandas calls all of these numeric
        values = pd.Series(values.tolist())
    kind, types = values.dtype, pd.api.types
    if types.is_datetime64_any_dtype(kind) or types.is_timedelta64_dtype(kind):
        raise _times(name)
    if types.is_complex_dtype(kind):
        raise _complex(name)
    if types.is_numeric_dtype(kind):  # bool counts as a number here
        with np.errstate(over="ignore"):  # wider floats may overflow; `pair` reports infinities
            found = values.to_numpy(dtype=np.float64)
        if np.abs(found).max(initial=0) >= EXACT and are_merged(values.tolist(), found):
            raise _merged(name)
        return found
    cells = values.tolist()
    if not _are_numbers(name, cells, flags):
        return None
    found = np.array([_float(cell) for cell in cells])
    if are_merged(cells, found):
        raise _merged(name)
    return found


def _are_numbers(name: str, cells: list[Any], flags: bool) -> bool:
    """Return whether all cells of an object column are real numbers; some types are an error."""
    import pandas as pd

    found = set(map(type, cells))
    for kind in found:
        if issubclass(kind, (*TIMES, pd.Period)):
            raise _times(name)
        if issubclass(kind, complex | np.complexfloating):
            raise _complex(name)
        if issubclass(kind, (Iterable, np.void)) and not issubclass(kind, str | bytes):
            raise InputError(
                f"Expected one number or category a cell in column {name}; got cells of type "
                f"{kind.__name__}. Give each element a column of its own (numpy.stack; "
                "pandas.DataFrame for records)."
            )
    found -= {bool, np.bool_} if flags else set()
    return all(issubclass(kind, Real | Decimal) and kind is not bool for kind in found)


def _float(cell: Any) -> float:
    try:
        return float(cell)
    except OverflowError:  # an integer beyond 1.8e308
        return np.inf


def _text(name: str, values: pd.Series) -> list[str]:
    """Convert cells to text and strip spaces; whole floats are written without a point."""
    try:
        return [_label(cell).strip() for cell in values.tolist()]
    except UnicodeDecodeError as error:
        raise InputError(
            f"Expected text in UTF-8 in column {name}; got other bytes. Decode them first, as in "
            'value.decode("latin-1").'
        ) from error


def _label(cell: Any) -> str:
    if isinstance(cell, bytes):
        return cell.decode()
    return str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell)


def _parsed(
    side: str, name: str, text: list[str], index: pd.Index, asked: bool
) -> tuple[np.ndarray | None, list[str]]:
    """Parse text as numbers, with notes about the format; None if it is something else.

    If the user asked for numbers, it is an error if any cell is none; otherwise, if at most half of
    them are.
    """
    read = _read(text)
    if read is not None and not asked and all(map(str.isdecimal, text)):
        code = next(filter(CODE.fullmatch, text), None)
        if code is not None:
            return None, [
                f"{side}: {name} has leading zeros ({code}) and was read as text; name a quantity "
                "in numeric= (--numeric)."
            ]
    if read is not None:
        found = np.array([_float(cell) for cell in read])
        if are_merged(read, found):
            raise _merged(name)
        changed = next((k for k, cell in enumerate(read) if cell != text[k]), None)
        if changed is None:
            return found, []
        return found, [f"{side}: {name} read as numbers, {text[changed]!r} as {read[changed]}."]
    days = text_as_days(name, text) if asked else None
    if days is not None:
        return days.values, [f"{side}: {name} read as {days.unit}."]
    wrong = [k for k, cell in enumerate(text) if not _is_number(cell)]
    if asked or len(wrong) <= len(text) / 2:
        where = ", ".join(f"{text[k]!r} in row {index[k] + 1}" for k in wrong[:3])
        raise InputError(
            f"Expected numbers in column {name}; got text in {len(wrong):,} of {len(text):,} "
            f"rows: {where}. {_remedy([text[k] for k in wrong])}"
        )
    return None, []


def _remedy(wrong: Sequence[str]) -> str:
    """Say what to do about cells that are no numbers."""
    if all(map(AMOUNT.fullmatch, wrong)) and any(set(cell) & {".", ","} for cell in wrong):
        return (
            "Say what marks the decimals, with --decimal . or --decimal , (the other one then "
            "groups thousands)."
        )
    word = shlex.quote(wrong[0][:40])
    return (
        f"Correct those cells, or leave out their lines (--skip-lines); if they mean that a value "
        f"is missing, name the word (--na {word}) and use --drop-missing; or name a column of "
        "codes in categorical= (--categorical)."
    )


def _read(text: Sequence[str]) -> Sequence[str] | None:
    """Return text whose cells `float` reads as what they mean; None if any cell is no number."""
    return text if all(map(_is_number, text)) else amounts(text)


def _is_number(cell: str) -> bool:
    try:
        return not math.isnan(float(cell)) and "_" not in cell
    except ValueError:
        return False


def amounts(text: Sequence[str], *, point: str | None = None) -> list[str] | None:
    """Convert percentages, money, thousands separators and decimal commas to plain numbers.

    Args:
        text: (n,), the cells.
        point: the decimal separator, "." or ","; None if it is to be inferred.

    Returns:
        The numbers as text; None if cells are anything else or not all alike, or if it is ambiguous
        whether a separator groups thousands or marks decimals.

    Example:
        >>> amounts(["1.234,5 €", "12 €"]), amounts(["1,234", "9"]), amounts(["1,234"], point=".")
        (['1234.5', '12'], None, ['1234'])
    """
    found = [match for cell in text if (match := AMOUNT.fullmatch(cell))]
    signs = {(match["before"], match["after"]) for match in found}
    if len(found) < len(text) or len(signs) > 1:
        return None
    money = signs != {("", "")} and signs != {("", "%")}
    bodies = [SPACES.sub("", match["body"]) for match in found]
    minus = ["-" if (m["minus"] in MINUS) != (m["sign"] in MINUS) else "" for m in found]
    for group, decimal in ((",", "."), (".", ",")):
        marks = (re.escape(group), re.escape(decimal))
        declared = point == decimal and all(map(_amount(*marks).fullmatch, bodies))
        if declared or (point is None and _is_clear(bodies, *marks, money)):
            digits = [body.replace(group, "").replace(decimal, ".") for body in bodies]
            return [sign + number for sign, number in zip(minus, digits, strict=True)]
    return None


def _amount(group: str, point: str) -> re.Pattern[str]:
    """Return the pattern of digits with separators."""
    return re.compile(rf"\d{{1,3}}({group}\d{{3}})*({point}\d+)?|\d+({point}\d+)?")


def _is_clear(bodies: list[str], group: str, point: str, money: bool) -> bool:
    """Return whether digits fit these separators and cannot be read with the two exchanged.

    For money, three digits after a separator are thousands, not decimals.
    """
    if not all(map(_amount(group, point).fullmatch, bodies)):
        return False
    separators = {re.sub(r"\d", "", body) for body in bodies}
    if len(separators) == 1 and len(next(iter(separators))) <= 1:
        return True  # the other reading differs by a factor of 1,000 in all rows
    certain = rf"\d+{group}\d+({group}|{point}).*|\d*{point}(\d{{1,2}}|\d{{4,}})"
    certain += rf"|(0|\d{{4,}}){point}\d+" + (rf"|\d{{1,3}}{group}\d{{3}}" if money else "")
    return any(re.fullmatch(certain, body) for body in bodies)


def levels(name: str, text: Sequence[str], *, declared: bool) -> list[str]:
    """Return the sorted categories of a column of text.

    Args:
        name: the name of the column.
        text: (n,), its cells.
        declared: whether the user declares these as categories, whatever they look like.

    Raises:
        InputError: If there are too many, or none repeats.

    Example:
        >>> levels("sex", ["m", "f", "m"], declared=False)
        ['f', 'm']
    """
    found, n = sorted(set(text)), len(text)
    most = min(max(LEVELS, n // REPEATS), MOST)
    if len(found) > most and not declared:
        raise _unlike_categories(name, found, n, most)
    if len(found) == n > LEVELS:
        raise InputError(
            f"Expected categories that repeat in column {name}; got {n:,} different ones in "
            f"{n:,} rows. Merge rare ones, or leave the column out."
        )
    if len(found) > MOST:
        raise InputError(
            f"Expected at most {MOST:,} categories in column {name}; got {len(found):,}. Merge "
            "rare ones, or leave the column out."
        )
    if not fits_in_memory(n, len(found)):
        raise InputError(
            f"Expected categories in column {name} that fit in memory as columns of {n:,} rows; "
            f"got {len(found):,}. Merge rare ones, or leave the column out."
        )
    return found


def _unlike_categories(name: str, levels: list[str], n: int, most: int) -> InputError:
    """Return the error about a text column of n rows with more than `most` levels."""
    if _read(levels) is not None:
        return InputError(
            f"Expected numbers or categories in column {name}; got numbers as text, such as "
            f"{levels[0][:40]!r}, {len(levels):,} different ones in {n:,} rows. Name the column in "
            "numeric= (--numeric) to read them as numbers."
        )
    for pattern, what, remedy in ODD:
        if all(map(pattern.fullmatch, levels)):
            return InputError(
                f"Expected numbers or categories in column {name}; got {what}, such as "
                f"{levels[0][:40]!r}. {remedy}"
            )
    return InputError(
        f"Expected categories or numbers in text column {name}; got {len(levels):,} different "
        f"texts in {n:,} rows; up to {most:,} would be categories. It looks like an identifier: "
        "leave it out, merge rare texts, or, if these are categories, name the column in "
        "categorical= (--categorical)."
    )


def _times(name: str) -> InputError:
    return InputError(
        f"Expected numbers or categories in column {name}; got times. Name the column in numeric= "
        "(--numeric) to read it as days since the first; or turn it into numbers that mean "
        "something here, such as the hour of the day."
    )


def _complex(name: str) -> InputError:
    return InputError(
        f"Expected real numbers in column {name}; got complex ones. Give the real and the "
        "imaginary part as two columns."
    )


def _merged(name: str) -> InputError:
    return InputError(
        f"Expected numbers that float64 distinguishes in column {name}; got integers "
        "beyond 2^53. Leave an identifier out; name a column of codes in categorical= "
        "(--categorical); subtract the smallest from a time."
    )
