"""Rows of x and y: reading, validation, encoding, splitting into folds, and transforms.

`as_pair` turns any container into a `Pair`; `readers` does so for files. This package contains no
estimators and does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infobound.data.discreteness import Entropy, entropy, has_ties, n_distinct
    from infobound.data.pair import (
        Pair,
        as_pair,
        as_pairs,
        is_plain,
        pair_arrays,
        pair_frames,
        with_groups,
        with_kinds,
    )
    from infobound.data.splits import FEWEST, Layout, split, train_validation_split
    from infobound.data.transforms import Transform

__all__ = [
    "FEWEST",
    "Entropy",
    "Layout",
    "Pair",
    "Transform",
    "as_pair",
    "as_pairs",
    "entropy",
    "has_ties",
    "is_plain",
    "n_distinct",
    "pair_arrays",
    "pair_frames",
    "split",
    "train_validation_split",
    "with_groups",
    "with_kinds",
]

_HOMES = {
    "discreteness": ("Entropy", "entropy", "has_ties", "n_distinct"),
    "pair": (
        "Pair",
        "as_pair",
        "as_pairs",
        "is_plain",
        "pair_arrays",
        "pair_frames",
        "with_groups",
        "with_kinds",
    ),
    "splits": ("FEWEST", "Layout", "train_validation_split", "split"),
    "transforms": ("Transform",),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `--help` needs no NumPy."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"infobound.data.{home}"), name)
    raise AttributeError(f"module 'infobound.data' has no attribute {name!r}")
