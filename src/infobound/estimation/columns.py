"""Mutual information of one column and another, for many pairs of columns.

Two columns of few values are estimated from their counts, a category and a quantity from the
neighbours within each category, and two quantities from nearest neighbours of their ranks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import digamma, ndtri

from infobound import data
from infobound._system.units import Nats, Result
from infobound.data.columns import Column
from infobound.estimation.counts import counted
from infobound.estimation.ksg import ksg_terms
from infobound.estimation.point import z_quantile

__all__ = ["ColumnEstimate", "estimates"]

LEVEL = 0.95  # of the intervals
REPEATS = 10  # rows a value, on average, of a column of few values
NEIGHBOURS = 3
FEWEST = 10  # rows of a pair


@dataclass(frozen=True)
class ColumnEstimate(Result):
    """The estimated mutual information of two columns, in nats.

    Attributes:
        mi: the estimate.
        low: the lower end of its 95 % interval.
        high: the upper end.
        standard_error: its standard error.
        held_out: a value on rows to which nothing was fitted; None if not computed.
        n: the number of rows in which both columns have values.
        method: how it was estimated.

    Example:
        >>> from infobound.data.columns import columns
        >>> x, y = columns(np.random.default_rng(0).normal(size=(500, 2)))
        >>> abs(estimates([(x, y)])[0].mi) < 0.1
        True
    """

    mi: Nats
    low: Nats
    high: Nats
    standard_error: Nats
    held_out: Nats | None
    n: int
    method: str


def estimates(
    pairs: Sequence[tuple[Column, Column]], seed: int = 0, held_out: bool = False
) -> list[ColumnEstimate]:
    """Estimate the mutual information of pairs of columns.

    Rows in which either column of a pair has no value are left out for that pair.

    Args:
        pairs: the pairs, with equally many rows each.
        seed: breaks ties between equal values of quantities.
        held_out: whether a value on held-out rows is computed, where the method has one.

    Returns:
        The estimates, in the order of the pairs; nan where fewer than ten rows are left.

    Source: Kraskov, Stoegbauer and Grassberger 2004, https://arxiv.org/abs/cond-mat/0305641; Ross
    2014, https://doi.org/10.1371/journal.pone.0087357.

    Example:
        >>> from infobound.data.columns import columns
        >>> x, y = columns({"a": [0, 1] * 50, "b": ["m", "f"] * 50})
        >>> round(estimates([(x, y)])[0].mi, 2)  # log 2
        0.69
    """
    return [_estimate(x, y, seed) for x, y in pairs]


def _estimate(x: Column, y: Column, seed: int) -> ColumnEstimate:
    whole = (x.codes >= 0) & (y.codes >= 0)
    n = int(whole.sum())
    if n < FEWEST:
        return ColumnEstimate(math.nan, math.nan, math.nan, math.nan, None, n, "none")
    rng = np.random.default_rng(seed)
    i, j = x.codes[whole], y.codes[whole]
    few = [each.categorical or each.levels * REPEATS <= n for each in (x, y)]
    extra = 0.0
    if all(few):
        method, (mi, extra, terms) = "counts", counted(data.as_pair(i, j))
    elif any(few):
        method, terms = (
            "classes",
            _class_terms(*((i, _scores(j, rng)) if few[0] else (j, _scores(i, rng)))),
        )
        mi = float(terms.mean())
    else:
        method, terms = "ksg", ksg_terms(_scores(i, rng), _scores(j, rng), k=NEIGHBOURS)
        mi = float(terms.mean())
    error = math.hypot(float(terms.std()) / math.sqrt(n), extra)
    half = z_quantile(LEVEL) * error
    return ColumnEstimate(mi, mi - half, mi + half, error, None, n, method)


def _scores(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the normal scores (n, 1) of codes, with ties broken at random."""
    ranks = np.empty(len(codes))
    ranks[np.lexsort((rng.random(len(codes)), codes))] = np.arange(len(codes))
    return np.asarray(ndtri((ranks + 0.5) / len(codes)))[:, None]


def _class_terms(classes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the per-row contributions of Ross' estimator for a class and a quantity."""
    n, counts = len(classes), np.bincount(classes)
    terms = np.zeros(n)
    tree = cKDTree(scores)
    for k in np.flatnonzero(counts > 1):
        rows = np.flatnonzero(classes == k)
        near = min(NEIGHBOURS, len(rows) - 1)
        distance = cKDTree(scores[rows]).query(scores[rows], k=[near + 1])[0][:, 0]
        count = tree.query_ball_point(scores[rows], distance, return_length=True) - 1
        terms[rows] = digamma(n) + digamma(near) - digamma(len(rows)) - digamma(count)
    return terms
