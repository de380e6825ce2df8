"""Greedy selection of columns by what each adds to the selected ones about a target.

The selected columns are regressed out of the others and of the target: least squares on functions
of each of them and of their pairs. What is left of the target is ranked within strata of rows with
similar fitted values. If the regression of a column, or that of the target, is good enough, then
what is left of both is independent where the column adds nothing, however many are selected. In
pairs, columns of few values are used as they are, so that there the target's has to be good.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import qr
from scipy.special import ndtri

from infobound._system import arguments
from infobound._system.calls import Recorded, recorded
from infobound._system.units import Nats
from infobound.data.columns import Column
from infobound.errors import InputError
from infobound.inference.conditional_independence import neighbourhoods
from infobound.pages.numbers import columns as columns_text
from infobound.pages.numbers import number, small
from infobound.pages.page import Answer, Page, Picture, Table
from infobound.pages.presentable import Presentable
from infobound.pages.references import SOFTWARE
from infobound.plotting.dependence_figures import comparison_figure
from infobound.plotting.figures import listed
from infobound.tables.added_information import (
    FINEST,
    Evidence,
    Target,
    alone,
    in_pairs,
    middle_ranks,
    quantile_codes,
)

__all__ = ["CRITERIA", "Remainder", "Selection", "select"]

CELLS = 4  # codes of a column in the cells of a pair that others are regressed on
COPY_VARIANCE = 1e-8  # share of a column's variance; what is left of a copy is less

SURVEY = "https://www.jmlr.org/papers/v13/brown12a.html"
STEPS = ("order", "information", "p_values", "partners")

CRITERIA = {
    "joint": "what a column adds to all selected ones together",
    "cmim": "the least that it adds to one of them (conditional mutual information maximisation)",
    "jmi": "the mean of what it adds to each of them (joint mutual information)",
    "relevance": "its information alone or in a pair, whatever is selected",
}


@dataclass(frozen=True, repr=False)
class Selection(Recorded, Presentable):
    """Columns in the order of their selection, and why each was selected.

    Attributes:
        order: the places of the selected columns.
        information: by the criterion, in nats.
        p_values: of the hypothesis that no column adds anything to those selected before, with the
            multiplicity of columns, pairs and codes accounted for.
        partners: the column together with which it adds; -1 for none.
        ranking: for each column its rank: those selected, in order, then the others by the evidence
            at the last step; from 1.
        names: the names of all columns.
        n: the number of rows.
    """

    order: tuple[int, ...]
    information: tuple[Nats, ...]
    p_values: tuple[float, ...]
    partners: tuple[int, ...]
    ranking: tuple[int, ...]
    names: tuple[str, ...] = ()
    n: int = 0

    def __str__(self) -> str:
        """Format the selected columns as one line."""
        named = listed([self._name(place) for place in self.order]) or "none"
        return f"{named} of {columns_text(len(self.ranking))}"

    def _name(self, place: int) -> str:
        """Name a column; results of older files have places alone."""
        return self.names[place] if self.names else f"column {place}"

    def page(self, units: str = "nats") -> Page:
        """Describe the selected columns, in order.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        steps = zip(self.order, self.information, self.p_values, self.partners, strict=True)
        rows = tuple(
            (
                *(str(k), self._name(place), number(added, units), small(p)),
                "" if by < 0 else self._name(by),
            )
            for k, (place, added, p, by) in enumerate(steps, 1)
        )
        heads = ("step", "selected", f"added ({units})", "p", "together with")
        return Page(
            kind="Selection of columns",
            title=f"{len(self.order):,} of {columns_text(len(self.ranking))} selected",
            headline=str(self),
            units=units,
            tables=(
                Table(
                    "In the order of their selection",
                    heads,
                    rows,
                    (0, 2, 3),
                    "p: that no column adds anything to those before. Quote the order and the "
                    "p-values; what was selected is too large on average on these rows, so "
                    "estimate it on new ones.",
                ),
            ),
            pictures=tuple(self._pictures(units)),
            methods=(
                "Columns were selected one after the other by what each adds to those selected "
                "before, alone or together with another column; each step was tested with the "
                "multiplicity of columns, pairs and codes accounted for. " + self.call.sentence,
            ),
            checklist=(
                Answer("How many rows?", f"{self.n:,}, taken as independent."),
                Answer("Which unit?", f"{units.capitalize()}."),
                Answer(
                    "Which null hypothesis, and how many tests?",
                    "'No column adds anything to those before', one test for each step, adjusted "
                    "for all columns, pairs and codes.",
                ),
                Answer(
                    "Are the values selected?",
                    "Yes: estimate the selected columns together on new rows.",
                    False,
                ),
            ),
            settings=self.call.shown,
            versions=self.call.versions,
            repeat=self.call.repeat,
            references=(SOFTWARE, SURVEY),
        )

    def _pictures(self, units: str) -> Iterator[Picture]:
        """Return the figure of what the selected columns add, if some are selected."""
        if self.order:
            yield Picture(
                "added",
                "What each selected column adds to those before, in the order of selection.",
                partial(
                    comparison_figure,
                    [self._name(place) for place in self.order],
                    np.array(self.information),
                    np.array([self.information, self.information]).T,
                    title="Information added by each column",
                    label="information added",
                    unit=units,
                ),
            )

    def records(self, units: str = "nats") -> list[dict[str, Any]]:
        """Return a row for each selected column."""
        values = self.as_dict(units)
        steps = zip(*(values[name] for name in STEPS), strict=True)
        return [{**dict(zip(STEPS, step, strict=True)), "unit": units} for step in steps]


