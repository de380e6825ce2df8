"""The notebook's experiment: as published (`reproduce`), beside `estimate` (`demo`), and resumed.

Source: the page `infonce` of https://github.com/ccha23/miml. Its hyper-parameters are
`Config.notebook()`; its data come from `tasks`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from infobound._system import arguments, locks, memory, torch_state, units
from infobound._system.calls import Call, Recorded, recorded
from infobound._system.units import Nats
from infobound._system.versions import versions
from infobound.benchmark import tasks
from infobound.bounds.variational import BOUNDS
from infobound.config import Config, configured
from infobound.critics import networks
from infobound.errors import InputError
from infobound.estimation import estimate as estimates
from infobound.estimation import selection
from infobound.estimation.conditional_guarantees import GivenSampler
from infobound.estimation.surrogates import Surrogates
from infobound.pages.numbers import number
from infobound.pages.page import Measure, Number, Page, Picture
from infobound.pages.presentable import Presentable
from infobound.pages.references import SOFTWARE
from infobound.plotting import figures
from infobound.plotting.dependence_figures import comparison_figure
from infobound.results.estimate import Estimate
from infobound.training import loop, run_directory

__all__ = ["Demo", "Reproduction", "demo", "reproduce", "resume", "sample", "unit_of"]

FEWEST, MOST_COLUMNS = 20, 10_000  # smallest number of rows, largest number of columns per side
SAMPLE_COPIES = 4  # copies of a sample in memory: sample and fresh rows, each in two precisions
UNUSED = (  # settings of `estimate` that a single training does not read
    *("base", "certify", "estimator", "folds", "level", "permutations", "pointwise", "series"),
    *("transform", "validation"),
)
DENSITIES = ("gaussian", "mixed_gaussian", "mixed_gaussian_joint")
MARKED_SHARE = 0.8  # the notebook marks where its smoothed curve first exceeds 80 % of the truth


@dataclass(frozen=True, repr=False)
class Reproduction(Recorded, Presentable):
    """The result of the notebook's training, in nats.

    Attributes:
        task: a description of the task.
        truth: the exact MI.
        n: the number of training rows.
        iterations: the number of iterations.
        training: the bound on the training rows, which is what the notebook reports.
        held_out: the bound on fresh rows.
        peak: the best bound on fresh rows during training.
        peak_iteration: the iteration of `peak`.
        reached: the iteration at which the smoothed curve of training rows first exceeds 80 % of
            the truth; None if it never does.
        ceiling: the largest value of the bound.
        config: the settings.
        versions: versions of Python and of the packages that the result depends on.
        seconds: the time of the run.
    """

    task: str
    truth: Nats
    n: int
    iterations: int
    training: Nats
    held_out: Nats
    peak: Nats
    peak_iteration: int
    reached: int | None
    ceiling: Nats | None
    config: dict[str, Any]
    versions: dict[str, str]
    seconds: float = field(compare=False)

    def __str__(self) -> str:
        """Format the result as one line with its unit."""
        return (
            f"{self.task}: training rows {self.training:.3f} nats, held-out {self.held_out:.3f} "
            f"nats, exact {self.truth:.3f} nats, {self.n:,} rows"
        )

    def page(self, units: str = "nats") -> Page:
        """Describe the notebook's number beside the held-out one.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        values = {
            "truth": self.truth,
            "training rows": self.training,
            "held-out": self.held_out,
            "held-out, best": self.peak,
        }
        reached = "is not reached"
        if self.reached is not None:
            reached = f"is reached at iteration {self.reached:,}"
        return Page(
            kind="The notebook's experiment",
            title=f"{self.task}, {self.n:,} rows",
            headline=f"training rows {number(self.training, units)}, held-out "
            f"{number(self.held_out, units)}, exact {number(self.truth, units)} {units}",
            units=units,
            numbers=(
                _number("Truth", self.truth, units, "Compare the other values with it."),
                _number(
                    "Training rows",
                    self.training,
                    units,
                    "Do not report it: the critic memorises its rows.",
                    f"{self.iterations:,} iterations; 80 % of the truth {reached}",
                ),
                _number("Held-out", self.held_out, units, "Quote it as 'at least'."),
                _number(
                    "Held-out, best",
                    self.peak,
                    units,
                    "Do not report it: its iteration was chosen by these rows.",
                    f"at iteration {self.peak_iteration:,}",
                ),
            ),
            measures=(_measure(f"{self.task}, held-out", self.held_out),),
            pictures=(_picture(values, units),),
            methods=(
                f"A critic ({self.config['critic']}) was trained on all {self.n:,} rows with the "
                f"bound {BOUNDS[self.config['bound']].title} for {self.iterations:,} iterations, "
                "and evaluated on these rows and on as many fresh ones. The truth is exact.",
            ),
            settings={name: str(value) for name, value in self.config.items()},
            versions={**self.versions},
            repeat=self.call.repeat,
            references=(SOFTWARE, BOUNDS[self.config["bound"]].url),
        )


