"""Separated text (CSV, TSV and others) as a table: encoding, comments, separator, names, numbers.

pandas reads the table. What is inferred here is only how; where there are two readings that give
different tables, it is an error that names both.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from infobound._system.memory import free_memory
from infobound.data.encoding import EXACT, amounts, are_merged
from infobound.errors import InputError
from infobound.files.compression import OPENERS, open_binary
from infobound.files.formats.header import NUMBER, expect_names, expect_no_units
from infobound.files.read_options import ReadOptions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TextTable", "read_text"]

COLUMNS = 100_000  # largest number of columns: pandas takes ten seconds to read them
LONGEST = 2**24  # largest number of characters of a line, and of the first lines together
FIRST = 50  # lines from which the separator is inferred
COMMENT = "#"
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WITHIN = np.frombuffer(b"0123456789.:/+-", dtype=np.uint8)  # no cell begins after one of these
ERRORS = re.compile(r"#(N/?A|REF!|DIV/0!|VALUE!|NAME\?|NUM!|NULL!)")  # of spreadsheets
ZEROS = re.compile(r"0\d+")
PIECE = 2**18  # characters searched at once


@dataclass(frozen=True, eq=False)
class TextTable:
    """A text file as a table.

    Attributes:
        frame: the columns, with their names, which may repeat.
        notes: how it was read.
        spelled: the words in each text column that count as missing: "NA" may be a value there.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    spelled: Mapping[str, list[str]] = field(default_factory=dict)


def read_text(path: Path, options: ReadOptions, *, usual: str = ",") -> TextTable:
    """Read a text file as a table, after checking that it is one and fits in memory.

    Args:
        path: the file, which may be compressed.
        options: how it is written.
        usual: the separator that is tried first.

    Raises:
        InputError: If it is no table, does not fit in memory, or can be read in two ways.
        UnicodeDecodeError: If it is in another encoding.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "rows.csv"
        ...     _ = path.write_text("a;b\\n1,5;x\\n2,5;y")
        ...     table = read_text(path, ReadOptions())
        >>> table.frame["a"].tolist(), table.notes
        ([1.5, 2.5], ('Commas read as decimal points (1,5 is 1.5).',))
    """
    file = _File(path, options)
    start = _Start(file, options, usual)
    _expect_columns(max(map(len, start.rows), default=0), path)
    _expect_fits(path, file, start)
    if not start.rows:
        raise InputError(
            f"Expected data in {path.name}; got only empty lines or comments. Write it again."
        )
    if options.header is not False:
        _expect_header(path, start)
    if options.decimal is None and start.separator == ";" and start.decimal == ".":
        _expect_decimals(path, start)
    parser = _Parser(file, start, options)
    frame = parser.frame()
    if options.comment is None:
        _expect_comments(path, file, start)
    frame, spelled = _as_written(frame, parser)
    notes = [*file.notes, *start.notes, *parser.notes]
    if options.decimal is not None:
        frame, more = _declared(frame, options.decimal)
        notes += more
    if start.names is None:
        if len(start.numbers) > 1:
            expect_no_units(path.name, start.numbers[:2], frame)
        if options.header is None:
            notes += expect_names(path.name, [cell.strip() for cell in start.rows[0]], frame)
    return TextTable(frame, tuple(notes), spelled)


