"""Mutual information between two samples, and how far the number can be trusted.

    import infobound
    result = infobound.estimate(x, y)

Names are imported on first use, so that `import infobound` is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infobound.analyses.compare import compare
    from infobound.analyses.interaction import interaction
    from infobound.analyses.invariance import check
    from infobound.analyses.probes import probe
    from infobound.analyses.subsampling import subsample
    from infobound.benchmark.notebook import reproduce, resume
    from infobound.benchmark.tasks import TASKS
    from infobound.bounds.variational import BOUNDS
    from infobound.config import Config
    from infobound.critics.networks import CRITICS
    from infobound.errors import InputError
    from infobound.estimation.estimate import estimate
    from infobound.inference.certify import certify
    from infobound.inference.streams import IndependenceStream
    from infobound.results.estimate import Estimate
    from infobound.series.lagged_pairs import lagged_pairs
    from infobound.series.lags import lags
    from infobound.series.transfer import storage, transfer_entropy
    from infobound.series.transfer_network import transfer_network
    from infobound.studies.calibration import rehearse
    from infobound.tables.pairwise import pairwise
    from infobound.training.loop import Interrupted

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
    "interaction",
    "lagged_pairs",
    "lags",
    "pairwise",
    "probe",
    "rehearse",
    "reproduce",
    "resume",
    "storage",
    "subsample",
    "transfer_entropy",
    "transfer_network",
]

_HOMES = {
    "BOUNDS": "bounds.variational",
    "CRITICS": "critics.networks",
    "TASKS": "benchmark.tasks",
    "Config": "config",
    "Estimate": "results.estimate",
    "IndependenceStream": "inference.streams",
    "InputError": "errors",
    "Interrupted": "training.loop",
    "certify": "inference.certify",
    "check": "analyses.invariance",
    "compare": "analyses.compare",
    "estimate": "estimation.estimate",
    "interaction": "analyses.interaction",
    "lagged_pairs": "series.lagged_pairs",
    "lags": "series.lags",
    "pairwise": "tables.pairwise",
    "probe": "analyses.probes",
    "rehearse": "studies.calibration",
    "reproduce": "benchmark.notebook",
    "resume": "benchmark.notebook",
    "storage": "series.transfer",
    "transfer_entropy": "series.transfer",
    "subsample": "analyses.subsampling",
    "transfer_network": "series.transfer_network",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name == "distributed":
        return importlib.import_module("infobound._system.distributed")
    if name not in _HOMES:
        raise AttributeError(f"module 'infobound' has no attribute {name!r}")
    return getattr(importlib.import_module(f"infobound.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
