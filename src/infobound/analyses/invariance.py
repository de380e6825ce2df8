"""What must hold of any estimate of MI, tried on the user's own rows with the user's settings.

Each check of `CHECKS` changes the rows in a way whose effect on the MI is known (none, or at most a
loss, or all of it gone), estimates again, and compares. What a difference may be comes from the
two intervals.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
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
from infobound.estimation.result import Estimate
from infobound.training import run_directory
from infobound.training.loop import Interrupted, Progress

__all__ = ["CHECKS", "Check", "Rule", "check"]

SURE = 0.99  # the level at which a difference counts
ROUNDING = 0.002  # nats: what another order of the same sums may change


@dataclass(frozen=True)
class Rule:
    """A change of the rows, and what it may do: `relation` of the new value to the old.

    "same": as before; "no more": as before or less; "zero": nothing left, so 0 or less.
    """

    change: Callable[[data.Pair, np.random.Generator], data.Pair]
    relation: str
    title: str
    remedy: str


@dataclass(frozen=True)
class Check(Result):
    """One check's outcome; values in nats.

    `value` is the estimate after the change and `own` the one before it (0 where nothing may be
    left); `difference` is the first less the second, and `allowed` the most it may be: in either
    direction, or upwards alone where a loss is right. `message` says what to do where it failed.
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
    """y in another order: nothing is left."""
    return dataclasses.replace(pair, y=pair.y[rng.permutation(len(pair.y))])


def _swapped(pair: data.Pair, rng: np.random.Generator) -> data.Pair:
    """x and y in each other's place."""
    return data.Pair(pair.y, pair.x, pair.y_names, pair.x_names, pair.notes)


def _reordered(pair: data.Pair, rng: np.random.Generator) -> data.Pair:
    """The rows in another order: other folds."""
    order = rng.permutation(len(pair.x))
    return dataclasses.replace(pair, x=pair.x[order], y=pair.y[order])


def _bent(pair: data.Pair, rng: np.random.Generator) -> data.Pair:
    """Each column of x cubed and each of y exponentiated, both after normal scores."""
    x, y = (data.Transform.fit(side).normal_scores(side) for side in (pair.x, pair.y))
    return dataclasses.replace(pair, x=x**3, y=np.exp(y))


def _widened(pair: data.Pair, rng: np.random.Generator) -> data.Pair:
    """Two columns of noise beside x."""
    noise = rng.normal(size=(len(pair.x), 2))
    names = (*pair.x_names, "noise 1", "noise 2")
    return dataclasses.replace(pair, x=np.concatenate([pair.x, noise], axis=1), x_names=names)


def _coarsened(pair: data.Pair, rng: np.random.Generator) -> data.Pair:
    """The first half of the columns of x; eight classes of equal size where there is one."""
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
        "The method finds dependence where there is none: do not quote the estimate.",
    ),
    "reordered": Rule(
        _reordered,
        "same",
        "rows in another order",
        "The estimate hangs on which rows fall into which fold: try other seeds, and say so.",
    ),
    "swapped": Rule(
        _swapped,
        "same",
        "x and y swapped",
        "I(X;Y) and I(Y;X) are one number: the interval is too narrow for this pair. Quote both.",
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
        "A part of x tells more than all of x, which cannot be: leave columns out that are not "
        "needed, and quote the larger value as 'at least' only with its own interval.",
    ),
}


def check(
    x: Any,
    y: Any = None,
    *,
    config: Config | None = None,
    result: Estimate | None = None,
    run: str | Path | None = None,
    watch: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    by: Callable[..., Estimate] = estimate,
    **settings: Any,
) -> tuple[Estimate, tuple[Check, ...]]:
    """The estimate of I(X;Y) in nats, and what became of it under changes of known effect.

    Args:
        x: (n, p) or (n,) NumPy, torch or pandas values; row i belongs to row i of y. Or a `Pair`,
            such as `readers.read` gives, without y.
        y: (n, q) or (n,).
        config: settings; `Config()` if not given.
        result: the estimate, if it has been made already. Each check costs another one.
        run: the directory of the estimate's run; it gets the checks as `checks.json`, in its unit.
        watch: called with a `loop.Progress` after each evaluation.
        stop: asked between iterations; True raises `Interrupted`.
        by: what is checked: `estimate`, or something that is called like it.
        **settings: any field of `Config`, by name.

    Raises:
        InputError: x or y cannot be used, or a setting is out of range.

    Source: self-consistency of MI estimates, Song and Ermon 2020,
    https://arxiv.org/abs/1910.06222 (independence, data processing); the rest are properties of
    MI itself, Cover and Thomas, https://doi.org/10.1002/047174882X.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, noise = rng.normal(size=(2, 300))
        >>> result, checks = check(x, x + noise, critic="none")
        >>> [c.name for c in checks if c.passed]
        ['shuffled', 'reordered', 'swapped', 'bent', 'noise', 'coarse']
    """
    pair, config = data.as_pair(x, y), configured(config, settings)
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
    """The bar's words with the check's in front."""
    return lambda step: watch(dataclasses.replace(step, name=f"check: {title}, {step.name}"))


def _judged(name: str, rule: Rule, changed: Estimate, result: Estimate) -> Check:
    """What a change did, against what it may do."""
    own = 0.0 if rule.relation == "zero" else result.mi
    errors = [_error(changed)] + ([] if rule.relation == "zero" else [_error(result)])
    allowed = z_quantile(SURE) * math.hypot(*errors) + ROUNDING
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
    """What the interval takes for the standard error of the estimate, nats."""
    return result.half_width / z_quantile(result.config["level"])