class _File:
    """The lines of a text file without comments and without those to leave out."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path, self.skip = path, frozenset(options.skip_lines)
        self.encoding = options.encoding or _encoding(path)
        self.comment = COMMENT if options.comment is None else options.comment
        self.above: list[str] = []  # comments above the first line of the table
        self.within: list[tuple[int, str]] = []  # other comments, with the numbers of their lines
        if self.comment and not self._has_comments():
            self.comment = ""
        elif self.comment and not any(True for _ in self.lines()):
            raise InputError(
                f"Expected rows in {path.name}; got only lines that start with {self.comment}, as "
                "comments. If these are rows, say --comment ''."
            )

    @property
    def notes(self) -> list[str]:
        """A sentence about comments."""
        count = len(self.above) + len(self.within)
        lines = "1 line that starts" if count == 1 else f"{count:,} lines that start"
        return [f"Left out {lines} with {self.comment}, as comments."] * bool(count)

    def opened(self) -> io.TextIOWrapper:
        """Open the file as text."""
        return io.TextIOWrapper(open_binary(self.path), encoding=self.encoding, newline="")

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces."""
        with self.opened() as file:
            while piece := file.read(PIECE):
                yield piece

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the lines with their numbers from 1, and note the comments.

        Raises:
            InputError: If a line is too long.
        """
        self.above, self.within = [], []
        quoted = started = False
        with self.opened() as file:
            for number in itertools.count(1):
                line = file.readline(LONGEST)
                if not line:
                    return
                if len(line) == LONGEST:
                    raise InputError(
                        f"Expected lines of less than {LONGEST:,} characters in {self.path.name}; "
                        f"line {number} is longer. Is it a table of rows and columns?"
                    )
                if number in self.skip:
                    continue
                if not quoted and self._is_comment(line):
                    if started:
                        self.within.append((number, line))
                    else:
                        self.above.append(line)
                    continue
                quoted ^= line.count('"') % 2 == 1
                started |= bool(line.strip())
                yield number, line

    def _is_comment(self, line: str) -> bool:
        """Return whether a line is a comment, and no cell of a spreadsheet such as #N/A."""
        found = bool(self.comment) and line.startswith(self.comment)
        return found and not (self.comment == COMMENT and ERRORS.match(line))

    def source(self) -> IO[Any]:
        """Return what pandas reads: the file, or its lines without those that are left out."""
        if not self.skip and not self.comment:
            return open_binary(self.path)
        return io.StringIO("".join(line for _, line in self.lines()), newline="")

    def _has_comments(self) -> bool:
        last = "\n"
        for piece in self.pieces():
            text = last + piece
            if any(f"{end}{self.comment}" in text for end in "\n\r"):
                return True
            last = piece[-len(self.comment) :]
        return False

    def may_have_codes(self) -> bool:
        """Return whether some cell may consist of digits and begin with a zero."""
        last = "\n"
        for piece in self.pieces():
            text = np.frombuffer((last + piece).encode("latin-1", "replace"), dtype=np.uint8)
            at = np.flatnonzero(text[1:-1] == ord("0"))
            before, after = text[at], text[at + 2]
            digits = (after >= ord("0")) & (after <= ord("9"))
            if np.any(digits & ~np.isin(before, WITHIN)):
                return True
            last = piece[-2:]
        return False


class _Start:
    """What the first lines tell: the separator, the names, the decimal separator."""

    def __init__(self, file: _File, options: ReadOptions, usual: str) -> None:
        lines, self.numbers, length = [], [], 0
        for number, line in file.lines():
            if line.strip("\r\n "):
                lines.append(line)
                self.numbers.append(number)
                length += len(line)
            if len(lines) == FIRST or length > LONGEST:
                break
        self.length = length
        above = [line.lstrip(f"{file.comment} ") for line in file.above[-1:]]
        self.separator, self.rows = _separated(lines, above, asked=options.separator, usual=usual)
        self.notes: list[str] = []
        self.names: list[str] | None = None
        if options.header is False and self.rows:
            self.names = [str(k) for k in range(len(self.rows[0]))]
        elif options.header is None and above and self.rows:
            self.names = self._commented(above[0].strip())
        body = self.rows[1:] if self.names is None else self.rows
        cells = [cell.strip() for row in body for cell in row]
        self.decimal = options.decimal or _decimal(cells, self.separator)
        if self.decimal == "," and options.decimal is None:
            self.notes.append("Commas read as decimal points (1,5 is 1.5).")

    def _commented(self, comment: str) -> list[str] | None:
        """Return the names in the comment above a line that begins with numbers, if it has them."""
        found = _cells([comment], self.separator)
        first = [cell.strip() for cell in self.rows[0]]
        if not found or len(found[0]) != len(first) or not any(map(NUMBER.fullmatch, first)):
            return None
        self.notes.append(f"Names of the columns are those of the comment above: {comment}.")
        return [cell.strip() or COMMENT for cell in found[0]]


