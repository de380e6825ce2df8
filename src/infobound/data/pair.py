"""Validated pairs of rows.

Values are validated here, once, at the boundary; files are read in `readers`. This module does not
import torch, and imports pandas only when needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from infobound._system import arguments
from infobound._system.memory import (
    concatenate_rows,
    fits_in_memory,
    row_ids,
    row_slices,
    strided_subsample,
    take_rows,
)
from infobound.data.autocorrelation import memory
from infobound.data.containers import as_rows, have_different_indexes
from infobound.data.discreteness import Entropy, entropy
from infobound.data.encoding import numbers
from infobound.data.groups import group_ids, useful_groups
from infobound.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Pair", "as_pair", "as_pairs", "is_plain", "pair_arrays", "pair_frames", "with_groups"]
__all__ += ["with_kinds"]

LOOKED = 20_000_000  # largest number of values that the data checks read
GIVEN = "given"  # the name of Z in I(X;Y|Z), in messages and as a side of all columns


@dataclass(frozen=True, eq=False)
class Pair:
    """Validated rows of x and y without missing or infinite values.

    Attributes:
        x: (n, p), float64 in memory, or memory-mapped with any real dtype. `memory.take_rows`
            reads rows of x and y.
        y: (n, q), of the same kind.
        x_names: the names of the columns of x.
        y_names: the names of the columns of y.
        notes: how the rows were read and encoded.
        given: (n, r), the rows of the variable that is given, of I(X;Y|Z); None for I(X;Y).
        given_names: the names of its columns.
        groups: (n,), the group of each row as an id from 0, where rows of a group, such as a
            subject, are not independent; None if there are none.

    Example:
        >>> as_pair([1, 2, 3], [3, 2, 1]).x.shape
        (3, 1)
    """

    x: np.ndarray
    y: np.ndarray
    x_names: tuple[str, ...]
    y_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    given: np.ndarray | None = None
    given_names: tuple[str, ...] = ()
    groups: np.ndarray | None = None

    @property
    def sides(self) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
        """The rows and column names of x and y, and of what is given, by name."""
        found = {"x": (self.x, self.x_names), "y": (self.y, self.y_names)}
        return found if self.given is None else {**found, GIVEN: (self.given, self.given_names)}

    @property
    def columns(self) -> int:
        """The number of columns of all sides together."""
        return sum(rows.shape[1] for rows, _ in self.sides.values())

    @cached_property
    def sample(self) -> tuple[np.ndarray, Pair]:
        """The indices and values of evenly spaced rows, at most `LOOKED` values."""
        index = strided_subsample(len(self.x), LOOKED // self.columns)
        sides = {
            name: (take_rows(rows, index), names) for name, (rows, names) in self.sides.items()
        }
        groups = None if self.groups is None else self.groups[index]
        return index, _pair_of(sides, self.notes, groups)

    @cached_property
    def memory(self) -> int:
        """The distance in rows from which on x or y hardly resembles itself (`memory`)."""
        return memory(self.x, self.y)

    @cached_property
    def x_ids(self) -> np.ndarray:
        """An id (n,) for each row of x; equal rows have the same."""
        return row_ids(take_rows(self.x, np.arange(len(self.x))))

    @cached_property
    def y_ids(self) -> np.ndarray:
        """An id (n,) for each row of y; equal rows have the same."""
        return row_ids(take_rows(self.y, np.arange(len(self.y))))

    @cached_property
    def limit(self) -> tuple[str, Entropy] | None:
        """The side with the smaller entropy, an upper limit of the MI, if one takes few values."""
        known = (("x", entropy(self.x)), ("y", entropy(self.y)))
        limits = [(side, found) for side, found in known if found is not None]
        return min(limits, key=lambda each: each[1], default=None)


def _pair_of(
    sides: Mapping[str, tuple[np.ndarray, Sequence[str]]],
    notes: Sequence[str],
    groups: np.ndarray | None = None,
) -> Pair:
    """Build a pair from rows and column names: of x, of y and, perhaps, of what is given."""
    (x, x_names), (y, y_names), *more = sides.values()
    given, names = more[0] if more else (None, ())
    return Pair(x, y, tuple(x_names), tuple(y_names), tuple(notes), given, tuple(names), groups)


def with_groups(pair: Pair, labels: Any) -> Pair:
    """Return a pair whose rows are in groups, for example the rows of a subject.

    One group, or as many as rows, change nothing; then there is a note.

    Args:
        pair: the rows.
        labels: (n,) or (n, d), numbers or text; rows of equal labels are a group.

    Raises:
        InputError: If labels are missing, or there are more or fewer than rows.

    Example:
        >>> with_groups(as_pair([1, 2, 3], [3, 2, 1]), ["a", "a", "b"]).groups.tolist()
        [0, 0, 1]
    """
    ids, notes = useful_groups(group_ids(labels), len(pair.x))
    return replace(pair, groups=ids, notes=(*pair.notes, *notes))


def as_pair(
    x: Any,
    y: Any = None,
    *,
    given: Any = None,
    groups: Any = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    part: bool = False,
) -> Pair:
    """Convert rows in any container (arrays, tensors, frames, lists, sparse matrices) to a `Pair`.

    An array (n,) becomes one column; more than two dimensions are flattened, with a note.

    Args:
        x: (n, p) or (n,); or a `Pair`, as returned by `readers.read`, which is returned unchanged
            unless columns are named below.
        y: (n, q) or (n,); omitted if x is a `Pair`.
        given: (n, r) or (n,), the variable Z of I(X;Y|Z), if there is one; omitted if x is a
            `Pair`.
        groups: (n,), the group of each row, such as its subject, if rows of a group are not
            independent; see `with_groups`.
        categorical: names of columns that are categories, not quantities, and one-hot encoded; "x",
            "y" or "given" for all columns of a side. Text and pandas' categories need not be named.
        numeric: names of columns that are quantities although they are text or categories.
        part: whether these are a part of the rows only. Then a single row is allowed, and
            categories are an error, because they depend on all rows.

    Returns:
        The validated rows.

    Raises:
        InputError: If there are no rows of numbers, lengths are unequal, values are missing or
            infinite, text is not a category, or no column has a name that is given.

    Example:
        >>> as_pair(np.zeros((4, 2, 2)), np.arange(4)).notes
        ('x: each row of shape (2, 2) flattened into 4 columns.',)
        >>> as_pair([3, 1, 2, 3], ["7", "8", "9", "8"], categorical=["x"], numeric=["y"]).x_names
        ('x[0]=1', 'x[0]=2', 'x[0]=3')
    """
    kinds = {"categorical": categorical, "numeric": numeric}
    pair = as_pairs({"x": x}, y, given=given, **kinds, part=part)[0]
    return pair if groups is None else with_groups(pair, groups)


def as_pairs(
    xs: Mapping[str, Any],
    y: Any = None,
    *,
    given: Any = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    part: bool = False,
) -> tuple[Pair, ...]:
    """Convert several samples, each with the same y, to pairs; see `as_pair`.

    Args:
        xs: the samples by name, which stands for all of its columns in `categorical`, and names the
            columns of an array.
        y: (n, q) or (n,); omitted if the samples are pairs.
        given: as for `as_pair`.
        categorical: names of columns of any sample, or of y.
        numeric: the same.
        part: whether these are a part of the rows only.

    Returns:
        The validated rows.

    Raises:
        InputError: As `as_pair`.

    Example:
        >>> left, right = as_pairs({"x1": [1, 2], "x2": [[1, 2], [1, 3]]}, [0, 1])
        >>> left.x_names, right.x_names
        (('x1[0]',), ('x2[0]', 'x2[1]'))
    """
    codes = arguments.labels("categorical", categorical)
    quantities = arguments.labels("numeric", numeric)
    both = sorted(set(codes) & set(quantities))
    if both:
        raise InputError(
            f"Expected each column in categorical or in numeric; got {', '.join(both)} in both. "
            "Name it in one of them."
        )
    pairs = tuple(
        _pair(name, x, y, given, categorical=codes, numeric=quantities, part=part)
        for name, x in xs.items()
    )
    names = [n for pair in pairs for _, columns in pair.sides.values() for n in columns]
    sides = dict.fromkeys((*xs, *(side for pair in pairs for side in pair.sides if side != "x")))
    known = {*sides, *names, *map(_encoded, names)}
    every = f"{', '.join([*sides][:-1])} or {[*sides][-1]}"
    for what, columns in (("categorical", codes), ("numeric", quantities)):
        unknown = [column for column in columns if column not in known]
        if unknown:
            raise InputError(
                f"Expected {what} columns among {', '.join(names[:20])}, or {every} for all "
                f"of a side; got {unknown[0]!r}. Name one of these."
            )
    return pairs


def _pair(
    name: str,
    x: Any,
    y: Any,
    given: Any,
    *,
    categorical: Sequence[str],
    numeric: Sequence[str],
    part: bool,
) -> Pair:
    """Convert x, which is called `name`, and y to a pair; unknown columns are ignored."""
    if isinstance(x, Pair):
        if y is not None:
            raise InputError("Expected no y beside a Pair, which holds one; got both.")
        if given is not None:
            raise InputError(
                "Expected given where the Pair is made; got it beside a Pair. Write "
                "as_pair(x, y, given=z), or readers.read(..., given=...)."
            )
        return with_kinds(x, categorical=categorical, numeric=numeric, x_name=name)
    if y is None:
        raise InputError(
            f"Expected y, or a Pair in the place of {name}; got neither. Give estimate(x, y)."
        )
    notes: list[str] = []
    for side, values in (("y", y), (GIVEN, given)):
        if have_different_indexes(x, values):
            notes.append(
                f"{name} and {side} have different indexes: rows were paired by position, not by "
                f"index. To pair them by index, give {side}.loc[{name}.index]."
            )
    found: dict[str, Any] = {}
    for side, values in {name: x, "y": y, **({} if given is None else {GIVEN: given})}.items():
        found[side], more = as_rows(side, values)
        notes += more
    _expect_paired({side: rows.shape for side, rows in found.items()}, part)
    names = {side: [f"{side}[{k}]" for k in range(r.shape[1])] for side, r in found.items()}
    if all(isinstance(rows, np.ndarray) and is_plain(rows) for rows in found.values()):
        pair = pair_arrays(found, names=names, notes=notes, source="the arrays")
        return with_kinds(pair, categorical=categorical, numeric=numeric, x_name=name)
    import pandas as pd

    frames = {
        side: pd.DataFrame(
            rows, columns=names[side], dtype=object if rows.dtype.kind in "UO" else None
        )
        if isinstance(rows, np.ndarray)
        else rows
        for side, rows in found.items()
    }
    return pair_frames(
        frames,
        source="the arrays",
        notes=notes,
        categorical=categorical,
        numeric=numeric,
        categories=not part,
    )


def with_kinds(
    pair: Pair,
    *,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    x_name: str = "x",
) -> Pair:
    """Return a pair in which some columns are categories, one-hot encoded, not quantities.

    Args:
        pair: the rows.
        categorical: names of columns; `x_name`, "y" or "given" for all columns of a side. A column
            that is a category already stays as it is. Unknown names are ignored.
        numeric: names of columns that must be quantities.
        x_name: what stands for all columns of x.

    Raises:
        InputError: If a column of `numeric` is encoded as categories already, or no value of a
            column repeats.

    Example:
        >>> with_kinds(as_pair([3, 1, 2, 3], [0.1, 0.2, 0.3, 0.4]), categorical=["x"]).x_names
        ('x[0]=1', 'x[0]=2', 'x[0]=3')
    """
    if not categorical and not numeric:
        return pair
    import pandas as pd

    own = {x_name if side == "x" else side: found for side, found in pair.sides.items()}
    plain = {side: [n for n in names if "=" not in n] for side, (_, names) in own.items()}
    stems = {side: {_encoded(n) for n in names} - {""} for side, (_, names) in own.items()}
    fixed = sorted(set().union(*_named(numeric, stems).values()))
    if fixed:
        raise InputError(
            f"Expected columns that are not encoded as categories yet in numeric; got {fixed[0]}, "
            "which this Pair has as categories. Name it where the Pair is made: "
            "readers.read(..., numeric=...)."
        )
    sides, notes = {}, list(pair.notes)
    for side, codes in _named(categorical, plain).items():
        rows, names = own[side]
        values, columns, said = numbers(side, pd.DataFrame(rows, columns=names), categorical=codes)
        sides[side] = (np.ascontiguousarray(values), columns)
        notes += said
    return _pair_of(sides, notes, pair.groups)


def _encoded(name: str) -> str:
    """Return the column that a column of zeros and ones, such as "sex=m", encodes."""
    return name.rpartition("=")[0]


def _named(columns: Sequence[str], sides: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Return those columns of each side that are named, where a side's name stands for all."""
    every = {name for names in sides.values() for name in names}
    return {
        side: set(names) if side in columns and side not in every else set(names) & set(columns)
        for side, names in sides.items()
    }


