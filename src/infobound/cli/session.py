"""Output and interruption of a command.

Results go to standard output, in words or as JSON; messages go to standard error.
"""

from __future__ import annotations

import _thread
import codecs
import contextlib
import io
import json
import os
import shutil
import signal
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, arg

from infobound.errors import InputError

__all__ = ["Output", "Session", "open_streams", "print_error", "printing", "redirect_to_null"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 3.0  # seconds for an interrupted training to save its state


# Replacements of characters on a terminal that supports only ASCII.
PLAIN = {"±": "+-", "–": "-", "−": "-", "×": "x", "…": "...", "≥": ">=", "≤": "<=", "₂": "2"}
PLAIN |= dict.fromkeys("─━═╌╍┄┅╴╶╸╺╼╾", "-") | dict.fromkeys("│┃║╎╏┆┇╵╷╹╻", "|")


@dataclass(frozen=True, kw_only=True)
class Output:
    """Format of the results."""

    units: Annotated[
        Literal["nats", "bits"] | None, arg(metavar="{nats,bits}", help_behavior_hint="")
    ] = None
    """Unit of printed and saved results and of figures. Default: nats; for a resumed run, the unit
    that it was started with."""
    json: Annotated[bool, FlagCreatePairsOff] = False
    """Print only JSON on standard output."""
    quiet: Annotated[bool, FlagCreatePairsOff] = False
    """Hide the progress bar."""
    debug: Annotated[bool, FlagCreatePairsOff] = False
    """Show the traceback of an error."""


class Session:
    """The output and the interruption of one command.

    Attributes:
        output: the format of the results.
        command: the command as it was typed, which JSON of results repeats.
        units: the unit of the results, "nats" or "bits".
        run: the directory to which the command saves, if there is one.
        save_flag: the flag that names this directory; empty if the command has none.
        signals: the interrupting signals received so far.
        is_first_rank: whether this process prints; of several ranks, only the first one does.
    """

    def __init__(self, output: Output, command: str = "") -> None:
        self.output, self.command = output, command
        self.units: str = output.units or "nats"
        self.run: Path | None = None
        self.save_flag = ""
        self.signals: list[int] = []
        self.is_first_rank = True

    @contextlib.contextmanager
    def ranks(self) -> Iterator[None]:
        """Context of a command that may have been started by `torchrun` on several ranks."""
        if os.environ.get("WORLD_SIZE", "1") != "1":  # the import takes a second
            from infobound._system import distributed

            with distributed.world():
                self.is_first_rank = distributed.is_first()
                yield
        else:
            yield

    @contextlib.contextmanager
    def training(self, run: Path | None, *, saves: bool = True) -> Iterator[dict[str, Any]]:
        """Show a progress bar, and yield the keywords `watch` and `stop` of an estimate.

        After the first Ctrl-C or SIGTERM, a training saves its state and stops; after `GRACE`
        seconds, or a second signal, it is interrupted. Files on disk are complete at any moment.
        """
        from infobound.pages.bars import Bar

        self.run, self.save_flag = run, "--run" if saves else ""
        shown = Bar(quiet=self.output.quiet or not self.is_first_rank, units=self.units)
        with self._signals(patient=True), self._fault_messages(), shown as bar:
            yield {"watch": bar, "stop": lambda: bool(self.signals)}

    @contextlib.contextmanager
    def counting(self, out: Path | None) -> Iterator[Callable[[Any], None]]:
        """Show the progress bar of a study; its estimates are on disk, so signals act at once.

        Raises:
            InputError: If there are several ranks.
        """
        from infobound._system import distributed
        from infobound.pages.bars import StudyBar

        if distributed.ranks()[1] > 1:
            raise InputError(
                "Expected one process for many estimates; got several ranks, which compute a "
                "single one together. Start it without torchrun: --jobs starts processes, --dask "
                "uses a cluster."
            )
        self.run, self.save_flag = out, "--out"
        shown = StudyBar(quiet=self.output.quiet)
        with self._signals(patient=False), self._fault_messages(), shown as bar:
            yield bar

    @contextlib.contextmanager
    def stages(
        self, out: Path | None, *, saves: bool = True
    ) -> Iterator[Callable[[str, int, int], None]]:
        """The bar of a computation of several stages, which any signal interrupts."""
        from infobound.pages.bars import StageBar

        self.run, self.save_flag = out, "--out" if saves else ""
        shown = StageBar(quiet=self.output.quiet or not self.is_first_rank)
        with self._signals(patient=False), self._fault_messages(), shown as bar:
            yield bar

    def forecasting(self, bar: Callable[[Any], None]) -> Callable[[Any], None]:
        """Wrap the bar: after the first estimate, print how long the others will take."""
        printed = False

        def watch(progress: Any) -> None:
            nonlocal printed
            bar(progress)
            if progress.row is not None and not printed and progress.row.seconds is not None:
                printed = True
                one, left = progress.row.seconds, progress.total - progress.done
                at_once = min(progress.at_once, max(left, 1))
                self.print_message(
                    f"One estimate takes {one:.1f} s; {left} more, {at_once} at once: about "
                    f"{_duration(one * left / at_once)}."
                )

        return watch

    @contextlib.contextmanager
    def _signals(self, *, patient: bool) -> Iterator[None]:
        """Record interrupting signals; if `patient`, the first one does not interrupt at once.

        After the first signal, the main thread is interrupted every `GRACE` seconds until the work
        has ended, since Python ignores exceptions in some places, such as `__del__`.
        """
        ended = threading.Event()

        def interrupt_repeatedly(number: int) -> None:
            while not ended.wait(GRACE):
                _thread.interrupt_main(signal.Signals(number))

        def handle(number: int, frame: object) -> None:
            self.signals.append(number)
            if len(self.signals) == 1:
                threading.Thread(target=interrupt_repeatedly, args=(number,), daemon=True).start()
            if len(self.signals) > 1 or not patient:
                raise KeyboardInterrupt

        before = {number: signal.signal(number, handle) for number in SIGNALS}
        try:
            yield
        finally:
            ended.set()
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def _fault_messages(self) -> Iterator[None]:
        """Print each `FaultWarning` as one sentence, and ignore an OSError that ends a thread.

        TensorBoard writes in such a thread; the code that uses it raises the same error.
        """
        from infobound.errors import FaultWarning

        excepthook = threading.excepthook

        def ignore_os_error(error: threading.ExceptHookArgs) -> None:
            if not isinstance(error.exc_value, OSError):
                excepthook(error)

        threading.excepthook = ignore_os_error
        with warnings.catch_warnings():
            showwarning = warnings.showwarning

            def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
                if not issubclass(category, FaultWarning):
                    showwarning(message, category, *rest)
                elif self.is_first_rank:
                    print_error(f"infobound: {message}")

            warnings.showwarning = show  # type: ignore[assignment]
            warnings.simplefilter("always", FaultWarning)
            try:
                yield
            finally:
                threading.excepthook = excepthook

    def show(self, result: Any, printer: Callable[..., None], **words: str) -> None:
        """Print a result, as JSON or by `printer`."""
        if self.output.json:
            self.json(result.as_dict(self.units))
        else:
            self.present(printer, result, units=self.units, **words)

    def present(self, printer: Callable[..., None], *values: Any, **words: Any) -> None:
        """Call a function that prints on standard output; only the first rank does."""
        if self.is_first_rank:
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
        """Print a listing: its records as JSON, or its rows as a table."""
        if self.output.json:
            self.json(records)
        else:
            self.present(printer, title, columns, rows)

    def suggest(self, commands: dict[str, str]) -> None:
        """Suggest commands, each with its purpose; those with an empty purpose are left out."""
        from infobound.report.console import show_next

        self.present(show_next, {command: what for command, what in commands.items() if what})

    def json(self, values: Any) -> None:
        """Print plain values as JSON on standard output; a result ends with the command."""
        if isinstance(values, dict) and "unit" in values and self.command:
            values = {**values, "command": self.command}
        self.present(print, json.dumps(values, indent=2))

    def print_message(self, message: str) -> None:
        """Print a message on standard error, unless --quiet is set."""
        if self.is_first_rank and not self.output.quiet:
            print_error(message)


def _duration(seconds: float) -> str:
    """Format a time in seconds or minutes."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def open_streams() -> None:
    """Open closed standard streams, and let all of them accept any character.

    A closed stream is replaced by the null device. Otherwise the next file that is opened would get
    its file descriptor, and with it what is printed. For standard output, the null device is opened
    for reading, so that printing fails as on a full disk.
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
        if isinstance(stream, io.TextIOWrapper):  # not in a Jupyter notebook
            stream.reconfigure(errors="infobound.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that a stream cannot encode by ASCII; a codec error handler."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = []
    for letter in error.object[error.start : error.end]:
        corner = "+" if "\u2500" <= letter <= "\u257f" else None  # other characters of boxes
        escaped = letter.encode("ascii", "backslashreplace").decode("ascii")
        letters.append(PLAIN.get(letter) or corner or escaped)
    return "".join(letters), error.end


@contextlib.contextmanager
def printing(saved: Path | None = None) -> Iterator[None]:
    """Flush standard output at the end of the context.

    Args:
        saved: a directory to which the result has also been saved, for the message.

    Raises:
        InputError: If standard output is closed, or its disk is full.
        BrokenPipeError: If the process at the other end of a pipe has ended.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        redirect_to_null(1)
        kept = f" The result is saved in {saved}." if saved is not None and saved.exists() else ""
        raise InputError(
            f"Expected to print on standard output; it cannot be written ({error.strerror}). Send "
            f"it to a file that can be, with > FILE.{kept}"
        ) from error


def print_error(message: str) -> None:
    """Print a message on standard error; if that fails, nothing is printed.

    A terminal gets lines that end between words.
    """
    try:
        if sys.stderr.isatty():
            width = max(20, shutil.get_terminal_size().columns)
            wrap = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
            message = "\n".join(map(wrap.fill, message.splitlines()))
        print(message, file=sys.stderr, flush=True)
    except OSError:
        redirect_to_null(2)


def redirect_to_null(number: int) -> None:
    """Redirect a standard stream to the null device, so that Python does not flush it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
