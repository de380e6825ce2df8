"""From a pair of samples to an `Estimate`: cross-fitting, selection, bias correction.

Every row is tested exactly once, by a critic whose transform, base, weights and selection never
saw it. The way: `data` (pair, folds, transform) -> `copulas` (base) -> `train` (network on the
base) -> `bounds` (held-out rows) -> `diagnostics` -> `Estimate` -> `runs`.
"""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from infobound import (
    arguments,
    critics,
    data,
    locks,
    plots,
    points,
    runs,
    schemas,
    torch_state,
    train,
)
from infobound.bounds import Bound
from infobound.config import Config, configured
from infobound.diagnostics import OK, Evidence, Finding, findings, worst
from infobound.errors import InputError
from infobound.fitting import Job, bind, candidates
from infobound.folds import Fold, fit_fold
from infobound.guarantees import guarantees
from infobound.storage import stretches, take

__all__ = ["Estimate", "estimate", "estimate_pair", "in_nats", "in_unit", "resume"]

LOOKED = 20_000_000  # values that are searched for what may be wrong with them
IN_NATS = (
    *("mi", "interval", "held_out", "held_out_error", "training", "ceiling"),
    *("certified", "ksg", "pointwise"),
)


@dataclass(frozen=True)
class Estimate:
    """The mutual information of two samples, and what is known about the number; in nats.

    `mi` is the point estimate and `interval` its confidence interval at `config["level"]`.
    `held_out` is the bound, cross-fitted: each row scored by a critic that never saw it, with
    its standard error `held_out_error`; negative values are kept as they are. `certified` is a
    lower bound on I(X;Y) that is wrong in at most a share 1 - level of samples, whatever their
    distribution, if rows are independent; `p_value` is that of "x and y are independent": both
    from critics that saw only earlier rows (docs/certificate.md, docs/independence.md).
    `training` is the same bound on the rows that the critics were trained on, too high by nature;
    it is here to be compared, not quoted. `ceiling` is the largest value that the bound can show.
    What was not computed is None. `method` says what made `mi`: "critic", "base" (a closed form
    alone, in every fold) or "ksg" (nearest neighbours, where they find more); `bases` names each
    fold's base and `ksg` is the second opinion, where there is one. `pointwise`, on request, has
    each row's part of the estimate before its correction.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=300)
        >>> result = estimate(x, x + np.random.default_rng(1).normal(size=300), critic="none")
        >>> Estimate.from_dict(result.as_dict()) == result
        True
    """

    mi: float
    interval: tuple[float, float]
    held_out: float | None
    held_out_error: float | None
    training: float | None
    ceiling: float | None
    certified: float | None
    p_value: float | None
    ksg: float | None
    method: str
    bases: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    n: int
    dim_x: int
    dim_y: int
    bound: str
    critic: str
    kept: int
    config: dict[str, Any]
    seed: int
    versions: dict[str, str]
    seconds: float = field(compare=False)
    pointwise: tuple[float, ...] | None = None

    @property
    def verdict(self) -> str:
        """The code of the gravest finding, or "ok"; docs/findings.md has their order."""
        finding = worst(self.findings)
        return OK if finding is None else finding.code

    @property
    def half_width(self) -> float:
        """Half of the interval, nats, where it does not end at an entropy."""
        return max(self.interval[1] - self.mi, self.mi - self.interval[0])

    def __float__(self) -> float:
        """The point estimate in nats."""
        return self.mi

    def __str__(self) -> str:
        """One line, with the unit."""
        low, high = self.interval
        held_out = ""
        if self.held_out is not None:
            held_out = f"held-out {self.held_out:.3f} +- {self.held_out_error:.3f}, "
        return f"I(X;Y) = {self.mi:.3f} nats [{low:.3f}, {high:.3f}], {held_out}{self.n:,} rows"

    def as_dict(self, unit: str = "nats") -> dict[str, Any]:
        """Plain values, the verdict among them, fit for JSON; `unit` is nats or bits."""
        return in_unit({"verdict": self.verdict, **dataclasses.asdict(self)}, IN_NATS, unit)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Estimate:
        """The inverse of `as_dict` in either unit, also after a way through JSON.

        Values in bits come back in nats, to rounding.

        Raises:
            InputError: other values than those of `as_dict`.
        """
        try:
            as_written: Estimate = schemas.parse(cls, values)
        except ValueError as error:
            raise InputError(
                f"Expected the values of Estimate.as_dict; got others ({error}). Was this written "
                "by another version, or is it part of a result?"
            ) from error
        unit = values.get("unit", "nats")
        if unit == "nats":
            return as_written
        changed = in_nats({"unit": unit, **dataclasses.asdict(as_written)}, IN_NATS)
        return schemas.parse(cls, changed)  # type: ignore[no-any-return]


