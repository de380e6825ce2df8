"""Kraskov's nearest-neighbour estimator of mutual information: a second opinion without a critic.

It is accurate in few dimensions and far too low in many. It fits nothing, so it has no held-out
value. Neighbours come from SciPy's k-d tree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import digamma

from infobound import data
from infobound._system.memory import take_rows
from infobound.config import Config
from infobound.errors import InputError
from infobound.estimation.point import PointEstimate, interval
from infobound.inference.standard_errors import effective_size, standard_error

__all__ = ["Apart", "conditional_terms", "estimate_ksg", "ksg_terms", "neighbour_terms"]

Apart = Sequence[tuple[np.ndarray, np.ndarray]] | None  # see `data.Layout.apart`


def ksg_terms(x: np.ndarray, y: np.ndarray, *, k: int = 3, apart: Apart = None) -> np.ndarray:
    """Return per-row contributions whose mean is the first estimator of Kraskov et al.

    A contribution is psi(k) + psi(n) - psi(n_x + 1) - psi(n_y + 1), where n_x and n_y count the
    rows that are nearer in x and in y than the k-th neighbour in (x, y), in the maximum norm.

    Args:
        x: (n, p), columns on comparable scales, without ties.
        y: (n, q).
        k: the number of neighbours; a small k has less bias, a large k less variance.
        apart: parts of the rows, each with the rows among which its neighbours are looked for:
            rows that follow a row, or are of its group, are near it without any dependence.

    Returns:
        (n,), in nats.

    Source: Kraskov, Stoegbauer and Grassberger 2004, https://arxiv.org/abs/cond-mat/0305641;
    neighbours in time left out, Theiler 1986, https://doi.org/10.1103/PhysRevA.34.2427.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(4000, 1))
        >>> y = 0.6 * x + 0.8 * rng.normal(size=(4000, 1))
        >>> bool(abs(ksg_terms(x, y).mean() - 0.223) < 0.04)  # -log(1 - 0.36) / 2
        True
    """
    n = len(x)
    both = np.concatenate([x, y], axis=1)
    if apart is not None:
        total = np.empty(n)
        for others, own in apart:
            radius = _radius(both, others, own, k)
            total[own] = digamma(k) + digamma(len(others) + 1)
            for side in (x, y):
                total[own] -= digamma(_nearer(side, others, own, radius) + 1)
        return total
    distance = cKDTree(both).query(both, k=[k + 1], p=np.inf)[0][:, 0]
    radius = np.nextafter(distance, 0)
    total = np.full(n, digamma(k) + digamma(n))
    for side in (x, y):
        count = cKDTree(side).query_ball_point(side, radius, p=np.inf, return_length=True)
        total -= digamma(count)  # the count includes the row itself: n_x + 1
    return total


def _radius(rows: np.ndarray, others: np.ndarray, own: np.ndarray, k: int) -> np.ndarray:
    """Return the distances of some rows to their k-th neighbours among others, or just below."""
    distance = cKDTree(rows[others]).query(rows[own], k=[k], p=np.inf)[0][:, 0]
    return np.asarray(np.nextafter(distance, 0))


def _nearer(
    side: np.ndarray, others: np.ndarray, own: np.ndarray, radius: np.ndarray
) -> np.ndarray:
    """Return how many of the others are within the radius of each row."""
    tree = cKDTree(side[others])
    return np.asarray(tree.query_ball_point(side[own], radius, p=np.inf, return_length=True))


def conditional_terms(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, *, k: int = 3, apart: Apart = None
) -> np.ndarray:
    """Return per-row contributions whose mean is the estimator of Frenzel and Pompe of I(X;Y|Z).

    A contribution is psi(k) - psi(n_xz + 1) - psi(n_yz + 1) + psi(n_z + 1), where the counts are of
    rows that are nearer in (x, z), in (y, z) and in z than the k-th neighbour in (x, y, z).

    Args:
        x: (n, p), columns on comparable scales, without ties.
        y: (n, q).
        z: (n, r).
        k: the number of neighbours.
        apart: as for `ksg_terms`.

    Returns:
        (n,), in nats.

    Source: Frenzel and Pompe 2007, https://doi.org/10.1103/PhysRevLett.99.204101.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z, u, v = rng.normal(size=(3, 4000, 1))
        >>> x, y = z + u, z + 0.6 * u + 0.8 * v
        >>> bool(abs(conditional_terms(x, y, z).mean() - 0.223) < 0.05)  # -log(1 - 0.36) / 2
        True
    """
    everything = np.concatenate([x, y, z], axis=1)
    sides = (-1, np.hstack([x, z])), (-1, np.hstack([y, z])), (1, z)
    total = np.full(len(x), digamma(k))
    if apart is not None:
        for others, own in apart:
            radius = _radius(everything, others, own, k)
            for sign, side in sides:
                total[own] += sign * digamma(_nearer(side, others, own, radius) + 1)
        return total
    distance = cKDTree(everything).query(everything, k=[k + 1], p=np.inf)[0][:, 0]
    radius = np.nextafter(distance, 0)
    for sign, side in sides:
        count = cKDTree(side).query_ball_point(side, radius, p=np.inf, return_length=True)
        total += sign * digamma(count)  # the count includes the row itself
    return total


def estimate_ksg(pair: data.Pair, config: Config) -> PointEstimate:
    """Estimate by nearest neighbours alone; there is no held-out value.

    Args:
        pair: the rows.
        config: the settings; only the level and whether rows are a series matter.

    Returns:
        The estimate and its interval, in nats.

    Raises:
        InputError: If there are fewer than 40 rows, or columns have ties.
    """
    if len(pair.x) < data.FEWEST:
        raise InputError(f"Expected at least {data.FEWEST} rows; got {len(pair.x)}.")
    if data.has_ties(pair):
        raise InputError(
            "Expected columns without ties for the nearest neighbours; got columns in which values "
            "repeat. Use the default estimator."
        )
    terms = neighbour_terms(pair, config)
    mi = float(terms.mean())
    known = terms, np.arange(len(terms)), config
    error = standard_error(*known, groups=pair.groups)
    low, high = interval(mi, error, 0.0, config)
    size = effective_size(*known, groups=pair.groups)
    ends = (low, high), (mi, high - mi)
    return PointEstimate(mi, *ends, "ksg", terms, ksg=mi, effective_n=size)


def neighbour_terms(pair: data.Pair, config: Config) -> np.ndarray:
    """Return the per-row contributions (n,) of nearest neighbours on normal scores, in nats."""
    sides = (take_rows(side, np.arange(len(side))) for side in (pair.x, pair.y))
    apart = data.Layout.of(pair, config).apart(len(pair.x))
    return ksg_terms(*(data.Transform.fit(v).normal_scores(v) for v in sides), apart=apart)
