"""Versions of what a result depends on."""

from __future__ import annotations

import functools
import importlib.metadata
import platform

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """Return the versions of Python, the platform and the packages that a result depends on.

    Example:
        >>> "torch" in versions()
        True
    """
    return {**_found()}


@functools.cache  # reading the metadata takes milliseconds
def _found() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("infobound", "torch", "numpy", "scipy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout, not installed
            found[name] = "unknown"
    return found