def in_unit(values: dict[str, Any], names: Sequence[str], unit: str) -> dict[str, Any]:
    """A result's values with those of `names`, which are in nats, in a unit, and that in front.

    Raises:
        InputError: a unit other than nats and bits.

    Example:
        >>> in_unit({"mi": 1.0, "n": 9}, ("mi",), "bits")
        {'unit': 'bits', 'mi': 1.4426950408889634, 'n': 9}
    """
    return {"unit": unit, **_scaled(values, names, plots.scale(unit))}


def in_nats(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The inverse of `in_unit`; values without a unit are in nats.

    Example:
        >>> in_nats({"unit": "bits", "mi": 1.4426950408889634, "n": 9}, ("mi",))
        {'mi': 1.0, 'n': 9}
    """
    rest = {name: value for name, value in values.items() if name != "unit"}
    return _scaled(rest, names, 1 / plots.scale(values.get("unit", "nats")))


def _scaled(values: Mapping[str, Any], names: Sequence[str], scale: float) -> dict[str, Any]:
    """The values with those of `names` divided by `scale`."""
    changed = {
        name: (np.asarray(values[name]) / scale).tolist()
        for name in names
        if scale != 1 and values.get(name) is not None
    }
    return {**values, **changed}


def estimate(
    x: Any,
    y: Any,
    *,
    config: Config | None = None,
    module: nn.Module | None = None,
    run: str | Path | None = None,
    overwrite: bool = False,
    watch: Callable[[train.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> Estimate:
    """The mutual information I(X;Y) of paired rows, in nats.

    Args:
        x: (n, p) or (n,) NumPy, torch or pandas values; row i belongs to row i of y.
        y: (n, q) or (n,).
        config: settings; `Config()` if not given.
        module: your own critic, an `nn.Module` that takes x (n, p) and y (m, q), float32, and
            gives scores (n, m); each fold trains a copy of it. If it is float64, so are the rows.
        run: a directory that gets the configuration, checkpoints, metrics and the result.
        overwrite: replace an existing run in that directory.
        watch: called with a `train.Progress` after each evaluation.
        stop: asked between iterations; True saves the run and raises `train.Interrupted`.
        **settings: any field of `Config`, by name.

    Raises:
        InputError: x or y cannot be used (missing values, unequal lengths, too few rows), an
            unknown setting or a value outside its range.

    Source: InfoNCE, https://arxiv.org/abs/1807.03748; cross-fitting,
    https://arxiv.org/abs/1608.00060; the correction is the argument behind AIC,
    https://doi.org/10.1109/TAC.1974.1100705.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=1000)
        >>> y = 0.8 * x + 0.6 * rng.normal(size=1000)  # exact: 0.511 nats
        >>> estimate(x, y, critic="none").mi > 0.4
        True
    """
    return estimate_pair(
        data.as_pair(x, y),
        configured(config, settings),
        module=module,
        run=run,
        overwrite=overwrite,
        watch=watch,
        stop=stop,
    )


estimate.__signature__ = inspect.signature(estimate).replace(  # type: ignore[attr-defined]
    parameters=[
        *(p for p in inspect.signature(estimate).parameters.values() if p.name != "settings"),
        *(
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default)
            for f in dataclasses.fields(Config)
        ),
    ]
)


@torch_state.defaults()
def estimate_pair(
    pair: data.Pair,
    config: Config,
    *,
    module: nn.Module | None = None,
    run: str | Path | None = None,
    overwrite: bool = False,
    watch: Callable[[train.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    unit: str = "nats",
) -> Estimate:
    """`estimate` for rows that `data` has validated, such as those of `tables.read`.

    `unit` is that of `result.json` and of the pictures in `run`; the result itself is in nats.
    """
    # Whatever can be refused is refused before a folder is made.
    _check_calls(module, watch, stop)
    if module is not None and config.estimator != "default":
        raise InputError(
            f"Expected estimator 'default' with a module of your own; got {config.estimator!r}, "
            "which trains no network. Leave one of the two out."
        )
    if module is None and config.estimator == "default":
        critics.expect_room(pair.x.shape[1], pair.y.shape[1], config)
    plots.scale(unit), arguments.boolean("overwrite", overwrite)
    if run is None:
        return _estimate(pair, config, module, None, watch, stop)
    run = arguments.directory("run", run)
    bind(config), candidates(config, module), train.device(config)
    data.split(len(pair.x), config.folds, seed=config.seed)
    record = {"kind": "estimate", "config": config.as_dict(), "own_module": module is not None}
    record |= {"unit": unit, "x_names": pair.x_names, "y_names": pair.y_names, "notes": pair.notes}
    rows = {"x": pair.x, "y": pair.y}
    with locks.held(run):
        here = runs.Run.create(run, record=record, rows=rows, overwrite=overwrite)
        return _estimate(pair, config, module, here, watch, stop)


@torch_state.defaults()
def resume(
    run: runs.Run,
    *,
    module: nn.Module | None = None,
    watch: Callable[[train.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Estimate:
    """Continue an estimate from its run directory; equal to the uninterrupted one, bit for bit.

    The caller holds the directory (`locks`).

    Raises:
        InputError: a damaged file, or a run of your own module without that module.
    """
    record = run.settings(_Record)
    _check_calls(module, watch, stop)
    if record.own_module and module is None:
        raise InputError(
            f"Expected the module that {run.path} was started with; got none. Resume it from "
            "Python: infobound.resume(run, module=...)."
        )
    rows, names = run.load_rows("rows"), {"x": record.x_names, "y": record.y_names}
    n = len(next(iter(rows.values()), ()))
    expected = {side: (n, len(columns)) for side, columns in names.items()}
    found = {side: values.shape for side, values in rows.items()}
    if found != expected:
        raise InputError(
            f"Expected rows of shapes {expected} in {run.path / 'rows.safetensors'}, as run.json "
            f"has columns; got {found}. Restore both from a copy, or start the run again in "
            "another directory."
        )
    pair = data.pair_arrays(
        *(rows["x"], rows["y"]),
        names=(record.x_names, record.y_names),
        notes=record.notes,
        source=str(run.path),
    )
    return _estimate(pair, run.config(record.config), module, run, watch, stop)


@dataclass(frozen=True)
class _Record:
    """What `run.json` holds of an estimate."""

    config: dict[str, Any]
    own_module: bool
    x_names: tuple[str, ...]
    y_names: tuple[str, ...]
    notes: tuple[str, ...]


def _estimate(
    pair: data.Pair,
    config: Config,
    module: nn.Module | None,
    run: runs.Run | None,
    watch: Callable[[train.Progress], None] | None,
    stop: Callable[[], bool] | None,
) -> Estimate:
    """All folds, what they say together, and the second opinion."""
    start = time.perf_counter()
    bound = bind(config)
    folds: list[Fold] = []
    certified, p_value = None, None
    rows = stretches(len(pair.x), LOOKED // (pair.x.shape[1] + pair.y.shape[1]))
    looked = replace(pair, x=take(pair.x, rows), y=take(pair.y, rows))
    entropies = [data.entropy(side) for side in (looked.x, looked.y)]
    limit = min((h for h in entropies if h is not None), default=points.NO_LIMIT)
    if config.estimator == "ksg":
        numbers = points.neighbours_alone(pair, config)
    else:
        job = Job(pair, config, bound, module, run, watch, stop)
        parts = data.split(len(pair.x), config.folds, seed=config.seed, series=config.series)
        for k, (training, test) in enumerate(parts):
            fold, last = fit_fold(job, k, training, test, parts[(k + 1) % len(parts)][1])
            folds.append(fold)
            if run is not None:
                run.write_metrics(_metrics(folds))
        if config.certify:
            certified, p_value = guarantees(job, [test for _, test in parts], last)
        folds = points.believed(folds)
        numbers = points.together(pair, folds, config, limit)
    block, late, capped = None, 0.0, False
    if folds:
        block = min(len(f.rows) // -(-len(f.rows) // config.eval_rows) for f in folds)
        late = float(np.mean([_late(fold, config) for fold in folds]))
        capped = any(fold.capped() for fold in folds) and numbers["method"] != "ksg"
    ceiling = None if bound.ceiling is None or block is None else float(bound.ceiling(block))
    pointwise, (unlimited, half_width) = numbers.pop("pointwise"), numbers.pop("unlimited")
    fold_of = _in_order(folds, [np.full(len(f.rows), k) for k, f in enumerate(folds)])
    evidence = Evidence(
        pair=looked,
        mi=unlimited,
        half_width=half_width,
        train=numbers["training"],
        held_out=numbers["held_out"],
        error=numbers["held_out_error"],
        block=block,
        ceiling=ceiling,
        is_lower_bound=bound.is_lower_bound,
        bound=config.bound,
        late=late,
        capped=capped,
        ksg=numbers["ksg"],
        method=numbers["method"],
        fold=None if fold_of is None else fold_of[rows],
        terms=_in_order(folds, [f.terms() for f in folds]),
        blocks=config.series,
        p_value=p_value,
        alpha=1 - config.level,
        bases=tuple(fold.base or "none" for fold in folds),
    )
    result = Estimate(
        **numbers,
        ceiling=ceiling,
        certified=certified,
        p_value=p_value,
        bases=evidence.bases,
        findings=findings(evidence),
        notes=pair.notes,
        n=len(pair.x),
        dim_x=pair.x.shape[1],
        dim_y=pair.y.shape[1],
        bound=config.bound,
        critic=_describe(folds, config, module),
        kept=sum(fold.kept for fold in folds),
        config=config.as_dict(),
        seed=config.seed,
        versions=runs.versions(),
        seconds=time.perf_counter() - start,
        pointwise=tuple(pointwise.tolist()) if config.pointwise else None,
    )
    if run is not None:
        unit = run.record.get("unit", "nats")
        run.write_json("result.json", result.as_dict(unit))
        if folds:  # the result is on disk: what happens to a picture costs no more than that
            _pictures(run, result, folds[0].fit, bound, unit)
    return result


def _check_calls(
    module: nn.Module | None,
    watch: Callable[[train.Progress], None] | None,
    stop: Callable[[], bool] | None,
) -> None:
    """Refuse what cannot be called, before anything is computed."""
    if module is not None:
        own = isinstance(module, type)
        remedy = f"Write module={module.__name__}(...)." if own else ""  # type: ignore[union-attr]
        arguments.instance("module", module, nn.Module, remedy)
        arguments.function("module", module.forward, 2)
        weights = [*module.parameters(), *module.buffers()]
        if any(nn.parameter.is_lazy(value) or value.is_meta for value in weights):
            raise InputError(
                "Expected a module whose weights have values; got one that is lazy or on the meta "
                "device. Call a lazy one once on some rows; initialise or load the other's on a "
                "device that has memory."
            )
    arguments.function("watch", watch, 1)
    arguments.function("stop", stop, 0)


def _in_order(folds: list[Fold], values: list[np.ndarray]) -> np.ndarray | None:
    """Each fold's values of its test rows as one array (n,) in the rows' order."""
    if not folds:
        return None
    rows = np.concatenate([fold.rows for fold in folds])
    return np.asarray(np.concatenate(values)[np.argsort(rows)])


def _pictures(
    run: runs.Run, result: Estimate, fit: train.Fit | None, bound: Bound, unit: str
) -> None:
    """The estimate, and how the first fold was trained."""
    x, y = (plots.listed(run.record[side]) for side in ("x_names", "y_names"))

    def estimated() -> Any:
        return plots.estimate_figure(
            title=f"I({x}; {y}), {result.n:,} rows",
            mi=result.mi,
            interval=result.interval,
            held_out=float(result.held_out or 0),
            held_out_error=float(result.held_out_error or 0),
            training=float(result.training or 0),
            certified=result.certified,
            ceiling=result.ceiling,
            level=result.config["level"],
            unit=unit,
        )

    def trained(fit: train.Fit) -> Any:
        return plots.training_curve(
            fit.history,
            title=f"{bound.title}, fold 1 of {result.config['folds']}",
            rate=result.config["smoothing"],
            chosen=fit.chosen,
            ceiling=fit.ceiling,
            count=fit.count,
            held_name="validation",
            unit=unit,
        )

    plots.draw("estimate", estimated, run.write_bytes)
    if fit is not None:
        plots.draw("curve", lambda: trained(fit), run.write_bytes)


def _metrics(folds: list[Fold]) -> list[dict[str, Any]]:
    """The training histories as rows of a table."""
    rows = []
    for k, fold in enumerate(folds, start=1):
        if fold.fit is not None:
            for record in zip(*(fold.fit.history[c] for c in train.COLUMNS), strict=True):
                rows.append({"fold": k, **dict(zip(train.COLUMNS, record, strict=True))})
    return rows


def _describe(folds: list[Fold], config: Config, module: nn.Module | None) -> str:
    """The critic in words: bases + network."""
    if config.estimator != "default":
        return config.estimator
    network = config.critic if module is None else type(module).__name__
    bases = sorted({fold.base for fold in folds if fold.base is not None})
    return " + ".join(part for part in ("/".join(bases), network) if part not in ("", "none"))


def _late(fold: Fold, config: Config) -> bool:
    """Whether the best validation value came with the last iterations."""
    if fold.fit is None or not fold.kept or config.patience == 0:
        return False
    return not fold.fit.stopped_early and fold.fit.chosen > 0.95 * config.n_iters