def _expect_paired(shapes: Mapping[str, tuple[int, int]], part: bool) -> None:
    """Check that sides have equally many rows, at least one, and at least one column each."""
    for side, own in shapes.items():
        lengths = [shape[0] for other, shape in shapes.items() if other != side]
        same = own[1] in lengths or (set(lengths) == {1} and not part)
        if own[0] == 1 < own[1] and same:
            raise InputError(
                f"Expected a row for each observation in {side}; got one row of {own[1]:,} "
                f"columns. Transpose it: {side}.T."
            )
    (first, (n, _)), *others = shapes.items()
    for side, (m, _) in others:
        if m != n:
            raise InputError(
                f"Expected equal lengths for {first} and {side}; got {n} and {m}. Row i of {first} "
                f"must belong to row i of {side}: align them first."
            )
    for side, shape in shapes.items():
        if 0 in shape:
            raise InputError(
                f"Expected at least one row and one column for {side}; got shape {shape}. Give "
                "rows by columns."
            )


def is_plain(rows: np.ndarray) -> bool:
    """Return whether rows (n, d) are real numbers that float64 represents exactly.

    Example:
        >>> is_plain(np.zeros((2, 1), dtype=np.float32)), is_plain(np.array([["a"]]))
        (True, False)
    """
    largest = {"b": 1, "f": 8, "i": 4, "u": 4}.get(rows.dtype.kind, 0)
    return rows.size > 0 and rows.itemsize <= largest


