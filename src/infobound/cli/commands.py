"""The commands: one dataclass per command, whose fields are its arguments.

Settings come from `Config`. Each command imports what it needs when it runs, so that `--help` does
not import torch. No mathematics and no defaults here.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, arg

from infobound.cli.session import Output, Session
from infobound.config import Config
from infobound.errors import InputError
from infobound.files import locations
from infobound.files.read_options import ReadOptions

__all__ = ["COMMANDS"]

Columns = Annotated[tuple[str, ...], arg(metavar="COLUMN ...", help_behavior_hint="")]
File = Annotated[
    Positional[str],
    arg(
        metavar="FILE",
        help="Path or URL (s3://, gs://, https://, ...) of a CSV, TSV, JSON lines, Parquet, "
        "Feather, Excel, npz or npy file, or of a directory of Parquet files; - is standard input. "
        "Each row is one observation.",
    ),
]
Directory = Annotated[Path | None, arg(metavar="PATH", help_behavior_hint="")]
Reading = OmitArgPrefixes[ReadOptions]
Settings = OmitArgPrefixes[Annotated[Config, arg(name="")]]  # flags without a prefix, in groups


@dataclass(frozen=True, kw_only=True)
class DemoCommand:
    """Estimate the MI of the InfoNCE notebook's sample, in under a minute."""

    seed: int = 0
    """Seed of the sample and of the training."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device that trains the critics. auto: CUDA if available."""
    run: Directory = None
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
class _Samples:
    """Two samples in a file, and what their columns are; help of inherited fields is in `arg`."""

    file: File
    x: Annotated[
        Columns,
        arg(
            help="Columns of x: names, patterns such as 'a*' and ranges first:last, separated by "
            "spaces or commas. In an npz file: names of arrays."
        ),
    ] = ()
    y: Annotated[
        Columns,
        arg(
            help="Columns of y, in the same notation. `infobound describe FILE` lists the columns."
        ),
    ] = ()
    categorical: Annotated[
        Columns,
        arg(
            help="Columns that are categories, for example numbers that are codes. Text always is "
            "one."
        ),
    ] = ()
    numeric: Annotated[
        Columns,
        arg(help="Columns that are quantities although they are stored as text or categories."),
    ] = ()
    drop_missing: Annotated[
        bool,
        FlagCreatePairsOff,
        arg(help="Drop rows with missing values. Without this flag they are an error."),
    ] = False
    reading: Reading = field(default_factory=ReadOptions)

    def read(self, **more: Any) -> Any:
        """Read the rows of x and y."""
        from infobound.files import readers

        return readers.read(
            self.file,
            x=self.x,
            y=self.y,
            categorical=self.categorical,
            numeric=self.numeric,
            drop_missing=self.drop_missing,
            options=self.reading,
            **more,
        )


@dataclass(frozen=True, kw_only=True)
class EstimateCommand(_Samples):
    """Estimate the mutual information between columns of a file.

    Example: infobound estimate data.csv --x 'a*' --y b
    """

    given: Columns = ()
    """Columns of a third variable z, in the same notation: estimate I(X;Y|Z), the information that
    is left when z is known."""
    group: Columns = ()
    """Columns that say which rows belong together, for example a subject or a trial, if rows of a
    group are not independent."""
    run: Directory = None
    """Save settings, checkpoints, metrics, result and plot in this directory. The run can be
    resumed."""
    overwrite: Annotated[bool, FlagCreatePairsOff] = False
    """Replace an existing run in that directory."""
    check: Annotated[bool, FlagCreatePairsOff] = False
    """Also test properties that every MI estimate should have, such as zero when y is shuffled and
    symmetry in x and y. This makes six more estimates and takes seven times as long."""
    config: Settings = field(default_factory=Config)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        pair = self.read(given=self.given, group=self.group)
        if self.check and self.given:
            raise InputError(
                "Expected --check without --given: it tests properties of I(X;Y). Leave one out."
            )
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
        title += f" given {' '.join(self.given)}" if self.given else ""
        if self.output.json:
            unit = session.units
            more = {"checks": [each.as_dict(unit) for each in checks]} if self.check else {}
            return session.json({**result.as_dict(unit), **more})
        session.show(result, console.show_estimate, title=title)
        if self.check:
            session.present(console.show_checks, checks, units=session.units)
        plain = not self.given and not self.config.series
        words = [*_columns(self), *_flags(self.config.with_(certify=True))]
        session.suggest(
            {
                f"infobound rehearse {shlex.join(words)}": "test it on your rows" * plain,
                "--check": "" if self.check or self.given else "test properties of the estimate",
                "--run DIR": "" if self.run else "save settings, curves and result",
            }
        )


