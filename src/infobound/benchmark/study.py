"""Studies: tasks x estimators x sizes x seeds with known MI, as one table.

All cells are planned and checked before anything runs, computed in parallel, and each is written to
disk as soon as it is done. The result is one table, a summary and two figures; the same command
resumes an interrupted study. `VARIANTS` names the estimators; external ones are in `external`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from infobound._system import arguments, files, locks, torch_state, units
from infobound._system.calls import recorded
from infobound.benchmark.external import PEERS, External, PeerPaths
from infobound.benchmark.sampling import choose_tasks
from infobound.config import Config, configured
from infobound.errors import InputError
from infobound.estimation import selection
from infobound.models.closed_forms import BASES
from infobound.plotting import accuracy_figures
from infobound.plotting import figures as plots
from infobound.studies import accuracy, grid
from infobound.studies.grid import ConfiguredEstimator, Estimator, Progress, Study
from infobound.training import loop

__all__ = ["VARIANTS", "study"]

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "base_only": {"critic": "none"},
    "no_base": {"base": "none"},
    "no_elliptical": {"base": "mixture,fine_mixture,finest_mixture,table"},
    "only_gaussian": {"base": "gaussian"},
    "no_unwound": {"base": ",".join(name for name in BASES if name != "unwound")},
    "no_projected": {"base": ",".join(name for name in BASES if name != "projected")},
    "no_mean": {"base": ",".join(name for name in BASES if name != "mean")},
    "no_few_gaussians": {"base": ",".join(name for name in BASES if "gaussians" not in name)},
    "no_mixture": {"base": "gaussian,gaussian_raw,student,contaminated"},
    "no_average": {"ema": 0.0},
    "scores": {"transform": "scores"},
    "robust": {"transform": "robust"},
    "joint": {"critic": "joint"},
    "nwj": {"bound": "nwj"},
    "ksg": {"estimator": "ksg"},
    "gaussian": {"estimator": "gaussian"},
    "student": {"estimator": "student"},
}


@recorded()
@torch_state.defaults()
def study(
    suite: str,
    *,
    out: str | Path,
    sizes: Sequence[int] = (1000,),
    seeds: int = 3,
    estimators: Sequence[str] = ("default",),
    tasks: Sequence[str] = ("*",),
    files: str | Path | None = None,
    peers: Sequence[str] = (),
    where: PeerPaths | None = None,
    jobs: int | None = None,
    dask: str | None = None,
    config: Config | None = None,
    overwrite: bool = False,
    watch: Callable[[Progress], None] | None = None,
    unit: str = "nats",
) -> Study:
    """Estimate known mutual informations repeatedly and report the accuracy of the estimates.

    The sample of a cell depends on the label of the task, n and the seed alone, so all estimators
    see the same rows. Each cell runs on one thread; `jobs` of them run in parallel. The table
    contains every cell in `out`, including those of earlier plans.

    Args:
        suite: a suite of tasks; with `files` only a name for the table.
        out: the directory of the study; cells that are there already are not computed again.
        sizes: the numbers of rows.
        seeds: the number of samples per task and size; their seeds count up from `config.seed`.
        estimators: keys of `VARIANTS`.
        tasks: patterns; a task is included if its label matches one of them.
        files: a directory of npz files with x, y and mi, whose rows are used instead of a suite;
            with `given` too, mi is I(X;Y|Z).
        peers: keys of `external.PEERS`.
        where: the locations of external estimators that have their own environment.
        jobs: the number of parallel cells; one per core by default.
        dask: the address of a Dask scheduler, for example "tcp://host:8786", whose workers compute
            instead of `jobs`.
        config: settings of all estimators; those of a variant take precedence.
        overwrite: whether to delete an earlier study in `out`.
        watch: called with a `Progress` after each cell.
        unit: "nats" or "bits", the unit of the figures in `out`. The tables there, which a later
            study extends, and the returned values are always in nats.

    Returns:
        The table and its summary.

    Raises:
        InputError: If an argument is unknown or something is missing (found before anything runs),
            cells in `out` were computed with other settings or by another version, another process
            uses `out`, or a cluster is lost midway (finished cells stay on disk).

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 500))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/pair.npz", x=x, y=x + noise, mi=0.5 * np.log(2))
        ...     found = study("mine", files=folder, out=f"{folder}/out", sizes=[200], seeds=1,
        ...         jobs=1, estimators=["base_only"])
        >>> [(row.task, row.n, row.seed, row.error) for row in found.rows]
        [('pair', 200, 0, '')]
    """
    path, base, where = (
        arguments.directory("out", out),
        configured(config, {}),
        where or PeerPaths(),
    )
    suite, estimators = arguments.text("suite", suite), arguments.names("estimators", estimators)
    tasks, peers = arguments.names("tasks", tasks), arguments.names("peers", peers)
    sizes = [arguments.integer("a size", n, least=1) for n in arguments.numbers("sizes", sizes)]
    seeds = arguments.integer("seeds", seeds, least=1)
    jobs = None if jobs is None else arguments.integer("jobs", jobs, least=1)
    dask = None if dask is None else arguments.text("dask", dask)
    arguments.function("watch", watch, 1)
    units.scale(unit), arguments.boolean("overwrite", overwrite)
    files = None if files is None else arguments.directory("files", files)
    by = _estimators(estimators, peers, base, where)
    labelled = choose_tasks(suite, tasks, files)
    with locks.held(path):
        found = grid.run_grid(
            suite,
            [(*entry, n) for n in dict.fromkeys(sizes) for entry in labelled],
            by,
            out=path,
            seeds=seeds,
            first_seed=base.seed,
            order=[*VARIANTS, *PEERS],
            jobs=jobs,
            dask=dask,
            overwrite=overwrite,
            pages=grid.PAGES,
            watch=watch,
        )
        _draw(found, unit)
    return found


def _estimators(
    variants: Sequence[str], peers: Sequence[str], base: Config, where: PeerPaths
) -> dict[str, Estimator]:
    """Build the estimators of these names, and check them before anything runs."""
    found: dict[str, Estimator] = {}
    for name in variants:
        config = base.with_(certify=False, **arguments.lookup("estimator", name, VARIANTS))
        selection.configure_bound(config), loop.device(config)
        found[name] = ConfiguredEstimator(config)
    for path in dataclasses.fields(where):
        prefix = path.name.removesuffix("_python").replace("_", "-")
        if getattr(where, path.name) and not any(name.startswith(prefix) for name in peers):
            raise InputError(
                f"Expected a peer {prefix}* with --{path.name.replace('_', '-')}; got "
                f"{', '.join(peers) or 'none'}. Add it to --peers, or leave the path out."
            )
    for name in peers:
        version = arguments.lookup("peer", name, PEERS).version(where)
        found[name] = External(name, where, version)
    if not found:
        raise InputError(f"Expected an estimator; got none. There are {', '.join(VARIANTS)}.")
    return found


def _draw(found: Study, unit: str) -> None:
    """Write the table as a page and as figures."""
    title = f"Study: {', '.join(dict.fromkeys(row.suite for row in found.rows))}"
    files.write_atomic(found.path / "summary.md", accuracy.markdown(found.rows, title).encode())
    means = accuracy.by_task(found.rows)
    everything = [dataclasses.asdict(s) for s in found.summaries]
    figures = {
        "truth": lambda: accuracy_figures.truth_figure(
            means, title=f"{title}, estimate against truth", unit=unit
        ),
        "error": lambda: accuracy_figures.error_figure(
            everything, title=f"{title}, error against N", unit=unit
        ),
    }
    for name, figure in figures.items():
        plots.draw(name, figure, lambda file, data: files.write_atomic(found.path / file, data))
