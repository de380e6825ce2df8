"""How a file is written, where the file does not say so itself."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Literal

from infobound._system import arguments
from infobound.errors import InputError

__all__ = ["ReadOptions"]

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|", "space": " "}


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Options of reading a file. What is not given is inferred from the file.

    Raises:
        InputError: a value outside its range.

    Example:
        >>> ReadOptions(sep="tab").separator
        '\\t'
    """

    header: bool | None = None
    """Whether the first line of a text file or sheet has the names of the columns. Without names,
    the columns are called 0, 1, ... By default the first line has the names; it is an error if it
    looks like a row of data."""
    sep: str | None = None
    """Separator of a text file: one character, or comma, semicolon, tab, pipe, space (any number of
    spaces). Default: inferred from the first lines."""
    decimal: Literal[".", ","] | None = None
    """Decimal separator of a text file, . or a comma; the other one then groups thousands. Default:
    inferred, or an error where both readings are possible."""
    encoding: str | None = None
    """Encoding of a text file, such as cp1252, latin-1 or utf-16. Default: UTF-8, or what the mark
    at the start of the file (BOM) says."""
    comment: str | None = None
    """Start of lines that are comments. Default: #; with '' no line is a comment."""
    skip_lines: tuple[int, ...] = ()
    """Numbers of lines of a text file to leave out, counted from 1, such as a title or a row of
    units."""
    na: tuple[str, ...] = ()
    """More words that count as missing, such as '?' or -999. NA, NaN, null, None and empty cells
    always do."""
    sheet: str | None = None
    """Sheet of an Excel file. Default: the first."""
    format: str | None = None
    """Format of the file where its ending does not name it: csv, tsv, jsonl, parquet, feather,
    xlsx, npz, npy."""

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("sep", "encoding", "comment", "sheet", "format"):
            if getattr(self, name) is not None:
                arguments.text(name, getattr(self, name))
        if self.header is not None:
            arguments.boolean("header", self.header)
        if self.sep is not None and len(self.separator or "") != 1:
            raise InputError(
                f"Expected one character as sep, or one of {', '.join(SEPARATORS)}; got "
                f"{self.sep!r}. Replace it in the file by one."
            )
        if self.decimal is not None:
            arguments.choice("decimal", self.decimal, (".", ","))
            if self.decimal == self.separator:
                raise InputError(
                    f"Expected different characters for sep and decimal; got {self.sep!r} for both."
                )
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError as error:
                raise InputError(
                    f"Expected a known encoding, such as utf-8, cp1252, latin-1 or utf-16; got "
                    f"{self.encoding!r}."
                ) from error
        for line in self.skip_lines:
            arguments.integer("skip_lines", line, least=1)
        arguments.names("na", self.na)

    @property
    def separator(self) -> str | None:
        """The separator as a character."""
        return None if self.sep is None else SEPARATORS.get(self.sep, self.sep)
