"""The commands: their arguments, and the calls that they stand for.

The flags come from `Config` by tyro; torch and the rest are imported by the command that needs
them, so that `--help` answers at once. No mathematics and no defaults of its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional

from infobound.cli.session import Output, Session
from infobound.config import Config
from infobound.data import locations

__all__ = ["COMMANDS"]


@dataclass(frozen=True, kw_only=True)
class DemoCommand:
    """The notebook's experiment done right, in under a minute."""

    seed: int = 0
    """Seed of the sample and of the training."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the critics are trained."""
    run: Path | None = None
    """Directory for the estimate's run: settings, checkpoints, metrics, result, plot."""
    overwrite: Annotated[bool, FlagCreatePairsOff] = False
    """Replace an existing run in that directory."""
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.benchmark import notebook
        from infobound.report import console

        with session.training(self.run) as hooks:
            result = notebook.demo(
                seed=self.seed,
                device=self.device,
                run=self.run,
                overwrite=self.overwrite,
                unit=session.units,
                **hooks,
            )
        session.show(result, console.show_demo)


@dataclass(frozen=True, kw_only=True)
class EstimateCommand:
    """The mutual information between columns of your file.

    Example: infobound estimate data.csv --x 'a*' --y b
    """

    file: Positional[str]
    """CSV, TSV, Parquet, npz or npy file, or directory of Parquet files: a path, or an address such
    as s3://, gs://, https://; each row is one observation."""
    x: tuple[str, ...] = ()
    """Columns of x: names, patterns such as 'a*', ranges first:last, separated by spaces or commas;
    in an npz file, array names."""
    y: tuple[str, ...] = ()
    """Columns of y, chosen as those of x. Without --x and --y: the file's columns are listed."""
    drop_missing: Annotated[bool, FlagCreatePairsOff] = False
    """Leave out rows with missing values instead of stopping."""
    run: Path | None = None
    """Directory for the run: settings, checkpoints, metrics, result, plot; can be resumed."""
    overwrite: Annotated[bool, FlagCreatePairsOff] = False
    """Replace an existing run in that directory."""
    check: Annotated[bool, FlagCreatePairsOff] = False
    """Try on these rows what must hold of any estimate: nothing left when y is shuffled, the same
    with x and y swapped, ... Six further estimates, so seven times as long."""
    config: OmitArgPrefixes[Config] = field(default_factory=Config)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.data import readers

        pair = readers.read(self.file, x=self.x, y=self.y, drop_missing=self.drop_missing)
        from infobound.analyses import invariance
        from infobound.estimation import estimate
        from infobound.report import console

        checks: tuple[invariance.Check, ...] = ()
        with session.training(self.run) as hooks:
            result = estimate.estimate(
                pair,
                config=self.config,
                run=self.run,
                overwrite=self.overwrite,
                unit=session.units if self.run else "nats",
                **hooks,
            )
            if self.check:
                _, checks = invariance.check(
                    pair, config=self.config, result=result, run=self.run, **hooks
                )
        title = f"{locations.name(self.file)}: {' '.join(self.x)} and {' '.join(self.y)}"
        if self.output.json:
            unit = session.units
            more = {"checks": [each.as_dict(unit) for each in checks]} if self.check else {}
            return session.json({**result.as_dict(unit), **more})
        session.show(result, console.show_estimate, title=title)
        if self.check:
            session.present(console.show_checks, checks, units=session.units)
        session.next(
            {
                f"infobound rehearse {shlex.join(_columns(self))}": "is it right on such rows?",
                "--check": "" if self.check else "does it hold under changes?",
                "--run DIR": "" if self.run else "keep settings, curves and result",
            }
        )


def _columns(command: EstimateCommand) -> list[str]:
    """The words that choose the file and its columns."""
    return [command.file, "--x", *command.x, "--y", *command.y]


@dataclass(frozen=True, kw_only=True)
class CompareCommand:
    """Which tells more about y: I(X1;Y) - I(X2;Y) on the same rows.

    Example: infobound compare data.csv --x1 sensor_a --x2 sensor_b --y target
    """

    file: Positional[str]
    """CSV, TSV, Parquet, npz or npy file, or directory of Parquet files: a path, or an address such
    as s3://, gs://, https://; each row is one observation."""
    x1: tuple[str, ...] = ()
    """Columns of the first x, as for `infobound estimate`."""
    x2: tuple[str, ...] = ()
    """Columns of the second x."""
    y: tuple[str, ...] = ()
    """Columns of y."""
    config: OmitArgPrefixes[Config] = field(default_factory=Config)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.data import readers

        first, second = (readers.read(self.file, x=x, y=self.y) for x in (self.x1, self.x2))
        from infobound.analyses import compare
        from infobound.report import console

        with session.training(None) as hooks:
            result = compare.compare(first, second, config=self.config, **hooks)
        names = f"{' '.join(self.x1)},{' '.join(self.x2)}"
        session.show(result, console.show_comparison, names=names, y=" ".join(self.y))


