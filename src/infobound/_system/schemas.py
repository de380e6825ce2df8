"""Validation of untrusted values against the annotations of a dataclass.

The dataclass is the schema: the required contents of a file are defined once, where they are used.
Unknown fields are ignored, so that a later version may add fields.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

__all__ = ["parse"]

LARGEST = 2**63 - 1  # larger integers are no valid counts, steps or seeds, and fit into no table
NAMES = {int: "an integer", float: "a number", bool: "true or false", str: "text"}


def parse(kind: Any, value: Any, field: str = "") -> Any:
    """Convert a plain value to a type: lists become tuples, objects become dataclasses.

    Args:
        kind: a dataclass, or a type that its annotations may have: int, float, bool, str, None,
            Any, `tuple[T, ...]`, `tuple[T, U]`, `dict[str, T]`, a literal, or a union of these.
        value: the value read from JSON.
        field: the name of the value in messages.

    Returns:
        The converted value.

    Raises:
        ValueError: If a field is missing or has another type; the message names it.

    Example:
        >>> @dataclasses.dataclass
        ... class Point:
        ...     at: tuple[float, ...]
        ...     name: str | None = None
        >>> parse(Point, {"at": [1, 2.5], "more": 0})
        Point(at=(1.0, 2.5), name=None)
        >>> parse(Point, {"at": [1, "2"]})
        Traceback (most recent call last):
        ...
        ValueError: at[1]: expected a number, got '2'
    """
    if kind is Any:
        return value
    if kind is None or kind is type(None):
        return _expect(value is None, value, "null", field)
    if dataclasses.is_dataclass(kind):
        return _object(kind, value, field)
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        known = any(type(value) is type(part) and value == part for part in parts)
        return _expect(known, value, " or ".join(map(repr, parts)), field)
    if origin in (Union, types.UnionType):
        return _union(parts, value, field)
    if origin is tuple:
        _expect(isinstance(value, list | tuple), value, "a list", field)
        kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
        _expect(len(value) == len(kinds), value, f"a list of {len(kinds)}", field)
        both = enumerate(zip(kinds, value, strict=True))
        return tuple(parse(kind, each, f"{field}[{k}]") for k, (kind, each) in both)
    if origin in (dict, Mapping):
        _expect(isinstance(value, Mapping), value, "an object", field)
        return {k: parse(parts[1], each, f"{field}.{k}".strip(".")) for k, each in value.items()}
    return _plain(kind, value, field)


def _object(kind: Any, value: Any, field: str) -> Any:
    """Build a dataclass from an object with its fields."""
    _expect(isinstance(value, Mapping), value, "an object", field)
    given = {}
    for name, annotation in _annotations(kind).items():
        at = f"{field}.{name}".strip(".")
        if name in value:
            given[name] = parse(annotation, value[name], at)
        elif name in _required(kind):
            raise ValueError(f"{at} is missing")
    return kind(**given)


def _union(parts: tuple[Any, ...], value: Any, field: str) -> Any:
    """Convert to the first of several types that fits."""
    problem: ValueError | None = None
    for part in parts:
        try:
            return parse(part, value, field)
        except ValueError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _plain(kind: Any, value: Any, field: str) -> Any:
    """Convert a number, a truth value or text; true is no number, and an integer is a float."""
    value = value.item() if isinstance(value, np.generic) else value
    fits = type(value) is kind or (kind is float and type(value) is int)
    _expect(fits, value, NAMES[kind], field)
    if kind is int:
        _expect(abs(value) <= LARGEST, value, "an integer of 64 bits", field)
    if kind is str:
        _expect(not any("\ud800" <= letter <= "\udfff" for letter in value), value, "text", field)
    try:
        return kind(value)
    except OverflowError as error:
        raise ValueError(f"{field}: expected a number that a float holds") from error


def _expect(holds: bool, value: Any, expected: str, field: str) -> Any:
    if not holds:
        found = ascii(value)
        found = found if len(found) <= 60 else f"{found[:57]}..."
        raise ValueError(f"{field}: expected {expected}, got {found}".removeprefix(": "))
    return value


@functools.cache
def _annotations(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


@functools.cache
def _required(kind: Any) -> frozenset[str]:
    """Return the fields without a default."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(kind)
    return frozenset(
        f.name for f in fields if f.default is missing and f.default_factory is missing
    )
