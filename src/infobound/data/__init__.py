"""Rows of x and y: reading, validation, encoding, splitting into folds, and transforms.

`as_pair` turns any container into a `Pair`; `readers` does so for files. This package contains no
estimators and does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infobound.data.pair import (
        FEWEST,
        Entropy,
        Pair,
        Transform,
        as_pair,
        entropy,
        has_ties,
        hold_out,
        is_plain,
        levels,
        pair_arrays,
        pair_frames,
        split,
    )

__all__ = [
    "FEWEST",
    "Entropy",
    "Pair",
    "Transform",
    "as_pair",
    "entropy",
    "has_ties",
    "hold_out",
    "is_plain",
    "levels",
    "pair_arrays",
    "pair_frames",
    "split",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `--help` needs no NumPy."""
    if name not in __all__:
        raise AttributeError(f"module 'infobound.data' has no attribute {name!r}")
    return getattr(importlib.import_module("infobound.data.pair"), name)