def pair_arrays(
    sides: Mapping[str, np.ndarray],
    *,
    names: Mapping[str, Sequence[str]],
    source: str,
    notes: Sequence[str] = (),
    drop_missing: bool = False,
    groups: np.ndarray | None = None,
) -> Pair:
    """Validate arrays of real numbers piece by piece and return them as a `Pair`.

    Memory-mapped arrays that are a large part of the free memory stay on disk unchanged.

    Args:
        sides: x (n, p), y (n, q) and, perhaps, what is given (n, r), by name, in this order.
        names: the names of the columns of each side.
        source: the name of the data in messages.
        notes: notes about how the data were read.
        drop_missing: whether to drop rows with missing values.
        groups: (n,), the group of each row, -1 if it is missing; see `groups.group_ids`.

    Raises:
        InputError: If there are no rows or columns, values are missing (unless dropped), or values
            are infinite.
    """
    _expect_paired({side: rows.shape for side, rows in sides.items()}, part=True)
    everything = [name for side in sides for name in names[side]]
    n, width = len(next(iter(sides.values()))), len(everything)
    missing, infinite = np.zeros(width, dtype=int), np.zeros(width, dtype=int)
    whole = np.ones(n, dtype=bool)
    for at in row_slices(n, width):
        rows = np.concatenate([side[at] for side in sides.values()], axis=1)
        absent = np.isnan(rows)
        whole[at] = ~absent.any(axis=1)
        missing += absent.sum(axis=0)
        infinite += np.isinf(rows[whole[at]]).sum(axis=0)
    counts = list(zip(everything, missing, strict=True))
    whole, counts = _with_labels(whole, counts, groups)
    if not whole.all():
        notes = [*notes, _dropped(counts, ~whole, source, drop_missing)]
        sides = {
            side: concatenate_rows(
                (rows[at][whole[at]] for at in row_slices(n, width)),
                int(whole.sum()),
                rows.shape[1],
            )
            for side, rows in sides.items()
        }
    _expect_finite(zip(everything, infinite, strict=True), source)
    held = {side: (_held(np.asarray(rows)), names[side]) for side, rows in sides.items()}
    return _pair_of(held, *_grouped(groups, whole, notes))