def _columns(command: EstimateCommand) -> list[str]:
    """Return the arguments of the command that select the file and its columns."""
    words = [command.file, "--x", *command.x, "--y", *command.y]
    words += ["--group", *command.group] if command.group else []
    for flag, columns in (("categorical", command.categorical), ("numeric", command.numeric)):
        words += [f"--{flag}", *columns] if columns else []
    return [*words, *["--drop-missing"] * command.drop_missing, *_flags(command.reading)]


def _flags(options: ReadOptions | Config) -> list[str]:
    """Return the arguments that give the options that are not the defaults."""
    words = []
    for each in fields(options):
        value, flag = getattr(options, each.name), each.name.replace("_", "-")
        if value == each.default:
            continue
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    return words


@dataclass(frozen=True, kw_only=True)
class CompareCommand:
    """Estimate I(X1;Y) - I(X2;Y) on the same rows: which x carries more information about y?

    Example: infobound compare data.csv --x1 sensor_a --x2 sensor_b --y target
    """

    file: File
    x1: Columns = ()
    """Columns of the first x: names, patterns such as 'a*' and ranges first:last."""
    x2: Columns = ()
    """Columns of the second x."""
    y: Columns = ()
    """Columns of y."""
    group: Columns = ()
    """Columns that say which rows belong together, as in `infobound estimate`."""
    categorical: Columns = ()
    """Columns that are categories, for example numbers that are codes. Text always is one."""
    numeric: Columns = ()
    """Columns that are quantities although they are stored as text or categories."""
    reading: Reading = field(default_factory=ReadOptions)
    config: Settings = field(default_factory=Config)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.files import readers

        first, second = (
            readers.read(
                self.file,
                x=x,
                y=self.y,
                group=self.group,
                categorical=self.categorical,
                numeric=self.numeric,
                options=self.reading,
            )
            for x in (self.x1, self.x2)
        )
        from infobound.analyses import compare
        from infobound.report import console

        with session.training(None, saves=False) as hooks:
            result = compare.compare(first, second, config=self.config, **hooks)
        names = {side: " ".join(getattr(self, side)) for side in ("x1", "x2", "y")}
        session.show(result, console.show_comparison, **names)


@dataclass(frozen=True, kw_only=True)
class InteractionCommand(_Samples):
    """Estimate I(X;Y|Z) - I(X;Y) on the same rows: does z add to what x says about y (positive), or
    explain it (negative)?

    Example: infobound interaction data.csv --x dose --y response --given age sex
    """

    given: Columns = ()
    """Columns of z, in the same notation."""
    group: Columns = ()
    """Columns that say which rows belong together, as in `infobound estimate`."""
    config: Settings = field(default_factory=Config)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        pair = self.read(given=self.given, group=self.group)
        from infobound.analyses import interaction
        from infobound.report import console

        with session.training(None, saves=False) as hooks:
            result = interaction.interaction(pair, config=self.config, **hooks)
        names = {side: " ".join(getattr(self, side)) for side in ("x", "y", "given")}
        session.show(result, console.show_interaction, **names)


@dataclass(frozen=True, kw_only=True)
class ProbeCommand(_Samples):
    """Estimate I(Z;Y) of a representation and labels: what can linear and other probes use of it?

    Example: infobound probe embeddings.parquet --x 'z*' --y label
    """

    x: Columns = ()
    """Columns of the representation: names, patterns such as 'z*' and ranges first:last."""
    y: Columns = ()
    """Column of the labels: text, or numbers that are codes."""
    group: Columns = ()
    """Columns that say which rows belong together, as in `infobound estimate`."""
    config: Settings = field(default_factory=Config)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        pair = self.read(group=self.group)
        from infobound.analyses import probes
        from infobound.report import console

        with session.training(None, saves=False) as hooks:
            result = probes.probe(pair, config=self.config, **hooks)
        title = f"{locations.name(self.file)}: {' '.join(self.x)} about {' '.join(self.y)}"
        session.show(result, console.show_probes, title=title)


