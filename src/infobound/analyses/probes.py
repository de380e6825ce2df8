"""Probes of a representation: how much of its information about labels each classifier can use.

The estimate of I(Z;Y) takes the best combination of classifiers. A probe is limited to one kind, on
the same folds, so its held-out value is the information that this kind can use.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infobound import data
from infobound._system.calls import Recorded, recorded
from infobound._system.units import Nats, Result
from infobound.analyses import probes_page
from infobound.config import Config, configured
from infobound.errors import InputError
from infobound.estimation.counts import observed_entropy
from infobound.estimation.estimate import estimate
from infobound.models.closed_forms import MOST_CLASSES
from infobound.pages.page import Page
from infobound.pages.presentable import Presentable
from infobound.results.estimate import Estimate
from infobound.training import loop

__all__ = ["PROBE_BASES", "Probe", "Probes", "probe"]

ROWS_PER_LABEL = 20  # smallest number of rows per label
PROBE_BASES = {
    "linear": "linear_probe",
    "network": "network_probe",
}  # bases of `closed_forms.BASES`


@dataclass(frozen=True)
class Probe(Result):
    """What one kind of classifier shows of I(Z;Y).

    Attributes:
        kind: "linear" (logistic regression) or "network" (two hidden layers).
        held_out: entropy of the labels less the classifier's cross-entropy on rows that it has not
            seen, in nats: the information that it can use.
        held_out_error: the standard error of `held_out`, in nats.
        training: the same on training rows, in nats. It is biased upwards; do not report it.
        permuted: the same as `held_out` where the labels were permuted, in nats: zero or below,
            unless something is wrong with the folds or the rows.

    Example:
        >>> Probe("linear", 0.5, 0.01, 0.52, -0.001).as_dict("bits")["kind"]
        'linear'
    """

    kind: str
    held_out: Nats
    held_out_error: Nats
    training: Nats
    permuted: Nats


@dataclass(frozen=True, repr=False)
class Probes(Recorded, Presentable):
    """The information of a representation about labels, and what probes can use of it; in nats.

    Attributes:
        estimate: the estimate of I(Z;Y).
        entropy: the entropy of the labels among the rows, in nats; MI cannot exceed the entropy.
        classes: the number of labels.
        probes: a linear probe and a network.

    Example:
        >>> y = np.random.default_rng(0).integers(2, size=100)
        >>> z = np.eye(2)[y] + np.random.default_rng(1).normal(size=(100, 2))
        >>> found = probe(z, y, critic="none", certify=False, folds=2)
        >>> [one.kind for one in found.probes]
        ['linear', 'network']
    """

    estimate: Estimate
    entropy: Nats
    classes: int
    probes: tuple[Probe, ...]

    def __str__(self) -> str:
        """Format the values of all probes as one line with their unit."""
        values = [("estimate", self.estimate.mi), *((p.kind, p.held_out) for p in self.probes)]
        said = ", ".join(f"{name} {value:.3f}" for name, value in values)
        return f"{said} of {self.entropy:.3f} nats, {self.estimate.n:,} rows"

    def page(self, units: str = "nats") -> Page:
        """Describe the estimate, and what each probe can use of it.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        return probes_page.page_of(self, units)

    def records(self, units: str = "nats") -> list[dict[str, Any]]:
        """Return a row for each probe."""
        return [each.as_dict(units) for each in self.probes]


@recorded("z", "y")
def probe(
    z: Any,
    y: Any = None,
    *,
    groups: Any = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    config: Config | None = None,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> Probes:
    """Estimate I(Z;Y) of a representation and labels, with probes on the same folds.

    Args:
        z: (n, d), for example embeddings, as NumPy, torch (any device and precision) or pandas
            values; row i belongs to row i of y. Or a pair, as returned by `readers.read`, without
            y.
        y: (n,), labels: numbers, text or categories. Numbers are codes.
        groups: (n,), a label for each row, such as its subject, if rows of a group are not
            independent. Folds keep groups whole, so no probe is tested on a group that it was
            fitted to.
        categorical: names of columns of z whose numbers are codes, as for `estimate`.
        numeric: names of columns of z whose text is numbers, as for `estimate`.
        config: the settings of the estimate; `Config()` by default.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, `Interrupted` is raised.
        **settings: any field of `Config`, by name.

    Returns:
        The estimate and the probes, in nats.

    Raises:
        InputError: If rows cannot be used, y takes too many values to be labels, z takes as few
            values as y, or a setting is unknown.
        Interrupted: If `stop` returned True.

    Source: probes as estimates of usable information, Xu et al. 2020,
    https://arxiv.org/abs/2002.10689.

    Example:
        >>> y = np.random.default_rng(0).integers(2, size=300)
        >>> noise = np.random.default_rng(1).normal(size=(300, 2))
        >>> z = noise * np.where(y == 0, 1, 3)[:, None]  # same means: no linear probe finds it
        >>> linear, network = probe(z, y, critic="none", certify=False, folds=2).probes
        >>> linear.held_out < 0.1 < network.held_out
        True
    """
    config = configured(config, settings)
    pair = data.as_pair(z, y, groups=groups, categorical=categorical, numeric=numeric)
    classes = _expect_labels(pair)
    if len(pair.y_names) == 1:
        pair = data.with_kinds(pair, categorical=pair.y_names)
    found = estimate(pair, config=config, watch=watch, stop=stop)
    order = np.random.default_rng([config.seed, 1]).permutation(len(pair.y))
    permuted = dataclasses.replace(pair, y=pair.y[order])
    simple = config.with_(critic="none", certify=False, pointwise=False, estimator="default")
    probes = []
    for kind, base in PROBE_BASES.items():
        fitted = simple.with_(base=base)
        own, null = (estimate(p, config=fitted, progress=False) for p in (pair, permuted))
        values = [own.held_out, own.held_out_error, own.training, null.held_out]
        probes.append(Probe(kind, *(math.nan if v is None else v for v in values)))
    return Probes(found, observed_entropy(np.bincount(pair.y_ids)), classes, tuple(probes))


def _expect_labels(pair: data.Pair) -> int:
    """Return the number of labels.

    Raises:
        InputError: If y is not the side of few values, or has too many or one.
    """
    count, many = (int(ids.max()) + 1 for ids in (pair.y_ids, pair.x_ids))
    n, most = len(pair.y), min(MOST_CLASSES, len(pair.y) // ROWS_PER_LABEL)
    if count < 2:
        raise InputError(f"Expected labels of two kinds or more in y; got one in {n:,} rows.")
    if count > most:
        raise InputError(
            f"Expected at most {most:,} different labels in {n:,} rows ({ROWS_PER_LABEL} rows a "
            f"label, {MOST_CLASSES:,} labels); got {count:,}. Use estimate(z, y) for a "
            "target that is a quantity, or merge rare labels."
        )
    if many <= count:
        raise InputError(
            f"Expected a representation that takes more values than the labels; got {many:,} and "
            f"{count:,}. Exchange z and y, or use estimate(z, y), which counts categories."
        )
    return count
