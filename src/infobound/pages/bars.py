"""Progress bars: on standard error in a terminal, and below the cell in a notebook."""

from __future__ import annotations

import contextlib
import html
import math
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.errors import LiveError
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from infobound.pages.screens import in_notebook

if TYPE_CHECKING:
    from infobound.runner.compute import Progress as Cells
    from infobound.training.loop import Progress as Step

__all__ = ["Bar", "StageBar", "StudyBar"]

PAUSE = 0.2  # seconds between two states of a bar in a notebook


class _NotebookBar:
    """A bar that is replaced in the output of a notebook's cell."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html, self._last = HTML, 0.0
        self._handle = display(HTML(""), display_id=True)

    def show(self, what: str, done: float, total: float, values: str = "") -> None:
        """Show a state, at most a few times a second."""
        if time.monotonic() - self._last < PAUSE:
            return
        self._last = time.monotonic()
        what, values = html.escape(what), html.escape(values)
        bar = f'<progress value="{done:g}" max="{total:g}"></progress>'
        self._handle.update(self._html(f"{what} {bar} {done:,.0f}/{total:,.0f} {values}"))

    def close(self) -> None:
        """Remove the bar."""
        self._handle.update(self._html(""))


class _Rate(ProgressColumn):
    """Iterations per second."""

    def render(self, task: Task) -> Text:
        """Return the current rate; empty before the first measurement."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} it/s", style="dim")


class _ProgressBar:
    """A progress bar that is shown within its context."""

    progress: Progress
    notebook: _NotebookBar | None = None

    def __enter__(self) -> Self:
        """Show the bar, unless another one is shown."""
        if in_notebook() and not self.progress.disable:
            self.notebook = _NotebookBar()
            self.progress.disable = True
        with contextlib.suppress(LiveError):
            self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        self.progress.stop()
        if self.notebook is not None:
            self.notebook.close()


class Bar(_ProgressBar):
    """The progress of an estimate: rate, remaining time, training and validation values, ceiling.

    Hidden if `quiet`, or if standard error is not a terminal. Call it with each `loop.Progress`.
    """

    def __init__(self, *, quiet: bool, units: str) -> None:
        console = Console(stderr=True)
        self.units = units
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,}/{task.total:,}"),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=console,
            transient=True,
            disable=quiet or not (console.is_terminal or in_notebook()),
        )
        self.bars: dict[str, int] = {}

    def __call__(self, step: Step) -> None:
        """Update the bar of the fit `step.name`."""
        values = f"train {self._number(step.train)}"
        if not math.isnan(step.validation):
            values += f", validation {self._number(step.validation)}"
        if step.ceiling is not None:
            values += f", ceiling {self._number(step.ceiling)}"
        if self.notebook is not None:
            self.notebook.show(step.name, step.iteration, step.n_iters, f"{values} {self.units}")
        if step.name not in self.bars:
            for bar in self.bars.values():
                self.progress.remove_task(bar)  # type: ignore[arg-type]
            self.bars = {step.name: self.progress.add_task("", total=step.n_iters, values="")}
        self.progress.update(
            self.bars[step.name],  # type: ignore[arg-type]
            completed=step.iteration,
            description=step.name,
            values=f"{values} {self.units}",
        )

    def _number(self, nats: float) -> str:
        value = nats / math.log(2) if self.units == "bits" else nats
        return f"{value:z.2f}"


class StudyBar(_ProgressBar):
    """The progress of a study: finished cells, failures, remaining time, the last cell.

    Hidden if `quiet`, or if standard error is not a terminal. Call it with each `compute.Progress`.
    """

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("cells"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,}/{task.total:,}"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=quiet or not (console.is_terminal or in_notebook()),
        )

    def __call__(self, cells: Cells) -> None:
        """Update the bar."""
        said = f"[red]{cells.failed} failed[/]  " if cells.failed else ""
        if cells.row is not None:
            said += escape(f"{cells.row.task}, {cells.row.estimator}, N = {cells.row.n:,}")
        for task in self.progress.task_ids or [self.progress.add_task("", total=cells.total)]:
            self.progress.update(task, completed=cells.done, description=said)


class StageBar(_ProgressBar):
    """A computation of several stages on standard error: steps and time left of the current one.

    Silent when that is no terminal, or when `quiet`. Call it with the name of the stage, the number
    of steps done and that of all its steps.
    """

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,}/{task.total:,}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=quiet or not (console.is_terminal or in_notebook()),
        )

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Move the bar of a stage; the bars of earlier stages are taken away."""
        if self.notebook is not None:
            self.notebook.show(stage, done, total)
        for task in self.progress.tasks:
            if task.description != stage:
                self.progress.remove_task(task.id)
        for number in self.progress.task_ids or [self.progress.add_task(stage, total=total)]:
            self.progress.update(number, completed=done)