@dataclass(frozen=True, kw_only=True)
class ColumnsCommand:
    """Estimate the mutual information of all pairs of columns of a file, or of each column and a
    target, with tests.

    Example: infobound columns data.csv --target price --figure bars.png
    """

    file: File
    target: Columns = ()
    """Columns that all others are compared with, in the notation of `infobound estimate`. Default:
    all pairs of columns."""
    columns: Columns = ()
    """Columns to compare. Default: all that can be used."""
    given: Columns = ()
    """Columns that are given: each pair is estimated and tested as by `infobound estimate --given`,
    which takes seconds a pair."""
    categorical: Columns = ()
    """Columns that are categories, for example numbers that are codes. Text always is one."""
    numeric: Columns = ()
    """Columns that are quantities although they are stored as text or categories."""
    missing: Literal["pairwise", "rows", "refuse"] = "pairwise"
    """Missing values. pairwise: each pair uses the rows in which both columns have values; rows:
    only rows that have values in all columns; refuse: an error."""
    refine: int = 0
    """Number of strongest pairs that are estimated again as by `infobound estimate`, with intervals
    that hold for all pairs at once. Each takes seconds."""
    permutations: Annotated[int | None, arg(metavar="INT")] = None
    """Number of permutations of the tests. Default: 99 to 1,999, by the size of the table."""
    screen: Literal["auto", "yes", "no"] = "auto"
    """Whether pairs in which no dependence shows at a quick look get its estimate and interval, in
    a hundredth of the time. auto: in tables of more than 20 thousand pairs."""
    top: int = 20
    """Number of pairs to print."""
    table: Directory = None
    """File for all pairs: .csv, .parquet or .json."""
    figure: Directory = None
    """File for a figure, .png, .svg or .pdf: a clustered heat map of all pairs, or bars with
    intervals for one target."""
    gallery: Directory = None
    """File for a figure of the ranks of the 12 strongest pairs, .png, .svg or .pdf."""
    seed: int = 0
    """Seed of the tests and estimates."""
    jobs: int = 1
    """Number of threads that estimate pairs; of processes with --out or --given."""
    out: Directory = None
    """Directory for the estimates of finished pairs; the same command resumes there."""
    overwrite: bool = False
    """Delete earlier estimates in --out."""
    dask: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """Address of a Dask scheduler, for example tcp://host:8786, whose workers estimate."""
    reading: Reading = field(default_factory=ReadOptions)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.files import tables
        from infobound.report import listings
        from infobound.tables import column_pairs, column_pictures, pairwise, pairwise_page

        pictures = [*column_pictures.PICTURES]
        for path, endings in (
            (self.table, column_pairs.TABLES),
            (self.figure, pictures),
            (self.gallery, pictures),
        ):
            if path is not None:
                column_pairs.expect_ending(path, endings)
        table = tables.read_table(
            self.file,
            columns=self.columns,
            target=self.target,
            given=self.given,
            categorical=self.categorical,
            numeric=self.numeric,
            options=self.reading,
        )
        if self.figure is not None:
            pairwise_page.expect_drawable(table.targets)
        with session.stages(self.out) as bar:
            result = pairwise.pairwise(
                table,
                missing=self.missing,
                permutations=self.permutations,
                screen={"auto": None, "yes": True, "no": False}[self.screen],
                refine=self.refine,
                seed=self.seed,
                jobs=self.jobs,
                out=self.out,
                dask=self.dask,
                overwrite=self.overwrite,
                progress=bar,
            )
        result = replace(
            result,
            call=result.call.with_names(
                target=table.targets,
                given=table.given,
                categorical=table.categorical,
                numeric=table.numeric,
            ),
        )
        name, unit = locations.name(self.file), session.units
        if self.table is not None:
            result.save(self.table, units=unit)
        if self.figure is not None:
            column_pictures.save_figure(result, self.figure, title=name, unit=unit)
        if self.gallery is not None:
            column_pictures.save_gallery(result, table, self.gallery, title=name, unit=unit)
        if self.output.json:
            return session.json(result.as_dict(unit))
        title = f"{name}: {result.heading}"
        session.present(listings.show_pairwise, result, units=unit, title=title, top=self.top)
        first = result.pairs[0]
        given = [word for name in result.given for word in ("--given", name)]
        sides = ["--x", first.x, "--y", first.y, *given]
        pair = shlex.join([self.file, *sides, *_flags(self.reading)])
        session.suggest(
            {
                f"infobound estimate {pair}": "estimate one pair in full",
                "--refine 10": "" if self.refine or given else "estimate the first ten in full",
            }
        )


@dataclass(frozen=True, kw_only=True)
class DescribeCommand:
    """List the columns of a file: types, missing and distinct values, and what an estimate reads.

    Example: infobound describe data.csv
    """

    file: File
    columns: Columns = ()
    """Columns to list, in the notation of `infobound estimate`. Default: all."""
    categorical: Columns = ()
    """Columns that are categories, for example numbers that are codes. Text always is one."""
    numeric: Columns = ()
    """Columns that are quantities although they are stored as text or categories; dates become days
    since the first."""
    reading: Reading = field(default_factory=ReadOptions)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.files import description

        result = description.describe(
            self.file,
            columns=self.columns,
            categorical=self.categorical,
            numeric=self.numeric,
            options=self.reading,
        )
        if self.output.json:
            return session.json(result.as_dict())
        from infobound.report import listings

        session.present(listings.show_description, result, title=locations.name(self.file))


