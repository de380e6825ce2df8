"""Feature selection by mutual information with scikit-learn's interfaces.

    from infobound.sklearn import MutualInfoSelector, mutual_info

`mutual_info` is a score function, as for `SelectKBest`. `MutualInfoSelector` selects columns that
add to each other, and stops by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from infobound._system import arguments
from infobound.data.columns import Column, columns
from infobound.errors import InputError
from infobound.tables.column_tests import column_tests
from infobound.tables.estimates import estimates
from infobound.tables.features import select

__all__ = ["MutualInfoSelector", "Scores", "mutual_info"]

STOPS = ("conditional", "q_value")
MOST_CLASSES, CLASS_ROWS = 20, 10  # whole numbers beyond both are a quantity


class Scores(NamedTuple):
    """What `mutual_info` returns: scores and p-values, as scikit-learn's selectors expect.

    Attributes:
        scores: (p,), mutual information of each column and the target, in nats.
        p_values: (p,), of independence.
    """

    scores: np.ndarray
    p_values: np.ndarray


def mutual_info(
    X: Any,
    y: Any,
    *,
    discrete_target: str | bool = "auto",
    categorical: Sequence[str | int] = (),
    n_jobs: int | None = None,
    random_state: Any = 0,
) -> Scores:
    """Estimate the mutual information of each column with a target, and test independence.

    It is a score function for `SelectKBest`, `SelectFdr`, `SelectFpr` and the like, in place of
    scikit-learn's `mutual_info_regression` and `mutual_info_classif`. To set keywords, wrap it in
    `functools.partial`.

    Args:
        X: (n, p), numbers, or a data frame of numbers, text and categories. Rows in which a column
            has no value are left out for that column.
        y: (n,), numbers or classes.
        discrete_target: whether y is classes; "auto" takes text for classes, and whole numbers if
            there are at most 20 different ones, or ten rows for each. More are a quantity, although
            scikit-learn's `type_of_target` calls them classes.
        categorical: columns whose numbers are codes, by name, or by place in an array.
        n_jobs: the number of parallel threads, as in joblib.
        random_state: an integer, a generator or None, as in scikit-learn.

    Returns:
        Scores in nats and p-values, (p,) each.

    Raises:
        InputError: If columns cannot be used, or y has several columns.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.feature_selection import SelectKBest
        >>> X, y = load_iris(return_X_y=True, as_frame=True)
        >>> SelectKBest(mutual_info, k=2).fit(X, y).get_feature_names_out().tolist()
        ['petal length (cm)', 'petal width (cm)']
    """
    check_consistent_length(X, y)
    target = _target(y, discrete_target)
    seed = check_random_state(random_state).randint(2**31 - 1)
    return _scores(_columns(X, categorical), target, seed, n_jobs)


class MutualInfoSelector(SelectorMixin, BaseEstimator):
    """Select columns one after the other by what each adds about the target.

    A copy of a selected column adds nothing. A column may add something only together with another
    one, as in an exclusive or; all pairs are looked at. Missing values are an error.

    Args:
        n_features_to_select: the number of columns, or their share if it is a float. By default
            `stop` decides.
        criterion: "joint" (what a column adds to all selected ones), "cmim" (the least that it adds
            to one of them), "jmi" (the mean of that), or "relevance" (its own information).
        stop: "conditional" (when a test given all selected columns finds nothing that adds), or
            "q_value" (when all columns are selected whose own q-value is at most alpha, copies
            included).
        alpha: the level of these tests. If no column says anything about the target, the default
            selects one with a probability of at most alpha.
        discrete_target: as for `mutual_info`.
        categorical: as for `mutual_info`.
        n_jobs: as for `mutual_info`; for the scores.
        random_state: as for `mutual_info`.

    Attributes:
        scores_: (p,), mutual information of each column and the target, in nats.
        pvalues_: (p,), of independence.
        qvalues_: (p,), the same as false discovery rates (Benjamini-Hochberg).
        order_: (k,), the selected columns in the order of selection.
        step_scores_: (k,), what the column of each step added, by the criterion, in nats.
        step_pvalues_: (k,), of the hypothesis that no column added anything at this step.
        partners_: (k,), the column together with which it added; -1 for none.
        ranking_: (p,), the selected columns from 1 on, then the others by what they would add.
        n_features_in_: the number of columns.
        feature_names_in_: their names, if X was a data frame.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = pd.DataFrame(rng.normal(size=(400, 4)), columns=["a", "b", "c", "d"])
        >>> X["copy"] = X["c"] + 0.1 * rng.normal(size=400)
        >>> y = (X["a"] * X["b"] > 0) + 2 * (X["c"] > 0)
        >>> MutualInfoSelector().set_output(transform="pandas").fit_transform(X, y).shape
        (400, 3)
    """

    def __init__(
        self,
        n_features_to_select: int | float | None = None,
        *,
        criterion: str = "joint",
        stop: str = "conditional",
        alpha: float = 0.05,
        discrete_target: str | bool = "auto",
        categorical: Sequence[str | int] = (),
        n_jobs: int | None = None,
        random_state: Any = 0,
    ):
        self.n_features_to_select = n_features_to_select
        self.criterion = criterion
        self.stop = stop
        self.alpha = alpha
        self.discrete_target = discrete_target
        self.categorical = categorical
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> MutualInfoSelector:
        """Select columns.

        Args:
            X: (n, p), numbers, or a data frame of numbers, text and categories.
            y: (n,), numbers or classes.

        Returns:
            The selector.

        Raises:
            InputError: If a setting is wrong, or columns cannot be used.
            ValueError: If a value is missing, or shapes do not match.
        """
        arguments.choice("stop", self.stop, STOPS)
        arguments.real("alpha", self.alpha, "(0, 1)")
        checked, y = validate_data(self, X, y, dtype=None, ensure_min_samples=2)
        target = _target(y, self.discrete_target)
        table = _columns(X if isinstance(X, pd.DataFrame) else checked, self.categorical)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        self.scores_, self.pvalues_ = _scores(table, target, seed, self.n_jobs)
        self.qvalues_ = _q_values(self.pvalues_)
        count, candidates = self._count(len(table)), None
        if count is None and self.stop == "q_value":
            candidates = np.flatnonzero(self.qvalues_ <= self.alpha).tolist()
            count = len(candidates)
        found = select(
            table,
            target,
            count=count,
            criterion=self.criterion,
            alpha=self.alpha,
            candidates=candidates,
        )
        self.order_ = np.array(found.order, dtype=int)
        self.step_scores_ = np.array(found.information)
        self.step_pvalues_ = np.array(found.p_values)
        self.partners_ = np.array(found.partners, dtype=int)
        self.ranking_ = np.array(found.ranking)
        return self

    def _count(self, p: int) -> int | None:
        """Return how many of p columns to select; None if that is to be found out."""
        asked = self.n_features_to_select
        if asked is None:
            return None
        if isinstance(asked, float):
            return max(1, int(arguments.real("n_features_to_select", asked, "(0, 1]") * p))
        return arguments.integer("n_features_to_select", asked, least=1, most=p)

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self)
        return np.isin(np.arange(self.n_features_in_), self.order_)

    def __sklearn_tags__(self) -> Any:
        """Say that a target is required, and that columns may be text and categories."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags


