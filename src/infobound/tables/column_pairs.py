"""Results of many pairs of columns: as frame, matrix, and files."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound._system import arguments, files
from infobound._system.calls import Recorded
from infobound._system.units import Nats, Result, convert, scale
from infobound.errors import InputError
from infobound.pages.page import Page
from infobound.pages.presentable import Presentable
from infobound.results.estimate import Estimate
from infobound.tables import pairwise_page

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TABLES", "ColumnPair", "Pairwise", "Refined", "expect_ending", "save_table"]

TABLES = (".json", ".csv", ".parquet")
FIRST = ["x", "y", "mi", "low", "high", "held_out", "p_value", "q_value", "n", "method"]


@dataclass(frozen=True)
class ColumnPair(Result):
    """The mutual information of two columns, or the conditional one; values in nats.

    Attributes:
        x: the name of a column.
        y: the name of another, the target if there is one.
        mi: the estimate.
        low: the lower end of its 95 % interval, which is for this pair alone.
        high: the upper end.
        p_value: of the permutation test of independence, or of conditional independence.
        q_value: the smallest false discovery rate at which the pair is found (Benjamini-Hochberg).
        adjusted_p: the p-value adjusted for all pairs of the table (max-T; Holm's method with given
            columns).
        normalised: 0 for independent columns, 1 for a function: the estimate as a share of the
            smaller entropy, if a column takes few values; otherwise the correlation of Gaussian
            columns with this MI.
        n: the number of rows in which both have values.
        method: how the MI was estimated.
        standard_error: of the estimate.
        held_out: the value of `infobound.estimate` on rows to which nothing was fitted, for refined
            pairs and with given columns; None for others.

    Example:
        >>> from infobound import pairwise
        >>> found = pairwise({"a": [0, 1] * 20, "b": [1, 0] * 20}).pairs[0]
        >>> round(found.mi, 1), round(found.normalised, 1)
        (0.7, 1.0)
    """

    x: str
    y: str
    mi: Nats
    low: Nats
    high: Nats
    p_value: float
    q_value: float
    n: int
    method: str
    adjusted_p: float
    normalised: float
    standard_error: Nats
    held_out: Nats | None


@dataclass(frozen=True)
class Refined(Result):
    """The full estimate of one of the strongest pairs.

    Attributes:
        x: the name of a column.
        y: the name of another.
        estimate: the result of `infobound.estimate`. Its interval is wider than at the usual 95 %,
            so that those of all pairs of the table together would hold with 95 %.
    """

    x: str
    y: str
    estimate: Estimate


@dataclass(frozen=True, repr=False)
class Pairwise(Recorded, Presentable):
    """The mutual information of many pairs of columns; values in nats.

    Attributes:
        pairs: the pairs, the strongest first.
        columns: the names of the columns that were used, besides targets.
        targets: the names of the targets; empty if all pairs were taken.
        n: the number of rows of the table.
        permutations: the number of permutations of the tests.
        left_out: by name, why columns could not be used.
        notes: how the table was read, and which columns are copies.
        refined: the full estimates that were asked for, in the order of `pairs`.
        given: the names of the columns that are given; then the MI is conditional.

    Example:
        >>> from infobound import pairwise
        >>> x = np.random.default_rng(0).normal(size=(300, 3))
        >>> x[:, 2] += x[:, 0]
        >>> found = pairwise(x)
        >>> found
        Pairwise: 3 pairs of 3 columns, 300 rows; 1 with q <= 0.05. Strongest: 0 and 2, ...
        >>> found.top(1)[["x", "y"]].values.tolist()
        [['0', '2']]
    """

    pairs: tuple[ColumnPair, ...]
    columns: tuple[str, ...]
    targets: tuple[str, ...]
    n: int
    permutations: int
    left_out: Mapping[str, str]
    notes: tuple[str, ...]
    refined: tuple[Refined, ...] = ()
    given: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """What was compared, in a few words."""
        of = f"{len(self.columns):,} columns"
        of += f" with {', '.join(self.targets)}" if self.targets else ""
        of += f", given {', '.join(self.given)}" if self.given else ""
        return f"{len(self.pairs):,} pairs of {of}, {self.n:,} rows"

    def __repr__(self) -> str:
        """Describe the result in one line."""
        count, first = sum(pair.q_value <= 0.05 for pair in self.pairs), self.pairs[0]
        return (
            f"Pairwise: {self.heading}; {count:,} with q <= 0.05. "
            f"Strongest: {first.x} and {first.y}, {first.mi:.3f} nats."
        )

    __str__ = __repr__

    def page(self, units: str = "nats") -> Page:
        """Describe the strongest pairs, how many are found, and what the numbers are for.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        return pairwise_page.page_of(self, units)

    def to_frame(self, units: str = "nats") -> pd.DataFrame:
        """Return the pairs as a frame, the strongest first, with values in "nats" or "bits".

        The first columns are x, y, mi, low, high, held_out, p_value, q_value, n and method.
        `held_out` is missing but for refined pairs and with given columns. With refined pairs there
        are `refined`, `refined_low` and `refined_high`, missing for all other pairs.

        Raises:
            InputError: If the units are neither.
        """
        import pandas as pd

        frame = pd.DataFrame(self._values(units))
        frame = frame[[*FIRST, *(name for name in frame if name not in FIRST)]]
        if self.refined:
            found = [one.estimate.as_dict(units) for one in self.refined]
            more = {
                "refined": [one["mi"] for one in found],
                "refined_low": [one["interval"][0] for one in found],
                "refined_high": [one["interval"][1] for one in found],
            }
            frame = frame.join(pd.DataFrame(more, index=range(len(found))))
        return frame

    def top(self, count: int = 20, *, units: str = "nats") -> pd.DataFrame:
        """Return the first rows of `to_frame`."""
        return dataclasses.replace(self, pairs=self.pairs[: max(count, 1)]).to_frame(units)

    def matrix(self, value: str = "mi", *, units: str = "nats") -> pd.DataFrame:
        """Return a value of each pair as a table of columns by columns, or columns by targets.

        Args:
            value: "mi" or another number of `ColumnPair`, such as "normalised" or "q_value".
            units: "nats" or "bits".

        Returns:
            The table; symmetric, with nan on the diagonal, unless there are targets.

        Raises:
            InputError: If there is no such value or units.

        Example:
            >>> from infobound import pairwise
            >>> pairwise(np.random.default_rng(0).normal(size=(50, 4))).matrix().shape
            (4, 4)
        """
        import pandas as pd

        columns = self._values(units)
        numbers = [name for name in columns if name not in ("x", "y", "method")]
        found = columns[arguments.choice("value", value, numbers)]
        axes = self.columns, self.targets or self.columns
        i, j = ({name: k for k, name in enumerate(axis)} for axis in axes)
        table = np.full((len(i), len(j)), np.nan)
        for pair, cell in zip(self.pairs, found, strict=True):
            table[i[pair.x], j[pair.y]] = cell
            if not self.targets:
                table[i[pair.y], j[pair.x]] = cell
        return pd.DataFrame(table, index=[*axes[0]], columns=[*axes[1]])

    def _values(self, units: str) -> dict[str, Any]:
        """Return the values of all pairs by field, which is faster than pair by pair."""
        names = [field.name for field in dataclasses.fields(ColumnPair)]
        found: dict[str, Any] = {n: [getattr(p, n) for p in self.pairs] for n in names}
        found["held_out"] = np.array(found["held_out"], dtype=np.float64)
        return convert(ColumnPair, found, scale(units))

    def save(self, path: str | Path, *, units: str = "nats") -> None:
        """Write all values as .json, or the pairs as .csv or .parquet.

        Args:
            path: the file; its ending chooses the format.
            units: "nats" or "bits".

        Raises:
            InputError: If the ending or the units are another, or the file cannot be written.
        """
        save_table(self, self.to_frame, path, units)


def save_table(
    result: Result, to_frame: Callable[[str], pd.DataFrame], path: str | Path, units: str
) -> None:
    """Write all values of a result as .json, or its frame as .csv or .parquet.

    Raises:
        InputError: If the ending or the unit is another, or the file cannot be written.
    """
    path = Path(path)
    ending = expect_ending(path, TABLES)
    if ending == ".json":
        data = json.dumps(result.as_dict(units), indent=2).encode() + b"\n"
    elif ending == ".csv":
        data = to_frame(units).to_csv(index=False, lineterminator="\n").encode()
    else:
        buffer = io.BytesIO()
        to_frame(units).to_parquet(buffer, index=False)
        data = buffer.getvalue()
    files.write_atomic(path, data)


def expect_ending(path: Path, known: Sequence[str]) -> str:
    """Return the ending of a file to be written.

    Raises:
        InputError: If it is not one of those known.

    Example:
        >>> expect_ending(Path("all.csv"), TABLES)
        '.csv'
    """
    if path.suffix not in known:
        raise InputError(
            f"Expected a file ending in {', '.join(known)}; got {path.name}. Rename it."
        )
    return path.suffix
