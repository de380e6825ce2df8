"""Invariance checks: properties of any MI estimate, tested on the user's own rows and settings.

Each check of `CHECKS` changes the rows in a way whose effect on the MI is known (none, at most a
loss, or a loss of all of it), estimates again, and compares. The allowed difference follows from
the two intervals.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infobound import data
from infobound._system import arguments
from infobound._system.units import Nats, Result
from infobound.config import Config, configured
from infobound.estimation.estimate import estimate
from infobound.estimation.point import z_quantile
from infobound.results.estimate import Estimate
from infobound.training import run_directory
from infobound.training.loop import Interrupted, Progress

__all__ = ["CHECKS", "Check", "Rule", "check"]

SURE_LEVEL = 0.99  # the confidence level at which a difference is significant
ORDER_ROUNDING = 0.002  # allowed difference from another order of summation, in nats


@dataclass(frozen=True)
class Rule:
    """A change of the rows and its allowed effect on the MI.

    Attributes:
        change: returns the changed rows.
        relation: "same" if the MI must not change, "no more" if it must not increase, "zero" if the
            estimate must be 0 or less.
        title: a description of the change.
        remedy: what to do if the check fails.
    """

    change: Callable[[data.Pair, np.random.Generator], data.Pair]
    relation: str
    title: str
    remedy: str


@dataclass(frozen=True)
class Check(Result):
    """The outcome of one check, in nats.

    Attributes:
        name: a key of `CHECKS`.
        title: a description of the change.
        relation: the relation of `Rule`.
        passed: whether the check passed.
        value: the estimate after the change.
        own: the estimate before the change; 0 for the relation "zero".
        difference: `value` minus `own`.
        allowed: the largest allowed difference, in both directions for "same" and upwards for the
            other relations.
        message: what to do if the check failed; otherwise empty.
    """

    name: str
    title: str
    relation: str
    passed: bool
    value: Nats
    own: Nats
    difference: Nats
    allowed: Nats
    message: str


def _shuffled(pair: data.Pair, rng: np.random.Generator) -> data.Pair:
    """Permute y, which makes x and y independent."""
    return dataclasses.replace(pair, y=pair.y[rng.permutation(len(pair.y))])


def _swapped(pair: data.Pair, rng: np.random.Generator) -> data.Pair:
    """Exchange x and y."""
    return dataclasses.replace(pair, x=pair.y, y=pair.x, x_names=pair.y_names, y_names=pair.x_names)


def _reordered(pair: data.Pair, rng: np.random.Generator) -> data.Pair:
    """Permute the rows, which changes the folds."""
    order = rng.permutation(len(pair.x))
    groups = None if pair.groups is None else pair.groups[order]
    return dataclasses.replace(pair, x=pair.x[order], y=pair.y[order], groups=groups)


def _bent(pair: data.Pair, rng: np.random.Generator) -> data.Pair:
    """Cube the normal scores of the columns of x, and exponentiate those of y."""
    x, y = (data.Transform.fit(side).normal_scores(side) for side in (pair.x, pair.y))
    return dataclasses.replace(pair, x=x**3, y=np.exp(y))


def _widened(pair: data.Pair, rng: np.random.Generator) -> data.Pair:
    """Add two columns of noise to x."""
    noise = rng.normal(size=(len(pair.x), 2))
    names = (*pair.x_names, "noise 1", "noise 2")
    return dataclasses.replace(pair, x=np.concatenate([pair.x, noise], axis=1), x_names=names)


def _coarsened(pair: data.Pair, rng: np.random.Generator) -> data.Pair:
    """Keep the first half of the columns of x; a single column becomes eight equal classes."""
    width = pair.x.shape[1] // 2
    if width:
        return dataclasses.replace(pair, x=pair.x[:, :width], x_names=pair.x_names[:width])
    cuts = np.quantile(pair.x, np.arange(1, 8) / 8)
    return dataclasses.replace(pair, x=np.searchsorted(cuts, pair.x, side="right").astype(float))


CHECKS: dict[str, Rule] = {
    "shuffled": Rule(
        _shuffled,
        "zero",
        "y shuffled: nothing is left",
        "The method finds dependence where there is none: do not report the estimate.",
    ),
    "reordered": Rule(
        _reordered,
        "same",
        "rows in another order",
        "The estimate depends on which rows fall into which fold: try other seeds, and report it.",
    ),
    "swapped": Rule(
        _swapped,
        "same",
        "x and y swapped",
        "I(X;Y) and I(Y;X) are one number: the interval is too narrow for this pair. Report both.",
    ),
    "bent": Rule(
        _bent,
        "same",
        "columns bent (cubes, exp)",
        "Monotone maps of columns change no MI, but the estimate: compare --transform scores, or "
        "bring the columns to scales that mean something.",
    ),
    "noise": Rule(
        _widened,
        "no more",
        "two columns of noise beside x",
        "Columns of pure noise raised the estimate: it rests on too few rows for its columns.",
    ),
    "coarse": Rule(
        _coarsened,
        "no more",
        "a part of x alone",
        "A part of x has more information than all of x, which is impossible: leave columns out "
        "that are not needed, and report the larger value as 'at least' with its own interval.",
    ),
}


def check(
    x: Any,
    y: Any = None,
    *,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    config: Config | None = None,
    result: Estimate | None = None,
    run: str | Path | None = None,
    watch: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    by: Callable[..., Estimate] = estimate,
    **settings: Any,
) -> tuple[Estimate, tuple[Check, ...]]:
    """Estimate I(X;Y), and check the estimate under changes of the rows with known effect.

    Args:
        x: (n, p) or (n,), NumPy, torch or pandas values; row i belongs to row i of y. Or a `Pair`,
            as returned by `readers.read`, without y.
        y: (n, q) or (n,).
        categorical: names of columns that are categories, as in `estimate`.
        numeric: names of columns that are quantities, as in `estimate`.
        config: the settings; `Config()` by default.
        result: the estimate, if it has been computed already. Each check needs another one.
        run: the run directory of the estimate, to which the checks are written as `checks.json`, in
            the unit of the run.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, `Interrupted` is raised.
        by: the estimator to check, a function with the arguments of `estimate`.
        **settings: any field of `Config`, by name.

    Returns:
        The estimate and the outcomes of the checks, in nats.

    Raises:
        InputError: If x or y cannot be used, or a setting is out of range.
        Interrupted: If `stop` returned True.

    Source: self-consistency of MI estimates, Song and Ermon 2020,
    https://arxiv.org/abs/1910.06222 (independence, data processing); the other checks are
    properties of MI itself, Cover and Thomas, https://doi.org/10.1002/047174882X.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, noise = rng.normal(size=(2, 300))
        >>> result, checks = check(x, x + noise, estimator="gaussian", certify=False)
        >>> [c.name for c in checks if c.passed]
        ['shuffled', 'reordered', 'swapped', 'bent', 'noise', 'coarse']
    """
    pair = data.as_pair(x, y, categorical=categorical, numeric=numeric)
    config = configured(config, settings)
    arguments.function("watch", watch, 1), arguments.function("stop", stop, 0)
    arguments.expect(callable(by), "by", "a function", by)
    run = None if run is None else arguments.directory("run", run)
    if result is not None:
        arguments.instance("result", result, Estimate)
    else:
        result = by(pair, config=config, watch=watch, stop=stop)
    found, config = [], config.with_(certify=False)
    for k, (name, rule) in enumerate(CHECKS.items()):
        rng = np.random.default_rng([config.seed, k])
        named = None if watch is None else _renamed(watch, rule.title)
        changed = rule.change(pair, rng)
        if stop is not None and stop():
            raise Interrupted
        again = by(changed, config=config, watch=named, stop=stop)
        found.append(_judged(name, rule, again, result))
    if run is not None:
        here = run_directory.Run.open(run)
        unit = here.record.get("unit", "nats")
        here.write_json("checks.json", [each.as_dict(unit) for each in found])
    return result, tuple(found)


def _renamed(watch: Callable[[Progress], None], title: str) -> Callable[[Progress], None]:
    """Prefix the name of a fit with the title of the check."""
    return lambda step: watch(dataclasses.replace(step, name=f"check: {title}, {step.name}"))


def _judged(name: str, rule: Rule, changed: Estimate, result: Estimate) -> Check:
    """Compare the effect of a change with its allowed effect."""
    own = 0.0 if rule.relation == "zero" else result.mi
    errors = [_error(changed)] + ([] if rule.relation == "zero" else [_error(result)])
    allowed = z_quantile(SURE_LEVEL) * math.hypot(*errors) + ORDER_ROUNDING
    difference = changed.mi - own
    passed = difference <= allowed and (rule.relation != "same" or difference >= -allowed)
    message = "" if passed else rule.remedy
    return Check(
        name=name,
        title=rule.title,
        relation=rule.relation,
        passed=bool(passed),
        value=float(changed.mi),
        own=float(own),
        difference=float(difference),
        allowed=float(allowed),
        message=message,
    )


def _error(result: Estimate) -> float:
    """Return the standard error that the interval of an estimate implies, in nats."""
    return result.half_width / z_quantile(result.config["level"])