def _columns(X: Any, categorical: Sequence[str | int]) -> list[Column]:
    """Return the columns of X as codes."""
    if isinstance(X, pd.DataFrame):
        X = X.set_axis(X.columns.map(str), axis=1)
    return columns(X, categorical=[str(each) for each in categorical])


def _target(y: Any, discrete: str | bool) -> Column:
    """Return a target (n,) as codes.

    Raises:
        InputError: If it has several columns.
    """
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind not in ("continuous", "binary", "multiclass"):
        raise InputError(
            f"Expected one target of numbers or classes; got {kind}. Select for each target alone."
        )
    y = column_or_1d(y)
    values, codes = np.unique(y, return_inverse=True)
    if discrete == "auto":
        many = len(values) > MOST_CLASSES and len(values) * CLASS_ROWS > len(y)
        classes = kind != "continuous" and not (many and y.dtype.kind in "iuf")
    else:
        classes = arguments.boolean("discrete_target", discrete)
    return Column("target", codes, len(values), classes)


def _scores(table: Sequence[Column], target: Column, seed: int, n_jobs: int | None) -> Scores:
    """Return what each column says about the target by itself."""
    pairs = [(column, target) for column in table]
    found = estimates(pairs, seed, jobs=effective_n_jobs(n_jobs))
    p_values = column_tests(table, [target], seed=seed).p_value[:, 0]
    scores = np.nan_to_num([each.mi for each in found])  # nan where there are too few rows
    return Scores(scores, np.where(np.isnan(p_values), 1.0, p_values))


def _q_values(p_values: np.ndarray) -> np.ndarray:
    """Return the smallest false discovery rates at which each test rejects."""
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p_values))
