"""Rows of a series and the rows before them: the past at chosen lags, within each trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infobound.data.groups import complete_ids, group_ids
from infobound.errors import InputError

__all__ = ["Trials", "as_trials"]

MANY = 10  # trials from which folds and errors of estimates are those of trials


@dataclass(frozen=True, eq=False)
class Trials:
    """Which rows of a series belong together, in the order of time.

    Attributes:
        rows: for each trial, the indices (m,) of its rows.
        start: the place in a trial from which on rows have a past.
    """

    rows: tuple[np.ndarray, ...]
    start: int = 0

    def after(self, start: int) -> Trials:
        """Return the same trials, with rows from a later place on; shorter trials are left out.

        Raises:
            InputError: If no row is left.
        """
        left = tuple(own for own in self.rows if len(own) > start)
        if not left:
            longest = max(map(len, self.rows), default=0)
            raise InputError(
                f"Expected a series, or trials, of more than {start} rows, as long as the past "
                f"reaches back; got {longest} at most. Use a smaller lag or history."
            )
        return Trials(left, start)

    @property
    def lengths(self) -> tuple[int, ...]:
        """The number of rows that have a past, by trial."""
        return tuple(len(own) - self.start for own in self.rows)

    @property
    def groups(self) -> np.ndarray | None:
        """The trial (rows,) of each row with a past, as an id; None for fewer than ten trials.

        The errors of an estimate can be those of trials only if these are many. Few are taken for
        one series.
        """
        if len(self.rows) < MANY:
            return None
        return np.repeat(np.arange(len(self.rows)), self.lengths)

    def past(self, values: np.ndarray, lags: Sequence[int]) -> np.ndarray:
        """Return values some rows before each row that has a past, the trials one after another.

        Args:
            values: (n, d).
            lags: how many rows before; 0 is the row itself, and none exceeds `start`.

        Returns:
            (rows, d * lags), the columns of the first lag first.

        Example:
            >>> as_trials(None, 5).after(2).past(np.arange(5.0)[:, None], [1, 2]).tolist()
            [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]
        """
        found = [
            np.concatenate([values[own[self.start - lag : len(own) - lag]] for own in self.rows])
            for lag in lags
        ]
        rows = sum(self.lengths)
        return np.hstack(found) if found else np.empty((rows, 0))


def as_trials(groups: Any, n: int) -> Trials:
    """Return the trials of n rows.

    Args:
        groups: (n,), a label of the trial or subject of each row; None for one series. Rows of a
            trial are taken in their order, and need not be neighbours in the table.
        n: the number of rows.

    Raises:
        InputError: If there is not one label for each row.

    Example:
        >>> [own.tolist() for own in as_trials(["a", "b", "a"], 3).rows]
        [[0, 2], [1]]
    """
    if groups is None:
        return Trials((np.arange(n),))
    ids = complete_ids(group_ids(groups), n)
    order = np.argsort(ids, kind="stable")
    return Trials(tuple(np.split(order, np.flatnonzero(np.diff(ids[order])) + 1)))