@dataclass(frozen=True, repr=False)
class Demo(Recorded, Presentable):
    """Three values for one sample of the notebook's pair, in nats.

    Attributes:
        truth: the exact MI.
        n: the number of rows.
        notebook_training: the bound of the notebook's critic on its training rows.
        notebook_fresh: its bound on fresh rows.
        notebook_iterations: the number of its iterations.
        notebook_lr: its learning rate.
        estimate: the estimate of this package.
    """

    truth: Nats
    n: int
    notebook_training: Nats
    notebook_fresh: Nats
    notebook_iterations: int
    notebook_lr: float
    estimate: Estimate

    def __str__(self) -> str:
        """Format the values as one line with their unit."""
        return (
            f"exact {self.truth:.3f} nats, notebook {self.notebook_training:.3f} nats on training "
            f"rows and {self.notebook_fresh:.3f} on fresh ones, estimate {self.estimate.mi:.3f}"
        )

    def page(self, units: str = "nats") -> Page:
        """Describe the three values and the estimate.

        Args:
            units: "nats" or "bits".

        Raises:
            InputError: If the units are neither.
        """
        own = self.estimate.page(units)
        values = {
            "truth": self.truth,
            "notebook, training rows": self.notebook_training,
            "notebook, fresh rows": self.notebook_fresh,
            "estimate": self.estimate.mi,
        }
        memorised = "Do not report it: the critic memorises its rows."
        return replace(
            own,
            kind="Demonstration",
            title=f"{self.n:,} rows of the notebook's pair",
            headline=f"exact {number(self.truth, units)}, estimate "
            f"{number(self.estimate.mi, units)} {units}",
            numbers=(
                _number("Truth", self.truth, units, "Compare the other values with it."),
                _number("Notebook, training rows", self.notebook_training, units, memorised),
                _number(
                    "Notebook, fresh rows",
                    self.notebook_fresh,
                    units,
                    "The same critic on rows that it was not trained on.",
                ),
                *own.numbers,
            ),
            pictures=(_picture(values, units), *own.pictures),
            repeat=self.call.repeat,
        )


def _measure(name: str, nats: float) -> Measure:
    return Measure(name, nats, nats, nats)


def _number(name: str, nats: float, units: str, use: str, what: str = "") -> Number:
    return Number(name, number(nats, units), units, "", what, use)


def _picture(values: Mapping[str, float], units: str) -> Picture:
    """Return a figure of values beside each other."""
    middle = np.array([*values.values()])
    draw = partial(
        comparison_figure,
        [*values],
        middle,
        np.stack([middle, middle], axis=1),
        title="The notebook's number, and others",
        unit=units,
    )
    return Picture("values", "The values beside the truth.", draw)