@dataclass(frozen=True, kw_only=True)
class RehearseCommand:
    """Can the number be trusted on your rows? The same estimate where the answer is known.

    Known MI is planted in your own rows, a ladder of it, and estimated with the same settings.
    Some 45 estimates with the default ladder; after the first it says how long they will take.

    Example: infobound rehearse data.csv --x 'a*' --y b --width 0.05
    """

    file: Positional[str]
    """CSV, TSV, Parquet, npz or npy file, or directory of Parquet files: a path, or an address such
    as s3://, gs://, https://; each row is one observation."""
    x: tuple[str, ...] = ()
    """Columns of x, as for `infobound estimate`."""
    y: tuple[str, ...] = ()
    """Columns of y, chosen as those of x."""
    drop_missing: Annotated[bool, FlagCreatePairsOff] = False
    """Leave out rows with missing values instead of stopping."""
    ladder: tuple[float, ...] | None = None
    """The MI to plant, nats. If not given: 0 0.02 0.05 0.15 0.5 1.5, and your own estimate where
    that is more."""
    seeds: int = 4
    """Runs on each rung; their seeds count up from --seed."""
    kinds: tuple[str, ...] = ("monotone", "folded")
    """How y depends on x where MI is planted: monotone, rising with x; folded, rising with how far
    x is from its middle, without correlation."""
    width: float | None = None
    """Say how many rows an interval of +- so many nats would need."""
    out: Path | None = None
    """Directory for the table, the picture and the finished runs. The same command again
    continues."""
    jobs: int | None = None
    """Estimates at once, each on one thread; one for each core if not given."""
    dask: str | None = None
    """Let the workers of a Dask cluster make the estimates, instead of --jobs: its scheduler's
    address, such as tcp://10.0.0.5:8786."""
    overwrite: Annotated[bool, FlagCreatePairsOff] = False
    """Delete what the directory holds of an earlier rehearsal."""
    config: OmitArgPrefixes[Config] = field(default_factory=Config)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.data import readers

        pair = readers.read(self.file, x=self.x, y=self.y, drop_missing=self.drop_missing)
        from infobound.analyses import calibration
        from infobound.report import listings

        with session.counting(self.out) as bar:
            result = calibration.rehearse(
                pair,
                config=self.config,
                ladder=self.ladder,
                seeds=self.seeds,
                kinds=self.kinds,
                width=self.width,
                out=self.out,
                jobs=self.jobs,
                dask=self.dask,
                overwrite=self.overwrite,
                watch=session.forecasting(bar),
                unit=session.units if self.out else "nats",
            )
        title = f"{locations.name(self.file)}: {' '.join(self.x)} and {' '.join(self.y)}"
        session.show(result, listings.show_rehearsal, title=title)


@dataclass(frozen=True, kw_only=True)
class ReproduceCommand:
    """The notebook's experiment as printed, beside its held-out value (some 15 minutes)."""

    density: Literal["gaussian", "mixed_gaussian", "mixed_gaussian_joint"] = "gaussian"
    """The notebook's two densities, the mixture in either reading."""
    d: int = 6
    """Dimension of x and of y."""
    rho: float = 0.9
    """Correlation in each dimension."""
    sample_size: int = 400
    """Rows trained on, and fresh rows beside them."""
    run: Path = Path("runs/reproduce")
    """Directory for checkpoints, metrics, TensorBoard events, plot and result."""
    overwrite: Annotated[bool, FlagCreatePairsOff] = False
    """Replace an existing run in that directory."""
    config: OmitArgPrefixes[Config] = field(default_factory=Config.notebook)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.benchmark import notebook
        from infobound.report import console

        with session.training(self.run) as hooks:
            result = notebook.reproduce(
                self.config,
                density=self.density,
                d=self.d,
                rho=self.rho,
                sample_size=self.sample_size,
                run=self.run,
                overwrite=self.overwrite,
                unit=session.units,
                **hooks,
            )
        session.show(result, console.show_reproduction)
        session.say(f"Run, plot and metrics: {self.run}")


@dataclass(frozen=True, kw_only=True)
class ResumeCommand:
    """Continue a run that was stopped, killed or interrupted."""

    run: Positional[Path]
    """The run's directory."""
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.benchmark import notebook
        from infobound.report import console

        unit = self.output.units or notebook.unit_of(self.run)
        session.units = unit
        with session.training(self.run) as hooks:
            result = notebook.resume(self.run, unit=unit, **hooks)
        if isinstance(result, notebook.Reproduction):
            session.show(result, console.show_reproduction)
        else:
            session.show(result, console.show_estimate, title=str(self.run))