def _with_labels(
    whole: np.ndarray, counts: list[tuple[str, Any]], groups: np.ndarray | None
) -> tuple[np.ndarray, list[tuple[str, Any]]]:
    """Count rows without a group among those with missing values."""
    if groups is None or len(groups) != len(whole):
        return whole, counts
    return whole & (groups >= 0), [*counts, ("of the groups", int((groups < 0).sum()))]


def _grouped(
    groups: np.ndarray | None, whole: np.ndarray, notes: Sequence[str]
) -> tuple[Sequence[str], np.ndarray | None]:
    """Return the notes and the groups of the rows that are kept."""
    if groups is None:
        return notes, None
    kept = groups[whole] if len(groups) == len(whole) else groups
    ids, more = useful_groups(np.unique(kept, return_inverse=True)[1], int(whole.sum()))
    return [*notes, *more], ids


def _held(rows: np.ndarray) -> np.ndarray:
    """Load rows into memory if they fit; otherwise leave them on disk, as native floats."""
    if fits_in_memory(*rows.shape):
        return np.ascontiguousarray(rows, dtype=np.float64)
    if rows.dtype in (np.float32, np.float64) and rows.dtype.isnative:
        return rows
    return concatenate_rows((rows[at] for at in row_slices(*rows.shape)), *rows.shape)


