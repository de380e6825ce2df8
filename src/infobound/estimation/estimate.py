"""`estimate`: from a pair of samples to an `Estimate`.

An estimator of `estimators` computes the numbers, `diagnostics` computes the findings, and both are
written to the run directory, if there is one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from infobound._system import arguments, distributed, locks, torch_state, units
from infobound.config import Config, configured
from infobound.critics import networks
from infobound.data.pair import GIVEN, Pair, as_pair, pair_arrays
from infobound.data.splits import Layout
from infobound.errors import InputError
from infobound.estimation import outcome
from infobound.estimation.conditional import conditional
from infobound.estimation.conditional_guarantees import GivenSampler, checked_sampler
from infobound.estimation.estimators import ESTIMATORS
from infobound.estimation.selection import candidates, configure_bound
from infobound.estimation.surrogates import Surrogates, checked_surrogates, with_surrogates
from infobound.pages.progress import shown
from infobound.results.estimate import Estimate
from infobound.training import loop, run_directory

__all__ = ["estimate", "resume"]

GROUPS = "groups"  # the name of the groups among the rows of a run
ONE_THREAD_ROWS = 20_000  # rows up to which built-in critics are computed on one thread


@torch_state.defaults()
def estimate(
    x: Any,
    y: Any = None,
    *,
    given: Any = None,
    groups: Any = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    config: Config | None = None,
    module: nn.Module | None = None,
    given_sampler: GivenSampler | None = None,
    surrogates: Surrogates | None = None,
    run: str | Path | None = None,
    overwrite: bool = False,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    progress: bool | None = None,
    unit: str = "nats",
    **settings: Any,
) -> Estimate:
    """Estimate the mutual information I(X;Y) of paired rows, or I(X;Y|Z) with `given`.

    Args:
        x: (n, p) or (n,), NumPy, torch or pandas values; row i belongs to row i of y. Or a `Pair`,
            as returned by `readers.read`, without y.
        y: (n, q) or (n,).
        given: (n, r) or (n,), the variable Z of the conditional mutual information I(X;Y|Z).
        groups: (n,), a label for each row, such as its subject or trial, if rows of a group are not
            independent. Folds keep groups whole, the interval is that of so many groups, and the
            test exchanges groups (docs/series.md).
        categorical: names of columns that are categories, for example numbers that are codes; "x",
            "y" or "given" for all columns of a side. Columns of arrays are called x[0], x[1], ...
            Text and pandas categories need not be named.
        numeric: names of columns that are quantities although they are text or categories.
        config: the settings; `Config()` by default.
        module: your own critic, an `nn.Module` that maps x (n, p) and y (m, q), float32, to scores
            (n, m). Each fold trains a copy of it. If it is float64, so are the rows.
        given_sampler: with `given`, a function that draws x (m, p) for z (m, r) with a
            `numpy.random.Generator`, if the distribution of x given z is known, as in a randomised
            experiment. Then there is a certificate for every z.
        surrogates: your own null for the p-value: rows (k, n, q) or (k, n) in the place of y, or a
            function of a `numpy.random.Generator` that returns one of them, which is called
            `permutations` times.
        run: a directory to which the configuration, checkpoints, metrics and the result are
            written.
        overwrite: whether to replace an existing run in that directory.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, the run is saved and `Interrupted` is
            raised.
        progress: whether to show a bar; by default in terminals and notebooks, if there is no
            `watch`.
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
    pair = as_pair(x, y, given=given, groups=groups, categorical=categorical, numeric=numeric)
    config = configured(config, settings)
    # All arguments are checked before a directory is created.
    hooks = _hooks(module, watch, stop)
    if module is not None and config.estimator != "default":
        raise InputError(
            f"Expected estimator 'default' with a module of your own; got {config.estimator!r}, "
            "which trains no network. Leave one of the two out."
        )
    networks.expect_known(config.critic)
    if module is None and config.estimator == "default":
        networks.expect_room(pair.x.shape[1], pair.y.shape[1], config)
    if given_sampler is not None:
        given_sampler = _sampler(given_sampler, pair)
    null = None if surrogates is None else checked_surrogates(surrogates, pair, config)
    units.expect_files("run", run, unit, overwrite)
    if run is not None:
        run = arguments.directory("run", run)
        configure_bound(config), candidates(config, module), loop.device(config, module)
        Layout.of(pair, config).folds(len(pair.x), config.folds, seed=config.seed)
    own = {"own_module": module is not None, "own_sampler": given_sampler is not None}
    own |= {"own_surrogates": null is not None}
    with (
        _opened(run, pair, config, own, unit, overwrite) as here,
        shown(progress if distributed.is_first() else False, watch) as bar,
    ):
        hooks = replace(hooks, run=here, on_progress=bar)
        return _estimate(pair, config, module, hooks, given_sampler, null)


