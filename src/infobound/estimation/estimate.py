"""`estimate`: from a pair of samples to an `Estimate`.

An estimator of `estimators` computes the numbers, `diagnostics` computes the findings, and both are
written to the run directory, if there is one.
"""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from infobound._system import arguments, locks, torch_state, units
from infobound.bounds.variational import Bound
from infobound.config import Config, configured
from infobound.critics import networks
from infobound.data.pair import Pair, as_pair, pair_arrays
from infobound.data.splits import split
from infobound.diagnostics.findings import Evidence, findings
from infobound.errors import InputError
from infobound.estimation.crossfit import Fold
from infobound.estimation.estimators import ESTIMATORS
from infobound.estimation.point import PointEstimate, inspected
from infobound.estimation.result import Estimate
from infobound.estimation.selection import bind, candidates
from infobound.plotting import figures
from infobound.training import loop, run_directory

__all__ = ["estimate", "resume"]


@torch_state.defaults()
def estimate(
    x: Any,
    y: Any = None,
    *,
    config: Config | None = None,
    module: nn.Module | None = None,
    run: str | Path | None = None,
    overwrite: bool = False,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    unit: str = "nats",
    **settings: Any,
) -> Estimate:
    """Estimate the mutual information I(X;Y) of paired rows.

    Args:
        x: (n, p) or (n,), NumPy, torch or pandas values; row i belongs to row i of y. Or a `Pair`,
            as returned by `readers.read`, without y.
        y: (n, q) or (n,).
        config: the settings; `Config()` by default.
        module: your own critic, an `nn.Module` that maps x (n, p) and y (m, q), float32, to scores
            (n, m). Each fold trains a copy of it. If it is float64, so are the rows.
        run: a directory to which the configuration, checkpoints, metrics and the result are
            written.
        overwrite: whether to replace an existing run in that directory.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, the run is saved and `Interrupted` is
            raised.
        unit: "nats" or "bits", the unit of `result.json` and of the figures in `run`. The returned
            values are always in nats.
        **settings: any field of `Config`, by name.

    Returns:
        The estimate, with all values in nats.

    Raises:
        InputError: If x or y cannot be used (missing values, unequal lengths, too few rows), a
            setting is unknown, or a value is outside its range.
        Interrupted: If `stop` returned True.

    Source: InfoNCE, https://arxiv.org/abs/1807.03748; cross-fitting,
    https://arxiv.org/abs/1608.00060; the bias correction follows the argument behind AIC,
    https://doi.org/10.1109/TAC.1974.1100705.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=1000)
        >>> y = 0.8 * x + 0.6 * rng.normal(size=1000)  # exact: 0.511 nats
        >>> estimate(x, y, critic="none").mi > 0.4
        True
    """
    pair, config = as_pair(x, y), configured(config, settings)
    # All arguments are checked before a directory is created.
    hooks = _hooks(module, watch, stop)
    if module is not None and config.estimator != "default":
        raise InputError(
            f"Expected estimator 'default' with a module of your own; got {config.estimator!r}, "
            "which trains no network. Leave one of the two out."
        )
    if module is None and config.estimator == "default":
        networks.expect_room(pair.x.shape[1], pair.y.shape[1], config)
    units.expect_files("run", run, unit)
    arguments.boolean("overwrite", overwrite)
    if run is None:
        return _estimate(pair, config, module, hooks)
    run = arguments.directory("run", run)
    bind(config), candidates(config, module), loop.device(config)
    split(len(pair.x), config.folds, seed=config.seed)
    record = {"kind": "estimate", "config": config.as_dict(), "own_module": module is not None}
    record |= {"unit": unit, "x_names": pair.x_names, "y_names": pair.y_names, "notes": pair.notes}
    rows = {"x": pair.x, "y": pair.y}
    with locks.held(run):
        here = run_directory.Run.create(run, record=record, rows=rows, overwrite=overwrite)
        return _estimate(pair, config, module, replace(hooks, run=here))


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
def resume(
    run: run_directory.Run,
    *,
    module: nn.Module | None = None,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Estimate:
    """Continue an estimate from its run directory, bitwise equal to an uninterrupted one.

    The caller must hold the lock of the directory (`locks`).

    Args:
        run: the run.
        module: the critic that the run was started with, if it was the user's own.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, the run is saved and `Interrupted` is
            raised.

    Returns:
        The estimate, with all values in nats.

    Raises:
        InputError: If a file is damaged, or the run was started with the user's own module and
            `module` is not given.
        Interrupted: If `stop` returned True.
    """
    record = run.settings(_Record)
    hooks = _hooks(module, watch, stop)
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
    pair = pair_arrays(
        *(rows["x"], rows["y"]),
        names=(record.x_names, record.y_names),
        notes=record.notes,
        source=str(run.path),
    )
    return _estimate(pair, run.config(record.config), module, replace(hooks, run=run))


@dataclass(frozen=True)
class _Record:
    """The fields of `run.json` that describe an estimate."""

    config: dict[str, Any]
    own_module: bool
    x_names: tuple[str, ...]
    y_names: tuple[str, ...]
    notes: tuple[str, ...]


def _estimate(pair: Pair, config: Config, module: nn.Module | None, hooks: loop.Hooks) -> Estimate:
    """Run the estimator and the checks, and write the result to the run."""
    start = time.perf_counter()
    found = ESTIMATORS[config.estimator](pair, config, hooks, module)
    result = _result(pair, config, module, found, _evidence(pair, config, found), start)
    if hooks.run is not None:
        unit = hooks.run.record.get("unit", "nats")
        hooks.run.write_json("result.json", result.as_dict(unit))
        if found.folds:  # the result is on disk already, so a failing figure cannot lose it
            _pictures(hooks.run, result, found.folds[0].fit, bind(config), unit)
    return result


def _evidence(pair: Pair, config: Config, found: PointEstimate) -> Evidence:
    """Collect the values that the checks read."""
    folds, bound = found.folds, bind(config)
    block, late, capped = None, 0.0, False
    if folds:
        block = min(len(f.rows) // -(-len(f.rows) // config.eval_rows) for f in folds)
        late = float(np.mean([_is_late(fold, config) for fold in folds]))
        capped = any(fold.capped() for fold in folds) and found.method != "ksg"
    rows, seen = inspected(pair)
    fold_of = _in_order(folds, [np.full(len(f.rows), k) for k, f in enumerate(folds)])
    mi, half_width = found.unlimited
    return Evidence(
        pair=seen,
        mi=mi,
        half_width=half_width,
        train=found.training,
        held_out=found.held_out,
        error=found.held_out_error,
        block=block,
        ceiling=None if bound.ceiling is None or block is None else float(bound.ceiling(block)),
        is_lower_bound=bound.is_lower_bound,
        bound=config.bound,
        late=late,
        capped=capped,
        ksg=found.ksg,
        method=found.method,
        fold=None if fold_of is None else fold_of[rows],
        terms=_in_order(folds, [f.terms() for f in folds]),
        blocks=config.series,
        p_value=found.p_value,
        alpha=1 - config.level,
        bases=tuple(fold.base or "none" for fold in folds),
    )


def _result(
    pair: Pair,
    config: Config,
    module: nn.Module | None,
    found: PointEstimate,
    evidence: Evidence,
    start: float,
) -> Estimate:
    """Build the result from the numbers, the findings and the settings."""
    return Estimate(
        mi=found.mi,
        interval=found.interval,
        held_out=found.held_out,
        held_out_error=found.held_out_error,
        training=found.training,
        ceiling=evidence.ceiling,
        certified=found.certified,
        p_value=found.p_value,
        ksg=found.ksg,
        method=found.method,
        bases=evidence.bases,
        findings=findings(evidence),
        notes=pair.notes,
        n=len(pair.x),
        dim_x=pair.x.shape[1],
        dim_y=pair.y.shape[1],
        bound=config.bound,
        critic=_describe(found.folds, config, module),
        kept=sum(fold.kept for fold in found.folds),
        config=config.as_dict(),
        seed=config.seed,
        versions=run_directory.versions(),
        seconds=time.perf_counter() - start,
        pointwise=tuple(found.pointwise.tolist()) if config.pointwise else None,
    )


def _hooks(
    module: nn.Module | None,
    watch: Callable[[loop.Progress], None] | None,
    stop: Callable[[], bool] | None,
) -> loop.Hooks:
    """Build hooks without a run, after checking module and callbacks."""
    if module is not None:
        own = isinstance(module, type)
        remedy = f"Write module={module.__name__}(...)." if own else ""
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
    return loop.Hooks(on_progress=watch, should_stop=stop)


def _in_order(folds: Sequence[Fold], values: list[np.ndarray]) -> np.ndarray | None:
    """Concatenate each fold's values of its test rows to one array (n,) in the order of rows."""
    if not folds:
        return None
    rows = np.concatenate([fold.rows for fold in folds])
    return np.asarray(np.concatenate(values)[np.argsort(rows)])


def _pictures(
    run: run_directory.Run, result: Estimate, fit: loop.Fit | None, bound: Bound, unit: str
) -> None:
    """Draw the estimate and the training curve of the first fold."""
    x, y = (figures.listed(run.record[side]) for side in ("x_names", "y_names"))

    def estimated() -> Any:
        return figures.estimate_figure(
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

    def trained(fit: loop.Fit) -> Any:
        return figures.training_curve(
            fit.history,
            title=f"{bound.title}, fold 1 of {result.config['folds']}",
            rate=result.config["smoothing"],
            chosen=fit.chosen,
            ceiling=fit.ceiling,
            count=fit.count,
            held_name="validation",
            unit=unit,
        )

    figures.draw("estimate", estimated, run.write_bytes)
    if fit is not None:
        figures.draw("curve", lambda: trained(fit), run.write_bytes)


def _describe(folds: Sequence[Fold], config: Config, module: nn.Module | None) -> str:
    """Describe the critic as bases + network."""
    if config.estimator != "default":
        return config.estimator
    network = config.critic if module is None else type(module).__name__
    bases = sorted({fold.base for fold in folds if fold.base is not None})
    return " + ".join(part for part in ("/".join(bases), network) if part not in ("", "none"))


def _is_late(fold: Fold, config: Config) -> bool:
    """Return whether the best validation value came within the last 5 % of the iterations."""
    if fold.fit is None or not fold.kept or config.patience == 0:
        return False
    return not fold.fit.stopped_early and fold.fit.chosen > 0.95 * config.n_iters
