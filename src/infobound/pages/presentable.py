"""What every result can do: be shown in a notebook, summarised, drawn, tabulated and reported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from infobound._system import arguments, files
from infobound.errors import InputError
from infobound.pages import html
from infobound.pages.page import Page
from infobound.plotting import figures

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Presentable", "drawn", "flat", "save_report"]

KINDS: dict[str, Literal["png", "svg", "pdf"]] = {".png": "png", ".svg": "svg", ".pdf": "pdf"}


class Presentable(ABC):
    """Base class of results that can be shown.

    A result defines `page`, `__str__` (one line) and `as_dict`; it is a dataclass with
    `repr=False`. Values are in nats wherever `units` is not given.

    Example:
        >>> class Found(Presentable):
        ...     def page(self, units="nats"):
        ...         return Page("example", "An example", "0.5 nats", units)
        ...     def __str__(self):
        ...         return "0.5 nats"
        ...     def as_dict(self, units="nats"):
        ...         return {"unit": units, "mi": 0.5, "interval": (0.4, 0.6)}
        >>> Found(), Found().to_frame().columns.tolist()
        (Found: 0.5 nats, ['mi', 'low', 'high', 'unit'])
    """

    @abstractmethod
    def page(self, units: str = "nats") -> Page:
        """Describe everything about the result that can be shown.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """

    @abstractmethod
    def __str__(self) -> str:
        """Format the result as one line with its unit."""

    @abstractmethod
    def as_dict(self, units: str = "nats") -> dict[str, Any]:
        """Return plain values for JSON; `units` is "nats" or "bits"."""

    def __repr__(self) -> str:
        """Describe the result in one line."""
        return f"{type(self).__name__}: {self}"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return self.page()._repr_html_()

    def summary(self, units: str = "nats") -> str:
        """Return the numbers, the findings and the verdict as lines of text.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        return str(self.page(units))

    def to_frame(self, units: str = "nats") -> pd.DataFrame:
        """Return the values as a frame, one row for each part of the result.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        import pandas as pd

        return pd.DataFrame(self.records(units))

    def records(self, units: str = "nats") -> list[dict[str, Any]]:
        """Return the rows of `to_frame`: here one, of all single values and intervals."""
        return [flat(self.as_dict(units))]

    def plot(self, *, units: str = "nats", path: str | Path | None = None) -> Figure:
        """Draw the most important figure of the result.

        Args:
            units: "nats" or "bits".
            path: a file to write it to, .png, .svg or .pdf.

        Returns:
            The matplotlib figure, which notebooks show.

        Raises:
            InputError: If there is no figure, the units or the ending are unknown, or the file
                cannot be written.
        """
        return drawn(self.page(units), path)

    def report(
        self, path: str | Path, *, units: str = "nats", also: Sequence[Presentable] = ()
    ) -> Path:
        """Write one HTML file that needs nothing else: numbers, figures, findings, methods.

        Args:
            path: the file, .html.
            units: "nats" or "bits".
            also: other results for the same page.

        Returns:
            The file.

        Raises:
            InputError: If the units or the ending are unknown, or the file cannot be written.
        """
        return save_report([each.page(units) for each in (self, *also)], path)


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the single values and the intervals of `as_dict` as a row, with the unit last.

    Example:
        >>> flat({"unit": "nats", "mi": 1.0, "interval": (0.5, 1.5), "notes": ("a",)})
        {'mi': 1.0, 'low': 0.5, 'high': 1.5, 'unit': 'nats'}
    """
    row: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, list | tuple) and [type(each) for each in value] == [float, float]:
            prefix = "" if name == "interval" else f"{name}_"
            row[f"{prefix}low"], row[f"{prefix}high"] = value
        elif name != "unit" and (value is None or isinstance(value, str | int | float)):
            row[name] = value
    return row | {"unit": values["unit"]}


def drawn(page: Page, path: str | Path | None = None) -> Figure:
    """Draw the first picture of a page, and write it to a file if one is given.

    Raises:
        InputError: If the page has no picture, the ending is unknown, or the file cannot be
            written.
    """
    if not page.pictures:
        raise InputError(f"Expected a result that can be drawn; got {page.headline}.")
    kind = None if path is None else KINDS[arguments.ending("path", path, [*KINDS])]
    figure = page.pictures[0].draw()
    if path is not None and kind is not None:
        files.write_atomic(path, figures.render(figure, kind))
    return figure


def save_report(pages: Sequence[Page], path: str | Path) -> Path:
    """Write pages as one HTML file that needs nothing else; several compare themselves.

    Raises:
        InputError: If the file does not end in .html, or cannot be written.
    """
    arguments.ending("path", path, (".html", ".htm"))
    files.write_atomic(Path(path), html.document(pages).encode())
    return Path(path)
