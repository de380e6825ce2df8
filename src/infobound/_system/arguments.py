"""Checks of the type and the range of arguments, with uniform messages.

Every public function checks its arguments with these before it computes or writes anything. Each
check returns the value as a plain Python object, so that NumPy's numbers can be written to JSON.
Each raises an `InputError` if the value is invalid.
"""

from __future__ import annotations

import difflib
import inspect
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from infobound.errors import InputError

__all__ = [
    "boolean",
    "choice",
    "directory",
    "ending",
    "expect",
    "function",
    "instance",
    "integer",
    "labels",
    "level",
    "listed",
    "lookup",
    "names",
    "numbers",
    "real",
    "seed",
    "shown",
    "text",
]

Kind = TypeVar("Kind")

MOST_COUNT = 1_000_000_000  # largest count; products of two counts fit into int64
SEEDS = 10**18  # largest seed; twice that fits into int64, so seeds can be counted up in Parquet
# Outside of this range a normal quantile is zero or infinite in float64.
LEVEL_RANGE = (1e-6, 1 - 1e-9)
SHOWN_LETTERS = 80  # largest number of characters of a value in a message


def shown(value: object) -> str:
    """Format a value for a message: its repr on one line, shortened, or else its type.

    Example:
        >>> shown("a"), shown(10**40)
        ("'a'", '10000000000000000000000000000000000000000')
        >>> shown(10**9999)
        'an object of type int'
    """
    try:
        line = " ".join(repr(value).split())
    except Exception:  # an integer with too many digits, or a faulty object of the caller
        return f"an object of type {type(value).__name__}"
    return line if len(line) <= SHOWN_LETTERS else f"{line[:SHOWN_LETTERS]}..."


def expect(holds: bool, name: str, expected: str, value: object, remedy: str = "") -> None:
    """Raise an error about an argument unless a condition holds.

    Args:
        holds: the condition.
        name: the name of the argument.
        expected: what it should be.
        value: its value.
        remedy: a sentence to add to the message.

    Raises:
        InputError: If `holds` is false.
    """
    if not holds:
        end = f" {remedy}" if remedy else ""
        raise InputError(f"Expected {name} to be {expected}; got {shown(value)}.{end}")