class _Parser:
    """pandas, with the same options for each reading."""

    def __init__(self, file: _File, start: _Start, options: ReadOptions) -> None:
        self.file, self.start, self.options = file, start, options
        self.notes: list[str] = []

    def frame(self, **more: Any) -> pd.DataFrame:
        """Read the table.

        Raises:
            InputError: If a line has too many cells.
        """
        import pandas as pd

        exact: dict[str, Any] = {}
        if tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1):
            exact = {"float_precision": "round_trip"}  # what later versions do by default
        start, path = self.start, self.file.path
        try:
            with self.file.source() as source:
                found: pd.DataFrame = pd.read_csv(
                    source,
                    sep=r"\s+" if start.separator == " " else start.separator,
                    decimal=start.decimal,
                    header=0 if start.names is None else None,
                    encoding=self.file.encoding,
                    na_values=[*self.options.na],
                    skipinitialspace=True,  # a cell of spaces counts as empty
                    low_memory=False,
                    **exact,
                    **more,
                )
        except pd.errors.ParserError as error:
            raise _ragged(path, error) from error
        last = found.iloc[:, -1]
        if not isinstance(found.index, pd.RangeIndex) and (last.isna() | last.eq("")).all():
            # Rows end with a separator and the header does not: the index is not row names.
            names, found = found.columns, found.reset_index()
            found = found.iloc[:, : len(names)].set_axis(names, axis=1)
        elif not isinstance(found.index, pd.RangeIndex):
            self.notes = ["The first cell of each row has no name and was left out (row names)."]
        found = found.reset_index(drop=True)
        names = start.names or [cell.strip() for cell in start.rows[0]]
        if len(names) == len(found.columns):  # undo pandas' renaming, to report duplicates
            found.columns = pd.Index([n or str(c) for n, c in zip(names, found, strict=True)])
        return found


def _encoding(path: Path) -> str:
    """Return the encoding that the first bytes tell.

    Raises:
        InputError: If it is UTF-16 without a mark.
    """
    with open_binary(path) as file:
        first = file.read(4096)
    for mark, name in BOMS:
        if first.startswith(mark):
            return name
    zeros = [first[k::2].count(0) / max(1, len(first[k::2])) for k in (0, 1)]
    if max(zeros) > 0.5:
        guess = "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
        raise InputError(
            f"Expected text in UTF-8 in {path.name}; got zero bytes, as in UTF-16. Name the "
            f"encoding: --encoding {guess}."
        )
    return "utf-8"


