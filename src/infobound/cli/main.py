"""The command line: argv -> a command; what goes wrong -> a sentence and an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from infobound import __version__
from infobound.cli.commands import COMMANDS
from infobound.cli.flags import parse
from infobound.cli.session import Session, complain, open_streams, printing, silence
from infobound.errors import InputError, LostRank

__all__ = ["main"]

NARROWEST = 20  # columns that help is laid out for


def main(argv: list[str] | None = None) -> None:
    """Parse the arguments and run the command; exits with 2 for what a user can mend."""
    open_streams()
    arguments = sys.argv[1:] if argv is None else argv
    try:
        try:
            _main(arguments)
        finally:
            with printing():  # what is left of --help
                pass
    except BrokenPipeError:  # the reader has seen enough, as with `| head`
        silence(1)
        sys.exit(1)  # as rich does
    except (InputError, MemoryError, OSError) as error:
        if "--debug" in arguments:
            raise
        complain(f"infobound: {_sentence(error)}")
        sys.exit(2)


def _main(arguments: list[str]) -> None:
    if "--version" in arguments[:1]:
        with printing():
            print(f"infobound {__version__}")
        return
    with printing():
        command = _parse(arguments)
    session = Session(command.output)
    try:
        with session.ranks():
            command(session)
    except InputError as error:
        lost = isinstance(error, LostRank)
        # A signal ends all of a study's processes: what that broke is no fault.
        if session.asked and session.keep == "--out" and not lost:
            _interrupted(session)
        if session.output.debug:
            raise
        if session.speaks or lost:  # the first rank may be the lost one
            complain(f"infobound: {error}")
        if session.asked and lost:  # torchrun ends the others, maybe before they notice the loss
            _interrupted(session)
        sys.exit(2)
    except KeyboardInterrupt:
        _interrupted(session)


def _sentence(error: Exception) -> str:
    """What to say of an error that ends everything."""
    if isinstance(error, MemoryError):
        return "Expected more memory than is free. Select fewer columns or rows, or free some."
    if isinstance(error, OSError):
        return f"The system refused a file or a folder: {error}. What was written before is whole."
    return str(error)


def _interrupted(session: Session) -> NoReturn:
    """Say what is saved and how to go on; exit as the signal would have it."""
    if session.run is not None and (session.run / "run.json").exists():
        message = f"Saved in {session.run}; continue with: infobound resume {session.run}"
    elif session.run is not None and (session.run / "study.json").exists():
        done = len(list((session.run / "cells").glob("*.json")))
        message = f"{done} cells are saved in {session.run}; the same command continues."
    else:
        message = f"Nothing was saved; with {session.keep} DIRECTORY it can be continued."
    if session.speaks:
        complain(f"\ninfobound: interrupted. {message}")
    sys.exit(128 + session.asked[-1] if session.asked else 130)


@contextlib.contextmanager
def _wide_enough() -> Iterator[None]:
    """Help for at least `NARROWEST` columns; tyro does not return where its boxes find no room."""
    before = os.environ.get("COLUMNS")
    if shutil.get_terminal_size().columns >= NARROWEST:
        yield
        return
    os.environ["COLUMNS"] = str(NARROWEST)
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        os.environ |= {} if before is None else {"COLUMNS": before}


def _parse(arguments: list[str]) -> Any:
    """The command with its arguments; exits with 2 where they are wrong."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), _wide_enough():
            return parse(COMMANDS, args=arguments or ["--help"])
    except SystemExit as stop:
        cause: BaseException | None = stop
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__context__
        if cause is None:  # tyro has said it better
            if said.getvalue():
                complain(said.getvalue().removesuffix("\n"))
            raise
        if "--debug" in arguments:
            raise cause from None
        complain(f"infobound: {cause}")
        sys.exit(2)
