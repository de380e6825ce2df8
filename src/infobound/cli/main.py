"""Entry point of the command line: parse the arguments, run the command, set the exit code."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, NoReturn

from infobound import __version__
from infobound.cli.arguments import arranged, expect_known, sentence
from infobound.cli.commands import COMMANDS
from infobound.cli.flags import parse
from infobound.cli.session import Session, open_streams, print_error, printing, redirect_to_null
from infobound.errors import InputError, LostRank

__all__ = ["main"]

MIN_COLUMNS = 20  # smallest width of the help text


def main(argv: list[str] | None = None) -> None:
    """Parse the arguments and run the command; errors that the user can fix exit with code 2."""
    open_streams()
    arguments = sys.argv[1:] if argv is None else [*argv]
    try:
        try:
            _main(arguments)
        finally:
            with printing():  # flush the rest of --help
                pass
    except BrokenPipeError:  # the reader has ended, as with `| head`
        redirect_to_null(1)
        sys.exit(1)  # as rich does
    except (InputError, MemoryError, OSError) as error:
        if "--debug" in arguments:
            raise
        print_error(f"infobound: {_sentence(error)}")
        sys.exit(2)


def _main(arguments: list[str]) -> None:
    if arguments[:1] in (["--version"], ["-V"]):
        with printing():
            print(f"infobound {__version__}")
        return
    with printing():
        command = _parse(arguments)
    session = Session(command.output, shlex.join(["infobound", *arguments]))
    try:
        with session.ranks():
            command(session)
    except InputError as error:
        lost = isinstance(error, LostRank)
        # A signal ends all processes of a study; errors that follow from it are not reported.
        if session.signals and session.save_flag == "--out" and not lost:
            _interrupted(session)
        if session.output.debug:
            raise
        if session.is_first_rank or lost:  # rank 0 may be the one that ended
            print_error(f"infobound: {error}")
        if session.signals and lost:  # torchrun ends the other ranks too
            _interrupted(session)
        sys.exit(2)
    except KeyboardInterrupt:
        _interrupted(session)


def _sentence(error: Exception) -> str:
    """Return the message of an error that is not handled elsewhere."""
    if isinstance(error, MemoryError):
        return "Expected more free memory. Select fewer columns or rows, or end other programs."
    if isinstance(error, OSError):
        return f"A file or directory cannot be used: {error}. Files written before are complete."
    return str(error)


def _interrupted(session: Session) -> NoReturn:
    """Print what was saved and how to continue; exit with the code of the signal."""
    if session.run is not None and (session.run / "run.json").exists():
        message = f"Saved in {session.run}; continue with: infobound resume {session.run}"
    elif session.run is not None and (session.run / "study.json").exists():
        done = len(list((session.run / "cells").glob("*.json")))
        message = f"{done} cells are saved in {session.run}; the same command continues."
    elif session.save_flag:
        message = f"Nothing was saved; with {session.save_flag} DIRECTORY it can be continued."
    else:
        message = "Nothing was saved."
    if session.is_first_rank:
        print_error(f"\ninfobound: interrupted. {message}")
    sys.exit(128 + session.signals[-1] if session.signals else 130)


@contextlib.contextmanager
def _wide_enough() -> Iterator[None]:
    """Lay out help for at least `MIN_COLUMNS` columns; with fewer, tyro does not terminate."""
    before = os.environ.get("COLUMNS")
    if shutil.get_terminal_size().columns >= MIN_COLUMNS:
        yield
        return
    os.environ["COLUMNS"] = str(MIN_COLUMNS)
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        os.environ |= {} if before is None else {"COLUMNS": before}


class _Captured(io.StringIO):
    """Text that is printed later on standard output, as that is able to show it."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of standard output."""
        return sys.__stdout__.encoding if sys.__stdout__ is not None else "utf-8"

    def isatty(self) -> bool:
        """Return whether standard output is a terminal."""
        return sys.__stdout__ is not None and sys.__stdout__.isatty()


def _wrapped(text: str) -> str:
    """Wrap lines of a help text that are wider than the terminal, between words."""
    width = max(MIN_COLUMNS, shutil.get_terminal_size().columns)
    wrap = textwrap.TextWrapper(
        width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    lines = []
    for line in text.splitlines():
        plain = re.sub(r"\x1b\[[\d;]*m", "", line)
        if len(plain) > width and not plain.startswith(tuple("│╭╰")):
            plain = re.sub(r"\{[\w,]+\}$", "COMMAND ...", plain)  # all commands follow below
            lines += wrap.wrap(plain)
        else:
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def _parse(arguments: list[str]) -> Any:
    """Return the command with its arguments; exits with code 2 if they are invalid."""
    words = arranged(arguments, COMMANDS)
    expect_known(words, COMMANDS)
    stdout, stderr = _Captured(), io.StringIO()
    try:
        with (
            contextlib.redirect_stderr(stderr),
            contextlib.redirect_stdout(stdout),
            _wide_enough(),
        ):
            return parse(COMMANDS, args=words)
    except SystemExit as stop:
        cause: BaseException | None = stop
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__context__
        if cause is None:  # tyro's own message
            help_text = not words[0].startswith("--tyro")  # and no script of completions
            print(_wrapped(stdout.getvalue()) if help_text else stdout.getvalue(), end="")
            if stderr.getvalue():
                print_error(f"infobound: {sentence(stderr.getvalue())}")
            raise
        if "--debug" in arguments:
            raise cause from None
        print_error(f"infobound: {cause}")
        sys.exit(2)
