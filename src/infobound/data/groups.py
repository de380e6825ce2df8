"""Groups of rows that are not independent: rows of one subject, trial or site."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound.data.containers import as_rows
from infobound.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["complete_ids", "group_ids", "useful_groups"]


def group_ids(labels: Any) -> np.ndarray:
    """Return the group (n,) of each row as an id from 0, in order of first appearance.

    Args:
        labels: (n,) or (n, d), numbers or text in any container; rows of equal labels are a group.

    Returns:
        (n,); -1 where a label is missing.

    Raises:
        InputError: If the labels are neither numbers nor text.

    Example:
        >>> group_ids(["anna", "bert", "anna", None]).tolist()
        [0, 1, 0, -1]
    """
    import pandas as pd

    rows, _ = as_rows("groups", labels)
    frame = pd.DataFrame(rows) if isinstance(rows, np.ndarray) else rows
    return _codes(frame.reset_index(drop=True))


def _codes(frame: pd.DataFrame) -> np.ndarray:
    """Number the distinct rows of a frame; -1 where a value is missing."""
    import pandas as pd

    codes = np.zeros(len(frame), dtype=np.int64)
    for _, column in frame.items():
        own = pd.factorize(column)[0]
        missing = (own < 0) | (codes < 0)
        codes = pd.factorize(codes * (own.max(initial=0) + 1) + own)[0]
        codes[missing] = -1
    if (codes < 0).any():  # the others count from 0
        codes[codes >= 0] = pd.factorize(codes[codes >= 0])[0]
    return codes


def complete_ids(ids: np.ndarray, n: int) -> np.ndarray:
    """Return the ids if there is one for each of n rows.

    Args:
        ids: those of `group_ids`.
        n: the number of rows.

    Raises:
        InputError: If there are more or fewer ids than rows, or labels are missing.

    Example:
        >>> complete_ids(group_ids(["a", "b", "a"]), 3).tolist()
        [0, 1, 0]
    """
    if len(ids) != n:
        raise InputError(
            f"Expected a group for each of the {n:,} rows; got {len(ids):,} labels. Give one label "
            "for each row."
        )
    missing = int((ids < 0).sum())
    if missing:
        raise InputError(
            f"Expected a group for each row; got {missing:,} of {n:,} rows without a label. Give "
            "these rows labels, or leave them out (--drop-missing)."
        )
    return ids


def useful_groups(ids: np.ndarray, n: int) -> tuple[np.ndarray | None, Sequence[str]]:
    """Return ids if they differ from "all rows" and "each row", or else a note.

    Args:
        ids: those of `group_ids`, one for each row.
        n: the number of rows.

    Raises:
        InputError: If there are more or fewer ids than rows, or labels are missing.

    Example:
        >>> useful_groups(np.zeros(3, dtype=int), 3)
        (None, ('All rows are in one group, so groups change nothing.',))
    """
    count = len(np.unique(complete_ids(ids, n)))
    if count == 1:
        return None, ("All rows are in one group, so groups change nothing.",)
    if count == n:
        return None, ("Each row is a group of its own, so groups change nothing.",)
    return ids, ()