@torch_state.defaults()
def reproduce(
    config: Config | None = None,
    *,
    density: str = "gaussian",
    d: int = 6,
    rho: float = 0.9,
    sample_size: int = 400,
    run: str | Path | None = None,
    overwrite: bool = False,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    unit: str = "nats",
) -> Reproduction:
    """Train the notebook's critic on its sample, and evaluate it on that sample and on fresh rows.

    Args:
        config: the settings; `Config.notebook()` by default.
        density: "gaussian", or the notebook's mixed Gaussian as in its code ("mixed_gaussian") or
            as in its text ("mixed_gaussian_joint").
        d: the number of columns of x and of y.
        rho: the correlation in each dimension.
        sample_size: the number of training rows, and of fresh rows.
        run: a directory for checkpoints, metrics, the figure and the result.
        overwrite: whether to replace an existing run in that directory.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, the run is saved and `Interrupted` is
            raised.
        unit: "nats" or "bits", the unit of the result and the figure in `run`. The returned values
            are always in nats.

    Returns:
        The values on training rows and on fresh rows, in nats.

    Raises:
        InputError: If a parameter is out of range, a setting is not used here, or the run exists.
        Interrupted: If `stop` returned True.

    Example:
        >>> short = Config.notebook().with_(n_iters=20, eval_every=10, batch_size=50)
        >>> reproduce(short, d=2, sample_size=60).truth.__round__(3)
        1.661
    """
    chosen = configured(config, {}, Config.notebook())
    defaults = Config(), Config.notebook()
    unused = [
        name
        for name in UNUSED
        if getattr(chosen, name) not in {getattr(default, name) for default in defaults}
    ]
    if unused:
        raise InputError(
            f"Expected settings of one training on all rows; got {', '.join(unused)}, which only "
            "an estimate uses. Leave it out."
        )
    parameters = _checked(chosen, density=density, d=d, rho=rho, sample_size=sample_size)
    arguments.function("watch", watch, 1), arguments.function("stop", stop, 0)
    units.expect_files("run", run, unit, overwrite)
    selection.configure_bound(chosen), loop.device(chosen)
    if run is None:
        return _reproduce(chosen, parameters, None, watch, stop)
    run = arguments.directory("run", run)
    record = {"kind": "reproduce", "config": chosen.as_dict(), "parameters": parameters}
    record["unit"] = unit
    with locks.held(run):
        here = run_directory.Run.create(run, record=record, overwrite=overwrite)
        return _reproduce(chosen, parameters, here, watch, stop)


def _checked(config: Config, *, density: Any, d: Any, rho: Any, sample_size: Any) -> dict[str, Any]:
    """Check the parameters of the sample before anything is written, and return them."""
    density, rho = arguments.choice("density", density, DENSITIES), arguments.real("rho", rho)
    d = arguments.integer("d", d, least=1, most=MOST_COLUMNS)
    sample_size = arguments.integer("sample_size", sample_size, least=FEWEST)
    tasks.make(density, d=d, rho=rho)
    networks.expect_room(d, d, config)
    need, free = 8 * SAMPLE_COPIES * sample_size * 2 * d, memory.free_memory()
    if need > free:
        raise InputError(
            f"Expected a sample that fits in memory; got {sample_size:,} rows of {2 * d} columns, "
            f"which take about {need / 1e9:,.0f} GB, and {free / 1e9:,.0f} GB are free."
        )
    return {"density": density, "d": d, "rho": rho, "sample_size": sample_size}