def _cells(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Split lines into cells; several spaces separate as one."""
    limit = csv.field_size_limit(sum(map(len, lines)) + 1)  # for unseparated lines
    try:
        rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    finally:
        csv.field_size_limit(limit)
    if separator == " ":
        rows = [row[:-1] if len(row) > 1 and not row[-1].strip() else row for row in rows]
    return rows


def _separated(
    lines: Sequence[str],
    above: Sequence[str],
    *,
    asked: str | None,
    usual: str,
) -> tuple[str, list[list[str]]]:
    """Find the separator that gives header and first row equal lengths, or nearly so.

    Args:
        lines: the first lines.
        above: the comment above them, which may be the header.
        asked: the separator, if it is known.
        usual: the separator that is tried first.

    Returns:
        The separator, and the lines split by it.
    """
    if asked is not None:
        return asked, _cells(lines, asked)
    found = {sign: _cells(lines, sign) for sign in (usual, *";\t,| ")}
    for sign, rows in found.items():
        names = _cells(above, sign)
        if names and rows and 1 < len(names[0]) == len(rows[0]) == len(rows[-1]):
            return sign, rows
    for more in (0, 1):  # one more cell: row names, or a separator at the end
        alike = [
            sign
            for sign, rows in found.items()
            if rows and 1 < len(rows[0]) == len(rows[min(1, len(rows) - 1)]) - more
        ]
        if alike:  # 1,5;2 has two cells with either, but numbers only with one
            sign = max(alike, key=lambda sign: _numbers(found[sign]))
            return sign, found[sign]
    # A title, or names of a comment, above the table: what most lines have
    for sign, rows in found.items():
        if rows and len(rows) > 2 and 1 < len(rows[-1]) == len(rows[-2]):
            return sign, rows
    return usual, found[usual]


def _numbers(rows: Sequence[Sequence[str]]) -> float:
    """Return the share of cells that are numbers."""
    cells = [cell.strip() for row in rows for cell in row]
    return sum(NUMBER.fullmatch(cell) is not None for cell in cells) / max(1, len(cells))


def _decimal(cells: Sequence[str], separator: str) -> str:
    """Return a comma if cells have decimal commas that cannot group thousands."""
    if separator == "," or any(re.fullmatch(r"[-+]?\d*\.\d+", cell) for cell in cells):
        return "."
    commas = r"[-+]?(\d*,(\d{1,2}|\d{4,})|(0|\d{4,}),\d+)([eE][-+]?\d+)?|[-+]?\d+,\d+[eE][-+]?\d+"
    return "," if any(re.fullmatch(commas, cell) for cell in cells) else "."


def _expect_columns(count: int, path: Path) -> None:
    if count > COLUMNS:
        raise InputError(
            f"Expected at most {COLUMNS:,} columns in {path.name}; got {count:,}. Is it a table of "
            "rows and columns? Save those that you need."
        )


def _expect_fits(path: Path, file: _File, start: _Start) -> None:
    """Check that a table fits in memory; a cell takes about 20 bytes besides its text.

    The contents of a compressed file are counted.
    """
    each = start.length / max(1, sum(map(len, start.rows)))
    most = free_memory() / (1 + 20 / max(1, each))
    count = 0
    if path.suffix.lower() in OPENERS:
        with open_binary(path) as packed:
            while count <= most and (piece := packed.read(PIECE)):
                count += len(piece)
    else:
        count = path.stat().st_size
    if count > most:
        raise InputError(
            f"Expected text that memory holds as a table, here {most / 1e9:.3g} GB; {path.name} "
            "has more. Convert it to Parquet, of which only the selected columns are read."
        )


def _expect_header(path: Path, start: _Start) -> None:
    """Check that the first line is as wide as most of the others, or one narrower (row names)."""
    widths = Counter(len(row) for row in start.rows[1:])
    if not widths or start.names is not None:
        return
    width, first = max(widths, key=lambda each: widths[each]), len(start.rows[0])
    if first >= width - 1 and not (first == 1 < width):
        return
    if all(not cell.strip() for row in start.rows[1:] for cell in row[first:]):
        return  # separators at the end of the lines
    at = next(k for k, row in enumerate(start.rows) if len(row) == width)
    lines = " ".join(str(start.numbers[k]) for k in range(min(at, len(start.numbers))))
    raise InputError(
        f"Expected names of {width} columns in the first line of {path.name}, as most lines have "
        f"{width} cells; got {', '.join(start.rows[0])[:60]!r}. If the names are in line "
        f"{start.numbers[at]}, leave out those above: --skip-lines {lines}. Otherwise name the "
        "separator (--sep)."
    )


def _expect_comments(path: Path, file: _File, start: _Start) -> None:
    """Check that lines taken for comments do not have as many cells as the table."""
    for number, line in file.within:
        row = _cells([line], start.separator)[0]
        spaced = line[len(file.comment) :][:1].isspace()  # as no value begins
        if len(row) == len(start.rows[0]) and not spaced:
            raise InputError(
                f"Expected no line that may be a comment or a row in {path.name}; got "
                f"{line.strip()[:40]!r} in line {number}. Say --comment '{file.comment}' to leave "
                "such lines out, or --comment '' to read them."
            )


def _expect_decimals(path: Path, start: _Start) -> None:
    """Check that points do not group thousands: 1.234 beside 999, in a file with semicolons."""
    body = start.rows[1:] if start.names is None else start.rows
    for column in itertools.zip_longest(*body, fillvalue=""):
        cells = [cell.strip() for cell in column if cell.strip()]
        pointed = [cell for cell in cells if "." in cell]
        whole = [cell for cell in cells if re.fullmatch(r"-?\d+", cell)]
        thousands = all(re.fullmatch(r"-?[1-9]\d{0,2}(\.\d{3})+", cell) for cell in pointed)
        if pointed and whole and thousands and len(pointed) + len(whole) == len(cells):
            raise InputError(
                f"Expected numbers of one reading in {path.name}; got {pointed[0]} beside "
                f"{whole[0]}. Say what marks the decimals: --decimal . ({pointed[0]} is about "
                f"{pointed[0].partition('.')[0]}), or --decimal , (it groups thousands)."
            )


def _ragged(path: Path, error: Exception) -> InputError:
    """Return the error about a line with too many cells."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
    if found is None:
        return InputError(
            f"Expected a table of separated text in {path.name}; it cannot be read "
            f"({str(error).strip()}). Is it complete, are quotes closed, and what is the separator "
            "(--sep)?"
        )
    width, line, cells = found.groups()
    return InputError(
        f"Expected {width} cells in each line of {path.name}; it cannot be read: got {cells} in "
        f"line {line}. Quote cells that contain the separator, name another separator with --sep, "
        f"or leave the line out with --skip-lines {line}."
    )


def _as_written(frame: pd.DataFrame, parser: _Parser) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Keep columns as text whose numbers would lose something: far integers, leading zeros.

    Returns:
        The frame; and, by text column, the words in its missing cells.
    """
    import pandas as pd

    types = pd.api.types
    columns = [frame.iloc[:, k] for k in range(frame.shape[1])]
    real = [k for k, c in enumerate(columns) if types.is_float_dtype(c.dtype)]
    far = [k for k in real if (columns[k].abs() >= EXACT).any()]
    whole = [k for k in real if (columns[k].dropna() % 1 == 0).all()]
    whole += [k for k, c in enumerate(columns) if types.is_integer_dtype(c.dtype)]
    whole = whole if whole and parser.file.may_have_codes() else []
    text = [k for k, c in enumerate(columns) if not types.is_numeric_dtype(c.dtype)]
    absent = [k for k in text if columns[k].isna().any()]
    spelled: dict[str, list[str]] = {}
    if not far and not absent and not whole:
        return frame, spelled
    written = parser.frame(dtype=str, keep_default_na=False)
    for k in sorted({*far, *whole}):
        cells = written.iloc[:, k].where(columns[k].notna())
        plain = cells.str.replace(",", ".") if parser.start.decimal == "," else cells
        coded = k in whole and cells.str.strip().str.fullmatch(ZEROS.pattern).any()
        if coded or (k in far and are_merged(plain.tolist(), columns[k].to_numpy())):
            frame.isetitem(k, plain.astype(object))
    for k in absent:
        cells = written.iloc[:, k][columns[k].isna()].str.strip()
        spelled[str(frame.columns[k])] = sorted(set(cells) - {"", *parser.options.na})
    return frame, spelled


def _declared(frame: pd.DataFrame, point: str) -> tuple[pd.DataFrame, list[str]]:
    """Read text columns of amounts with the declared decimal separator."""
    import pandas as pd

    notes = []
    for k in range(frame.shape[1]):
        column = frame.iloc[:, k]
        known = column.dropna()
        if pd.api.types.is_numeric_dtype(column.dtype) or not len(known):
            continue
        text = [str(cell).strip() for cell in known]
        found = amounts(text, point=point)
        if found is not None and not any(map(ZEROS.fullmatch, text)):
            numbers = pd.Series(np.nan, index=column.index)
            numbers[known.index] = [float(cell) for cell in found]
            frame.isetitem(k, numbers)
            at = next((i for i, cell in enumerate(found) if cell != text[i]), 0)
            notes.append(f"{frame.columns[k]} read as numbers, {text[at]!r} as {found[at]}.")
    return frame, notes