def integer(name: str, value: Any, *, least: int = 0, most: int = MOST_COUNT) -> int:
    """Check a whole number, of Python or NumPy, from `least` to `most`.

    Example:
        >>> integer("folds", 4, least=2)
        4
        >>> integer("folds", 2.5)
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected folds to be of type int; got 2.5.
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    expect(whole, name, "of type int", value)
    enough = {0: "zero or more", 1: "a positive number"}.get(least, f"{least} or more")
    expect(value >= least, name, enough, value)
    expect(value <= most, name, f"{most:,} or less", value)
    return int(value)


def seed(name: str, value: Any) -> int:
    """Check a seed of random numbers: a whole number from 0 to `SEEDS`."""
    return integer(name, value, most=SEEDS)


def real(name: str, value: Any, within: str = "(-inf, inf)") -> float:
    """Check a finite number in an interval, for example "(0, 1]" or "[0, inf)".

    Example:
        >>> real("lr", 1, "(0, inf)")
        1.0
        >>> real("alpha", 2, "(0, 1]")
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected alpha to be in (0, 1]; got 2.
    """
    fits = isinstance(value, Real) and not isinstance(value, bool)
    expect(fits, name, "of type float", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    expect(math.isfinite(number), name, "a finite number", value)
    low, high = map(float, within[1:-1].split(","))
    holds = number > low if within[0] == "(" else number >= low
    holds = holds and (number < high if within[-1] == ")" else number <= high)
    phrases = {"(0, inf)": "a positive number", "[0, inf)": "zero or more"}
    expect(holds, name, phrases.get(within, f"in {within}"), value)
    return number


def level(name: str, value: Any) -> float:
    """Check a confidence level in (0, 1) for which normal quantiles are finite and not zero."""
    number = real(name, value, "(0, 1)")
    low, high = LEVEL_RANGE
    expect(low <= number <= high, name, f"from {low:f} to {high:.9f}", value)
    return number


def boolean(name: str, value: Any) -> bool:
    """Check True or False; truthy values are an error, since "no" would count as true."""
    expect(isinstance(value, bool), name, "of type bool", value)
    return bool(value)


def text(name: str, value: Any) -> str:
    """Check a string."""
    expect(isinstance(value, str), name, "of type str", value)
    return str(value)


def choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """Check that a value is one of several names."""
    known = tuple(choices)
    expect(text(name, value) in known, name, f"one of {known}", value)
    return str(value)


def lookup(what: str, name: Any, table: Mapping[str, Kind]) -> Kind:
    """Return the entry of a table by its name; the message lists similar names.

    Example:
        >>> lookup("fruit", "aple", {"apple": 1, "pear": 2})
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected a known fruit; got 'aple'. Nearest: apple.
    """
    if not isinstance(name, str) or name not in table:
        near = difflib.get_close_matches(name, table, 3) if isinstance(name, str) else []
        near = near or [*table][:12] + ["..."] * (len(table) > 12)
        raise InputError(f"Expected a known {what}; got {shown(name)}. Nearest: {', '.join(near)}.")
    return table[name]


def names(name: str, value: Any) -> tuple[str, ...]:
    """Check a sequence of strings; a single string is an error, since it is a sequence of letters.

    Example:
        >>> names("kinds", ["monotone"])
        ('monotone',)
    """
    several = isinstance(value, Sequence) and not isinstance(value, str)
    several = several and all(isinstance(each, str) for each in value)
    remedy = f"Write [{shown(value)}]." if isinstance(value, str) else ""
    expect(several, name, "a list of strings", value, remedy)
    return tuple(value)


def labels(name: str, value: Any) -> tuple[str, ...]:
    """Check names of columns in any collection; whole numbers and tuples become text.

    The columns of a frame of pandas have such labels where they were not named, or have levels.

    Example:
        >>> labels("categorical", [0, ("eye", "left"), "age"])
        ('0', "('eye', 'left')", 'age')
    """
    several = isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)
    if several and getattr(value, "ndim", 1) == 1:
        value = [str(each) if isinstance(each, Integral | tuple) else each for each in value]
    return names(name, value)


def numbers(name: str, value: Any) -> tuple[Any, ...]:
    """Check a non-empty list, tuple, range or NumPy array, whose values are checked elsewhere."""
    try:
        several = () if isinstance(value, (str, bytes, dict)) else tuple(value)
    except TypeError:
        several = ()
    expect(bool(several), name, "a list of one number or more", value)
    return several


def function(
    name: str, value: Callable[..., Kind] | None, takes: int
) -> Callable[..., Kind] | None:
    """Check a callable that takes so many positional arguments; None is allowed.

    Example:
        >>> function("stop", abs, 0)
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected stop as a function of no argument; got one of (x, /).
    """
    expect(value is None or callable(value), name, "a function", value)
    if value is not None:
        try:
            signature = inspect.signature(value)
        except (TypeError, ValueError):  # a C function without a signature
            return value
        try:
            signature.bind(*range(takes))
        except TypeError:
            counted = ("no argument", "one argument", "two arguments")[takes]
            raise InputError(
                f"Expected {name} as a function of {counted}; got one of {signature}."
            ) from None
    return value


def listed(name: str, values: Iterable[Kind]) -> list[Kind]:
    """Return the members of a non-empty iterable as a list.

    Example:
        >>> listed("blocks", [])
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected blocks as a list of at least one; got [].
    """
    try:
        found = list(values)
    except TypeError:
        found = []
    if not found:
        raise InputError(f"Expected {name} as a list of at least one; got {shown(values)}.")
    return found


def instance(name: str, value: Any, kind: type[Kind], remedy: str = "") -> Kind:
    """Check an instance of a class."""
    expect(isinstance(value, kind), name, f"of type {kind.__name__}", value, remedy)
    found: Kind = value
    return found


def directory(name: str, value: Any) -> Path:
    """Check the path of a directory that exists or can probably be created; nothing is created.

    Raises:
        InputError: If the value is no path, a name is invalid or too long for the file system, or a
            parent directory may not be entered.

    Example:
        >>> directory("run", "runs/a").name
        'a'
        >>> directory("run", 5)
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected run to be the path of a directory; got 5.
    """
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    expect(isinstance(path, str) and path != "", name, "the path of a directory", value)
    if not _is_text(path):
        raise InputError(
            f"Expected {name} to be a directory whose name is text in UTF-8; got {shown(path)}, "
            "which TensorBoard cannot write to. Rename it, or name another directory."
        )
    found = Path(path)
    above = next((each for each in (found, *found.parents) if _is_there(name, each)), Path())
    for part in found.parts[len(above.parts) :]:  # not created yet; each must be a valid name
        _is_there(name, above / part)
    return found


def ending(name: str, value: Any, known: Sequence[str]) -> str:
    """Check the path of a file that is to be written, and return its ending in small letters.

    Example:
        >>> ending("path", "map.SVG", (".png", ".svg"))
        '.svg'
        >>> ending("path", "map.txt", (".png", ".svg"))
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected path to end in .png, .svg; got 'map.txt'. Rename it.
    """
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    expect(isinstance(path, str) and path != "", name, "the path of a file", value)
    suffix = Path(path).suffix.lower()
    if suffix not in known:
        raise InputError(
            f"Expected {name} to end in {', '.join(known)}; got {shown(path)}. Rename it."
        )
    return suffix


def _is_text(path: str) -> bool:
    """Return whether a path is text; bytes that are no UTF-8 become lone surrogates in Python."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_there(name: str, path: Path) -> bool:
    """Return whether a path exists; it is an error if the system does not answer."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # ValueError: a null byte, half of a surrogate pair
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"Expected {name} to be a directory that can be made or entered; got "
            f"{shown(str(path))} ({reason}). Name another directory."
        ) from error
    return True
