"""BibTeX of the methods, by their address."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["BIBTEX", "bibtex"]

BIBTEX: dict[str, str] = {}


def bibtex(addresses: Iterable[str]) -> str:
    """Return the entries of some methods, each once, in the order given.

    Raises:
        KeyError: If a method has no entry.
    """
    return "\n\n".join(BIBTEX[each] for each in dict.fromkeys(addresses))