class Remainder:
    """What selected columns leave of the others and of a target.

    Args:
        columns: columns without missing values.
        y: the target, likewise; its codes are classes if it is categorical.
    """

    def __init__(self, columns: Sequence[Column], y: Column):
        ranks = [middle_ranks(each.codes) for each in columns]
        self.scores = np.stack([_standardised(ndtri(each)) for each in ranks], axis=1)
        self.codes = np.stack([_codes(*each) for each in zip(columns, ranks, strict=True)], axis=1)
        self.few = np.array([each.categorical or each.levels <= FINEST for each in columns])
        self.selected: list[int] = []
        self._left = self.scores.copy()
        self._basis = np.empty((len(self.scores), 0))
        self._classes = y.categorical
        self._ranks = middle_ranks(y.codes)
        if y.categorical:
            values = np.eye(y.levels)[_by_frequency(y)]
            self._shares = values.mean(axis=0)
            values = values[:, :-1]
        else:
            values = ndtri(self._ranks)[:, None]
        self._y = values - values.mean(axis=0)

    def add(self, k: int) -> None:
        """Regress column k out, alone and in pairs with those selected before."""
        if self.few[k]:
            self._extend(np.eye(FINEST)[self.codes[:, k]])
        else:
            self._extend_smoothly(self.scores[:, k])
        cells = self.codes * CELLS // FINEST
        for j in self.selected:
            product = np.unique(self.scores[:, j] * self.scores[:, k], return_inverse=True)[1]
            if product.any():  # more than one value
                self._extend_smoothly(ndtri(middle_ranks(product)))
            self._extend(np.eye(CELLS**2)[cells[:, j] * CELLS + cells[:, k]])
        self.selected.append(k)

    def added(self) -> Evidence:
        """Return what each column adds, alone or in a pair; nothing for those selected."""
        target = self._target()
        some = np.asarray(self._left.any(axis=0))
        some[self.selected] = False
        among = np.flatnonzero(some)
        codes = self.codes.copy()
        if self.selected:
            for k in np.flatnonzero(some & ~self.few):
                codes[:, k] = quantile_codes(self._left[:, k])
        contexts = codes.copy()
        contexts[:, self.selected] = self.codes[:, self.selected]
        one = alone(codes, target, basis=self._basis, few=self.few, among=among)
        two = in_pairs(
            codes,
            target,
            contexts=contexts,
            free=1 - self._basis.shape[1] / len(codes),
            among=among,
            partners=np.array([*among, *self.selected], dtype=int),
        )
        better = two.log_p < one.log_p
        found = Evidence(*(np.where(better, b, a) for a, b in zip(one, two, strict=True)))
        return found._replace(log_p=np.minimum(found.log_p + np.log(2), 0.0))

    def _target(self) -> Target:
        """Describe what is left of the target within strata of its fitted values."""
        if not self._basis.shape[1]:
            return (
                Target.classes(self._y, self._shares)
                if self._classes
                else Target.quantity(self._ranks)
            )
        fitted = self._fitted(self._y)
        left = self._y - fitted
        if not self._classes:
            fitted = np.hstack([fitted, self._fitted(np.abs(left))])
        strata = neighbourhoods(fitted, size=int(np.sqrt(len(left))))
        counts = np.bincount(strata)
        if self._classes:
            sums = np.stack([np.bincount(strata, weights=column) for column in left.T], axis=1)
            return Target.classes(left - (sums / counts[:, None])[strata], self._shares)
        ranks = np.empty(len(left))
        inside = [(np.arange(count) + 0.5) / count for count in counts]
        ranks[np.lexsort((left[:, 0], strata))] = np.concatenate(inside)
        return Target.quantity(ranks)

    def _fitted(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(self._basis @ (self._basis.T @ values))

    def _extend_smoothly(self, z: np.ndarray) -> None:
        """Extend by functions of normal scores (n,), smooth ones before flexible ones."""
        for functions in (z[:, None], np.column_stack([z**2, z**3]), _splines(z)):
            self._extend(functions)

    def _extend(self, functions: np.ndarray) -> None:
        """Add to the basis those combinations that a column or the target depends on.

        They are turned so that few of them have all dependence. The squared correlation of one with
        a column or the target, times n, exceeds the universal threshold of Donoho and Johnstone
        1994, https://doi.org/10.1093/biomet/81.3.425.
        """
        new = _standardised(functions)
        for _ in range(2):  # the second time removes rounding
            new -= self._fitted(new)
        q, r, _ = qr(new, mode="economic", pivoting=True)
        q = q[:, np.abs(np.diag(r)) > np.sqrt(COPY_VARIANCE * len(q))]
        y = self._y if self._classes else np.hstack([self._y, np.abs(self._y)])
        related = q.T @ _standardised(np.hstack([self._left, y]))
        turn = np.linalg.svd(related, full_matrices=False)[0]
        squares = (turn.T @ related) ** 2
        q = q @ turn[:, squares.max(axis=1, initial=0.0) > 2 * np.log(max(squares.size, 1))]
        self._basis = np.hstack([self._basis, q])
        self._left -= q @ (q.T @ self._left)
        self._left[:, (self._left**2).mean(axis=0) < COPY_VARIANCE] = 0.0


@recorded("columns", "y")
def select(
    columns: Sequence[Column],
    y: Column,
    *,
    count: int | None = None,
    criterion: str = "joint",
    alpha: float = 0.05,
    candidates: Sequence[int] | None = None,
) -> Selection:
    """Select columns one after the other.

    Args:
        columns: columns without missing values.
        y: the target, likewise; its codes are classes if it is categorical.
        count: how many columns to select. By default, until none is found to add anything: this is
            tested at each step, whatever the criterion, given all selected columns.
        criterion: one of `CRITERIA`.
        alpha: the level of the tests. Where no column is informative about the target, the
            probability that one is selected is at most alpha.
        candidates: the columns to select from; all by default.

    Returns:
        The selected columns.

    Raises:
        InputError: If a value is missing, the target is constant, or the criterion is unknown.

    Source: CMIM, Fleuret 2004, https://www.jmlr.org/papers/v5/fleuret04a.html; JMI, Yang and Moody
    1999; both in Brown et al. 2012, https://www.jmlr.org/papers/v13/brown12a.html.

    Example:
        >>> from infobound.data.columns import columns
        >>> a, b, c = np.random.default_rng(0).normal(size=(3, 500))
        >>> y = Column("y", ((a > 0) ^ (b > 0)).astype(int), 2, True)
        >>> found = select(columns({"a": a, "copy of a": a, "c": c, "b": b}), y)
        >>> found.order, found.partners
        ((0, 3), (3, 0))
    """
    arguments.choice("criterion", criterion, CRITERIA)
    if any((each.codes < 0).any() for each in (*columns, y)):
        raise InputError("Expected no missing values; got some. Impute them, or drop these rows.")
    if y.levels < 2:
        raise InputError("Expected a target that varies; got one value. Choose another target.")
    places = np.arange(len(columns))
    allowed = np.isin(places, places if candidates is None else candidates)
    joint = Remainder(columns, y)
    found = by_criterion = joint.added()
    order: list[int] = []
    steps = []
    while allowed.any() and len(order) != count:
        evidence = np.where(allowed, by_criterion.log_p, np.inf)
        best = int(evidence.argmin())
        p_value = float(min(1.0, allowed.sum() * np.exp(found.log_p[best])))
        if count is None and p_value > alpha:
            break
        order.append(best)
        steps.append((float(by_criterion.information[best]), p_value, int(found.partner[best])))
        allowed[best] = False
        joint.add(best)
        found = joint.added()
        if criterion == "joint":
            by_criterion = found
        elif criterion != "relevance":
            one = Remainder(columns, y)
            one.add(best)
            by_criterion = _combined(criterion, by_criterion, one.added(), len(order))
    rest = np.setdiff1d(np.argsort(by_criterion.log_p, kind="stable"), order, assume_unique=True)
    ranking = np.argsort([*order, *rest]) + 1
    information, p_values, partners = zip(*steps, strict=True) if steps else ((), (), ())
    return Selection(
        tuple(order),
        information,
        p_values,
        partners,
        tuple(ranking.tolist()),
        tuple(each.name for each in columns),
        len(y.codes),
    )


def _combined(criterion: str, before: Evidence, new: Evidence, count: int) -> Evidence:
    """Combine the evidence given each of the columns before with that given one more."""
    if criterion == "cmim":
        return Evidence(
            np.minimum(before.information, new.information),
            np.maximum(before.log_p, new.log_p),
            new.partner,
        )
    if count == 1:  # before was without any
        return new
    return Evidence(
        before.information + (new.information - before.information) / count,
        before.log_p + (new.log_p - before.log_p) / count,
        new.partner,
    )


def _codes(column: Column, ranks: np.ndarray) -> np.ndarray:
    """Return codes 0 to 15: quantiles, or categories by how many rows have them."""
    if not column.categorical:
        return (FINEST * ranks).astype(np.intp)
    kinds = min(FINEST, column.levels)  # the rarest share a code
    return np.asarray(np.minimum(_by_frequency(column), kinds - 1) * FINEST // kinds)


def _by_frequency(column: Column) -> np.ndarray:
    """Return the codes (n,) of categories, renumbered from the most frequent one on."""
    counts = np.bincount(column.codes, minlength=column.levels)
    return np.asarray(np.argsort(np.argsort(-counts, kind="stable"), kind="stable")[column.codes])


def _splines(z: np.ndarray) -> np.ndarray:
    """Return cubic splines of normal scores (n,), in 2 n^(1/3) even intervals (Rice's rule)."""
    ends = np.repeat([z.min(), z.max()], 3)
    inner = np.linspace(z.min(), z.max(), round(2 * len(z) ** (1 / 3)) + 1)
    knots = np.concatenate([ends[:3], inner, ends[3:]])
    return np.asarray(BSpline.design_matrix(z, knots, 3).toarray())


def _standardised(columns: np.ndarray) -> np.ndarray:
    """Return columns (n, ...) with mean 0 and standard deviation 1, or 0."""
    centred = columns - columns.mean(axis=0)
    spread = centred.std(axis=0)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))
