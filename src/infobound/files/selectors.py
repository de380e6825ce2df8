"""Selection of columns by names, patterns and ranges."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Sequence

from infobound._system import arguments
from infobound.errors import InputError

__all__ = ["NEAR", "select"]

NEAR = 10_000  # largest number of names that are searched for one like an unknown name


def select(names: list[str], selectors: Sequence[str], side: str) -> list[str]:
    """Return the selected column names in the order of the selectors, each once.

    Args:
        names: all names, in the order of the table.
        selectors: names, arrays of an npz file, patterns such as 'a*', ranges first:last, or
            several of these joined by commas.
        side: what the columns are for, which is also the flag that selects them.

    Raises:
        InputError: If a selector selects nothing, or no column is selected.

    Example:
        >>> select(["a1", "a2", "b"], ["a*"], "x")
        ['a1', 'a2']
    """
    selectors = arguments.names(side, selectors)
    parts: list[str] = []
    for selector in selectors:
        parts += [selector] if selector in names else [p.strip() for p in selector.split(",")]
    chosen = list(dict.fromkeys(n for part in filter(None, parts) for n in _matches(names, part)))
    if not chosen:
        columns = _listed(names)
        raise InputError(
            f"Expected columns for {side}, with --{side} NAMES; got none. Columns: {columns}. "
            "With their types: infobound describe FILE."
        )
    return chosen


def _matches(names: list[str], part: str) -> list[str]:
    """Return the columns that one selector means: a name, an array, a range or a pattern."""
    if part in names:
        return [part]
    array = [name for name in names if name.startswith(f"{part}[") and name.endswith("]")]
    if array:
        return array
    first, colon, last = part.partition(":")
    if colon and first in names and last in names:
        start, end = names.index(first), names.index(last)
        if start > end:
            raise InputError(
                f"Expected a range in the order of the columns; got {part}. Did you mean "
                f"{last}:{first}?"
            )
        return names[start : end + 1]
    if any(sign in part for sign in "*?"):
        found = [name for name in names if fnmatch.fnmatchcase(name, part)]
        if found:
            return found
        raise InputError(
            f"Expected a pattern that matches columns; got {part!r}, which matches none. "
            f"Columns: {_listed(names)}."
        )
    missing = [end for end in (first, last) if end not in names] if colon else [part]
    near = difflib.get_close_matches(missing[0], names[:NEAR], 3, 0.4)
    hint = f"Nearest: {', '.join(near)}" if near else f"Columns: {_listed(names)}"
    raise InputError(f"Expected a column of the file; there is no {missing[0]!r}. {hint}.")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
