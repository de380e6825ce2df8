"""Mutual information between two samples, and how far the number can be trusted.

    import infobound
    result = infobound.estimate(x, y)

Names are imported when they are first used, so that `import infobound` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infobound.bounds import BOUNDS
    from infobound.comparison import compare
    from infobound.config import Config
    from infobound.critics import CRITICS
    from infobound.errors import InputError
    from infobound.estimates import Estimate, estimate
    from infobound.experiments import reproduce, resume
    from infobound.guarantees import certify
    from infobound.rehearsal import rehearse
    from infobound.sanity import check
    from infobound.streams import IndependenceStream
    from infobound.tasks import TASKS
    from infobound.train import Interrupted

__version__ = "0.1.0"
__all__ = [
    "BOUNDS",
    "CRITICS",
    "TASKS",
    "Config",
    "Estimate",
    "IndependenceStream",
    "InputError",
    "Interrupted",
    "certify",
    "check",
    "compare",
    "estimate",
    "rehearse",
    "reproduce",
    "resume",
]

_HOMES = {
    "BOUNDS": "bounds",
    "CRITICS": "critics",
    "TASKS": "tasks",
    "Config": "config",
    "Estimate": "estimates",
    "IndependenceStream": "streams",
    "InputError": "errors",
    "Interrupted": "train",
    "certify": "guarantees",
    "check": "sanity",
    "compare": "comparison",
    "estimate": "estimates",
    "rehearse": "rehearsal",
    "reproduce": "experiments",
    "resume": "experiments",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its room."""
    if name not in _HOMES:
        raise AttributeError(f"module 'infobound' has no attribute {name!r}")
    return getattr(importlib.import_module(f"infobound.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
