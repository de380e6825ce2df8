"""The estimate with columns of whole numbers taken as categories, in closed form, for a finding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from infobound import data
from infobound._system.memory import subsample, take_rows
from infobound.estimation.counts import counted
from infobound.models.closed_forms import TABLE_ROWS
from infobound.models.copulas import GaussianCopula

__all__ = ["mi_as_categories"]

RECODED_ROWS = 10_000  # largest number of rows that are read
RECODED_COLUMNS = 1_200  # largest number of encoded columns; these and the rows bound the time


def mi_as_categories(pair: data.Pair, names: Sequence[str]) -> float | None:
    """Estimate the MI in nats of rows in which some columns are categories, not quantities.

    Two sides of few values are counted. Otherwise it is the MI of the Gaussian copula of the
    encoded columns, corrected for its bias, which sees how the means of the other side differ.

    Args:
        pair: the rows.
        names: the names of the columns.

    Returns:
        The estimate; None if there are too many categories for a quick one (it would exceed the
        entropy of a side), or something is given.

    Example:
        >>> x = np.random.default_rng(0).integers(30, size=1000)
        >>> round(mi_as_categories(data.as_pair(x, 7 * x % 3), ["x[0]"]), 1)  # log 3
        1.1
    """
    if pair.given is not None:
        return None
    index = subsample(np.arange(len(pair.x)), RECODED_ROWS, seed=0)
    rows = data.Pair(take_rows(pair.x, index), take_rows(pair.y, index), pair.x_names, pair.y_names)
    columns = zip((*rows.x_names, *rows.y_names), (*rows.x.T, *rows.y.T), strict=True)
    width = sum(len(np.unique(values)) if name in names else 1 for name, values in columns)
    if width > min(RECODED_COLUMNS, len(index) / 2):
        return None
    rows = data.as_pair(rows, categorical=names)
    levels = [data.n_distinct(side, repeated=TABLE_ROWS) for side in (rows.x, rows.y)]
    if TABLE_ROWS * max(levels) <= len(index):
        return counted(rows).mi
    x, y = (
        torch.from_numpy(data.Transform.fit(side).normal_scores(side)) for side in (rows.x, rows.y)
    )
    found = GaussianCopula.fit(x, y).mi
    return found if found <= math.log(min(levels)) else None  # no MI exceeds an entropy
