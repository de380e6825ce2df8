"""A page as plain text, for `summary()` and logs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infobound.pages.page import Page, Table

__all__ = ["summary"]

WIDTH = 100  # letters of a line
MOST = 20  # rows of a table
NOTES = 8  # notes on how rows were read


def summary(page: Page) -> str:
    """Return a page as lines of plain text: title, numbers, tables, notes, findings and verdict.

    Example:
        >>> from infobound.pages.page import Page, Table
        >>> table = Table("Pairs", ("x", "mi"), (("a", "0.5"), ("long", "0.25")), numeric=(1,))
        >>> print(summary(Page("pairs", "Two pairs", "", "nats", tables=(table,))))
        Two pairs
        Pairs
          x       mi
          a      0.5
          long  0.25
    """
    return "\n".join(_lines(page))


def _lines(page: Page) -> Iterator[str]:
    yield page.title
    if page.numbers:
        values = [(n.name, f"{n.value} {n.unit}".strip(), n.error) for n in page.numbers]
        yield from _aligned(values, ())
    for table in page.tables:
        yield from _table(table)
    for note in page.notes[:NOTES]:
        yield from textwrap.wrap(f"note  {note}", WIDTH, subsequent_indent="  ")
    if len(page.notes) > NOTES:
        yield f"  ... and {len(page.notes) - NOTES:,} more notes"
    for remark in page.remarks:
        label = f"{remark.severity}: {remark.code}".replace("_", " ")
        yield from textwrap.wrap(f"{label}  {remark.text}", WIDTH, subsequent_indent="  ")
    if page.unit_of_remarks:
        yield page.unit_of_remarks
    if page.verdict is not None:
        yield f"verdict: {page.verdict.code.replace('_', ' ')} - {page.verdict.text}"


def _table(table: Table) -> Iterator[str]:
    yield table.title
    yield from _aligned([table.columns, *table.rows[:MOST]], table.numeric)
    if len(table.rows) > MOST:
        yield f"  ... and {len(table.rows) - MOST:,} more"


def _aligned(rows: Sequence[Sequence[str]], numeric: Sequence[int]) -> Iterator[str]:
    """Return rows of cells as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if place in numeric else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()