@dataclass(frozen=True, kw_only=True)
class LagsCommand:
    """Estimate the mutual information of two time series at each lag, or of all pairs of columns at
    their best lags, with tests that allow for autocorrelation.

    Example: infobound lags data.csv --x temperature --y sales --max-lag 30
    """

    file: File
    x: Columns = ()
    """Column of x."""
    y: Columns = ()
    """Column of y. x leads at positive lags. Without --x and --y: all pairs of columns."""
    max_lag: int = 50
    """Largest lag in rows, in both directions."""
    columns: Columns = ()
    """Columns of which all pairs are compared. Default: all that can be used."""
    group: Columns = ()
    """Columns that say to which trial or subject a row belongs: lags never cross a border."""
    categorical: Columns = ()
    """Columns that are categories, for example numbers that are codes. Text always is one."""
    numeric: Columns = ()
    """Columns that are quantities although they are stored as text or categories."""
    refine: bool = True
    """Two series: also estimate the peak as by `infobound estimate --series`, with the settings
    below."""
    top: int = 20
    """All pairs: number of pairs to print."""
    table: Directory = None
    """File for the curve, or for all pairs: .csv, .parquet or .json."""
    figure: Directory = None
    """File for a figure, .png, .svg or .pdf: the curve; of all pairs, a network."""
    matrix: Directory = None
    """All pairs: file for a figure of columns by columns, with the lags."""
    out: Directory = None
    """All pairs: directory for the finished pairs. The same command continues there."""
    jobs: Annotated[int | None, arg(metavar="INT")] = None
    """All pairs: number of processes that compute pairs. Default: one."""
    dask: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """All pairs: address of a Dask scheduler, whose workers compute instead."""
    overwrite: Annotated[bool, FlagCreatePairsOff] = False
    """Delete earlier pairs in --out."""
    reading: Reading = field(default_factory=ReadOptions)
    config: Settings = field(default_factory=Config)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.tables import column_pairs, column_pictures

        for path, endings in (
            (self.table, column_pairs.TABLES),
            (self.figure, [*column_pictures.PICTURES]),
            (self.matrix, [*column_pictures.PICTURES]),
        ):
            if path is not None:
                column_pairs.expect_ending(path, endings)
        if self.x or self.y:
            _expect_unused(self, "columns", "matrix", "out", "jobs", "dask", "overwrite")
            self._pair(session)
        else:
            self._channels(session)

    def _pair(self, session: Session) -> None:
        """Estimate two series at each lag."""
        from infobound.report import listings
        from infobound.series import lags

        series = lags.read_series(
            self.file,
            x=self.x,
            y=self.y,
            group=self.group,
            categorical=self.categorical,
            numeric=self.numeric,
            options=self.reading,
        )
        asked = self.config.permutations
        with session.stages(None, saves=False) as bar:
            result = lags.lags(
                *series[:2],
                self.max_lag,
                groups=series[2],
                permutations=None if asked == Config().permutations else asked,
                refine=self.refine,
                seed=self.config.seed,
                config=self.config,
                progress=bar,
            )
        unit, title = session.units, f"{locations.name(self.file)}: {result.x} and {result.y}"
        if self.table is not None:
            result.save(self.table, units=unit)
        if self.figure is not None:
            result.save_figure(self.figure, title=title, units=unit)
        session.show(result, listings.show_lags, title=title)

    def _channels(self, session: Session) -> None:
        """Estimate all pairs of columns at their best lags."""
        from infobound.files import readers, tables
        from infobound.report import listings
        from infobound.series import lagged_pairs

        found = readers.opened(self.file, options=self.reading)
        names = found.select(self.columns, "columns") if self.columns else found.names
        group = found.select(self.group, "group") if self.group else []
        table = tables.read_table(
            self.file,
            columns=[name for name in names if name not in group],
            categorical=self.categorical,
            numeric=self.numeric,
            options=self.reading,
        )
        with session.stages(self.out) as bar:
            result = lagged_pairs.lagged_pairs(
                table,
                self.max_lag,
                groups=found.groups(self.group),
                seed=self.config.seed,
                out=self.out,
                jobs=self.jobs,
                dask=self.dask,
                overwrite=self.overwrite,
                progress=bar,
            )
        call = result.call.with_names(categorical=table.categorical, numeric=table.numeric)
        result = replace(result, call=call)
        first, lags = result.pairs[0], ["--max-lag", str(self.max_lag)]
        pair = "lags", first.x, first.y, lags, "one pair at all lags"
        _show_pairs(self, session, result, listings.show_lagged_pairs, self.top, pair)


