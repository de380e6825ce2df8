"""Progress bars on standard error; hidden if it is not a terminal."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from infobound.runner.compute import Progress as Cells
from infobound.training.loop import Progress as Step

__all__ = ["Bar", "StageBar", "StudyBar"]


class _Rate(ProgressColumn):
    """Iterations per second."""

    def render(self, task: Task) -> Text:
        """Return the current rate; empty before the first measurement."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} it/s", style="dim")


class _ProgressBar:
    """A progress bar that is shown within its context."""

    progress: Progress

    def __enter__(self) -> Self:
        """Show the bar."""
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
            disable=quiet or not console.is_terminal,
        )
        self.bars: dict[str, int] = {}

    def __call__(self, step: Step) -> None:
        """Update the bar of the fit `step.name`."""
        values = f"train {self._number(step.train)}"
        if not math.isnan(step.validation):
            values += f", validation {self._number(step.validation)}"
        if step.ceiling is not None:
            values += f", ceiling {self._number(step.ceiling)}"
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
            disable=quiet or not console.is_terminal,
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
            disable=quiet or not console.is_terminal,
        )

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Move the bar of a stage; the bars of earlier stages are taken away."""
        for task in self.progress.tasks:
            if task.description != stage:
                self.progress.remove_task(task.id)
        for number in self.progress.task_ids or [self.progress.add_task(stage, total=total)]:
            self.progress.update(number, completed=done)
