"""From an estimator's numbers to the result: findings, provenance, and the files of the run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from infobound._system.versions import versions
from infobound.bounds.variational import lookup
from infobound.config import Config
from infobound.data.pair import GIVEN, Pair
from infobound.diagnostics.findings import Evidence, findings
from infobound.estimation.crossfit import Fold
from infobound.estimation.point import PointEstimate
from infobound.estimation.recoded import mi_as_categories
from infobound.estimation.selection import configure_bound
from infobound.plotting import figures
from infobound.results.estimate import Estimate
from infobound.results.methods import shown_names
from infobound.training import loop, run_directory

__all__ = ["result_of", "write"]


def result_of(
    pair: Pair, config: Config, module: nn.Module | None, found: PointEstimate, start: float
) -> Estimate:
    """Build the result of `found`, which an estimator began to compute at the time `start`."""
    evidence = _evidence(pair, config, found)
    return Estimate(
        mi=found.mi,
        interval=found.interval,
        held_out=found.held_out,
        held_out_error=found.held_out_error,
        training=found.training,
        ceiling=evidence.ceiling,
        certified=found.certified,
        upper=found.upper,
        p_value=found.p_value,
        projection_p=found.projection_p,
        exchanged=found.exchanged,
        ksg=found.ksg,
        method=found.method,
        bases=evidence.bases,
        findings=findings(evidence),
        notes=pair.notes,
        n=len(pair.x),
        dim_x=pair.x.shape[1],
        dim_y=pair.y.shape[1],
        dim_given=len(pair.given_names),
        x_names=tuple(pair.x_names),
        y_names=tuple(pair.y_names),
        given_names=tuple(pair.given_names),
        bound=config.bound,
        critic=_describe(found.folds, config, module),
        kept=sum(fold.kept for fold in found.folds),
        config=config.as_dict(),
        seed=config.seed,
        versions=versions(),
        seconds=time.perf_counter() - start,
        pointwise=tuple(found.pointwise.tolist()) if config.pointwise else None,
        effective_n=found.effective_n,
        group_count=None if pair.groups is None else int(pair.groups.max()) + 1,
        test=found.test,
        smallest_p=found.smallest_p,
    )


def _in_order(folds: Sequence[Fold], values: list[np.ndarray]) -> np.ndarray | None:
    """Concatenate each fold's values of its test rows to one array (n,) in the order of rows."""
    if not folds:
        return None
    rows = np.concatenate([fold.rows for fold in folds])
    return np.asarray(np.concatenate(values)[np.argsort(rows)])


def write(run: run_directory.Run, result: Estimate, folds: Sequence[Fold]) -> None:
    """Write the result to its run, and then the figures: a failing one cannot lose the result."""
    unit = run.record.get("unit", "nats")
    run.write_json("result.json", result.as_dict(unit))
    if folds:
        _pictures(run, result, folds[0].fit, unit)


def _pictures(run: run_directory.Run, result: Estimate, fit: loop.Fit | None, unit: str) -> None:
    """Draw the estimate and the training curve of the first fold."""
    bound = lookup(result.bound)
    x, y, z = (
        figures.listed(shown_names(run.record.get(f"{side}_names", ())))
        for side in ("x", "y", GIVEN)
    )

    def estimated() -> Any:
        return figures.estimate_figure(
            title=f"I({x}; {y}{f' | {z}' if z else ''}), {result.n:,} rows",
            mi=result.mi,
            interval=result.interval,
            held_out=float(result.held_out or 0),
            held_out_error=float(result.held_out_error or 0),
            training=float(result.training or 0),
            certified=result.certified,
            ceiling=result.ceiling,
            level=result.config["level"],
            held_name="held-out difference" if z else "held-out lower bound",
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


def _evidence(pair: Pair, config: Config, found: PointEstimate) -> Evidence:
    """Collect the values that the checks read."""
    folds, bound = found.folds, configure_bound(config)
    block, late, capped = None, 0.0, False
    # Class posteriors have no negatives, and so no ceiling.
    if any(fold.kept or fold.base != "posterior" for fold in folds):
        block = min(len(f.rows) // -(-len(f.rows) // config.eval_rows) for f in folds)
    if folds:
        late = float(np.mean([_is_late(fold, config) for fold in folds]))
        capped = any(fold.capped() for fold in folds) and found.method != "ksg"
    rows, seen = pair.sample
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
        groups=pair.groups,
        smallest_p=found.smallest_p,
        test=found.test,
        p_value=found.projection_p if found.p_value is None else found.p_value,
        alpha=1 - config.level,
        bases=tuple(fold.base or "none" for fold in folds),
        projection_p=found.projection_p,
        exchanged=found.exchanged,
        left=found.left,
        as_categories=partial(mi_as_categories, seen),
    )