@dataclass(frozen=True, kw_only=True)
class TransferCommand:
    """Estimate the transfer entropy of two series in both directions, or of all ordered pairs of
    columns: what does the past of x say about y beyond the past of y?

    Example: infobound transfer data.csv --x a --y b --lag 1:20 --figure lags.png
    """

    file: File
    x: Columns = ()
    """Columns of x, in the notation of `infobound estimate`. Rows are in the order of time."""
    y: Columns = ()
    """Columns of y. Without --x and --y: all ordered pairs of columns."""
    given: Columns = ()
    """Columns whose past is given, such as a common cause."""
    columns: Columns = ()
    """Columns of which all ordered pairs are compared. Default: all that can be used."""
    group: Columns = ()
    """Columns that say to which trial or subject a row belongs. No past crosses their borders."""
    lag: Annotated[tuple[str, ...], arg(metavar="LAG ...")] = ("1",)
    """How many rows before y the past of x begins. Of several, such as 1:20, the strongest is used,
    and the tests are adjusted for all."""
    history: Annotated[str, arg(metavar="INT|auto")] = "1"
    """How many values of the past of y are used, and of x. auto: chosen up to lag 10."""
    source_history: Annotated[str | None, arg(metavar="INT|auto")] = None
    """How many values of the past of x are used. Default: as --history."""
    categorical: Columns = ()
    """Columns that are categories, for example numbers that are codes. Text always is one."""
    numeric: Columns = ()
    """Columns that are quantities although they are stored as text or categories."""
    top: int = 20
    """Number of pairs to print."""
    full: Annotated[bool, FlagCreatePairsOff] = False
    """All ordered pairs: estimate with all closed forms, in three times the time."""
    table: Directory = None
    """All ordered pairs: file for all, .csv, .parquet or .json."""
    figure: Directory = None
    """File for a figure, .png, .svg or .pdf: both directions; of all pairs, a network."""
    matrix: Directory = None
    """All ordered pairs: file for a figure of sources by targets."""
    out: Directory = None
    """All ordered pairs: directory for the finished pairs. The same command continues there."""
    jobs: Annotated[int | None, arg(metavar="INT")] = None
    """All ordered pairs: number of parallel pairs, each on one thread. Default: the number of
    cores."""
    dask: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """All ordered pairs: address of a Dask scheduler, whose workers compute instead."""
    overwrite: Annotated[bool, FlagCreatePairsOff] = False
    """Delete earlier pairs in --out."""
    reading: Reading = field(default_factory=ReadOptions)
    config: Settings = field(default_factory=lambda: Config(critic="none"))
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound.tables import column_pairs, column_pictures

        for path, endings in (
            (self.table, column_pairs.TABLES),
            (self.figure, [*column_pictures.PICTURES]),
            (self.matrix, [*column_pictures.PICTURES]),
        ):
            if path is not None:
                column_pairs.expect_ending(path, endings)
        if bool(self.x) != bool(self.y):
            raise InputError(
                "Expected --x and --y, or neither for all ordered pairs of columns; got one of "
                "them. Add the other."
            )
        past = {
            "lag": _lags(self.lag),
            "history": _history("--history", self.history),
            "source_history": _history("--source-history", self.source_history),
        }
        if self.x:
            self._pair(session, past)
        else:
            self._network(session, past)

    def _pair(self, session: Session, past: dict[str, Any]) -> None:
        """Estimate both directions of x and y."""
        _expect_unused(
            self, "columns", "table", "matrix", "out", "jobs", "dask", "overwrite", "full"
        )
        from infobound.files import readers
        from infobound.report import console
        from infobound.series import transfer
        from infobound.tables import column_pictures

        pair = readers.read(
            self.file,
            x=self.x,
            y=self.y,
            given=self.given,
            categorical=self.categorical,
            numeric=self.numeric,
            options=self.reading,
        )
        groups = readers.opened(self.file, options=self.reading).groups(self.group)
        with session.training(None, saves=False) as hooks:
            result = transfer.transfer_entropy(
                pair, groups=groups, config=self.config, **past, **hooks
            )
        if self.figure is not None:
            column_pictures.write(result.figure(session.units), self.figure)
        session.show(result, console.show_transfer, given=" ".join(self.given))

    def _network(self, session: Session, past: dict[str, Any]) -> None:
        """Estimate all ordered pairs of columns."""
        from infobound.files import readers
        from infobound.report import listings
        from infobound.series import transfer_network

        found = readers.opened(self.file, options=self.reading)
        names = found.select(self.columns, "columns") if self.columns else found.names
        given = found.select(self.given, "given") if self.given else []
        group = found.select(self.group, "group") if self.group else []
        names = [name for name in dict.fromkeys([*names, *given]) if name not in group]
        codes, quantities = found.kinds(names, self.categorical, self.numeric)
        quick = transfer_network.QUICK.base
        fast = self.config.with_(base=quick) if self.config.base == "auto" else self.config
        with session.stages(self.out) as bar:
            result = transfer_network.transfer_network(
                found.frame(names),
                given=given,
                groups=found.groups(self.group),
                categorical=codes,
                numeric=quantities,
                out=self.out,
                jobs=self.jobs,
                dask=self.dask,
                overwrite=self.overwrite,
                config=self.config if self.full else fast,
                watch=lambda progress: bar("pairs", progress.done, progress.total),
                **past,
            )
        first, lags = result.links[0], ["--lag", "1:20"]
        pair = "transfer", first.source, first.target, lags, "one pair, with its lags"
        _show_pairs(self, session, result, listings.show_network, self.top, pair)