def _reproduce(
    config: Config,
    parameters: Mapping[str, Any],
    run: run_directory.Run | None,
    watch: Callable[[loop.Progress], None] | None,
    stop: Callable[[], bool] | None,
) -> Reproduction:
    """Sample, train, evaluate and write; the same for a new and a resumed run."""
    start = time.perf_counter()
    seeds = _seeds(config.seed)
    task = tasks.make(parameters["density"], d=parameters["d"], rho=parameters["rho"])
    n, place = parameters["sample_size"], loop.device(config)

    def draw(fresh: bool) -> loop.Rows:
        x, y = sample(task, n, config.seed, fresh=fresh)
        return x.float().to(place), y.float().to(place)

    bound = selection.configure_bound(config)
    generator = torch.Generator().manual_seed(seeds[2])
    network = networks.build(task.dim_x, task.dim_y, config, generator)
    if network is None:
        raise InputError("Expected a critic to train; got --critic none.")
    fitted = loop.fit(
        networks.Composite(None, network, gamma=config.gamma).to(place),
        bound,
        draw(fresh=False),
        draw(fresh=True),
        config,
        seed=seeds[3],
        name="notebook",
        run=run,
        watch=watch,
        stop=stop,
    )
    history = fitted.history
    smooth = figures.smooth(history["train"], history["iteration"], config.smoothing)
    best = int(np.argmax(history["validation"]))
    at = int(np.searchsorted(history["iteration"], fitted.chosen))
    ceiling = None if bound.ceiling is None else float(bound.ceiling(n))
    result = Reproduction(
        task=f"{task.name} (d = {parameters['d']}, rho = {parameters['rho']})",
        truth=float(task.mi),
        n=n,
        iterations=int(history["iteration"][-1]),
        training=float(history["train"][at]),
        held_out=float(history["validation"][at]),
        peak=float(history["validation"][best]),
        peak_iteration=int(history["iteration"][best]),
        reached=figures.first_reached(smooth, history["iteration"], MARKED_SHARE * task.mi),
        ceiling=ceiling,
        config=config.as_dict(),
        versions=versions(),
        seconds=time.perf_counter() - start,
        call=Call.of("infobound.reproduce", (), {"config": config, **parameters}),
    )
    if run is not None:
        unit = run.record.get("unit", "nats")
        run.write_json("result.json", result.as_dict(unit))
        names = loop.LOG_COLUMNS
        records = zip(*(history[c] for c in names), strict=True)
        run.write_metrics([dict(zip(names, record, strict=True)) for record in records])

        def curve() -> Any:
            return figures.training_curve(
                history,
                title=f"{bound.title}, {result.task}, {n:,} rows",
                truth=result.truth,
                ceiling=ceiling,
                count=n,
                rate=config.smoothing,
                share=MARKED_SHARE,
                unit=unit,
            )

        figures.draw("curve", curve, run.write_bytes)
    return result


def _seeds(seed: int) -> list[int]:
    """Return the seeds of the sample, the fresh rows, the initial weights and the batches."""
    return [int(s) for s in np.random.SeedSequence(seed).generate_state(4)]


def sample(task: Any, n: int, seed: int, *, fresh: bool = False) -> loop.Rows:
    """Draw the rows of a run with this seed, or its fresh rows.

    Args:
        task: a task.
        n: the number of rows.
        seed: the seed of the run.
        fresh: whether to draw the fresh rows instead of the training rows.

    Returns:
        x (n, p) and y (n, q), float64.

    Example:
        >>> sample(tasks.make("gaussian", d=2), 5, 0)[0].shape
        torch.Size([5, 2])
    """
    x, y = task.sample(n, torch.Generator().manual_seed(_seeds(seed)[int(fresh)]))
    return x, y


@recorded()
@torch_state.defaults()
def demo(
    *,
    seed: int = 0,
    device: str = "auto",
    run: str | Path | None = None,
    overwrite: bool = False,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    unit: str = "nats",
) -> Demo:
    """Compare the notebook's evaluation with `estimate` on the notebook's 400 rows.

    The notebook's critic is trained with thirty times its learning rate, so that the effect of its
    60,000 steps is seen within a minute; `reproduce` trains as the notebook does.

    Args:
        seed: the seed of the sample and of both methods.
        device: the device, as in `Config`.
        run: a directory for the run of `estimate`.
        overwrite: whether to replace an existing run in that directory.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, `Interrupted` is raised.
        unit: "nats" or "bits", the unit of the result and the figures in `run`. The returned values
            are always in nats.

    Returns:
        The values of both methods and the exact MI, in nats.

    Raises:
        InputError: If an argument is out of range, or the run exists already.
        Interrupted: If `stop` returned True.
    """
    units.scale(unit)  # checks the unit before anything is computed
    task = tasks.make("gaussian", d=6, rho=0.9)
    short = Config.notebook().with_(seed=seed, device=device, lr=3e-3, n_iters=1500, eval_every=50)
    x, y = sample(task, 400, seed)
    result = estimates.estimate(
        *(x, y),
        config=Config(seed=seed, device=device),  # type: ignore[arg-type]
        run=run,
        overwrite=overwrite,
        watch=watch,
        stop=stop,
        unit="nats" if run is None else unit,
    )
    notebook = reproduce(short, watch=watch, stop=stop)
    return Demo(
        truth=float(task.mi),
        n=400,
        notebook_training=notebook.training,
        notebook_fresh=notebook.held_out,
        notebook_iterations=notebook.iterations,
        notebook_lr=short.lr,
        estimate=result,
    )


