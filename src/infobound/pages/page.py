"""The description of a result that is shown: plain text, and functions that draw figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infobound.pages.html import fragment
from infobound.pages.text import summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Answer", "Measure", "Number", "Page", "Picture", "Remark", "Table", "Verdict"]


@dataclass(frozen=True)
class Verdict:
    """The judgement of a result.

    Attributes:
        code: "ok", or the code of the most severe finding.
        severity: "ok", "warning", "note" or "remark".
        text: the judgement in words.
    """

    code: str
    severity: str
    text: str


@dataclass(frozen=True)
class Number:
    """A number of a result, and what it may be used for.

    Attributes:
        name: what it is called, for example "Estimate I(X;Y)".
        value: the formatted value.
        unit: its unit; empty for p-values and counts.
        error: its interval or standard error in words.
        what: how it was computed.
        use: what it may be used for.
        report: whether it is a number to be quoted; the others are for comparison.
    """

    name: str
    value: str
    unit: str = ""
    error: str = ""
    what: str = ""
    use: str = ""
    report: bool = True


@dataclass(frozen=True)
class Measure:
    """A value with an interval by which results on one page are compared, in nats.

    Attributes:
        name: what it is of.
        value: the value.
        low: the lower end of its interval.
        high: the upper end.
    """

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Table:
    """A table of formatted values.

    Attributes:
        title: its title.
        columns: the heads of the columns.
        rows: the cells; text in the first column, and numbers in those of `numeric`.
        numeric: the places of the columns that are aligned to the right.
        note: a sentence below.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure that is drawn when it is needed.

    Attributes:
        name: a word for file names and links.
        caption: what it shows and how it is read.
        draw: makes the matplotlib figure.
    """

    name: str
    caption: str
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class Remark:
    """A problem of the data or the result, with its remedy.

    Attributes:
        code: its code, as docs/findings.md lists them.
        severity: "warning", "note" or "remark".
        text: the problem and the remedy.
    """

    code: str
    severity: str
    text: str


@dataclass(frozen=True)
class Answer:
    """The answer to a question that a reviewer asks.

    Attributes:
        question: the question.
        text: the answer from this result, or what to do for one.
        known: whether this result answers it.
        other: the kind of result that answers it, if that is on the same page.
    """

    question: str
    text: str
    known: bool = True
    other: str = ""


@dataclass(frozen=True, repr=False)
class Page:
    """Everything about a result that can be shown.

    Attributes:
        kind: what kind of result it is, in words.
        title: what was computed of what.
        headline: the result in one line.
        units: "nats" or "bits", the unit of all values.
        verdict: the judgement, if there is one.
        numbers: the numbers, in order of their importance.
        measures: the values by which results on one page are compared.
        tables: further values.
        pictures: figures; the first one is what `plot` returns.
        remarks: findings with remedies.
        notes: how the data were read, and other sentences.
        methods: paragraphs for a methods section.
        checklist: what a reviewer asks.
        settings: the settings that were used, by name.
        versions: the versions of the software, by name.
        repeat: code or commands that repeat the computation, by what they are.
        references: addresses in `references.BIBTEX` of exactly the methods that were used.

    Example:
        >>> page = Page("estimate", "I(X;Y)", "0.5 nats", "nats", numbers=(Number("MI", "0.5"),))
        >>> print(page)
        I(X;Y)
          MI  0.5
    """

    kind: str
    title: str
    headline: str
    units: str
    verdict: Verdict | None = None
    numbers: tuple[Number, ...] = ()
    measures: tuple[Measure, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    remarks: tuple[Remark, ...] = ()
    notes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    checklist: tuple[Answer, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    repeat: Mapping[str, str] = field(default_factory=dict)
    references: tuple[str, ...] = ()

    @property
    def unit_of_remarks(self) -> str:
        """A sentence on findings of older files, which stay in nats; empty without these."""
        mixed = any(re.search(r"\bnats?\b", remark.text) for remark in self.remarks)
        return "Values within findings are in nats." if mixed and self.units != "nats" else ""

    def __repr__(self) -> str:
        """Name the page in one line."""
        return f"Page of {self.title}: {self.headline}"

    def __str__(self) -> str:
        """Return a summary as plain text."""
        return summary(self)

    def _repr_html_(self) -> str:
        """Return the fragment that a notebook shows."""
        return fragment(self)
