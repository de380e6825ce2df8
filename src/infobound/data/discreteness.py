"""Distinct values, their entropy, and ties."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from infobound._system.memory import row_ids

if TYPE_CHECKING:
    from infobound.data.pair import Pair

__all__ = ["Entropy", "entropy", "has_ties", "n_distinct"]


def n_distinct(rows: np.ndarray, *, repeated: float = 10) -> int:
    """Count distinct rows of (n, d); return n if a column has fewer than `repeated` rows a value.

    Example:
        >>> n_distinct(np.arange(60).reshape(-1, 1) % 3)
        3
    """
    if any(len(np.unique(column)) > len(rows) / repeated for column in rows.T):
        return len(rows)
    return int(row_ids(rows).max()) + 1


class Entropy(NamedTuple):
    """An estimated entropy, in nats.

    Attributes:
        value: the entropy.
        error: its standard error.
        largest: the largest entropy of that many values.
    """

    value: float
    error: float
    largest: float

    def interval(self, errors: float, extra_error: float = 0.0) -> tuple[float, float]:
        """Return an interval of so many standard errors around the value, in nats.

        A further uncertainty `extra_error`, in nats, lowers the lower end.
        """
        low = self.value - errors * math.hypot(self.error, extra_error)
        return low, min(self.value + errors * self.error, self.largest)


def entropy(rows: np.ndarray) -> Entropy | None:
    """Estimate the entropy of rows that take few values.

    It is the entropy of the observed frequencies plus (K - 1) / 2n, at most log K, for K values.

    Args:
        rows: (n, d).

    Returns:
        The entropy in nats, or None if there are more than n / 10 distinct rows.

    Source: Miller and Madow; Paninski (2003), https://doi.org/10.1162/089976603321780272.

    Example:
        >>> round(entropy(np.arange(60).reshape(-1, 1) % 3).value, 3)  # log 3
        1.099
    """
    if n_distinct(rows) > len(rows) / 10:
        return None
    counts = np.bincount(row_ids(rows))
    surprise = -np.log(counts / len(rows))
    observed = float(np.average(surprise, weights=counts))
    variance = float(np.average((surprise - observed) ** 2, weights=counts))
    unseen = (len(counts) - 1) / (2 * len(rows))
    largest = math.log(len(counts))
    return Entropy(min(observed + unseen, largest), math.sqrt(variance / len(rows)), largest)


def has_ties(pair: Pair) -> bool:
    """Return whether more than one row in twenty repeats a value, in any column.

    Example:
        >>> from infobound.data import as_pair
        >>> has_ties(as_pair([1, 1, 2], [1, 2, 3]))
        True
    """
    return any(len(np.unique(c)) < 0.95 * len(c) for side in (pair.x, pair.y) for c in side.T)