def _show_pairs(
    command: LagsCommand | TransferCommand,
    session: Session,
    result: Any,
    show: Callable[..., None],
    top: int,
    pair: tuple[str, str, str, list[str], str],
) -> None:
    """Write and print the result of all pairs of columns, and suggest a command for the first.

    Args:
        command: the command with its options.
        session: the session.
        result: the result.
        show: prints it.
        top: the number of pairs that are printed.
        pair: of the suggestion: the command, x, y, its lags, and what it does.
    """
    from infobound.tables import column_pictures

    name, unit = locations.name(command.file), session.units
    if command.table is not None:
        result.save(command.table, units=unit)
    for path, kind in ((command.figure, "network"), (command.matrix, "matrix")):
        if path is not None:
            column_pictures.write(result.figure(kind, title=name, units=unit), path)
    if command.output.json:
        return session.json(result.as_dict(unit))
    title = f"{name}: {result.heading}"
    session.present(show, result, units=unit, title=title, top=top)
    word, x, y, lags, what = pair
    groups = [part for each in command.group for part in ("--group", each)]
    words = [command.file, "--x", x, "--y", y, *lags, *groups, *_flags(command.reading)]
    session.suggest({f"infobound {word} {shlex.join(words)}": what})


def _expect_unused(command: Any, *names: str) -> None:
    """Check that options for all pairs are not given with --x and --y."""
    asked = [name for name in names if getattr(command, name)]
    if asked:
        every = "all ordered pairs" if isinstance(command, TransferCommand) else "all pairs"
        raise InputError(
            f"Expected --{asked[0]} for {every}; got it with --x and --y, which name one pair. "
            "Leave one out."
        )


def _lags(words: tuple[str, ...]) -> list[int]:
    """Return lags from whole numbers and ranges such as 1:20."""
    found: list[int] = []
    for word in words:
        first, colon, last = word.partition(":")
        if not (first.isdecimal() and (last.isdecimal() if colon else not last)):
            raise InputError(
                f"Expected --lag to be whole numbers or ranges such as 1:20; got {word!r}."
            )
        found += range(int(first), int(last or first) + 1)
    return found


def _history(flag: str, word: str | None) -> Any:
    """Return the number of past values, "auto", or None."""
    if word is None or word == "auto":
        return word
    if not word.isdecimal():
        raise InputError(f"Expected {flag} to be a whole number or auto; got {word!r}.")
    return int(word)


@dataclass(frozen=True, kw_only=True)
class RehearseCommand(_Samples):
    """Test the estimator on your own rows, with known MI.

    Several known values of MI are planted in your rows and estimated with the same settings. The
    default ladder takes about 45 estimates; the remaining time is shown after the first. Nothing
    is certified (--certify and --permutations have no effect).

    Example: infobound rehearse data.csv --x 'a*' --y b --width 0.05
    """

    group: Columns = ()
    """Columns that say which rows belong together, as in `infobound estimate`."""
    ladder: Annotated[tuple[float, ...] | None, arg(metavar="FLOAT ...")] = None
    """Values of MI to plant, in nats. Default: 0 0.02 0.05 0.15 0.5 1.5, and the estimate on your
    rows if it is larger."""
    seeds: int = 4
    """Number of runs per planted value. Their seeds count up from --seed."""
    kinds: tuple[str, ...] = ("monotone", "folded")
    """Planted dependence: monotone (y increases with x), folded (y increases with the distance of x
    from its median, without correlation)."""
    width: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Report how many rows an interval of +- this many nats would need."""
    out: Directory = None
    """Directory for the table, the figure and the finished runs. The same command continues it."""
    jobs: Annotated[int | None, arg(metavar="INT")] = None
    """Number of parallel estimates, each on one thread. Default: the number of cores."""
    dask: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """Address of a Dask scheduler, such as tcp://10.0.0.5:8786, whose workers make the estimates
    instead of local processes."""
    overwrite: Annotated[bool, FlagCreatePairsOff] = False
    """Delete the files of an earlier rehearsal in that directory."""
    config: Settings = field(default_factory=Config)
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        pair = self.read(group=self.group)
        from infobound.report import listings
        from infobound.studies import calibration

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
    """Run the InfoNCE notebook's experiment as printed, with held-out values (about 15 minutes)."""

    density: Literal["gaussian", "mixed_gaussian", "mixed_gaussian_joint"] = "gaussian"
    """Density of (x, y): the notebook's Gaussian, or its mixture in one of two readings."""
    d: int = 6
    """Dimension of x and of y."""
    rho: float = 0.9
    """Correlation of x and y in each dimension."""
    sample_size: int = 400
    """Number of training rows, and of fresh rows for evaluation."""
    run: Path = Path("runs/reproduce")
    """Directory for checkpoints, metrics, TensorBoard events, plot and result."""
    overwrite: Annotated[bool, FlagCreatePairsOff] = False
    """Replace an existing run in that directory."""
    config: Settings = field(default_factory=Config.notebook)
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
        session.print_message(f"Run, plot and metrics: {self.run}")


