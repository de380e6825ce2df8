"""Results with units: values are in nats, and are converted for output only.

Fields whose type contains `Nats` are converted by `as_dict`, and by nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import numpy as np

from infobound._system import arguments, schemas
from infobound.errors import InputError

__all__ = ["UNITS", "Nats", "Result", "convert", "expect_files", "restore", "scale"]

R = TypeVar("R", bound="Result")

Nats = Annotated[float, "nats"]
UNITS = {"nats": 1.0, "bits": math.log(2)}  # divide a value in nats by this to get the unit


def scale(units: str) -> float:
    """Return how many nats a unit is.

    Raises:
        InputError: If it is neither "nats" nor "bits".

    Example:
        >>> scale("bits") == math.log(2)
        True
    """
    return UNITS[arguments.choice("units", units, UNITS)]


def expect_files(name: str, place: object, unit: str, overwrite: bool) -> None:
    """Check that arguments about files are given only with a directory for files.

    The unit applies to files only; returned values are in nats.

    Args:
        name: the name of the argument for the directory.
        place: the directory, or None.
        unit: "nats" or "bits"; bits need a directory.
        overwrite: whether to replace files, which needs a directory.

    Raises:
        InputError: If there is no directory and one is needed, or an argument is invalid.
    """
    arguments.boolean("overwrite", overwrite)
    if overwrite and place is None:
        raise InputError(
            f"Expected overwrite only with {name}, the directory that is replaced; got overwrite "
            "alone. Name the directory, or leave overwrite out."
        )
    if scale(unit) != 1 and place is None:
        raise InputError(
            f"Expected {name}, whose files unit={unit!r} is for; got unit without it. What is "
            'returned is in nats; result.as_dict("bits") converts it.'
        )


@dataclass(frozen=True, repr=False)
class Result:
    """Base class of results that convert to plain values in nats or bits.

    Example:
        >>> @dataclass(frozen=True)
        ... class Found(Result):
        ...     mi: Nats
        ...     n: int
        >>> Found(1.0, 9).as_dict("bits")
        {'unit': 'bits', 'mi': 1.4426950408889634, 'n': 9}
    """

    def as_dict(self, units: str = "nats") -> dict[str, Any]:
        """Return plain values for JSON; `units` is "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        return {"unit": units, **self.values(units)}

    def values(self, units: str = "nats") -> dict[str, Any]:
        """Return the values of `as_dict` without the unit, for parts of another result."""
        found = dataclasses.asdict(self)
        inner = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self))
        for name, value in inner:
            if isinstance(value, Result):
                found[name] = value.as_dict(units)
            elif isinstance(value, tuple) and any(isinstance(each, Result) for each in value):
                found[name] = [each.values(units) for each in value]
        return convert(type(self), found, scale(units))


def convert(kind: type[Result], values: Mapping[str, Any], divisor: float) -> dict[str, Any]:
    """Divide the values in nats of a result, given by field name, by `divisor`."""
    changed = {
        name: (np.asarray(values[name]) / divisor).tolist()
        for name in _in_nats(kind)  # type: ignore[arg-type]
        if divisor != 1 and values.get(name) is not None
    }
    return {**values, **changed}


def restore(kind: type[R], values: Mapping[str, Any]) -> R:
    """Return the result whose `as_dict` or `values` are given, also after a trip through JSON.

    Args:
        kind: the class of the result.
        values: its values, in the unit that they name, nats if they name none; up to rounding.

    Raises:
        ValueError: If the values are those of something else; the message names a field.

    Example:
        >>> @dataclass(frozen=True)
        ... class Found(Result):
        ...     mi: Nats
        >>> restore(Found, {"unit": "bits", "mi": 1.0}).mi == math.log(2)
        True
    """
    found: R = schemas.parse(kind, _values_in_nats(kind, values, "nats"))
    return found


def _values_in_nats(kind: type[Result], values: Any, unit: str) -> Any:
    """Convert the values of a result and of those within it to nats."""
    if not isinstance(values, Mapping):
        return values  # an error of the schema
    unit = schemas.parse(Literal["nats", "bits"], values.get("unit", unit), "unit")
    schemas.parse(kind, values)  # before anything is computed
    found = convert(kind, values, 1 / scale(unit))
    for name, inner in _results_within(kind).items():  # type: ignore[arg-type]
        value = found.get(name)
        if isinstance(value, list | tuple):
            found[name] = [_values_in_nats(inner, each, unit) for each in value]
        elif value is not None:
            found[name] = _values_in_nats(inner, value, unit)
    return found


@functools.cache
def _results_within(kind: type[Result]) -> dict[str, type[Result]]:
    """Return the fields of a result that hold other results, with their classes."""
    found = {}
    for name, annotation in get_type_hints(kind).items():
        for each in (annotation, *get_args(annotation)):
            if isinstance(each, type) and issubclass(each, Result):
                found[name] = each
    return found


@functools.cache
def _in_nats(kind: type[Result]) -> tuple[str, ...]:
    """Return the fields of a result whose types contain `Nats`."""
    types = get_type_hints(kind, include_extras=True)
    return tuple(f.name for f in dataclasses.fields(kind) if _holds_nats(types[f.name]))


def _holds_nats(kind: Any) -> bool:
    return kind == Nats or any(map(_holds_nats, get_args(kind)))
