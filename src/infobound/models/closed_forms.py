"""The bank of closed-form models that a critic may start from: the table `BASES`.

A model reads either normal scores or robustly scaled values. The table states which, and to which
data the model can be fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from infobound.models.copulas import ContaminatedCopula, GaussianCopula, StudentCopula
from infobound.models.curved import CurvedCopula
from infobound.models.densities import (
    A_FEW,
    COARSE,
    FINE,
    FINEST,
    ClasswiseGaussian,
    ContingencyTable,
    MixtureModel,
    components,
)
from infobound.models.means import MeanModel
from infobound.models.posteriors import LINEAR, ClassPosterior
from infobound.models.projections import ProjectedModel
from infobound.models.ranks import RankCopula
from infobound.models.regressed import RegressionModel
from infobound.models.shears import SIZE, ShearedMixture
from infobound.models.unwinding import MARGIN, UnwoundMixture

__all__ = ["BASES", "BESIDE", "TABLE_ROWS", "WITH", "Base", "Shape", "bank", "stem"]

MIXTURE_COLUMNS = 4  # largest number of columns of x and y together for which a mixture is fitted
GROUPED, GROUPED_ROWS = 24, 10_000  # most columns and rows for a mixture of a few Gaussians
PROJECTED = 1_000  # most columns for a search of directions
RICH = 16  # from this many components on, a mixture fits any density in the plane
BROAD = 128  # columns from which iterative fits are skipped and networks read canonical directions
ITERATED = 50_000  # largest number of rows for an iterative fit
CELL_ROWS = 5  # rows per cell of a contingency table from which no other model of classes is needed
TABLE_ROWS = 5  # smallest number of rows per value of each side for a contingency table
PAIRED = 2  # the same where both sides are categories, for which nothing else is made
MEMBERS = 8  # smallest number of rows per value for a Gaussian of its own
MOST_CLASSES = 1_000  # largest number of such values
FEW_VALUES = 20  # the other side must take more values than this for Gaussians by value
# Rows per column below which covariances are shrunk and a model must beat none at all
WIDE_ROWS = 3
PLAIN_ROWS = 2  # rows per column above which a covariance may be used without shrinkage
UNWOUND = 20_000  # largest number of rows for a search of rotations or directions
REGRESSED = 4  # rows per column for a regression
SHRUNK_ROWS = 4_000  # largest number of rows for a fit with shrunk covariances


class Shape(NamedTuple):
    """Size of the data to be fitted, which decides what models are possible.

    Attributes:
        rows: the number of rows.
        columns: the number of columns of x and y together.
        levels_x: the number of distinct rows of x; that of all rows if few are repeated.
        levels_y: the number of distinct rows of y.
        narrow: the number of columns of the side that has fewer.
    """

    rows: int
    columns: int
    levels_x: int
    levels_y: int
    narrow: int

    @property
    def is_wide(self) -> bool:
        """Whether there are many columns relative to rows."""
        return self.rows < WIDE_ROWS * self.columns

    @property
    def has_classes(self) -> bool:
        """Whether one side takes few values and the other side many."""
        few, many = sorted((self.levels_x, self.levels_y))
        enough = 2 <= few <= min(MOST_CLASSES, self.rows / MEMBERS)
        return enough and many > FEW_VALUES and not self.few_values

    @property
    def has_few_classes(self) -> bool:
        """Whether one side takes so few values that only models of classes are compared."""
        return self.has_classes and min(self.levels_x, self.levels_y) <= FEW_VALUES

    @property
    def few_values(self) -> bool:
        """Whether there are enough rows per cell of a contingency table."""
        return CELL_ROWS * self.levels_x * self.levels_y <= self.rows

    @property
    def has_cells(self) -> bool:
        """Whether both sides take few values; there may be more cells than rows."""
        return TABLE_ROWS * max(self.levels_x, self.levels_y) <= self.rows

    @property
    def has_names(self) -> bool:
        """Whether both sides are one-hot encoded categories, which a table describes fully."""
        levels = self.levels_x, self.levels_y
        one_hot = self.columns >= sum(1 if k == 2 else k for k in levels)
        return one_hot and PAIRED * max(levels) <= self.rows


@dataclass(frozen=True)
class Base:
    """A closed-form model of the bank.

    Attributes:
        fit: maps x (n, p) and y (n, q) to the fitted critic.
        inputs: the columns it reads: normal scores ("scores"), robustly scaled values ("robust"),
            or both in this order ("columns").
        possible: whether it can be fitted to data of a shape.
        can_start: whether a network can be trained on top of it; its scores must be cheap.
        leaves: whether a network may find structure that it misses.
        most: the largest number of rows it is fitted to, if the fit is slow.
        normalised: whether e^f averages to one over the negatives if the model is correct, so that
            f may be taken as the log ratio.
        margin: the nats by which it must exceed the others on one held-out row; on n of them this
            falls as 1 / sqrt(n), as the error of the comparison does. For models with a search that
            fits noise well.
        partial: whether it sees only a part of what the Gaussian copula sees. So it must find more
            than the MI of the copula, which is free of bias and needs no held-out rows.
        after: the base that must be the best of those before it; else this one is not compared.
        unless: a base that is as accurate in less time. With base="auto", this one is not compared
            where that one can be fitted.
        of_classes: whether it models a side of classes. Where there are few, base="auto" compares
            only such models.
        of_names: the same for two sides of categories.
        named: whether it is compared only if `base` names it.
        refit: maps a fitted critic, x and y to one fitted to these, in less time than `fit`.
        own: whether it reads x without the columns that are given, where there are any.
        beside: whether a model of what is given and y is added to it.
        ungiven: whether it is left out where columns are given, for which there is a regression.
        tested: whether a test on the training rows decides if it is fitted; otherwise its fit is
            the Gaussian copula. So where it is fitted, its estimate counts even if held-out rows,
            too few for all its parameters, prefer another.
        ends_early: whether `fit` has an argument `least`, the MI in nats that the model is to
            reach, and raises `BehindError` where its search shows early that it would not.
    """

    fit: Callable[..., nn.Module]
    inputs: Literal["scores", "robust", "columns"]
    possible: Callable[[Shape], bool] = lambda shape: True
    can_start: bool = True
    leaves: Callable[[Shape], bool] = lambda shape: True
    most: int | None = None
    normalised: bool = True
    margin: float = 0.0
    partial: bool = False
    after: str | None = None
    unless: str | None = None
    of_classes: bool = False
    of_names: bool = False
    named: bool = False
    refit: Callable[[Any, Tensor, Tensor], nn.Module] | None = None
    own: bool = False
    beside: bool = False
    ungiven: bool = False
    tested: bool = False
    ends_early: bool = False


def _determined(shape: Shape) -> bool:
    """Return whether there are enough rows for a covariance of all columns."""
    return shape.rows > PLAIN_ROWS * shape.columns


def _affordable(shape: Shape) -> bool:
    """Return whether there are enough rows for an iterative fit, and it ends within seconds."""
    return shape.rows > 5 * shape.columns and shape.columns < BROAD


def _is_smooth(shape: Shape, most: int) -> bool:
    """Return whether there are at most so many columns, and no lattice, where no density is."""
    return shape.columns <= most and not shape.has_cells


def _mixture(size: tuple[int, int]) -> Base:
    return Base(
        partial(MixtureModel.fit, size=size),
        "robust",
        lambda s: _is_smooth(s, MIXTURE_COLUMNS) and components(s.rows, s.columns, size) >= 2,
        leaves=lambda s: s.columns > 2 or components(s.rows, s.columns, COARSE) < RICH,
        most=ITERATED,
        unless="ranks",
    )


def _posterior(kinds: Collection[str] | None = None) -> Base:
    return Base(
        partial(ClassPosterior.fit, kinds=kinds),
        "columns",
        lambda s: s.has_classes,
        can_start=False,
        leaves=lambda s: False,
        most=ITERATED,
        of_classes=kinds is None,
        named=kinds is not None,
        refit=lambda model, x, y: ClassPosterior.fit(x, y, start=model),
    )


def _few(inputs: Literal["scores", "robust"]) -> Base:
    return Base(
        MixtureModel.fit_few,
        inputs,
        lambda s: (
            s.columns > MIXTURE_COLUMNS
            and _is_smooth(s, GROUPED)
            and components(s.rows, s.columns, A_FEW) >= 2
        ),
        can_start=False,  # a network that starts there stays there
        most=GROUPED_ROWS,
        refit=lambda model, x, y: MixtureModel.fit_few(x, y, start=model),
    )


BASES: dict[str, Base] = {
    "gaussian": Base(GaussianCopula.fit, "scores", _determined),
    "gaussian_raw": Base(GaussianCopula.fit, "robust", _determined),
    "gaussian_shrunk": Base(
        GaussianCopula.fit_shrunk,
        "scores",
        lambda s: s.is_wide,
        can_start=False,  # it is too overconfident for a network to correct
        most=SHRUNK_ROWS,
        normalised=False,
    ),
    "student": Base(StudentCopula.fit, "scores", _affordable, most=ITERATED),
    "contaminated": Base(
        ContaminatedCopula.fit,
        "scores",
        _affordable,
        most=ITERATED,
        refit=lambda model, x, y: ContaminatedCopula.fit(x, y, start=model),
    ),
    "curved": Base(
        CurvedCopula.fit,
        "scores",
        lambda s: s.narrow > 1 and _affordable(s) and not s.has_cells,
        most=UNWOUND,
        refit=lambda model, x, y: CurvedCopula.fit(x, y, start=model),
        ungiven=True,
    ),
    "unwound": Base(
        UnwoundMixture.fit,
        "robust",
        lambda s: s.columns > 2 and _affordable(s),
        most=UNWOUND,
        margin=MARGIN,
        refit=lambda model, x, y: UnwoundMixture.fit(x, y, start=model),
        tested=True,
        ends_early=True,
    ),
    "mixture": _mixture(COARSE),
    "fine_mixture": _mixture(FINE),
    "finest_mixture": replace(
        _mixture(FINEST),
        possible=lambda s: (
            _is_smooth(s, MIXTURE_COLUMNS) and components(s.rows, s.columns, FINEST) > FINE[0]
        ),
        after="fine_mixture",
    ),
    "sheared": Base(
        ShearedMixture.fit,
        "robust",
        lambda s: (
            s.columns > 2
            and _is_smooth(s, MIXTURE_COLUMNS)
            and components(s.rows, s.columns, SIZE) >= 2
        ),
        most=UNWOUND,
        margin=MARGIN,
        refit=lambda model, x, y: ShearedMixture.fit(x, y, start=model),
        ungiven=True,
    ),
    "ranks": Base(
        RankCopula.fit,
        "scores",
        lambda s: s.columns == 2 and not s.has_cells,
        can_start=False,
        leaves=lambda s: False,
    ),
    "gaussians": _few("scores"),
    "gaussians_raw": _few("robust"),
    "projected": Base(
        ProjectedModel.fit,
        "robust",
        lambda s: MIXTURE_COLUMNS < s.columns <= PROJECTED and _determined(s),
        most=UNWOUND,
        partial=True,
        refit=lambda model, x, y: ProjectedModel.fit(x, y, start=model),
    ),
    "mean": Base(
        MeanModel.fit,
        "robust",
        lambda s: (
            s.narrow == 1 and s.columns > 2 and s.rows > REGRESSED * s.columns and not s.has_cells
        ),
        most=UNWOUND,
        margin=MARGIN,
        refit=lambda model, x, y: MeanModel.fit(x, y, start=model),
        ungiven=True,
    ),
    "classwise": Base(
        ClasswiseGaussian.fit, "robust", lambda s: s.has_classes and _affordable(s), can_start=False
    ),
    "posterior": _posterior(),
    "table": Base(
        ContingencyTable.fit,
        "robust",
        lambda s: s.has_cells or s.has_names,
        can_start=False,
        leaves=lambda s: False,
        of_classes=True,
        of_names=True,
    ),
    "linear_probe": _posterior(LINEAR),
    "network_probe": _posterior(["network"]),
}


WITH = "|given"  # follows the name of a base that reads what is given as well
BESIDE = "+given"  # follows that of one that a model of what is given and y is added to


def stem(name: str) -> str:
    """Return the name of a base without the ending that says how it reads what is given.

    Example:
        >>> stem("gaussian" + WITH), stem("gaussian" + BESIDE), stem("gaussian")
        ('gaussian', 'gaussian', 'gaussian')
    """
    return name.removesuffix(WITH).removesuffix(BESIDE)


def bank(given: int) -> Mapping[str, Base]:
    """Return the models for x whose last columns are those of a variable that is given.

    Each model of `BASES` is fitted without these columns, with them, and without them beside a
    model of these columns and y; one more has a regression of y on all of x.

    Args:
        given: the number of columns that are given; without any, the bank is `BASES`.

    Example:
        >>> [name for name in bank(2) if name.startswith("gaussian_raw")]
        ['gaussian_raw', 'gaussian_raw|given', 'gaussian_raw+given']
    """
    if not given:
        return BASES
    models = {name: base for name, base in BASES.items() if not base.ungiven}
    without = {name: replace(base, own=True) for name, base in models.items()}
    beside = {
        name + BESIDE: replace(base, beside=True, normalised=False)
        for name, base in without.items()
    }
    both = {
        name + WITH: replace(
            base, after=base.after and base.after + WITH, unless=base.unless and base.unless + WITH
        )
        for name, base in models.items()
    }
    regression = Base(
        partial(RegressionModel.fit, given=given),
        "scores",
        lambda s: s.rows > REGRESSED * s.columns and not s.has_cells,
        most=ITERATED,
        refit=lambda model, x, y: RegressionModel.fit(x, y, given=given, start=model),
    )
    return {**without, "regression": regression, **both, **beside}