@dataclass(frozen=True, kw_only=True)
class ResumeCommand:
    """Resume a run that was interrupted."""

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """Directory of the run."""
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
    """Measure the error of estimators on tasks with known MI: tasks x estimators x sizes x seeds.

    Nothing is certified (--certify and --permutations have no effect).

    Example: infobound study staircase --sizes 1000 10000 --estimators default base_only --seeds 5
    """

    suite: Annotated[Positional[str], arg(metavar="SUITE")]
    """Name of a suite of tasks
    (`infobound tasks` lists them). With --files: a name for the table."""
    sizes: tuple[int, ...] = (1000,)
    """Numbers of rows."""
    seeds: int = 3
    """Number of samples per task and size. Their seeds count up from --seed."""
    estimators: tuple[str, ...] = ("default",)
    """Variants of the settings below: default, base_only, no_base, no_unwound, no_projected,
    no_mean, no_few_gaussians, no_elliptical, only_gaussian, no_mixture, no_average, scores, robust,
    joint, nwj, ksg, gaussian, student."""
    tasks: tuple[str, ...] = ("*",)
    """Only tasks whose label matches one of these patterns, such as 'multinormal*'."""
    files: Directory = None
    """Directory of npz files (x, y, mi in nats; with given, mi is I(X;Y|Z)) to use instead of
    drawing samples."""
    peers: tuple[str, ...] = ()
    """External estimators to run on the same samples: sklearn, ennemi (one column each), bmi-ksg,
    bmi-infonce, bmi-cca (with --bmi-python), neuralmi (with --neuralmi), torch-mist-infonce,
    torch-mist-smile (with --torch-mist-python), tigramite-cmiknn (with --tigramite-python). Only
    ennemi and tigramite-cmiknn take the third variable of the suite conditional."""
    bmi_python: Directory = None
    """Python executable of an environment with benchmark-mi."""
    neuralmi: Directory = None
    """Directory of a checkout of NeuralMI."""
    torch_mist_python: Directory = None
    """Python executable of an environment with torch-mist."""
    tigramite_python: Directory = None
    """Python executable of an environment with tigramite."""
    out: Path = Path("runs/study")
    """Directory for the table, the summary and the figures. The same command continues a study; a
    larger one extends it."""
    jobs: Annotated[int | None, arg(metavar="INT")] = None
    """Number of parallel estimates, each on one thread. Default: the number of cores."""
    dask: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """Address of a Dask scheduler, such as tcp://10.0.0.5:8786, whose workers make the estimates
    instead of local processes."""
    overwrite: Annotated[bool, FlagCreatePairsOff] = False
    """Delete the files of an earlier study in that directory."""
    config: Settings = field(default_factory=Config)
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
                where=peers.PeerPaths(
                    self.bmi_python, self.neuralmi, self.torch_mist_python, self.tigramite_python
                ),
                jobs=self.jobs,
                dask=self.dask,
                config=self.config,
                overwrite=self.overwrite,
                watch=watch,
                unit=session.units,
            )
        if self.output.json:
            session.json(result.records(session.units))
        else:
            session.present(listings.show_study, result, units=session.units)