estimate.__signature__ = inspect.signature(estimate).replace(  # type: ignore[attr-defined]
    parameters=[
        *(p for p in inspect.signature(estimate).parameters.values() if p.name != "settings"),
        *(
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default)
            for f in dataclasses.fields(Config)
        ),
    ]
)


@contextlib.contextmanager
def _opened(
    run: Path | None,
    pair: Pair,
    config: Config,
    own: Mapping[str, bool],
    unit: str,
    overwrite: bool,
) -> Iterator[run_directory.Run | None]:
    """Create the run's directory and hold its lock; without a directory, there is no run."""
    if run is None:
        yield None
        return
    record = {"kind": "estimate", "config": config.as_dict(), **own}
    record |= {"unit": unit, "notes": pair.notes}
    record |= {f"{side}_names": names for side, (_, names) in pair.sides.items()}
    with locks.held(run):
        rows = {side: values for side, (values, _) in pair.sides.items()}
        if pair.groups is not None:
            rows[GROUPS] = pair.groups[:, None].astype(np.float64)
        yield run_directory.Run.create(run, record=record, rows=rows, overwrite=overwrite)


@torch_state.defaults()
def resume(
    run: run_directory.Run,
    *,
    module: nn.Module | None = None,
    given_sampler: GivenSampler | None = None,
    surrogates: Surrogates | None = None,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Estimate:
    """Continue an estimate from its run directory, bitwise equal to an uninterrupted one.

    The caller must hold the lock of the directory (`locks`).

    Args:
        run: the run.
        module: the critic that the run was started with, if it was the user's own.
        given_sampler: the sampler that the run was started with, if there was one.
        surrogates: the surrogates that the run was started with, if there were any.
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
    groups = rows.pop(GROUPS, None)
    if record.given_names:
        names[GIVEN] = record.given_names
    rows = {side: rows[side] for side in (*names, *rows) if side in rows}
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
        rows,
        names=names,
        notes=record.notes,
        source=str(run.path),
        groups=None if groups is None else groups[:, 0].astype(np.int64),
    )
    if record.own_sampler and given_sampler is None:
        raise InputError(
            f"Expected the given_sampler that {run.path} was started with; got none. Resume it "
            "from Python: infobound.resume(run, given_sampler=...)."
        )
    sampler = None if given_sampler is None else _sampler(given_sampler, pair)
    if record.own_surrogates and surrogates is None:
        raise InputError(
            f"Expected the surrogates that {run.path} was started with; got none. Resume it from "
            "Python: infobound.resume(run, surrogates=...)."
        )
    config = run.config(record.config)
    null = None if surrogates is None else checked_surrogates(surrogates, pair, config)
    return _estimate(pair, config, module, replace(hooks, run=run), sampler, null)


@dataclass(frozen=True)
class _Record:
    """The fields of `run.json` that describe an estimate."""

    config: dict[str, Any]
    own_module: bool
    x_names: tuple[str, ...]
    y_names: tuple[str, ...]
    notes: tuple[str, ...]
    given_names: tuple[str, ...] = ()
    own_sampler: bool = False
    own_surrogates: bool = False


def _sampler(sampler: GivenSampler, pair: Pair) -> GivenSampler:
    """Check that draws from a sampler have the columns of x."""
    if pair.given is None:
        raise InputError(
            "Expected given_sampler with given, the z for which it draws x; got it alone. Give "
            "estimate(x, y, given=z, given_sampler=...)."
        )
    return checked_sampler(sampler, pair)


def _estimate(
    pair: Pair,
    config: Config,
    module: nn.Module | None,
    hooks: loop.Hooks,
    sampler: GivenSampler | None = None,
    null: Iterable[np.ndarray] | None = None,
) -> Estimate:
    """Run the estimator and the checks, and write the result to the run."""
    start = time.perf_counter()
    small = module is None and config.critic != "joint" and len(pair.x) <= ONE_THREAD_ROWS
    with torch_state.single_thread() if small else contextlib.nullcontext():
        if pair.given is None:
            found = ESTIMATORS[config.estimator](pair, config, hooks, module)
        else:
            found = conditional(pair, config, hooks, module, sampler)
        if null is not None:
            found = with_surrogates(found, pair, null)
    result = outcome.result_of(pair, config, module, found, start)
    if hooks.run is not None:
        outcome.write(hooks.run, result, found.folds)
    return result


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
