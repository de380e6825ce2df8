"""Versions of what a result depends on."""

from __future__ import annotations

import importlib.metadata
import platform

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """Return the versions of Python, the platform and the packages that a result depends on.

    Example:
        >>> "torch" in versions()
        True
    """
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("infobound", "torch", "numpy", "scipy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout, not installed
            found[name] = "unknown"
    return found