@torch_state.defaults()
def resume(
    path: str | Path,
    *,
    module: torch.nn.Module | None = None,
    given_sampler: GivenSampler | None = None,
    surrogates: Surrogates | None = None,
    watch: Callable[[loop.Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    unit: str | None = None,
) -> Estimate | Reproduction:
    """Resume the run in a directory; its result is bitwise equal to that of an uninterrupted run.

    Args:
        path: the directory that was given as `run`.
        module: your own critic, if the run was started with one.
        given_sampler: your sampler of x given z, if the run was started with one.
        surrogates: your surrogates of y, if the run was started with any.
        watch: called with a `loop.Progress` after each evaluation.
        stop: called between iterations; if it returns True, the run is saved and `Interrupted` is
            raised.
        unit: "nats" or "bits", the unit of the result and the figures in the directory; by default
            that of the run. The returned values are always in nats.

    Returns:
        The result of `estimate` or of `reproduce`, depending on the run.

    Raises:
        InputError: If there is no run, a file is damaged, this version cannot resume the kind of
            run, or another process writes to the directory.
        Interrupted: If `stop` returned True.

    Example:
        >>> resume("no-such-run")
        Traceback (most recent call last):
        ...
        infobound.errors.InputError: Expected a run directory; no-such-run: no such directory. ...
    """
    path = arguments.directory("path", path)
    arguments.function("watch", watch, 1), arguments.function("stop", stop, 0)
    unit = unit_of(path) if unit is None else unit  # raises before a lock file is created
    units.scale(unit)
    with locks.held(path):
        here = run_directory.Run.open(path)
        here.sweep()
        here = dataclasses.replace(here, record={**here.record, "unit": unit})
        own = _Own(module, given_sampler, surrogates)
        return _resume(here, own, watch, stop)


def unit_of(path: str | Path) -> str:
    """Return the unit in which the run in a directory writes its result and figures.

    Args:
        path: the directory of the run.

    Returns:
        "nats" or "bits".

    Raises:
        InputError: If there is no run, or its unit is unknown.
    """
    run = run_directory.Run.open(arguments.directory("path", path))
    return arguments.choice("unit in run.json", run.record.get("unit", "nats"), units.UNITS)


class _Own(NamedTuple):
    """What of a run is the user's own and is not saved with it."""

    module: torch.nn.Module | None
    given_sampler: GivenSampler | None
    surrogates: Surrogates | None


def _resume(
    run: run_directory.Run,
    own: _Own,
    watch: Callable[[loop.Progress], None] | None,
    stop: Callable[[], bool] | None,
) -> Estimate | Reproduction:
    """Continue a run according to its kind."""
    kind = run.record.get("kind")
    if kind == "estimate":
        return estimates.resume(run, **own._asdict(), watch=watch, stop=stop)
    if kind == "reproduce":
        record = run.settings(_Record)
        config = run.config(record.config)
        parameters = _checked(config, **dataclasses.asdict(record.parameters))
        return _reproduce(config, parameters, run, watch, stop)
    raise InputError(
        f"Expected a run of kind estimate or reproduce in {run.path}; got {str(kind)[:60]!r}. "
        "Was it written by a newer version?"
    )


@dataclass(frozen=True)
class _Parameters:
    """The parameters of the sample of `reproduce`."""

    density: str
    d: int
    rho: float
    sample_size: int


@dataclass(frozen=True)
class _Record:
    """The fields of `run.json` that describe a reproduction."""

    config: dict[str, Any]
    parameters: _Parameters