@dataclass(frozen=True, kw_only=True)
class ReportCommand:
    """Write one HTML file about results: numbers and what each may be used for, figures, findings,
    methods, references. Several results are compared.

    Example: infobound report runs/first result.json -o report.html
    """

    results: Annotated[Positional[tuple[str, ...]], arg(metavar="RUN_OR_RESULT ...")] = ()
    """Directories given to --run or --out, and files with what a command printed with --json."""
    out: Annotated[Path, arg(aliases=["-o"], metavar="PATH")] = Path("report.html")
    """The HTML file. It needs no other file and no network."""
    subsample: Annotated[bool, FlagCreatePairsOff] = False
    """Also estimate halves, thirds and quarters of the rows of each run, for a figure of the
    estimate against 1/N. This makes nine more estimates of each run."""
    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        if not self.results:
            raise InputError(
                "Expected one result or more; got none. Write infobound report RUN, with a "
                "directory that was given to --run, or with a file of a command's --json."
            )
        from infobound.analyses import subsampling
        from infobound.pages import presentable
        from infobound.report import stored

        parts = subsampling.PARTS if self.subsample else ()
        if parts:
            stored.expect_run(self.results)
        with session.training(None, saves=False) as hooks:
            pages = [
                page
                for place in self.results
                for page in stored.pages(place, units=session.units, parts=parts, hooks=hooks)
            ]
            path = presentable.save_report(pages, self.out)
        if self.output.json:
            return session.json({"report": str(path), "results": [page.title for page in pages]})
        session.present(print, f"{path}: {len(pages)} result{'s' * (len(pages) > 1)}")


@dataclass(frozen=True, kw_only=True)
class TasksCommand:
    """List the joint distributions with known mutual information."""

    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound._system import units
        from infobound.benchmark import tasks
        from infobound.report import listings

        unit = session.units
        rows, records = [], []
        for suite, entries in tasks.SUITES.items():
            for entry, (_, task) in zip(entries, tasks.suite(suite), strict=True):
                settings = tasks.parameters(entry.task) | dict(entry.parameters)
                said = ", ".join(f"{key} = {value}" for key, value in settings.items())
                columns = (task.dim_x, task.dim_y, getattr(task, "dim_given", 0))
                what, sides = (
                    tasks.description(entry.task),
                    ", ".join(map(str, filter(None, columns))),
                )
                mi, error = task.mi / units.scale(unit), task.mi_error / units.scale(unit)
                value = f"{mi:.4f}" + (f" ± {error:.4f}" if error else "")
                shown = ["", sides] if columns[2] else [sides, ""]
                rows.append([suite, entry.task, said, *shown, value, what])
                record: dict[str, Any] = {
                    "suite": suite,
                    "task": entry.task,
                    "parameters": settings,
                }
                record |= dict(zip(("dim_x", "dim_y", "dim_given"), columns, strict=True))
                record |= {"mi": mi, "mi_error": error, "unit": unit}
                records.append({**record, "note": what})
        titles = ["suite", "task", "parameters", "x, y", "x, y, z", "mi", "what it is"]
        session.list(f"known MI in {unit}", titles, rows, records, listings.show_suites)


@dataclass(frozen=True, kw_only=True)
class BoundsCommand:
    """List the bounds, with their ceilings and papers."""

    output: OmitArgPrefixes[Output] = field(default_factory=Output)

    def __call__(self, session: Session) -> None:
        """Run the command."""
        from infobound._system import units
        from infobound.bounds import variational
        from infobound.report import listings

        rows, records, scale = [], [], units.scale(session.units)
        for name, bound in variational.BOUNDS.items():
            ceiling = None if bound.ceiling is None else bound.ceiling(1000) / scale
            what = f"{bound.note}\n{bound.cite}\n{bound.url}"  # an address fits 80 columns whole
            lower = "yes" if bound.is_lower_bound else "no"
            rows.append([name, lower, "none" if ceiling is None else f"{ceiling:.2f}", what])
            record = {"bound": name, "title": bound.title, "lower_bound": bound.is_lower_bound}
            record |= {"ceiling_at_1000": ceiling, "unit": session.units, "note": bound.note}
            records.append({**record, "paper": bound.cite, "url": bound.url})
        session.list(
            f"Bounds (--bound NAME), ceilings in {session.units} where K = 1,000 rows are scored "
            "together",
            ["bound", "lower\nbound", "ceiling", "what it is, and its paper"],
            rows,
            records,
            listings.show_table,
        )


COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": DemoCommand,
    "describe": DescribeCommand,
    "estimate": EstimateCommand,
    "compare": CompareCommand,
    "interaction": InteractionCommand,
    "probe": ProbeCommand,
    "columns": ColumnsCommand,
    "lags": LagsCommand,
    "transfer": TransferCommand,
    "rehearse": RehearseCommand,
    "reproduce": ReproduceCommand,
    "resume": ResumeCommand,
    "study": StudyCommand,
    "report": ReportCommand,
    "tasks": TasksCommand,
    "bounds": BoundsCommand,
}