@dataclass(frozen=True, kw_only=True)
class StudyCommand:
    """How wrong are the estimates where the truth is known: tasks x estimators x sizes x seeds.

    Example: infobound study staircase --sizes 1000 10000 --estimators default base_only --seeds 5
    """

    suite: Positional[str]
    """A suite of tasks; with --files a name for the table."""
    sizes: tuple[int, ...] = (1000,)
    """Numbers of rows."""
    seeds: int = 3
    """Samples for each task and size; their seeds count up from --seed."""
    estimators: tuple[str, ...] = ("default",)
    """default, base_only, no_base, no_elliptical, only_gaussian, no_mixture, no_average, scores,
    robust, joint, nwj, ksg, gaussian, student: the settings below, but for what that changes."""
    tasks: tuple[str, ...] = ("*",)
    """Only tasks whose label matches one of these patterns, such as 'multinormal*'."""
    files: Path | None = None
    """Take rows from the npz files of this directory (x, y, mi in nats) instead of drawing."""
    peers: tuple[str, ...] = ()
    """Other people's estimators on the same samples: sklearn, ennemi (one column each), bmi-ksg,
    bmi-infonce, bmi-cca (with --bmi-python), neuralmi (with --neuralmi), torch-mist-infonce,
    torch-mist-smile (with --torch-mist-python)."""
    bmi_python: Path | None = None
    """The Python of an environment with benchmark-mi."""
    neuralmi: Path | None = None
    """A checkout of NeuralMI."""
    torch_mist_python: Path | None = None
    """The Python of an environment with torch-mist."""
    out: Path = Path("runs/study")
    """Directory for the table, the summary and the figures. The same command again continues, a
    larger one extends."""
    jobs: int | None = None
    """Estimates at once, each on one thread; one for each core if not given."""
    dask: str | None = None
    """Let the workers of a Dask cluster make the estimates, instead of --jobs: its scheduler's
    address, such as tcp://10.0.0.5:8786."""
    overwrite: Annotated[bool, FlagCreatePairsOff] = False
    """Delete what the directory holds of an earlier study."""
    config: OmitArgPrefixes[Config] = field(default_factory=Config)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.benchmark import external as peers
        from infobound.benchmark import study
        from infobound.report import listings

        with session.counting(self.out) as watch:
            result = study.study(
                self.suite,
                out=self.out,
                sizes=self.sizes,
                seeds=self.seeds,
                estimators=self.estimators,
                tasks=self.tasks,
                files=self.files,
                peers=self.peers,
                where=peers.Where(self.bmi_python, self.neuralmi, self.torch_mist_python),
                jobs=self.jobs,
                dask=self.dask,
                config=self.config,
                overwrite=self.overwrite,
                watch=watch,
                unit=session.units,
            )
        if self.output.json:
            session.json(result.as_rows(session.units))
        else:
            session.present(listings.show_study, result, units=session.units)


@dataclass(frozen=True, kw_only=True)
class TasksCommand:
    """List the joint distributions with known mutual information."""

    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.benchmark import tasks
        from infobound.report import listings

        unit = session.units
        rows, records = [], []
        for suite, entries in tasks.SUITES.items():
            for entry, (_, task) in zip(entries, tasks.suite(suite), strict=True):
                settings = tasks.parameters(entry.task) | dict(entry.parameters)
                said = ", ".join(f"{key} = {value}" for key, value in settings.items())
                sides, what = f"{task.dim_x}, {task.dim_y}", tasks.says(entry.task)
                mi = task.mi / (0.6931471805599453 if unit == "bits" else 1)
                rows.append([suite, entry.task, said, sides, f"{mi:.4f}", what])
                record: dict[str, Any] = {
                    "suite": suite,
                    "task": entry.task,
                    "parameters": settings,
                }
                record |= {"dim_x": task.dim_x, "dim_y": task.dim_y, "mi": mi, "unit": unit}
                records.append({**record, "note": what})
        columns = ["suite", "task", "parameters", "x, y", "mi", "what it is"]
        session.list(f"exact MI in {unit}", columns, rows, records, listings.show_suites)


@dataclass(frozen=True, kw_only=True)
class BoundsCommand:
    """List the bounds: which are lower bounds, their ceilings, their papers."""

    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.bounds import variational
        from infobound.report import listings

        rows, records = [], []
        for name, bound in variational.BOUNDS.items():
            ceiling = None if bound.ceiling is None else bound.ceiling(1000)
            what = f"{bound.note}\n{bound.cite}\n{bound.url}"  # an address fits 80 columns whole
            lower = "yes" if bound.is_lower_bound else "no"
            rows.append([name, lower, "none" if ceiling is None else f"{ceiling:.2f}", what])
            record = {"bound": name, "title": bound.title, "lower_bound": bound.is_lower_bound}
            record |= {"ceiling_at_1000": ceiling, "note": bound.note}
            records.append({**record, "paper": bound.cite, "url": bound.url})
        session.list(
            "Bounds (--bound NAME), ceilings in nats where K = 1,000 rows are scored together",
            ["bound", "lower\nbound", "ceiling", "what it is, and its paper"],
            rows,
            records,
            listings.show_table,
        )


COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": DemoCommand,
    "estimate": EstimateCommand,
    "compare": CompareCommand,
    "rehearse": RehearseCommand,
    "reproduce": ReproduceCommand,
    "resume": ResumeCommand,
    "study": StudyCommand,
    "tasks": TasksCommand,
    "bounds": BoundsCommand,
}
