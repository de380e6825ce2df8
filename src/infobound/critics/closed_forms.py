"""The bank of closed-form models that a critic may start from: the table `BASES`.

A model reads either normal scores or robustly scaled values; the table says which, and for which
rows it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from torch import Tensor, nn

from infobound.critics.copulas import ContaminatedCopula, GaussianCopula, StudentCopula
from infobound.critics.densities import (
    COARSE,
    FINE,
    ClasswiseGaussian,
    ContingencyTable,
    MixtureModel,
    components,
)

__all__ = ["BASES", "Base", "Shape"]

MIXED = 4  # columns of x and y together, up to which a mixture is fitted
RICH = 16  # components from which on a mixture can be anything in the plane
BROAD = (
    128  # columns, from which on iterated fits are left out and networks read canonical directions
)
ITERATED = 50_000  # rows that a fit by iterations sees at most
CELL = 5  # rows a cell, from which on a contingency table is fitted
MEMBERS = 8  # rows a value, from which on each value has a Gaussian of its own
CLASSES = 1_000  # values at most
LEVELS = 20  # values that both sides may take where rows are too few for a table
WIDE = 3  # rows a column, below which covariances are shrunk and a model must do better than none
PLAIN = 2  # rows a column, from which on a covariance may be used as it is
SHRUNK = 4_000  # rows that covariances are shrunk on at most


class Shape(NamedTuple):
    """The rows to be fitted: how many, columns of x and y together, different rows of x and y."""

    rows: int
    columns: int
    levels_x: int
    levels_y: int

    @property
    def is_wide(self) -> bool:
        """Whether columns are many for the rows."""
        return self.rows < WIDE * self.columns

    @property
    def has_classes(self) -> bool:
        """Whether one side takes few values and the other side many."""
        few, many = sorted((self.levels_x, self.levels_y))
        enough = 2 <= few <= min(CLASSES, self.rows / MEMBERS)
        return enough and many > LEVELS and not self.few_values

    @property
    def few_values(self) -> bool:
        """Whether there are rows for every cell of a table."""
        return CELL * self.levels_x * self.levels_y <= self.rows


@dataclass(frozen=True)
class Base:
    """A closed-form model.

    `possible` says whether it can be fitted, `can_start` whether a network can be trained on it
    (its scores must be cheap), `leaves` whether it leaves a network anything to find, `most` how
    many rows it is fitted to at most, where that is slow, and `normalised` whether e^f averages one
    over the negatives as far as the model is true, so that f may stand for the log ratio.
    """

    fit: Callable[[Tensor, Tensor], nn.Module]
    inputs: Literal["scores", "robust"]
    possible: Callable[[Shape], bool] = lambda shape: True
    can_start: bool = True
    leaves: Callable[[Shape], bool] = lambda shape: True
    most: int | None = None
    normalised: bool = True


def _determined(shape: Shape) -> bool:
    """Whether rows are enough for a covariance of all columns."""
    return shape.rows > PLAIN * shape.columns


def _affordable(shape: Shape) -> bool:
    """Whether a fit by iterations has rows enough, and ends in seconds."""
    return shape.rows > 5 * shape.columns and shape.columns < BROAD


def _mixture(size: tuple[int, int]) -> Base:
    return Base(
        partial(MixtureModel.fit, size=size),
        "robust",
        lambda s: s.columns <= MIXED and components(s.rows, s.columns, size) >= 2,
        can_start=False,
        leaves=lambda s: s.columns > 2 or components(s.rows, s.columns, COARSE) < RICH,
        most=ITERATED,
    )


BASES: dict[str, Base] = {
    "gaussian": Base(GaussianCopula.fit, "scores", _determined),
    "gaussian_raw": Base(GaussianCopula.fit, "robust", _determined),
    "gaussian_shrunk": Base(
        GaussianCopula.fit_shrunk,
        "scores",
        lambda s: s.is_wide,
        can_start=False,  # it is too sure of itself for a network to correct
        most=SHRUNK,
        normalised=False,
    ),
    "student": Base(StudentCopula.fit, "scores", _affordable, most=ITERATED),
    "contaminated": Base(ContaminatedCopula.fit, "scores", _affordable, most=ITERATED),
    "mixture": _mixture(COARSE),
    "fine_mixture": _mixture(FINE),
    "classwise": Base(
        ClasswiseGaussian.fit, "robust", lambda s: s.has_classes and _affordable(s), can_start=False
    ),
    "table": Base(
        ContingencyTable.fit,
        "robust",
        lambda s: s.few_values,
        can_start=False,
        leaves=lambda s: False,
    ),
}