def _dropped(
    counts: Iterable[tuple[str, int]],
    rows: np.ndarray,
    source: str,
    drop_missing: bool,
    hint: str = "",
) -> str:
    """Return a note about dropped rows, or raise if they must not be dropped or none are left."""
    if not drop_missing:
        said = dict.fromkeys(f"{name} ({count:,})" for name, count in counts if count)
        named = ", ".join(said)  # a series and its past have one name
        raise InputError(
            f"Expected no missing values in {source}; got {rows.sum():,} of {len(rows):,} rows "
            f"with missing values, in columns {named}. Fill them; or, if rows are no time series, "
            f"leave those rows out with --drop-missing (from Python: dropna first).{hint}"
        )
    if rows.all():
        raise InputError(f"Expected rows without missing values in {source}; got none.{hint}")
    return f"Dropped {rows.sum():,} of {len(rows):,} rows with missing values.{hint}"


def _expect_finite(counts: Iterable[tuple[str, int]], source: str) -> None:
    named = ", ".join(f"{name} ({count:,})" for name, count in counts if count)
    if named:
        raise InputError(
            f"Expected finite values in {source}; got infinite ones (or ones beyond 1.8e308, "
            f"the largest of float64) in columns {named}. Remove or replace those rows."
        )


def pair_frames(
    frames: Mapping[str, pd.DataFrame],
    *,
    source: str,
    notes: Sequence[str] = (),
    drop_missing: bool = False,
    hint: str = "",
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    untyped: bool = False,
    categories: bool = True,
    groups: np.ndarray | None = None,
) -> Pair:
    """Validate and encode frames of equal length as a `Pair`.

    Args:
        frames: the columns of x, of y and, perhaps, of what is given, by name, in this order.
        source: the name of the data in messages.
        notes: notes about how the data were read.
        drop_missing: whether to drop rows with missing values.
        hint: a possible reason of missing values, added to messages.
        categorical: names of columns that are categories; the name of a side for all of them.
        numeric: names of columns that are quantities.
        untyped: whether text that looks like numbers is parsed, as in a CSV file.
        categories: whether categories are allowed besides numbers.
        groups: (n,), the group of each row, -1 if it is missing; see `groups.group_ids`.

    Raises:
        InputError: If values are missing (unless dropped) or infinite, or text is not a category.
    """
    import pandas as pd

    _expect_paired({side: frame.shape for side, frame in frames.items()}, part=True)
    missing = pd.concat([frame.isna() for frame in frames.values()], axis=1)
    whole, counts = _with_labels(
        ~missing.any(axis=1).to_numpy(), list(missing.sum().items()), groups
    )
    rows = ~whole
    if rows.any():
        notes = [*notes, _dropped(counts, rows, source, drop_missing, hint)]
        frames = {side: frame[~rows] for side, frame in frames.items()}
    sides = {}
    codes, quantities = _named(categorical, frames), _named(numeric, frames)
    for side, frame in frames.items():
        values, names, said = numbers(
            side,
            frame,
            categorical=codes[side],
            numeric=quantities[side],
            untyped=untyped,
            categories=categories,
        )
        notes = [*notes, *said]
        _expect_finite(zip(names, np.isinf(values).sum(0), strict=True), source)
        sides[side] = (np.ascontiguousarray(values), names)
    return _pair_of(sides, *_grouped(groups, whole, notes))
