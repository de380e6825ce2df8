"""Figures of the rows of an estimate: their dependence, and where its information comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from infobound._system.memory import row_ids, strided_subsample, take_rows
from infobound.data.pair import Pair
from infobound.data.transforms import Transform
from infobound.errors import InputError
from infobound.pages.page import Picture
from infobound.plotting import dependence_figures as draw
from infobound.plotting.dependence_figures import Axis

if TYPE_CHECKING:
    from infobound.results.estimate import Estimate

__all__ = ["data_pictures", "take"]

ROWS = 20_000  # rows of figures
PROFILES = 6  # panels of profiles
DIRECTIONS = 3  # pairs of directions
WIDEST = 1_000  # columns of a side up to which directions are sought
KINDS = 20  # a side of several columns with at most so many different rows is one of categories


def data_pictures(result: Estimate, pair: Pair, title: str, units: str) -> Iterator[Picture]:
    """Return the figures of an estimate that need its rows.

    Of one column and another, their ranks; otherwise, pairs of directions that are most correlated.
    With `pointwise`, also profiles of the information along columns.

    Raises:
        InputError: If the rows are not those of the estimate.
    """
    shape, expected = (len(pair.x), pair.x.shape[1], pair.y.shape[1]), _shape(result)
    if shape != expected:
        raise InputError(
            f"Expected the rows of the estimate, {expected[0]:,} with {expected[1]} and "
            f"{expected[2]} columns; got {shape[0]:,} with {shape[1]} and {shape[2]}. Give the "
            "same x and y."
        )
    index, seen = pair.sample
    few = strided_subsample(len(index), ROWS)
    index, seen = index[few], take(seen, few)
    points = None if result.pointwise is None else np.array(result.pointwise)[index]
    x, y = (_single(*side) for side in ((seen.x, seen.x_names), (seen.y, seen.y_names)))
    hidden = " z is not shown." if pair.given is not None else ""
    colours = (
        "Colours: the information of each row, positive where this x makes this y more likely."
        if points is not None
        else "Colours: the density of ranks against independence; with pointwise=True, the "
        "information of each row."
    )
    if x is not None and y is not None:
        yield Picture(
            "dependence",
            f"Ranks of {x.name} and {y.name}; independent columns fill the square evenly. "
            f"{colours}{hidden}",
            partial(draw.rank_figure, x, y, pointwise=points, title=title, unit=units),
        )
    elif max(seen.x.shape[1], seen.y.shape[1]) <= WIDEST:
        pairs = _directions(seen.x, seen.y)
        yield Picture(
            "dependence",
            "The pairs of directions of x and y (weighted sums of the columns' normal scores) that "
            "are most correlated. " + (colours if points is not None else "") + hidden,
            partial(draw.directions_figure, pairs, pointwise=points, title=title, unit=units),
        )
    if points is not None:
        axes = _profiled(seen, points)
        yield Picture(
            "profile",
            "Mean information of the rows along columns, with two standard errors: where the "
            "dependence is. Dashed: the mean of all rows. "
            + ("The columns along which it varies most." if len(axes) == PROFILES else ""),
            partial(draw.profile_figure, axes, points, title=title, unit=units),
        )


def take(pair: Pair, rows: np.ndarray) -> Pair:
    """Return some rows of a pair."""
    given = None if pair.given is None else take_rows(pair.given, rows)
    return replace(pair, x=take_rows(pair.x, rows), y=take_rows(pair.y, rows), given=given)


def _shape(result: Estimate) -> tuple[int, int, int]:
    return result.n, result.dim_x, result.dim_y


def _single(rows: np.ndarray, names: tuple[str, ...]) -> Axis | None:
    """Return a side as one axis: its only column, a category, or few different rows."""
    values = np.asarray(rows, dtype=np.float64)
    owner, levels = _category(values, names)
    if owner is not None and rows.shape[1] == 1:
        return Axis(values[:, 0], owner, (f"not {levels[0]}", levels[0]))
    if owner is not None:
        return Axis(values.argmax(axis=1).astype(np.float64), owner, levels)
    if rows.shape[1] == 1:
        return Axis(values[:, 0], names[0])
    ids = row_ids(rows)
    if ids.max() < KINDS:
        return Axis(ids.astype(np.float64), f"{names[0]} ... {names[-1]}")
    return None


def _category(values: np.ndarray, names: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Return the name and the levels of the category that columns encode, if they do."""
    owners, levels = (
        {name.rpartition("=")[0] for name in names},
        [n.rpartition("=")[2] for n in names],
    )
    owner = owners.pop()
    whole = values.shape[1] == 1 or (values.sum(axis=1) == 1).all()
    if owners or not owner or not whole or not np.isin(values, (0.0, 1.0)).all():
        return None, ()
    return owner, tuple(levels)


def _directions(x: np.ndarray, y: np.ndarray) -> list[tuple[Axis, Axis]]:
    """Return the canonical directions of the columns' normal scores, with a ridge for many."""
    scores, whitened = [], []
    for side in (x, y):
        values = Transform.fit(side).normal_scores(np.asarray(side, dtype=np.float64))
        left, sizes, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
        ridge = len(values) * side.shape[1] / len(values)
        scores.append(left)
        whitened.append(sizes / np.sqrt(sizes**2 + ridge))
    cross = (scores[0] * whitened[0]).T @ (scores[1] * whitened[1])
    a, _, b = np.linalg.svd(cross, full_matrices=False)
    found = []
    for k in range(min(DIRECTIONS, *cross.shape)):
        sides = (scores[0] * whitened[0]) @ a[:, k], (scores[1] * whitened[1]) @ b[k]
        axes = [
            Axis(values / (values.std() or 1.0), f"direction {k + 1} of {name}")
            for values, name in zip(sides, "xy", strict=True)
        ]
        found.append((axes[0], axes[1]))
    return found


def _axes(rows: np.ndarray, names: tuple[str, ...]) -> list[Axis]:
    """Return the columns of a side; those of one category are one."""
    values = np.asarray(rows, dtype=np.float64)
    category = _single(values, names) if _category(values, names)[0] is not None else None
    if category is not None:
        return [category]
    return [Axis(column, name) for column, name in zip(values.T, names, strict=True)]


def _profiled(pair: Pair, points: np.ndarray) -> list[Axis]:
    """Return the columns along which the information varies most."""
    columns = [axis for side in pair.sides.values() for axis in _axes(*side)]
    if len(columns) <= PROFILES:
        return columns
    parts = max(3, min(20, len(points) // 20))

    def varies(axis: Axis) -> float:
        groups = np.array_split(points[np.argsort(axis.values, kind="stable")], parts)
        return float(np.var([group.mean() for group in groups]))

    return sorted(columns, key=varies, reverse=True)[:PROFILES]
