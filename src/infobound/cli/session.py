"""One call of a command: where its output goes, and how it is interrupted.

Results go to standard output, in words or as JSON; messages go to standard error.
"""

from __future__ import annotations

import _thread
import codecs
import contextlib
import io
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, arg

from infobound.errors import InputError

__all__ = ["Output", "Session", "complain", "open_streams", "printing", "silence"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 3.0  # seconds in which a training that was asked to stop may save what it has


# What an ASCII-only terminal gets in place of letters that it does not have.
PLAIN = {"±": "+-", "–": "-", "−": "-", "×": "x", "…": "...", "≥": ">=", "≤": "<=", "₂": "2"}
PLAIN |= dict.fromkeys("─━═╌╍┄┅╴╶╸╺╼╾", "-") | dict.fromkeys("│┃║╎╏┆┇╵╷╹╻", "|")


@dataclass(frozen=True, kw_only=True)
class Output:
    """Format of the results."""

    units: Annotated[Literal["nats", "bits"] | None, arg(metavar="{nats,bits}")] = None
    """Unit of printed and saved results and of figures. Default: nats; for a resumed run, the unit
    that it was started with."""
    json: Annotated[bool, FlagCreatePairsOff] = False
    """Print only JSON on standard output."""
    quiet: Annotated[bool, FlagCreatePairsOff] = False
    """Hide the progress bar."""
    debug: Annotated[bool, FlagCreatePairsOff] = False
    """Show the traceback of an error."""


class Session:
    """One call of a command: where its output goes and how it is interrupted."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.units: str = output.units or "nats"
        self.run: Path | None = None
        self.keep = "--run"  # the flag that would have kept what is lost
        self.asked: list[int] = []  # the signals that asked to stop
        self.speaks = True  # of several ranks only the first does

    @contextlib.contextmanager
    def ranks(self) -> Iterator[None]:
        """The ranks of `torchrun`, if it started this: only the first one speaks."""
        if os.environ.get("WORLD_SIZE", "1") != "1":  # the import takes a second
            from infobound._system import distributed

            with distributed.world():
                self.speaks = distributed.is_first()
                yield
        else:
            yield

    @contextlib.contextmanager
    def training(self, run: Path | None) -> Iterator[dict[str, Any]]:
        """The bar, and signals: the first Ctrl-C or SIGTERM saves, the second does not wait.

        Nor does the first for longer than `GRACE`: between trainings there is nothing to save, and
        what is on disk is whole at any moment.
        """
        from infobound.cli.progress import Bar

        self.run = run
        shown = Bar(quiet=self.output.quiet or not self.speaks, units=self.units)
        with self._signals(patient=True), self._said(), shown as bar:
            yield {"watch": bar, "stop": lambda: bool(self.asked)}

    @contextlib.contextmanager
    def counting(self, out: Path | None) -> Iterator[Callable[[Any], None]]:
        """The bar of a study; what it has done is on disk, so no signal waits for anything."""
        from infobound._system import distributed
        from infobound.cli.progress import StudyBar

        if distributed.ranks()[1] > 1:
            raise InputError(
                "Expected one process for many estimates; got several ranks, which share one. "
                "Leave torchrun out: --jobs starts processes, --dask uses a cluster."
            )
        self.run, self.keep = out, "--out"
        shown = StudyBar(quiet=self.output.quiet)
        with self._signals(patient=False), self._said(), shown as bar:
            yield bar

    @contextlib.contextmanager
    def stages(self) -> Iterator[Callable[[str, int, int], None]]:
        """The bar of a computation of several stages, which any signal interrupts."""
        from infobound.cli.progress import StageBar

        shown = StageBar(quiet=self.output.quiet or not self.speaks)
        with self._signals(patient=False), self._said(), shown as bar:
            yield bar

    def forecasting(self, bar: Callable[[Any], None]) -> Callable[[Any], None]:
        """The bar, and after the first estimate a line that says how long all of them will take."""
        said: list[bool] = []

        def watch(progress: Any) -> None:
            bar(progress)
            if progress.row is not None and not said and progress.row.seconds is not None:
                said.append(True)
                one, left = progress.row.seconds, progress.total - progress.done
                at_once = min(progress.at_once, max(left, 1))
                self.say(
                    f"One estimate takes {one:.1f} s; {left} more, {at_once} at once: about "
                    f"{_span(one * left / at_once)}."
                )

        return watch

    @contextlib.contextmanager
    def _signals(self, *, patient: bool) -> Iterator[None]:
        """Note each signal that asks to stop; with patience the first does not interrupt at once.

        It comes again every `GRACE` seconds until the work has ended: an interrupt can get lost
        where Python ignores exceptions.
        """
        ended = threading.Event()

        def again(number: int) -> None:
            while not ended.wait(GRACE):
                _thread.interrupt_main(signal.Signals(number))

        def ask(number: int, frame: object) -> None:
            self.asked.append(number)
            if len(self.asked) == 1:
                threading.Thread(target=again, args=(number,), daemon=True).start()
            if len(self.asked) > 1 or not patient:
                raise KeyboardInterrupt

        before = {number: signal.signal(number, ask) for number in SIGNALS}
        try:
            yield
        finally:
            ended.set()
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """Faults that stop nothing are said in a sentence.

        A thread that the disk refuses (TensorBoard's) says nothing: what uses it raises the same.
        """
        from infobound.errors import FaultWarning

        died = threading.excepthook

        def quietly(what: threading.ExceptHookArgs) -> None:
            if not isinstance(what.exc_value, OSError):
                died(what)

        threading.excepthook = quietly
        with warnings.catch_warnings():
            otherwise = warnings.showwarning

            def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
                if not issubclass(category, FaultWarning):
                    otherwise(message, category, *rest)
                elif self.speaks:
                    complain(f"infobound: {message}")

            warnings.showwarning = show  # type: ignore[assignment]
            warnings.simplefilter("always", FaultWarning)
            try:
                yield
            finally:
                threading.excepthook = died

    def show(self, result: Any, printer: Callable[..., None], **words: str) -> None:
        """A result, as JSON or in words."""
        if self.output.json:
            self.json(result.as_dict(self.units))
        else:
            self.present(printer, result, units=self.units, **words)

    def present(self, printer: Callable[..., None], *values: Any, **words: Any) -> None:
        """What a function prints, on standard output."""
        if self.speaks:
            with printing(self.run):
                printer(*values, **words)

    def list(
        self,
        title: str,
        columns: list[str],
        rows: list[list[str]],
        records: list[dict[str, Any]],
        printer: Callable[..., None],
    ) -> None:
        """A listing: its records as JSON, or its rows as a table."""
        if self.output.json:
            self.json(records)
        else:
            self.present(printer, title, columns, rows)

    def next(self, commands: dict[str, str]) -> None:
        """What to type next, and what for."""
        from infobound.report.console import show_next

        self.present(show_next, {command: what for command, what in commands.items() if what})

    def json(self, values: Any) -> None:
        """Plain values as JSON on standard output."""
        self.present(print, json.dumps(values, indent=2))

    def say(self, message: str) -> None:
        """A message on standard error."""
        if self.speaks and not self.output.quiet:
            complain(message)


def _span(seconds: float) -> str:
    """A time in words."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def open_streams() -> None:
    """See that all standard streams are there, and take any letter.

    In place of a closed one stands the null device: otherwise the first file that is opened takes
    its number, and gets what is printed. That of standard output is opened for reading, so that
    printing fails as it does on a full disk.
    """
    for name, number, mode in (
        ("stdin", 0, os.O_RDONLY),
        ("stdout", 1, os.O_RDONLY),
        ("stderr", 2, os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, mode), number)
            how = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, how, encoding="utf-8", closefd=False))  # noqa: SIM115
    codecs.register_error("infobound.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's is another
            stream.reconfigure(errors="infobound.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Letters that a stream cannot encode, in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = []
    for letter in error.object[error.start : error.end]:
        corner = "+" if "\u2500" <= letter <= "\u257f" else None  # any other line of a box
        escaped = letter.encode("ascii", "backslashreplace").decode("ascii")
        letters.append(PLAIN.get(letter) or corner or escaped)
    return "".join(letters), error.end


@contextlib.contextmanager
def printing(saved: Path | None = None) -> Iterator[None]:
    """What is printed inside is written when this ends, or it is said that it cannot be.

    `saved` is where else the result is.

    Raises:
        InputError: standard output is closed, or its disk is full.
        BrokenPipeError: its reader has gone.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(1)
        kept = f" The result is saved in {saved}." if saved is not None and saved.exists() else ""
        raise InputError(
            f"Expected to print on standard output; it cannot be written ({error.strerror}). Send "
            f"it to a file that can be, with > FILE.{kept}"
        ) from error


def complain(message: str) -> None:
    """A message on standard error; where that cannot be written, the exit code must do."""
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        silence(2)


def silence(number: int) -> None:
    """Let a standard stream lead nowhere, so that Python does not try it again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
